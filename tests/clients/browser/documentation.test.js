// docs/clients.md: the blocks for web pages and web servers, in a browser. The pages are bundled by esbuild and served from the
// application's own origin, as they would be.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { build } from 'esbuild'

import { scene } from '../documentation.js'
import { freePort } from '../support.js'
import { fillIn, openStage, visiting } from './stage.js'

let stage

before(async () => {
  stage = await openStage()
})

after(async () => {
  await stage?.close()
})

/** A test with a reader whose application is at `app`, and a page that notes the calls to the server. */
async function reading(app, read) {
  const reader = await scene(stage.server, stage.idp, app)
  try {
    await visiting(stage, async page => {
      const calls = []
      page.on('request', request => {
        const target = request.headers()['x-amz-target'] ?? new URL(request.url()).pathname
        calls.push(target.replace(/^.*\./, ''))
      })
      await read(page, reader, calls)
    })
  } finally {
    await reader.close()
  }
}

/** Puts a page and its script where the application serves them. */
async function publish(reader, name) {
  const bundled = await build({
    entryPoints: [join(reader.folder, `${name}.js`)],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    logLevel: 'error',
  })
  stage.app.pages['/'] = ['text/html', reader.read(`${name}.html`)]
  stage.app.pages[`/${name}.js`] = ['text/javascript', bundled.outputFiles[0].text]
}

const state = (page, text) => page.locator('#state').filter({ hasText: text }).waitFor()
const button = (page, name) => page.getByRole('button', { name, exact: true })

/** The access token that Amplify keeps. */
function amplifysToken(page) {
  return page.evaluate(() => Object.entries(localStorage).find(([name]) => name.endsWith('.accessToken'))[1])
}

async function isRefused(token) {
  const response = await fetch(stage.server.endpoint, {
    method: 'POST',
    headers: { 'x-amz-target': 'AWSCognitoIdentityProviderService.GetUser' },
    body: JSON.stringify({ AccessToken: token }),
  })
  assert.deepEqual([response.status, (await response.json()).message], [400, 'Access Token has been revoked'])
}

test('Amplify signs in by SRP, refreshes, and signs out everywhere', () =>
  reading(stage.app.origin, async (page, reader, calls) => {
    await publish(reader, 'amplify')
    await page.goto(stage.app.origin)
    await state(page, 'signed out')
    await page.locator('input[name=username]').fill(reader.username)
    await page.locator('input[name=password]').fill('Correct-horse-7')
    await button(page, 'Sign in').click()
    await state(page, `signed in as ${reader.username}`)
    assert.ok(calls.includes('InitiateAuth') && calls.includes('RespondToAuthChallenge'), `${calls}`)

    const first = await amplifysToken(page)
    await button(page, 'Refresh').click()
    await state(page, 'fresh until')
    assert.ok(calls.includes('GetTokensFromRefreshToken'), `${calls}`)
    const second = await amplifysToken(page)
    assert.notEqual(second, first)

    await button(page, 'Sign out everywhere').click()
    await state(page, 'signed out')
    assert.ok(calls.includes('GlobalSignOut'), `${calls}`)
    await isRefused(first)
    await isRefused(second)
  }))

test('Amplify signs in with the hosted pages over TLS, refreshes, and signs out everywhere', () =>
  reading(stage.app.origin, async (page, reader, calls) => {
    await publish(reader, 'amplify')
    await page.goto(stage.app.origin)
    await button(page, 'Sign in with the hosted pages').click()
    await fillIn(page, reader.username)
    await state(page, `signed in as ${reader.username}`)
    assert.ok(page.url().startsWith(stage.app.origin))
    const token = await amplifysToken(page)
    await button(page, 'Refresh').click()
    await state(page, 'fresh until')

    calls.length = 0
    await button(page, 'Sign out everywhere').click()
    await page.waitForURL(`${stage.app.origin}/`)
    await state(page, 'signed out')
    assert.ok(calls.includes('GlobalSignOut'), `${calls}`)
    assert.ok(calls.includes(`/${stage.server.user_pool_id}/logout`), `${calls}`)
    await isRefused(token)
    // The browser's session is over, too.
    await button(page, 'Sign in with the hosted pages').click()
    await page.locator('input[name=password]').waitFor()
  }))

test('oidc-client-ts signs in, refreshes and signs out', () =>
  reading(stage.app.origin, async (page, reader) => {
    await publish(reader, 'oidc-client')
    await page.goto(stage.app.origin)
    await state(page, 'signed out')
    await button(page, 'Sign in').click()
    await fillIn(page, reader.username)
    await state(page, `signed in as ${reader.username}`)
    const token = await page.evaluate(() => JSON.parse(Object.values(sessionStorage)[0]).access_token)
    await button(page, 'Refresh').click()
    await page.waitForFunction(old => JSON.parse(Object.values(sessionStorage)[0]).access_token !== old, token)
    await button(page, 'Sign out').click()
    await page.waitForURL(url => url.href.startsWith(stage.app.origin))
    await state(page, 'signed out')
    await isRefused(token)
    await button(page, 'Sign in').click()
    await page.locator('input[name=password]').waitFor()
  }))

test('openid-client signs in, refreshes, and signs out by the standard end-session call', async () => {
  const app = `http://localhost:${await freePort()}`
  await reading(app, async (page, reader, calls) => {
    await reader.serve('openid-client.mjs')
    await page.goto(`${app}/login`)
    await fillIn(page, reader.username)
    await page.waitForURL(`${app}/`)
    const text = () => page.locator('body').textContent()
    assert.equal(await text(), `signed in as ${reader.username}`)
    await page.goto(`${app}/refresh`)
    assert.equal(await text(), `signed in as ${reader.username}`)
    await page.goto(`${app}/logout`)
    assert.ok(calls.includes(`/${stage.server.user_pool_id}/logout`), `${calls}`)
    assert.equal(page.url(), `${app}/`)
    assert.equal(await text(), 'signed out')
    await page.goto(`${app}/login`)
    await page.locator('input[name=password]').waitFor()
  })
})

test('Auth.js signs in, and its sign-out ends the tokens and the session at the hosted pages', async () => {
  const app = `http://localhost:${await freePort()}`
  await reading(app, async (page, reader, calls) => {
    await reader.serve('auth.mjs')
    await page.goto(`${app}/auth/signin`)
    await button(page, 'Sign in with Cognito').click()
    await fillIn(page, reader.username)
    await page.waitForURL(url => url.origin === app)
    await page.goto(app)
    assert.match(await page.locator('body').textContent(), /^signed in as reader-.*@example\.com$/)

    await page.goto(`${app}/auth/signout?callbackUrl=${encodeURIComponent(`${app}/signed-out`)}`)
    await button(page, 'Sign out').click()
    await page.waitForURL(`${app}/`)
    assert.equal(await page.locator('body').textContent(), 'signed out')
    assert.ok(calls.includes(`/${stage.server.user_pool_id}/logout`), `${calls}`)
    // Nothing is left: not the tokens, and not the browser's session.
    const { Sessions } = await sessionsOf(reader.username)
    assert.deepEqual(Sessions, [])
    await page.goto(`${app}/auth/signin`)
    await button(page, 'Sign in with Cognito').click()
    await page.locator('input[name=password]').waitFor()
  })
})

async function sessionsOf(Username) {
  const response = await fetch(stage.server.endpoint, {
    method: 'POST',
    headers: { 'x-amz-target': 'AWSCognitoIdentityProviderService.AdminListUserSessions' },
    body: JSON.stringify({ UserPoolId: stage.server.user_pool_id, Username }),
  })
  return response.json()
}
