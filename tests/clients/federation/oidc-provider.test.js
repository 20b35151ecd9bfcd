// oidc-provider as the company's OpenID provider: in and out in a real browser, by back-channel, and with tokens taken back.

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, before, test } from 'node:test'

import { AdminUserGlobalSignOutCommand, DescribeIdentityProviderCommand, GlobalSignOutCommand } from '@aws-sdk/client-cognito-identity-provider'
import * as jose from 'jose'

import { claims, visiting } from '../browser/stage.js'
import { confirmSignOut, signInAtOpenIdProvider as prove, startOpenIdProvider } from './openid-provider.js'
import { makeTenant, newcomer, openStage, soon, timed } from './stage.js'

const MAPPING = { email: 'email', email_verified: 'email_verified', given_name: 'given_name', family_name: 'family_name', 'custom:groups': 'groups' }
const NAME = 'oidc-provider'

let stage, op, door, quiet

before(async () => {
  stage = await openStage()
  op = await startOpenIdProvider({ fetch: stage.fetch })
  stage.closing.push(op.stop)
  door = await registered()
  quiet = await registered()
})

after(async () => {
  await stage?.close()
})

/** A pool that is registered at oidc-provider, and has it as its provider. */
async function registered(metadata = {}, details = {}) {
  const tenant = await makeTenant(stage)
  const client = await op.register({
    redirect_uris: [`${tenant.domain}/oauth2/idpresponse`],
    post_logout_redirect_uris: [`${tenant.domain}/oauth2/idplogout`],
    backchannel_logout_uri: `${tenant.domain}/federation/${NAME}/backchannel-logout`,
    backchannel_logout_session_required: true,
    token_endpoint_auth_method: 'client_secret_post',
    ...metadata,
  })
  const ours = {
    client_id: client.client_id,
    ...(client.client_secret && { client_secret: client.client_secret }),
    authorize_scopes: 'openid email profile',
    attributes_request_method: 'GET',
    oidc_issuer: op.issuer,
    ...details,
  }
  const door = await tenant.provide(NAME, 'OIDC', ours, MAPPING)
  return Object.assign(door, { client, ours })
}

const asked = page => page.locator('input[name=user]').waitFor()
const backchannel = door => `${door.domain}/federation/${NAME}/backchannel-logout`
/** The subject that the provider gives to the person of these tokens. */
const subject = tokens => claims(tokens.id_token).identities[0].userId

// --- signing in ---

test('who signs in there lands in the app with tokens that say who it is and where from', () =>
  visiting(stage, async page => {
    const ann = newcomer()
    const from = op.gate.seen.length
    const tokens = await door.signIn(page, ann, prove)
    const id = claims(tokens.id_token)
    assert.equal(id['cognito:username'], `${NAME}_${ann}`)
    assert.deepEqual([id.email, id.email_verified, id.given_name, id.family_name], [`${ann}@example.net`, true, 'Ann', 'Müller & <Söhne>'])
    assert.deepEqual(id['cognito:groups'], [`${door.tenant.poolId}_${NAME}`])
    assert.deepEqual(
      id.identities.map(({ userId, providerName, providerType, primary }) => [userId, providerName, providerType, primary]),
      [[ann, NAME, 'OIDC', 'true']],
    )
    const user = await door.describe(tokens)
    assert.equal(user.UserStatus, 'EXTERNAL_PROVIDER')
    assert.equal(decodeURIComponent(user['custom:groups']), '[staff,admins]')

    const [{ query }] = op.gate.to('/auth', from)
    assert.deepEqual([query.response_type, query.code_challenge_method, query.client_id], ['code', 'S256', door.client.client_id])
    assert.match(query.code_challenge, /^[\w-]{43}$/)
    assert.ok(query.nonce && query.state.length >= 22 && query.state.length <= 80)
    assert.equal(query.redirect_uri, `${door.domain}/oauth2/idpresponse`)
    const form = new URLSearchParams(op.gate.to('/token', from)[0].body)
    assert.match(form.get('code_verifier'), /^[\w-]{43,128}$/)
    assert.deepEqual([form.get('client_id'), form.get('client_secret')], [door.client.client_id, door.client.client_secret])
  }))

