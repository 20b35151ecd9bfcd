// The sample app of `cenote dev`, as a newcomer uses it: over plain HTTP, with the pages in path form, nothing but its own address.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { OTHER_PASSWORD, PASSWORD, outbox, poolNamed, unique } from '../support.js'
import { fillIn, openStage, visiting } from './stage.js'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let stage, sample

before(async () => {
  stage = await openStage()
  sample = stage.server.sample_url
})

after(async () => {
  await stage?.close()
})

const button = (page, name) => page.getByRole('button', { name, exact: true })
const verdict = page => page.locator('#verdict')
const cards = page => page.locator('#sessions > li')
const card = (page, text) => cards(page).filter({ hasText: text })
const kept = (page, name) => page.evaluate(name => JSON.parse(sessionStorage.getItem(name)), name)

/** A user of the test's own: sign-outs must not meet those of other tests. */
function newcomer() {
  return poolNamed(stage.idp, stage.server.user_pool_id).user({
    attributes: { email: `${unique('sample')}@example.com`, email_verified: 'true' },
  })
}

async function signIn(page, username, { again = false } = {}) {
  await page.goto(sample)
  await button(page, again ? 'Sign in again' : 'Sign in').click()
  await fillIn(page, username)
  await isAccepted(page)
}

async function isAccepted(page) {
  await page.waitForURL(sample)
  await verdict(page).filter({ hasText: 'Accepted' }).waitFor()
}

async function codeFor(address) {
  for (let tries = 0; tries < 50; tries++) {
    const [message] = await outbox(stage.server, address)
    if (message) return message.code
    await sleep(100)
  }
  assert.fail(`nothing was sent to ${address}`)
}

/** A new password, and the same again. */
async function chooses(page, password) {
  for (const field of await page.locator('input[autocomplete=new-password]').all()) await field.fill(password)
}

/** Waits until GetUser was asked once more, and answered so. */
async function anotherBeat(page, answer) {
  const beats = page.locator(`#strip .${answer}`)
  await beats.nth(await beats.count()).waitFor()
}

/** A page of another origin or with a script error is no good example. */
async function using(use, options) {
  await visiting(
    stage,
    async page => {
      const wrong = []
      page.context().on('weberror', error => wrong.push(String(error.error())))
      page.context().on('console', message => wrong.push(...(/token|eyJ/i.test(message.text()) ? [message.text()] : [])))
      page.context().on('request', request => {
        if (!request.url().startsWith(stage.server.endpoint)) wrong.push(request.url())
      })
      await use(page)
      assert.deepEqual(wrong, [])
    },
    options,
  )
}

test('one signs in, sees the tokens run and GetUser succeed again and again', () =>
  using(async page => {
    const name = await newcomer()
    await signIn(page, name)
    assert.ok((await page.locator('#detail').textContent()).startsWith(`${name} is signed in.`))
    await anotherBeat(page, 'yes')

    const access = page.locator('#tokens .card').filter({ hasText: 'Access token' })
    assert.ok((await access.locator('pre').last().textContent()).includes(`"username": "${name}"`))
    assert.match(await access.locator('.left').textContent(), /^Expires in 00:59:\d\d$/)
    assert.match(await page.locator('#tokens').textContent(), /"alg": "RS256"/)
    await page.shot('sample-signed-in')

    const old = (await kept(page, 'tokens')).access_token
    await button(page, 'Refresh the tokens').click()
    await page.getByText('POST /oauth2/token, refresh_token: done').waitFor()
    assert.notEqual((await kept(page, 'tokens')).access_token, old)
    await isAccepted(page)
  }))

test('signing out everywhere is refused in this browser at once and in another with its next call', () =>
  using(async here => {
    const name = await newcomer()
    await signIn(here, name)
    await using(async there => {
      await signIn(there, name)
      await card(here, 'token session').nth(1).waitFor()
      await button(here, 'Sign out everywhere').click()
      const text = verdict(here).filter({ hasText: /^Refused \d+ ms after you pressed Sign out everywhere$/ })
      await text.waitFor()
      await here.getByText('Access Token has been revoked').first().waitFor()
      await here.shot('sample-signed-out-everywhere')
      await verdict(there).filter({ hasText: /^Refused; .* ago it was accepted, so it was ended elsewhere$/ }).waitFor()

      await button(there, 'Refresh the tokens').click()
      await there.getByRole('alert').filter({ hasText: 'Refresh Token has been revoked' }).waitFor()
      // It stays told, although the next calls are answered.
      await anotherBeat(there, 'no')
      assert.ok(await there.getByRole('alert').isVisible())
    })
    // As in Cognito the browser is still signed in at the hosted pages.
    await button(here, 'Sign in again').click()
    await here.getByRole('button', { name: `Sign in as ${name}`, exact: true }).click()
    await isAccepted(here)
  }))

