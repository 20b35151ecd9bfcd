// Signing up, confirming, getting a password back, and choosing a first one, as a person does it; and what every page owes to
// everybody: keyboard, screen reader, phone, dark mode, no script, no stranger.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'

import { CreateUserPoolDomainCommand } from '@aws-sdk/client-cognito-identity-provider'

import { OTHER_PASSWORD, PASSWORD, makePool, outbox, unique } from '../support.js'
import { openStage, visiting } from './stage.js'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let stage, pool, client, domain

before(async () => {
  stage = await openStage()
  pool = await makePool(stage.idp, {
    UsernameAttributes: ['email'],
    AutoVerifiedAttributes: ['email'],
    Schema: ['given_name', 'birthdate'].map(Name => ({ Name, AttributeDataType: 'String', Required: true })),
  })
  client = await pool.app({
    ClientName: 'Garden',
    CallbackURLs: [`${stage.app.origin}/callback`],
    AllowedOAuthFlows: ['code'],
    AllowedOAuthScopes: ['openid', 'email'],
    AllowedOAuthFlowsUserPoolClient: true,
    SupportedIdentityProviders: ['COGNITO'],
    PreventUserExistenceErrors: 'ENABLED',
  })
  await stage.idp.send(new CreateUserPoolDomainCommand({ UserPoolId: pool.id, Domain: unique('garden') }))
  domain = `${stage.server.tls_endpoint}/${pool.id}`
})

after(async () => {
  await stage?.close()
})

function address(page, more = {}) {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: client,
    redirect_uri: `${stage.app.origin}/callback`,
    scope: 'openid email',
    state: 'the-state',
    ...more,
  })
  return `${domain}${page}?${query}`
}

const someone = () => `${unique('ann')}@example.com`

/** The newest code that was sent to an address. */
async function code(email) {
  const [message] = await outbox(stage.server, email)
  assert.ok(message, `no message to ${email}`)
  return message.code
}

async function backInTheApp(page) {
  await page.waitForURL(url => url.href.startsWith(`${stage.app.origin}/callback?`))
  const { searchParams } = new URL(page.url())
  assert.ok(searchParams.get('code'))
  assert.equal(searchParams.get('state'), 'the-state')
}

async function fillInSignUp(page, email) {
  await page.getByLabel('Email').fill(email)
  await page.getByLabel('First name').fill('Ann')
  await page.getByLabel('Date of birth').fill('1990-05-17')
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await page.getByLabel('Repeat password').fill(PASSWORD)
}

const press = (page, name) => page.getByRole('button', { name, exact: true }).click()

async function signUp(page, email) {
  await page.goto(address('/oauth2/authorize'))
  await page.getByRole('link', { name: 'Sign up' }).click()
  await fillInSignUp(page, email)
  await press(page, 'Sign up')
  await page.getByRole('heading', { name: 'Confirm your account' }).waitFor()
}

/** A user whom an administrator made, on the page that asks for a password. */
async function arriveInvited(page) {
  const email = someone()
  const attributes = { email, email_verified: 'true', given_name: 'Ann' }
  await pool.user({ username: email, attributes, permanent: false })
  await page.goto(address('/oauth2/authorize'))
  await page.getByLabel('Email').fill(email)
  await page.getByLabel('Password').fill(PASSWORD)
  await press(page, 'Sign in')
  await page.getByRole('heading', { name: 'Choose a new password' }).waitFor()
  return email
}

async function chooseFirst(page) {
  await page.getByLabel('Date of birth').fill('1990-05-17')
  await page.getByLabel('New password', { exact: true }).fill(OTHER_PASSWORD)
  await page.getByLabel('Repeat new password').fill(OTHER_PASSWORD)
  await press(page, 'Save new password')
}

async function forget(page, email) {
  await page.goto(address('/oauth2/authorize'))
  await page.getByRole('link', { name: 'Forgot your password?' }).click()
  await page.getByLabel('Email').fill(email)
  await press(page, 'Send code')
  await page.getByRole('heading', { name: 'Reset your password' }).waitFor()
}

// --- what people do ---

async function wholeStory(page) {
  const email = someone()
  await signUp(page, email)
  await page.getByLabel('Code').fill(await code(email))
  await press(page, 'Confirm account')
  await backInTheApp(page)

  await page.context().clearCookies()
  await forget(page, email)
  await page.getByLabel('Code').fill(await code(email))
  await page.getByLabel('New password', { exact: true }).fill(OTHER_PASSWORD)
  await page.getByLabel('Repeat new password').fill(OTHER_PASSWORD)
  await press(page, 'Save new password')
  await page.getByText('Your new password is saved.').waitFor()
  assert.equal(await page.getByLabel('Email').inputValue(), email)
  await page.getByLabel('Password').fill(OTHER_PASSWORD)
  await press(page, 'Sign in')
  await backInTheApp(page)
}