test('an address that the provider has not verified is not verified here', () =>
  visiting(stage, async page => {
    const id = claims((await door.signIn(page, newcomer('bob'), prove)).id_token)
    assert.deepEqual([id.email_verified, id.family_name], [false, 'Builder'])
  }))

test('who comes again is asked for nothing, and is the same', () =>
  visiting(stage, async page => {
    const first = await door.signIn(page, newcomer(), prove)
    const again = await door.signInAgain(page)
    assert.equal(claims(again.id_token).sub, claims(first.id_token).sub)
  }))

test('client_secret_basic works, and the secret is in the header only', async () => {
  const method = { token_endpoint_auth_method: 'client_secret_basic' }
  const door = await registered(method, method)
  const from = op.gate.seen.length
  await visiting(stage, page => door.signIn(page, newcomer(), prove))
  const [{ headers, body }] = op.gate.to('/token', from)
  assert.match(headers.authorization, /^Basic /)
  assert.ok(!body.includes('client_secret'))
})

test('private_key_jwt works, and no secret exists', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const kid = 'tests-1'
  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' }] }
  const method = { token_endpoint_auth_method: 'private_key_jwt' }
  const private_key = privateKey.export({ type: 'pkcs8', format: 'pem' })
  const door = await registered({ ...method, jwks }, { ...method, private_key, key_id: kid })
  const from = op.gate.seen.length
  await visiting(stage, page => door.signIn(page, newcomer(), prove))
  const form = new URLSearchParams(op.gate.to('/token', from)[0].body)
  assert.equal(jose.decodeProtectedHeader(form.get('client_assertion')).kid, kid)
  assert.equal(form.get('client_secret'), null)
  const names = { UserPoolId: door.tenant.poolId, ProviderName: NAME }
  const { IdentityProvider } = await stage.idp.send(new DescribeIdentityProviderCommand(names))
  assert.equal(IdentityProvider.ProviderDetails.private_key, undefined)
})

test('ES256 is as good as RS256', async () => {
  const door = await registered({ id_token_signed_response_alg: 'ES256' })
  await visiting(stage, async page => {
    assert.ok((await door.signIn(page, newcomer(), prove)).access_token)
  })
})

test('endpoints can be given one by one, without discovery', async () => {
  const door = await registered({}, {
    authorize_url: `${op.issuer}/auth`,
    token_url: `${op.issuer}/token`,
    attributes_url: `${op.issuer}/me`,
    jwks_uri: `${op.issuer}/jwks`,
  })
  await visiting(stage, async page => {
    assert.ok((await door.signIn(page, newcomer(), prove)).access_token)
  })
})

test('who does not want to is brought back to the app, which is told', () =>
  visiting(stage, async page => {
    const flow = await door.begin(page)
    await page.getByRole('button', { name: 'Cancel' }).click()
    const { error, state, code } = await door.arrival(page)
    assert.ok(error)
    assert.deepEqual([code, state], [undefined, flow.query.get('state')])
  }))

test('an answer of the provider in another browser signs nobody in', () =>
  visiting(stage, async page => {
    await door.begin(page)
    // By hand, because the browser would follow the answer.
    const browser = page.context().request
    const proven = await browser.post(page.url(), { form: { user: newcomer() }, maxRedirects: 0 })
    const answer = await browser.get(proven.headers().location, { maxRedirects: 0 })
    const { location } = answer.headers()
    assert.ok(location.startsWith(`${door.domain}/oauth2/idpresponse?code=`), location)
    await visiting(stage, async victim => {
      const shown = await victim.goto(location)
      assert.ok(shown.status() >= 400 && victim.url().startsWith(door.domain), `${shown.status()} ${victim.url()}`)
      assert.equal(await door.isSignedIn(victim), false)
    })
  }))

for (const [step, path] of Object.entries({ 'its token endpoint': /^\/token$/, 'its user information': /^\/me$/ })) {
  test(`a provider that fails at ${step} is an error that the app is told`, () =>
    visiting(stage, async page => {
      await door.begin(page)
      await op.gate.failing({ path, with: 500 }, async () => {
        await prove(page, newcomer())
        const { error, error_description } = await door.arrival(page)
        assert.ok(['invalid_request', 'server_error'].includes(error), error)
        assert.ok(error_description.includes(NAME), error_description)
      })
    }))
}

