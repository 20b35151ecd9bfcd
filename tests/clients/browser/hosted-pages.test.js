// Signing in, coming again and signing out on the hosted pages, as a person does it.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import {
  AdminDisableUserCommand,
  AdminEnableUserCommand,
  AdminUserGlobalSignOutCommand,
  UpdateUserPoolDomainCommand,
} from '@aws-sdk/client-cognito-identity-provider'

import { PASSWORD } from '../support.js'
import { CLIENT, PEOPLE, POOL, arrive, claims, codeFlow, exchange, fillIn, openStage, redeem, signIn, visiting } from './stage.js'

const continueAs = (page, name) => page.getByRole('button', { name: `Sign in as ${name}`, exact: true })
const otherAccount = page => page.getByText(/another account/i)
const credentials = page => page.locator('input[name=password]')

let stage

before(async () => {
  stage = await openStage()
})

after(async () => {
  await stage?.close()
})

function logout(query) {
  return `${stage.domain}/logout?${new URLSearchParams({ client_id: CLIENT, ...query })}`
}

async function cookie(page, name) {
  const cookies = await page.context().cookies(`${stage.domain}/login`)
  return cookies.find(cookie => cookie.name === name)
}

const signedOut = () => `${stage.app.origin}/signed-out`

// --- signing in ---

test('a person signs in on the login page and the application gets tokens and user information', () =>
  visiting(stage, async page => {
    const flow = await arrive(stage, page)
    assert.equal(new URL(page.url()).pathname, `/${POOL}/login`)
    assert.equal(new URL(page.url()).searchParams.get('state'), flow.state)
    await page.shot('login')
    await fillIn(page, 'ann')
    const tokens = await redeem(stage, page, flow)
    await page.shot('back-in-the-app')

    assert.deepEqual([tokens.token_type, tokens.expires_in], ['Bearer', 3600])
    const identity = claims(tokens.id_token)
    assert.deepEqual([identity.sub, identity['cognito:username']], [PEOPLE.ann, 'ann'])
    assert.equal(identity.nonce, flow.query.get('nonce'))
    assert.equal(claims(tokens.access_token).scope, 'openid email')

    const authorization = `Bearer ${tokens.access_token}`
    const response = await stage.fetch(`${stage.domain}/oauth2/userInfo`, { headers: { authorization } })
    const info = await response.json()
    assert.deepEqual([info.sub, info.username, info.email_verified], [PEOPLE.ann, 'ann', 'true'])
  }))

test('the form is plain: username, password and a CSRF pair', () =>
  visiting(stage, async page => {
    await arrive(stage, page)
    const form = page.locator('form:has(input[name=password])')
    assert.equal((await form.getAttribute('method')).toLowerCase(), 'post')
    assert.equal(await form.locator('input[name=username]').count(), 1)
    const csrf = await form.locator('input[type=hidden][name=_csrf]').inputValue()
    assert.equal((await cookie(page, 'XSRF-TOKEN')).value, csrf)
  }))

test('a wrong password is told, and the right one still works', () =>
  visiting(stage, async page => {
    const flow = await arrive(stage, page)
    await fillIn(page, 'ann', 'Wrong-password-1')
    await page.getByText('Incorrect username or password.').waitFor()
    assert.equal(new URL(page.url()).pathname, `/${POOL}/login`)
    await page.shot('wrong-password')
    await fillIn(page, 'ann')
    assert.ok((await redeem(stage, page, flow)).access_token)
  }))

test('nobody learns here who has an account', () =>
  visiting(stage, async page => {
    await arrive(stage, page)
    await fillIn(page, 'nobody-at-all', 'Wrong-password-1')
    await page.getByText('Incorrect username or password.').waitFor()
  }))

test('everything works without JavaScript', () =>
  visiting(
    stage,
    async page => {
      await signIn(stage, page)
      const again = await arrive(stage, page)
      await continueAs(page, 'ann').click()
      assert.ok((await redeem(stage, page, again)).id_token)
      await page.goto(logout({ logout_uri: signedOut() }))
      assert.equal(page.url(), signedOut())
      await arrive(stage, page)
      assert.ok(await credentials(page).isVisible())
    },
    { javaScriptEnabled: false },
  ))

test('a code is worth nothing a second time', () =>
  visiting(stage, async page => {
    const flow = await arrive(stage, page)
    await fillIn(page, 'ann')
    await redeem(stage, page, flow)
    const response = await exchange(stage, flow, new URL(page.url()).searchParams.get('code'))
    assert.equal(response.status, 400)
    assert.equal((await response.json()).error, 'invalid_grant')
  }))