test('a person signs up, confirms, is signed in, forgets the password and gets another', () => visiting(stage, wholeStory))

test('all of that works without JavaScript', () => visiting(stage, wholeStory, { javaScriptEnabled: false }))

test('all of that works on a phone', () =>
  visiting(stage, wholeStory, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }))

test('whom an administrator made chooses a password and completes the account', () =>
  visiting(stage, async page => {
    await arriveInvited(page)
    await chooseFirst(page)
    await backInTheApp(page)
  }))

test('a sign-up with the keyboard alone', () =>
  visiting(stage, async page => {
    const email = someone()
    const type = async text => {
      await page.keyboard.type(text)
      await page.keyboard.press('Tab')
    }
    const focused = () => page.evaluate(() => document.activeElement.getAttribute('name') ?? document.activeElement.textContent.trim())
    await page.goto(address('/oauth2/authorize'))
    assert.equal(await focused(), 'username', 'one can type at once')
    for (let steps = 0; (await focused()) !== 'Sign up'; steps++) {
      assert.ok(steps < 12, 'the link is in reach')
      await page.keyboard.press('Tab')
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
      assert.equal(outline, 'solid', `the focus on ${await focused()} is visible`)
    }
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Create an account' }).waitFor()
    assert.equal(await focused(), 'username')
    await type(email)
    await type('Ann')
    await page.keyboard.type('05171990')
    while ((await focused()) !== 'password') await page.keyboard.press('Tab')
    await type(PASSWORD)
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Confirm your account' }).waitFor()
    assert.equal(await focused(), 'code')
    await page.keyboard.type(await code(email))
    await page.keyboard.press('Enter')
    await backInTheApp(page)
  }))

test('what was typed is kept, the wrong field says so, and has the focus', () =>
  visiting(stage, async page => {
    const email = someone()
    await page.goto(address('/signup'))
    await fillInSignUp(page, email)
    await page.getByLabel('Repeat password').fill(OTHER_PASSWORD)
    await press(page, 'Sign up')
    const again = page.getByLabel('Repeat password')
    await page.getByText('The two passwords are not the same.').waitFor()
    assert.ok(await again.evaluate(input => input === document.activeElement))
    assert.equal(await again.getAttribute('aria-invalid'), 'true')
    const told = await again.evaluate(input =>
      input
        .getAttribute('aria-describedby')
        .split(' ')
        .map(id => document.getElementById(id).textContent)
        .join(' '),
    )
    assert.match(told, /The two passwords are not the same/)
    assert.equal(await page.getByLabel('Email').inputValue(), email)
    assert.equal(await page.getByLabel('First name').inputValue(), 'Ann')
    assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '')
  }))

test('the back button after each step leads to no dead end', () =>
  visiting(stage, async page => {
    const email = someone()
    await signUp(page, email)
    await page.goBack()
    await page.getByRole('heading', { name: 'Create an account' }).waitFor()
    await page.goForward()
    await page.getByLabel('Code').fill(await code(email))
    await press(page, 'Confirm account')
    await backInTheApp(page)
    await page.goBack()
    await page.getByRole('link', { name: 'Start again' }).click()
    await page.getByRole('button', { name: `Sign in as ${email}` }).waitFor()
  }))

test('a page of several, opened in another browser, shows nothing and lets one start again', () =>
  visiting(stage, async page => {
    await arriveInvited(page)
    const stolen = page.url()
    await visiting(stage, async other => {
      await other.goto(stolen)
      await other.getByRole('heading', { name: 'This page has expired' }).waitFor()
      await other.getByRole('link', { name: 'Start again' }).click()
      await other.getByRole('heading', { name: 'Sign in' }).waitFor()
    })
    await chooseFirst(page)
    await backInTheApp(page)
  }))

test('a browser without cookies is told', () =>
  visiting(stage, async page => {
    await page.goto(address('/login'))
    await page.context().clearCookies()
    await page.getByLabel('Email').fill(someone())
    await page.getByLabel('Password').fill(PASSWORD)
    await press(page, 'Sign in')
    await page.getByRole('heading', { name: 'Cookies are needed' }).waitFor()
    await page.shot('cookies')
  }))

// --- what every page owes to everybody ---