// --- signing out here ---

test('signing out here signs out there: the next sign-in asks again', t =>
  visiting(stage, async page => {
    const ann = newcomer()
    await door.signIn(page, ann, prove)
    const [from, events] = [op.gate.seen.length, op.events.length]
    await timed(t, 'sign-out through oidc-provider, which asks', async () => {
      await page.goto(door.logoutUrl)
      await confirmSignOut(page)
      await page.waitForURL(door.signedOutUrl)
      return 1
    })
    const [{ method, query, body }] = op.gate.to('/session/end', from)
    const sent = method === 'POST' ? Object.fromEntries(new URLSearchParams(body)) : query
    assert.deepEqual([sent.client_id, sent.post_logout_redirect_uri], [door.client.client_id, `${door.domain}/oauth2/idplogout`])
    assert.equal(jose.decodeJwt(sent.id_token_hint).sub, ann)
    assert.ok(sent.state.length <= 80)
    // It tells us in turn, and nobody is left here: that is not an error.
    assert.deepEqual(op.events.slice(events).filter(({ name }) => name.startsWith('backchannel')).map(({ name }) => name), ['backchannel.success'])
    assert.equal(await door.isSignedIn(page), false)
    const flow = await door.begin(page)
    await asked(page)
    await prove(page, ann)
    assert.ok((await door.redeem(page, flow)).access_token)
  }))

test('signing out works without JavaScript', () =>
  visiting(
    stage,
    async page => {
      await door.signIn(page, newcomer(), prove)
      await page.goto(door.logoutUrl)
      await confirmSignOut(page)
      await page.waitForURL(door.signedOutUrl)
      await door.begin(page)
      await asked(page)
    },
    { javaScriptEnabled: false },
  ))

test('a sign-out by the standard parameters ends at the app with its state', () =>
  visiting(stage, async page => {
    const { id_token } = await door.signIn(page, newcomer(), prove)
    const query = new URLSearchParams({ id_token_hint: id_token, post_logout_redirect_uri: door.signedOutUrl, state: 'mine' })
    await page.goto(`${door.domain}/logout?${query}`)
    await confirmSignOut(page)
    await page.waitForURL(`${door.signedOutUrl}?state=mine`)
  }))

test('a sign-out that is to lead to another sign-in leads to one, after the provider', () =>
  visiting(stage, async page => {
    await door.signIn(page, newcomer(), prove)
    const flow = door.flow({ identity_provider: undefined })
    await page.goto(`${door.domain}/logout?${flow.query}`)
    await confirmSignOut(page)
    await page.waitForURL(url => url.href.startsWith(`${door.domain}/login?`))
    assert.equal(new URL(page.url()).searchParams.get('state'), flow.query.get('state'))
  }))

test('a provider without an address for signing out is asked to prove again', async () => {
  // Explicit endpoints, and so no end_session_endpoint; only the issuer is the same.
  const door = await registered({}, {
    authorize_url: `${op.issuer}/auth`,
    token_url: `${op.issuer}/token`,
    attributes_url: `${op.issuer}/me`,
    jwks_uri: `${op.issuer}/jwks`,
    oidc_issuer: op.issuer,
  })
  await visiting(stage, async page => {
    const ann = newcomer()
    await door.signIn(page, ann, prove)
    const from = op.gate.seen.length
    await page.goto(door.logoutUrl)
    if (op.gate.to('/session/end', from).length) await confirmSignOut(page)
    await page.waitForURL(door.signedOutUrl)
    const flow = await door.begin(page)
    await asked(page)
    await prove(page, ann)
    assert.ok((await door.redeem(page, flow)).access_token)
    assert.ok((await door.signInAgain(page)).access_token)
  })
})