// --- coming again ---

test('who comes again continues without credentials', () =>
  visiting(stage, async page => {
    const first = await signIn(stage, page)
    const flow = await arrive(stage, page)
    assert.equal(await credentials(page).count(), 0)
    await page.shot('sign-in-as')
    await continueAs(page, 'ann').click()
    const again = await redeem(stage, page, flow)
    assert.equal(claims(again.id_token).sub, PEOPLE.ann)
    assert.equal(claims(again.id_token).auth_time, claims(first.id_token).auth_time)
    assert.notEqual(again.refresh_token, first.refresh_token)
  }))

test('who comes again can be somebody else', () =>
  visiting(stage, async page => {
    await signIn(stage, page)
    const flow = await arrive(stage, page)
    await otherAccount(page).click()
    await credentials(page).waitFor()
    await page.shot('another-account')
    await fillIn(page, 'bob')
    assert.equal(claims((await redeem(stage, page, flow)).id_token).sub, PEOPLE.bob)
    await arrive(stage, page)
    assert.ok(await continueAs(page, 'bob').isVisible())
  }))

test('another browser knows nothing of it', () =>
  visiting(stage, async page => {
    await signIn(stage, page)
    await visiting(stage, async other => {
      await arrive(stage, other)
      assert.ok(await credentials(other).isVisible())
    })
  }))

test('with version 2 who comes again is not asked at all', async () => {
  const version = ManagedLoginVersion =>
    stage.idp.send(new UpdateUserPoolDomainCommand({ UserPoolId: POOL, Domain: 'browser-tests', ManagedLoginVersion }))
  await version(2)
  try {
    await visiting(stage, async page => {
      await signIn(stage, page)
      const flow = await arrive(stage, page)
      assert.equal(claims((await redeem(stage, page, flow)).id_token).sub, PEOPLE.ann)
    })
  } finally {
    await version(1)
  }
})

// --- signing out ---

test('signing out clears the session, comes back exactly, and the next visit asks for credentials', () =>
  visiting(stage, async page => {
    const tokens = await signIn(stage, page)
    await page.goto(logout({ logout_uri: signedOut() }))
    assert.equal(page.url(), signedOut())
    await page.shot('signed-out')
    assert.equal(await cookie(page, 'cognito'), undefined)
    await arrive(stage, page)
    assert.ok(await credentials(page).isVisible())
    assert.equal(await page.getByText(/Sign in as ann/).count(), 0)

    const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: CLIENT, refresh_token: tokens.refresh_token })
    const response = await stage.fetch(`${stage.domain}/oauth2/token`, { method: 'POST', body })
    assert.equal(response.status, 200, 'as in Cognito, /logout leaves tokens alone')
  }))

test('signing out in order to sign in again leads to the login page with the same query', () =>
  visiting(stage, async page => {
    await signIn(stage, page)
    const flow = codeFlow(stage)
    await page.goto(logout(Object.fromEntries(flow.query)))
    assert.equal(new URL(page.url()).pathname, `/${POOL}/login`)
    assert.equal(new URL(page.url()).searchParams.get('state'), flow.state)
    await fillIn(page, 'bob')
    assert.equal(claims((await redeem(stage, page, flow)).id_token).sub, PEOPLE.bob)
  }))

test('the back button does not bring the session back', () =>
  visiting(stage, async page => {
    await signIn(stage, page)
    await arrive(stage, page)
    await page.goto(logout({ logout_uri: signedOut() }))
    await page.goBack()
    const button = continueAs(page, 'ann')
    if (await button.isVisible()) await button.click()
    await credentials(page).waitFor()
  }))

test('a sign-out in one tab holds in the other', () =>
  visiting(stage, async page => {
    await signIn(stage, page)
    await arrive(stage, page)
    const tab = await page.context().newPage()
    await tab.goto(logout({ logout_uri: signedOut() }))
    await continueAs(page, 'ann').click()
    await credentials(page).waitFor()
    assert.ok(!page.url().startsWith(stage.app.origin))
  }))

test('a global sign-out leaves the browser signed in, as in Cognito', () =>
  visiting(stage, async page => {
    await signIn(stage, page)
    await stage.idp.send(new AdminUserGlobalSignOutCommand({ UserPoolId: POOL, Username: 'ann' }))
    await arrive(stage, page)
    assert.ok(await continueAs(page, 'ann').isVisible())
  }))