/** Every page, as far as it can be reached: name and the way there. */
const PAGES = {
  login: page => page.goto(address('/login')),
  'login-refused': async page => {
    await page.goto(address('/login'))
    await page.getByLabel('Email').fill(someone())
    await page.getByLabel('Password').fill('Wrong-password-1')
    await press(page, 'Sign in')
    await page.getByRole('alert').waitFor()
  },
  signup: page => page.goto(address('/signup')),
  'signup-refused': async page => {
    await page.goto(address('/signup'))
    await fillInSignUp(page, someone())
    for (const label of ['Password', 'Repeat password']) await page.getByLabel(label, { exact: true }).fill('weakly')
    await press(page, 'Sign up')
    await page.getByRole('alert').waitFor()
  },
  confirm: page => signUp(page, someone()),
  'confirm-refused': async page => {
    await signUp(page, someone())
    await page.getByLabel('Code').fill('000')
    await press(page, 'Confirm account')
    await page.getByRole('alert').waitFor()
  },
  'confirm-alone': page => page.goto(address('/confirmUser')),
  resend: page => page.goto(address('/resendcode')),
  'resent': async page => {
    await signUp(page, someone())
    await press(page, 'Send a new code')
    await page.getByText('We sent a new code').waitFor()
  },
  forgot: page => page.goto(address('/forgotPassword')),
  reset: page => forget(page, someone()),
  'reset-alone': page => page.goto(address('/confirmForgotPassword')),
  'new-password': arriveInvited,
  'new-password-refused': async page => {
    await arriveInvited(page)
    await page.getByLabel('Date of birth').fill('1990-05-17')
    await page.getByLabel('New password', { exact: true }).fill('weakly')
    await page.getByLabel('Repeat new password').fill('weakly')
    await press(page, 'Save new password')
    await page.getByRole('alert').waitFor()
  },
  continue: async page => {
    await arriveInvited(page)
    await chooseFirst(page)
    await backInTheApp(page)
    await page.goto(address('/oauth2/authorize'))
    await page.getByText('Sign in as').waitFor()
  },
  expired: page => page.goto(`${address('/challenge')}&step=nothing`),
  error: page => page.goto(address('/oauth2/authorize', { redirect_uri: 'https://elsewhere.example' })),
}

const VIEWS = {
  'desktop-light': { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  'desktop-dark': { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  'phone-light': { viewport: { width: 360, height: 740 }, colorScheme: 'light' },
  'phone-dark': { viewport: { width: 360, height: 740 }, colorScheme: 'dark' },
}

for (const [view, options] of Object.entries(VIEWS)) {
  for (const [name, go] of Object.entries(PAGES)) {
    test(`${name} on ${view}: accessible, steady, and by itself`, () =>
      visiting(
        stage,
        async page => {
          const strangers = []
          const known = [new URL(domain).origin, stage.app.origin, 'data:']
          page.on('request', request => {
            if (!known.some(origin => request.url().startsWith(origin))) strangers.push(request.url())
          })
          await go(page)
          const shift = await page.evaluate(
            () =>
              new Promise(resolve => {
                let sum = 0
                new PerformanceObserver(list => {
                  for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value
                }).observe({ type: 'layout-shift', buffered: true })
                setTimeout(() => resolve(sum), 100)
              }),
          )
          // Less than can be seen: on a busy machine the first paint may come before the last byte.
          assert.ok(shift < 0.01, `a shift of ${shift}`)
          await page.shot(`${name}.${view}`)
          await page.evaluate(axe)
          const { violations } = await page.evaluate(() => window.axe.run(document))
          const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html).join(' ')}`)
          assert.deepEqual(found, [])
          assert.equal(await page.locator('h1').count(), 1)
          assert.ok(await page.title())
          const { scroll, width } = await page.evaluate(() => ({
            scroll: document.documentElement.scrollWidth,
            width: document.documentElement.clientWidth,
          }))
          assert.ok(scroll <= width, `${scroll} pixels wide in ${width}`)
          const small = await page.evaluate(() =>
            [...document.querySelectorAll('main a, main button, main input:not([type=hidden]):not(.unseen)')]
              .map(element => [element.outerHTML.slice(0, 80), element.getBoundingClientRect()])
              .filter(([, box]) => box.height < 24 || box.width < 24)
              .map(([html]) => html),
          )
          assert.deepEqual(small, [], 'every target can be hit with a finger')
          assert.deepEqual(strangers, [])
        },
        options,
      ))
  }
}

test('no two pages have the same title', () =>
  visiting(stage, async page => {
    const titles = {}
    for (const name of ['login', 'signup', 'confirm-alone', 'resend', 'forgot', 'reset-alone', 'expired', 'error']) {
      await PAGES[name](page)
      titles[name] = await page.title()
    }
    assert.equal(new Set(Object.values(titles)).size, Object.keys(titles).length, JSON.stringify(titles))
  }))