test('one session is revoked, and only that one', () =>
  using(async here => {
    const name = await newcomer()
    await signIn(here, name)
    await using(async there => {
      await signIn(there, name)
      const current = card(there, 'this tab')
      const id = await current.locator('dd').nth(4).textContent()
      assert.match(id, /^tkn[a-z0-9]{25}$/)
      assert.equal(await current.getByRole('button').count(), 0)
      assert.match(await current.textContent(), /Chrome on .*(127\.0\.0\.1|::1), country unknown/)
      await card(here, id).getByRole('button', { name: 'Revoke this session' }).click()
      await verdict(there).filter({ hasText: 'Refused' }).waitFor()
      await card(here, id).waitFor({ state: 'detached' })
      // The keyboard is not left on a button that is gone.
      assert.equal(await here.evaluate(() => document.activeElement.id), 'sessions-title')
    })
    await anotherBeat(here, 'yes')
    assert.equal(await verdict(here).textContent(), 'Accepted')
  }))

test('revoking this browser together with what is linked to it ends the tokens of this tab, too', () =>
  using(async page => {
    await signIn(page, await newcomer())
    await page.getByLabel('Revoke together with linked ones').check()
    await card(page, 'this browser').getByRole('button', { name: 'Revoke this session' }).click()
    await verdict(page).filter({ hasText: /^Refused .* after you pressed Revoke this session$/ }).waitFor()
  }))

test('signing out here ends the tokens and the browser session, and says so where one comes back', () =>
  using(async page => {
    await signIn(page, await newcomer())
    const { access_token, refresh_token } = await kept(page, 'tokens')
    await button(page, 'Sign out here').click()
    await page.getByRole('heading', { name: /^Refused \d+ ms after you pressed Sign out here$/ }).waitFor()
    assert.equal(page.url(), sample)
    await page.shot('sample-signed-out-here')
    assert.equal(await page.evaluate(() => sessionStorage.length), 0)
    const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: stage.server.client_id, refresh_token })
    assert.equal((await fetch(`${stage.server.issuer}/oauth2/token`, { method: 'POST', body })).status, 400)
    const headers = { authorization: `Bearer ${access_token}` }
    assert.equal((await fetch(`${stage.server.issuer}/oauth2/userInfo`, { headers })).status, 401)
    await button(page, 'Sign in').click()
    await page.locator('input[name=password]').waitFor()
  }))

test('the receipt of a sign-out is shown where one signed out and where one comes back', () =>
  using(async page => {
    const name = await newcomer()
    await signIn(page, name)
    await button(page, 'Sign out everywhere').click()
    const title = page.locator('#receipt-title').filter({ hasText: /^(Nobody else had to be told|Everyone who is to know of it knows)$/ })
    await title.waitFor()
    const receipt = JSON.parse(await page.locator('#receipt-json').textContent())
    assert.deepEqual([receipt.reason, receipt.complete], ['global_sign_out', true])
    assert.match(receipt.records.map(record => `${record.kind} ${record.seq}`).join(), /^U \d+$/)
    await page.shot('sample-receipt')

    await button(page, 'Sign in again').click()
    await button(page, `Sign in as ${name}`).click()
    await isAccepted(page)
    await button(page, 'Sign out here').click()
    await page.waitForURL(sample)
    await title.waitFor()
    assert.equal(JSON.parse(await page.locator('#receipt-json').textContent()).reason, 'token_revoked')
  }))

test('two tabs of one browser are two sessions', () =>
  using(async page => {
    const name = await newcomer()
    await signIn(page, name)
    const tab = await page.context().newPage()
    await tab.goto(sample)
    await button(tab, 'Sign in').click()
    await tab.getByRole('button', { name: `Sign in as ${name}`, exact: true }).click()
    await isAccepted(tab)
    await card(tab, 'token session').nth(1).waitFor()
    assert.equal(await card(tab, 'browser session').count(), 1)
  }))

test('an answer to a question that this tab did not ask signs nobody in', () =>
  using(async page => {
    await page.goto(`${sample}?code=stolen&state=guess`)
    await page.getByRole('alert').filter({ hasText: 'belongs to no sign-in that this tab began' }).waitFor()
    assert.equal(page.url(), sample)
    assert.ok(await button(page, 'Sign in').isVisible())
    assert.equal(await kept(page, 'tokens'), null)
  }))

test('markup in a claim or a device stays text', () =>
  using(
    async page => {
      const markup = '<img src=x onerror=alert(1)>'
      const pool = poolNamed(stage.idp, stage.server.user_pool_id)
      const name = await pool.user({ attributes: { email: `${unique('x')}@example.com`, email_verified: 'true', name: markup } })
      await signIn(page, name)
      await page.locator('#tokens').getByText(markup).waitFor()
      assert.equal(await page.locator('main img').count(), 0)
    },
    { userAgent: '<b>Chrome/1.0 Linux</b>' },
  ))