test('a provider that is down when one signs out strands nobody', t =>
  visiting(stage, async page => {
    await door.signIn(page, newcomer(), prove)
    const from = op.gate.seen.length
    await op.gate.unplugged(async () => {
      const ms = await timed(t, 'sign-out with oidc-provider unplugged', async () => {
        await page.goto(door.logoutUrl)
        const onward = page.locator(`a[href="${door.signedOutUrl}"]`)
        await onward.waitFor()
        await onward.click()
        await page.waitForURL(door.signedOutUrl)
        return 1
      })
      assert.ok(ms < 8_000, `${ms} ms`)
      assert.equal(await door.isSignedIn(page), false)
    })
    // What it takes back it takes from a sign-in of this moment, too: all of one browser is one grant to it.
    await soon(() => op.gate.to('/token/revocation', from).length > 0, 'the revocation', 10_000)
    await door.begin(page)
    await asked(page)
  }))

test('a provider that forgets why it was asked strands nobody who opens /logout once more', () =>
  visiting(stage, async page => {
    await door.signIn(page, newcomer(), prove)
    await op.gate.failing({ path: /^\/session/, with: 500 }, async () => {
      await page.goto(door.logoutUrl)
      await page.getByRole('heading', { name: 'Something is wrong here' }).waitFor()
    })
    await page.goto(door.logoutUrl)
    await page.waitForURL(door.signedOutUrl)
    await door.begin(page)
    await asked(page)
  }))

test('an answer to no question leads nowhere', () =>
  visiting(stage, async page => {
    for (const query of ['', '?state=guess', `?state=${'x'.repeat(43)}`]) {
      const answer = await page.goto(`${door.domain}/oauth2/idplogout${query}`)
      assert.ok(answer.status() >= 400, `${answer.status()} for ${query}`)
      assert.ok(page.url().startsWith(stage.server.tls_endpoint), page.url())
    }
  }))

// --- a sign-out here without a browser ---

for (const [what, command] of [
  ['GlobalSignOut', (door, tokens) => new GlobalSignOutCommand({ AccessToken: tokens.access_token })],
  ['AdminUserGlobalSignOut', (door, tokens) => new AdminUserGlobalSignOutCommand({ UserPoolId: door.tenant.poolId, Username: `${NAME}_${subject(tokens)}` })],
]) {
  test(`${what} takes the provider's tokens back, and the next sign-in asks again`, t =>
    visiting(stage, async page => {
      const ann = newcomer()
      const tokens = await door.signIn(page, ann, prove)
      const [from, events] = [op.gate.seen.length, op.events.length]
      const began = performance.now()
      await stage.idp.send(command(door, tokens))
      await soon(() => op.gate.to('/token/revocation', from).length > 0, 'the revocation')
      t.diagnostic(`${what}: the provider's tokens are taken back after ${Math.round(performance.now() - began)} ms`)
      await soon(() => op.events.slice(events).some(({ name }) => name === 'grant.revoked'), 'the grant is revoked')
      await door.assertEnded(tokens)

      const asking = op.gate.seen.length
      const flow = await door.begin(page)
      await asked(page)
      await prove(page, ann)
      assert.ok((await door.redeem(page, flow)).access_token)
      const { prompt, max_age } = op.gate.to('/auth', asking).at(-1).query
      assert.deepEqual([prompt, max_age], ['login', '0'])
      // Once is enough.
      assert.ok((await door.signInAgain(page)).access_token)
    }))
}

test('a provider that is down at a GlobalSignOut delays nothing, and loses its tokens when it is back', { timeout: 60_000 }, t =>
  visiting(stage, async page => {
    const tokens = await door.signIn(page, newcomer(), prove)
    const from = op.gate.seen.length
    await op.gate.unplugged(async () => {
      const began = performance.now()
      await stage.idp.send(new GlobalSignOutCommand({ AccessToken: tokens.access_token }))
      assert.ok(performance.now() - began < 1_000)
      await door.assertEnded(tokens)
      await new Promise(resolve => setTimeout(resolve, 500))
    })
    const ms = await soon(() => op.gate.to('/token/revocation', from).length > 0, 'the revocation', 30_000)
    t.diagnostic(`taken back ${ms} ms after it came back`)
  }))

// --- signing out there ---