test('disabling the account signs its browsers out', () =>
  visiting(stage, async page => {
    await signIn(stage, page, 'bob')
    await stage.idp.send(new AdminDisableUserCommand({ UserPoolId: POOL, Username: 'bob' }))
    await stage.idp.send(new AdminEnableUserCommand({ UserPoolId: POOL, Username: 'bob' }))
    await arrive(stage, page)
    assert.ok(await credentials(page).isVisible())
  }))

test('a sign-out that leads nowhere says why, and still signs out', () =>
  visiting(stage, async page => {
    await signIn(stage, page)
    const answer = await page.goto(logout({ logout_uri: `${signedOut()}/` }))
    assert.equal(answer.status(), 400)
    await page.getByText("Required String parameter 'redirect_uri' is not present").waitFor()
    await page.shot('logout-refused')
    await arrive(stage, page)
    assert.ok(await credentials(page).isVisible())
  }))

// --- what protects the pages ---

test('an address that is not registered is shown as an error, not visited', () =>
  visiting(stage, async page => {
    const answer = await page.goto(codeFlow(stage, { redirect_uri: 'https://evil.example.com/callback' }).url)
    assert.equal(answer.status(), 400)
    assert.equal(new URL(page.url()).pathname, `/${POOL}/error`)
    await page.getByText('An error was encountered with the requested page.').waitFor()
    await page.shot('redirect-mismatch')
  }))

test('a form from elsewhere signs nobody in', () =>
  visiting(stage, async page => {
    const flow = codeFlow(stage)
    const action = `${stage.domain}/login?${flow.query}`
    stage.app.pages['/attack'] = [
      'text/html',
      `<form method=post action="${action.replaceAll('&', '&amp;')}">
       <input name=username value=bob><input name=password value="${PASSWORD}"><input name=_csrf value=guess><button>win</button>
       </form>`,
    ]
    await page.goto(`${stage.app.origin}/attack`)
    await page.getByRole('button', { name: 'win' }).click()
    await page.waitForLoadState()
    assert.ok(!page.url().startsWith(stage.app.origin))
    assert.equal(await cookie(page, 'cognito'), undefined)
  }))

test('the session cookie is out of reach of scripts and other sites, and lives for an hour', () =>
  visiting(stage, async page => {
    await signIn(stage, page)
    const session = await cookie(page, 'cognito')
    assert.deepEqual([session.httpOnly, session.secure, session.sameSite], [true, true, 'Lax'])
    assert.equal(session.path, `/${POOL}/`)
    assert.ok(Math.abs(session.expires - Date.now() / 1000 - 3600) < 60)
  }))

test('the session cookie is new after each sign-in and each continuation', () =>
  visiting(stage, async page => {
    await signIn(stage, page)
    const first = await cookie(page, 'cognito')
    const flow = await arrive(stage, page)
    await continueAs(page, 'ann').click()
    await redeem(stage, page, flow)
    assert.notEqual((await cookie(page, 'cognito')).value, first.value)
  }))

test('the pages allow no framing, no caching and no foreign code', () =>
  visiting(stage, async page => {
    const answer = await page.goto(codeFlow(stage).url)
    const headers = answer.headers()
    assert.equal(headers['x-frame-options'], 'DENY')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.match(headers['cache-control'], /no-store/)
    const policy = headers['content-security-policy']
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval|\*/)
    assert.match(policy, /default-src 'none'|default-src 'self'/)
    assert.match(policy, /frame-ancestors 'none'/)
    const formAction = /form-action ([^;]*)/.exec(policy)[1]
    assert.ok(formAction.split(' ').includes(new URL(stage.app.origin).protocol), 'else Chromium blocks the redirect after the POST')
  }))

test('the login page is labelled, has a language, and fits a phone', () =>
  visiting(
    stage,
    async page => {
      await arrive(stage, page)
      assert.equal(await page.getByLabel(/username/i).count(), 1)
      assert.ok((await page.getByLabel(/password/i).count()) >= 1)
      assert.ok(await page.locator('html').getAttribute('lang'))
      assert.ok(await page.title())
      const width = await page.evaluate(() => document.documentElement.scrollWidth)
      assert.ok(width <= 320, `${width} pixels wide`)
      assert.equal(await page.locator('input[name=username]').getAttribute('autocomplete'), 'username')
      assert.equal(await credentials(page).getAttribute('autocomplete'), 'current-password')
      await page.shot('login-phone')
    },
    { viewport: { width: 320, height: 640 } },
  ))