test('it fits a phone, in light and in dark, and works with the keyboard alone', () =>
  using(
    async page => {
      await page.goto(sample)
      await page.shot('sample-welcome-phone')
      await button(page, 'Sign in').focus()
      await page.keyboard.press('Enter')
      await fillIn(page, await newcomer())
      await isAccepted(page)
      const width = await page.evaluate(() => document.documentElement.scrollWidth)
      assert.ok(width <= 320, `${width} pixels wide`)
      await card(page, 'this tab').waitFor()
      await page.shot('sample-phone')
      await button(page, 'Sign out everywhere').focus()
      await page.keyboard.press('Enter')
      await verdict(page).filter({ hasText: 'Refused' }).waitFor()
    },
    { viewport: { width: 320, height: 640 }, colorScheme: 'dark' },
  ))

for (const [width, colorScheme] of [[320, 'light'], [1280, 'dark']]) {
  test(`axe-core has nothing to say about the sample, ${width} pixels wide, ${colorScheme}`, () =>
    using(
      async page => {
        await page.goto(sample)
        await isAccessible(page)
        await signIn(page, await newcomer())
        await card(page, 'this browser').waitFor()
        await isAccessible(page)
        await button(page, 'Sign out everywhere').click()
        await verdict(page).filter({ hasText: 'Refused' }).waitFor()
        await isAccessible(page)
        await button(page, 'Sign out here').click()
        await page.locator('#farewell').waitFor()
        await isAccessible(page)
        await page.goto(`${stage.server.endpoint}/dev/outbox`)
        await isAccessible(page)
      },
      // axe-core is put into the page, whose policy would not have it.
      { bypassCSP: true, viewport: { width, height: 800 }, colorScheme, reducedMotion: 'reduce' },
    ))
}

async function isAccessible(page) {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => window.axe.run(document))
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(node => node.html)]), [])
}

test('a server that went away is not taken for a refusal', () =>
  using(async page => {
    await signIn(page, await newcomer())
    await page.route('**/*', route => route.abort())
    await page.getByRole('alert').filter({ hasText: 'The server does not answer' }).waitFor()
    assert.equal(await verdict(page).textContent(), 'Accepted')
    await page.unroute('**/*')
    await page.getByRole('alert').waitFor({ state: 'hidden' })
  }))

test('one signs up, confirms with the code from the outbox, and is in the sample', () =>
  using(async page => {
    const [name, address] = [unique('new'), `${unique('new')}@example.com`]
    await page.goto(sample)
    await button(page, 'Create an account').click()
    await page.locator('input[name=username]').fill(name)
    await page.locator('input[name=email]').fill(address)
    await chooses(page, PASSWORD)
    await button(page, 'Sign up').click()
    await page.locator('input[name=code]').fill(await codeFor(address))
    await button(page, 'Confirm account').click()
    await isAccepted(page)
    assert.ok((await page.locator('#detail').textContent()).startsWith(`${name} is signed in.`))
  }))

test('one resets a forgotten password, which ends the sessions of before', () =>
  using(async page => {
    const address = `${unique('forgetful')}@example.com`
    const name = await poolNamed(stage.idp, stage.server.user_pool_id).user({ attributes: { email: address, email_verified: 'true' } })
    await signIn(page, name)
    await using(async other => {
      await other.goto(sample)
      await button(other, 'Forgot your password?').click()
      await other.locator('input[name=username]').fill(name)
      await button(other, 'Send code').click()
      await other.locator('input[name=code]').fill(await codeFor(address))
      await chooses(other, OTHER_PASSWORD)
      await button(other, 'Save new password').click()
      await verdict(page).filter({ hasText: 'so it was ended elsewhere' }).waitFor()
      await other.goto(sample)
      await button(other, 'Sign in').click()
      await fillIn(other, name, OTHER_PASSWORD)
      await isAccepted(other)
    })
  }))

test('the codes of mails wait in the outbox, which reads well and loads nothing foreign', () =>
  using(async page => {
    const address = `${unique('reader')}@example.com`
    const name = await poolNamed(stage.idp, stage.server.user_pool_id).user({ attributes: { email: address, email_verified: 'true' } })
    const forgot = { ClientId: stage.server.client_id, Username: name }
    await fetch(stage.server.endpoint, {
      method: 'POST',
      headers: { 'x-amz-target': 'AWSCognitoIdentityProviderService.ForgotPassword' },
      body: JSON.stringify(forgot),
    })
    const [{ code }] = await outbox(stage.server, address)
    await page.goto(sample)
    const [opened] = await Promise.all([page.waitForEvent('popup'), page.getByRole('link', { name: 'Outbox', exact: true }).click()])
    await opened.getByText(code, { exact: true }).waitFor()
    assert.notEqual(await opened.evaluate(() => getComputedStyle(document.querySelector('.card')).borderRadius), '0px')
  }))