test('who signs out there is signed out here, by the back channel', t =>
  visiting(stage, async page => {
    const tokens = await door.signIn(page, newcomer(), prove)
    assert.equal(await door.isSignedIn(page), true)
    const [from, events] = [op.gate.seen.length, op.events.length]
    await timed(t, 'sign-out begun at oidc-provider', async () => {
      await page.goto(`${op.issuer}/session/end`)
      await confirmSignOut(page)
      await page.getByRole('heading', { name: 'Signed out at oidc-provider' }).waitFor()
      return 1
    })
    assert.deepEqual(op.events.slice(events).filter(({ name }) => name.startsWith('backchannel')), [{ name: 'backchannel.success', error: undefined }])
    assert.equal(await door.isSignedIn(page), false)
    await door.assertEnded(tokens)
    assert.equal(op.gate.to('/token/revocation', from).length, 0, 'it is not echoed')
  }))

test('a sign-out there ends the sessions of that browser only', () =>
  visiting(stage, async here => {
    await visiting(stage, async there => {
      const ann = newcomer()
      const [first, second] = [await door.signIn(here, ann, prove), await door.signIn(there, ann, prove)]
      await here.goto(`${op.issuer}/session/end`)
      await confirmSignOut(here)
      await here.getByRole('heading', { name: 'Signed out at oidc-provider' }).waitFor()
      await door.assertEnded(first)
      await door.assertAlive(second)
      assert.equal(await door.isSignedIn(there), true)
    })
  }))

/** What a back-channel logout of the provider says, signed with a key that is not its own unless `key` is. */
function logoutToken(door, more = {}, key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, header = {}) {
  const event = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  const at = Math.floor(Date.now() / 1000)
  return new jose.SignJWT({ iss: op.issuer, aud: door.client.client_id, iat: at, exp: at + 120, jti: crypto.randomUUID(), events: event, ...more })
    .setProtectedHeader({ alg: 'RS256', typ: 'logout+jwt', kid: 'nobody knows it', ...header })
    .sign(key)
}

const tell = (door, logout_token) => stage.fetch(backchannel(door), { method: 'POST', body: new URLSearchParams({ logout_token }) })

test('a logout token of a stranger ends nothing', () =>
  visiting(stage, async page => {
    const ann = newcomer()
    const tokens = await door.signIn(page, ann, prove)
    const response = await tell(door, await logoutToken(door, { sub: ann }))
    assert.equal(response.status, 400)
    assert.match(response.headers.get('cache-control'), /no-store/)
    await door.assertAlive(tokens)
  }))

for (const [what, more] of Object.entries({
  'is for another client': { aud: 'somebody else' },
  'is of another issuer': { iss: 'https://elsewhere.example.com' },
  'has ended': { exp: 1_700_000_000, iat: 1_699_999_000 },
  'carries a nonce': { nonce: 'x' },
  'says nothing of logout': { events: {} },
  'names nobody': {},
})) {
  test(`a logout token that ${what} ends nothing, although the provider's own key signed it`, () =>
    visiting(stage, async page => {
      const ann = newcomer()
      const tokens = await door.signIn(page, ann, prove)
      const { key, kid } = op.signingKey('RS256')
      const subject = what === 'names nobody' ? {} : { sub: ann }
      const response = await tell(door, await logoutToken(door, { ...subject, ...more }, key, { kid }))
      assert.equal(response.status, 400, await response.text())
      await door.assertAlive(tokens)
    }))
}

test('a logout token that names only the person ends all of its sessions, once', () =>
  visiting(stage, async page => {
    const ann = newcomer()
    const tokens = await door.signIn(page, ann, prove)
    const { key, kid } = op.signingKey('RS256')
    const token = await logoutToken(door, { sub: ann }, key, { kid })
    assert.equal((await tell(door, token)).status, 200)
    await door.assertEnded(tokens)
    const again = await door.signInAgain(page)
    await tell(door, token)
    await door.assertAlive(again)
  }))

// The last, because keys that were fetched in the last ten seconds are not fetched again, and those of this provider were at the start.
test('a logout token that cannot be checked, because the keys cannot be fetched, is to be sent again', async () => {
  const token = await logoutToken(quiet, { sub: newcomer() })
  const response = await op.gate.unplugged(() => tell(quiet, token))
  assert.equal(response.status, 503)
})
