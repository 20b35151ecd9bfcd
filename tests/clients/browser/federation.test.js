// `cenote dev --with-idp`, as a newcomer uses it: the sample app, signing in through the demonstration provider by both protocols,
// signing out here and there, and what each learns from the other.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { AdminDisableUserCommand, AdminEnableUserCommand } from '@aws-sdk/client-cognito-identity-provider'

import { openStage, visiting } from './stage.js'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const BOTH = ['DemoOIDC', 'DemoSAML']

let stage, sample, provider

before(async () => {
  stage = await openStage('--with-idp')
  sample = stage.server.sample_url
  provider = stage.server.idp_url
})

after(async () => {
  await stage?.close()
})

const button = (page, name) => page.getByRole('button', { name, exact: true })
const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor()
const verdict = (page, text) => page.locator('#verdict').filter({ hasText: text }).waitFor()
const told = page => page.locator('.list li').allTextContents()

/** Everything stays on the server's own address, and no page has an error. */
async function using(use, options) {
  await visiting(
    stage,
    async page => {
      const wrong = []
      page.context().on('weberror', error => wrong.push(String(error.error())))
      page.context().on('request', request => {
        if (!request.url().startsWith(stage.server.endpoint)) wrong.push(request.url())
      })
      await use(page)
      assert.deepEqual(wrong, [])
    },
    options,
  )
}

/** The button of the hosted page, which is a link. */
const continueWith = (page, name) => page.getByRole('link', { name: `Continue with ${name}`, exact: true })

/** To the provider by the button of the sample. */
async function goThrough(page, name) {
  await page.goto(sample)
  await button(page, `Sign in with ${name}`).click()
}

async function choose(page, person = 'Dana Holt') {
  await heading(page, 'Who are you today?')
  await page.getByRole('button', { name: new RegExp(`^${person}`) }).click()
}

async function signIn(page, name, person) {
  await goThrough(page, name)
  await choose(page, person)
  await isAccepted(page)
}

async function isAccepted(page) {
  await page.waitForURL(sample)
  await verdict(page, 'Accepted')
}

async function signOutHere(page) {
  await button(page, 'Sign out here').click()
  await page.locator('#farewell').waitFor()
  assert.equal(page.url(), sample)
}

/** The provider's own page, in a tab beside. */
async function ownPage(page) {
  const tab = await page.context().newPage()
  await tab.goto(provider)
  return tab
}

for (const name of BOTH) {
  test(`${name}: one signs in, is known as what the provider says, and signing out here signs out there`, () =>
    using(async page => {
      await goThrough(page, name)
      await page.getByText(`To go on to us-east-1_CenoteDev by ${name === 'DemoSAML' ? 'SAML' : 'OpenID Connect'}.`).waitFor()
      await page.shot(`federation-${name}-choose`)
      await choose(page)
      await isAccepted(page)
      assert.match(await page.locator('#detail').textContent(), new RegExp(`^${name}_dana is signed in`))
      const identity = page.locator('#identity-list .card')
      assert.equal(await identity.locator('h3').textContent(), name)
      assert.match(await identity.textContent(), /Known asdana/)
      assert.match(await page.locator('#tokens').textContent(), /dana@partner\.example/)
      await page.shot(`federation-${name}-signed-in`)

      const tab = await ownPage(page)
      await heading(tab, 'Dana Holt is signed in here')
      await signOutHere(page)
      await page.shot(`federation-${name}-signed-out`)
      await tab.reload()
      await heading(tab, 'Who are you today?')
      // The next sign-in is asked, too.
      await goThrough(page, name)
      await heading(page, 'Who are you today?')
    }))

  test(`${name}: signing out at the provider ends the tokens here`, () =>
    using(async page => {
      await signIn(page, name, 'Emil Åström')
      const tab = await ownPage(page)
      await button(tab, 'Sign out here').click()
      await heading(tab, 'Emil Åström is signed out')
      const [text, ...more] = await told(tab)
      assert.deepEqual(more, [])
      assert.match(text, name === 'DemoSAML' ? /by SAML: answered the SOAP message with Success\./ : /by OpenID Connect: took the logout token \(200\)\./)
      await verdict(page, /^Refused; .* ago it was accepted, so it was ended elsewhere$/)
      // The browser's session at the hosted pages has ended as well: it is not offered again.
      await button(page, 'Sign in again').click()
      await page.locator('input[name=password]').waitFor()
      assert.equal(await page.getByRole('button', { name: /^Sign in as/ }).count(), 0)
    }))
}

test('DemoSAML: signing out at the provider through the browser comes back with the answer', () =>
  using(async page => {
    await signIn(page, 'DemoSAML')
    const tab = await ownPage(page)
    await button(tab, 'Sign out here, through the browser').click()
    await heading(tab, 'Dana Holt is signed out')
    assert.deepEqual(await told(tab), ['us-east-1_CenoteDev by SAML: answered the browser’s LogoutRequest with Success.'])
    await verdict(page, 'Refused')
  }))

test('a sign-out without a browser reaches a SAML provider, and makes an OpenID provider ask again', () =>
  using(async page => {
    for (const name of BOTH) {
      await signIn(page, name, 'Emil Åström')
      const user = { UserPoolId: stage.server.user_pool_id, Username: `${name}_emil` }
      await stage.idp.send(new AdminDisableUserCommand(user))
      await verdict(page, 'Refused')
      await stage.idp.send(new AdminEnableUserCommand(user))
      if (name === 'DemoSAML') {
        // By SOAP, from a worker that comes by every second.
        for (let tries = 0; tries < 100; tries++) {
          await page.goto(provider)
          if (await page.getByText('Who are you today?').isVisible()) break
          await sleep(100)
        }
        await heading(page, 'Who are you today?')
      }
      await page.goto(sample)
      await button(page, 'Sign in again').click()
      await continueWith(page, name).click()
      if (name === 'DemoOIDC') await page.getByText('Emil Åström is signed in here; the application wants to be sure').waitFor()
      await choose(page, 'Emil Åström')
      await isAccepted(page)
      await signOutHere(page)
    }
  }))

test('the hosted page offers both providers, and either leads into the app', () =>
  using(async page => {
    await page.goto(sample)
    await button(page, 'Sign in').click()
    for (const name of BOTH) await continueWith(page, name).waitFor()
    await page.shot('federation-hosted-page')
    await continueWith(page, 'DemoOIDC').click()
    await choose(page, 'Mei Lin')
    await isAccepted(page)
    // An address that the provider has not verified is not verified here.
    assert.match(await page.locator('#tokens').textContent(), /"email_verified": false/)
  }))

test('one session at the provider serves both, and a sign-out through the one ends the other', () =>
  using(async page => {
    await signIn(page, 'DemoOIDC')
    const other = await page.context().newPage()
    await goThrough(other, 'DemoSAML')
    await isAccepted(other)
    assert.match(await other.locator('#detail').textContent(), /^DemoSAML_dana/)
    await signOutHere(other)
    await verdict(page, /^Refused; .*ended elsewhere$/)
  }))

test('somebody else than the demo people gives a name, and a wrong address is told', () =>
  using(async page => {
    await goThrough(page, 'DemoOIDC')
    await page.getByLabel('Name').fill('<b>Nia</b> Park')
    await page.getByLabel('E-mail address').fill('nia@no where')
    await page.evaluate(() => document.querySelectorAll('form').forEach(form => (form.noValidate = true)))
    await button(page, 'Sign in').click()
    await page.getByRole('alert').filter({ hasText: 'The e-mail address is not one.' }).waitFor()
    await page.getByLabel('E-mail address').fill('nia@example.com')
    await button(page, 'Sign in').click()
    await isAccepted(page)
    await page.locator('#tokens').getByText('<b>Nia</b> Park').waitFor()
  }))

test('without JavaScript a button carries the message', () =>
  using(
    async page => {
      const request = new URLSearchParams({
        response_type: 'code',
        client_id: stage.server.client_id,
        redirect_uri: sample,
        identity_provider: 'DemoSAML',
        state: 'nojs',
      })
      await page.goto(`${stage.server.issuer}/oauth2/authorize?${request}`)
      await choose(page)
      await page.shot('federation-no-javascript')
      await button(page, 'Go on').click()
      await page.waitForURL(url => url.href.startsWith(`${sample}?code=`))
    },
    { javaScriptEnabled: false },
  ))

for (const [width, colorScheme] of [[320, 'dark'], [1280, 'light']]) {
  test(`axe-core has nothing to say about the provider's pages, ${width} pixels wide, ${colorScheme}`, () =>
    using(
      async page => {
        const check = async name => {
          await page.evaluate(axe)
          const { violations } = await page.evaluate(() => window.axe.run(document))
          assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(node => node.html)]), [])
          const wide = await page.evaluate(() => document.documentElement.scrollWidth)
          assert.ok(wide <= width, `${name} is ${wide} pixels wide`)
          await page.shot(`federation-${name}-${width}`)
        }
        await page.goto(sample)
        await check('sample')
        await goThrough(page, 'DemoSAML')
        await heading(page, 'Who are you today?')
        await check('provider-sign-in')
        await choose(page)
        await isAccepted(page)
        await check('sample-signed-in')
        await page.goto(provider)
        await check('provider-home')
        await page.goto(`${provider}/end_session`)
        await check('provider-ask')
        await page.goto(`${provider}/authorize`)
        await check('provider-problem')
        await page.goto(provider)
        await button(page, 'Sign out here').click()
        await heading(page, 'Dana Holt is signed out')
        await check('provider-signed-out')
      },
      // axe-core is put into the page, whose policy would not have it.
      { bypassCSP: true, viewport: { width, height: 800 }, colorScheme, reducedMotion: 'reduce' },
    ))
}
