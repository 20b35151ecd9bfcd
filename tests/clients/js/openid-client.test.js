// openid-client, a certified relying party: discovery, code flow with PKCE, refresh, revocation and RP-initiated sign-out. The
// login form is filled in by hand, without a browser; ../browser does it with one.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import {
  AdminUserGlobalSignOutCommand,
  CreateUserPoolClientCommand,
  DeleteUserPoolClientCommand,
} from '@aws-sdk/client-cognito-identity-provider'
import * as oidc from 'openid-client'

import { PASSWORD, administrator, attachOrStart, poolNamed, trusting, unique } from '../support.js'

const CALLBACK = 'http://localhost:3999/callback'
const SIGNED_OUT = 'http://localhost:3999/signed-out'

let server, idp, fetch, ann
const clients = []

before(async () => {
  server = await attachOrStart()
  idp = administrator(server)
  fetch = trusting(server)
  // The pool of `cenote dev` is the one that has a domain; users and clients on it are the test's own.
  ann = await poolNamed(idp, server.user_pool_id).user({ attributes: { email: `${unique('ann')}@example.com`, email_verified: 'true' } })
})

after(async () => {
  for (const ClientId of clients) {
    await idp.send(new DeleteUserPoolClientCommand({ UserPoolId: server.user_pool_id, ClientId }))
  }
  await server?.stop()
})

/** A client that the server knows, and openid-client's view of it. */
async function discovered({ secret = false, authentication, ...settings } = {}) {
  const { UserPoolClient: client } = await idp.send(
    new CreateUserPoolClientCommand({
      UserPoolId: server.user_pool_id,
      ClientName: unique('relying-party'),
      GenerateSecret: secret,
      CallbackURLs: [CALLBACK],
      LogoutURLs: [SIGNED_OUT],
      AllowedOAuthFlows: ['code'],
      AllowedOAuthScopes: ['openid', 'email'],
      AllowedOAuthFlowsUserPoolClient: true,
      SupportedIdentityProviders: ['COGNITO'],
      ExplicitAuthFlows: ['ALLOW_REFRESH_TOKEN_AUTH', 'ALLOW_USER_SRP_AUTH'],
      ...settings,
    }),
  )
  clients.push(client.ClientId)
  const method = authentication?.(client.ClientSecret) ?? oidc.None()
  return oidc.discovery(new URL(server.issuer), client.ClientId, undefined, method, {
    execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
    [oidc.customFetch]: fetch,
  })
}

/** The little of a browser that a login needs: cookies, redirects, forms. */
class Visitor {
  cookies = new Map()

  /** Follows redirects until a page, or until the application is reached; answers {url, status, html}. */
  async visit(url, options = {}) {
    for (let hops = 0; hops < 10; hops++) {
      const response = await this.#request(url, options)
      const location = response.headers.get('location')
      if (!location) return { url: new URL(url), status: response.status, html: await response.text() }
      url = new URL(location, url)
      options = {}
      if (url.port === new URL(CALLBACK).port) return { url, html: '' }
    }
    throw new Error(`too many redirects, the last to ${url}`)
  }

  /** Fills in the page's form that has the first of these fields. */
  async submit(page, fields) {
    const forms = page.html.match(/<form[\s\S]*?<\/form>/g) ?? []
    const form = forms.find(text => text.includes(`name="${Object.keys(fields)[0]}"`))
    assert.ok(form, `no such form on ${page.url}: ${page.html}`)
    const action = /<form[^>]*\baction="([^"]*)"/.exec(form)?.[1].replaceAll('&amp;', '&') ?? ''
    const csrf = /<input[^>]*\bname="_csrf"[^>]*>/.exec(form)[0]
    const body = new URLSearchParams({ ...fields, _csrf: /\bvalue="([^"]*)"/.exec(csrf)[1] })
    return this.visit(new URL(action, page.url), { method: 'POST', body })
  }

  async #request(url, options) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, { ...options, headers: cookie ? { cookie } : {}, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      const cleared = ['', '""'].includes(value) || /max-age=0\b/i.test(line)
      if (cleared) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return response
  }
}

/** Starts a code flow and answers where the browser stands. */
async function authorize(config, visitor) {
  const verifier = oidc.randomPKCECodeVerifier()
  const checks = { pkceCodeVerifier: verifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce() }
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: CALLBACK,
    scope: 'openid email',
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
  })
  return { page: await visitor.visit(url), checks }
}

/** The whole way: authorize, sign in, exchange the code. */
async function signIn(config, visitor = new Visitor()) {
  const { page, checks } = await authorize(config, visitor)
  const arrived = await visitor.submit(page, { username: ann, password: PASSWORD })
  const tokens = await oidc.authorizationCodeGrant(config, arrived.url, { ...checks, idTokenExpected: true })
  return { tokens, arrived, checks, visitor }
}

const failsWith = error => cause => {
  assert.equal(cause.error, error, cause.stack)
  return true
}

test('discovery is complete', async () => {
  const config = await discovered()
  const metadata = config.serverMetadata()
  assert.equal(metadata.issuer, server.issuer)
  for (const [endpoint, path] of [
    ['authorization_endpoint', '/oauth2/authorize'],
    ['token_endpoint', '/oauth2/token'],
    ['userinfo_endpoint', '/oauth2/userInfo'],
    ['revocation_endpoint', '/oauth2/revoke'],
    ['introspection_endpoint', '/oauth2/introspect'],
    ['end_session_endpoint', '/logout'],
  ]) {
    assert.equal(metadata[endpoint], server.domain_url + path)
  }
  assert.ok(metadata.code_challenge_methods_supported.includes('S256'))
  assert.ok(metadata.scopes_supported.includes('openid'))
  assert.ok(metadata.token_endpoint_auth_methods_supported.includes('client_secret_basic'))
})

test('a code flow with PKCE gives verified tokens and user information', async () => {
  const { tokens } = await signIn(await discovered())
  const claims = tokens.claims()
  assert.equal(claims['cognito:username'], ann)
  assert.equal(claims.email_verified, true)
  assert.equal(tokens.token_type, 'bearer')
  assert.ok(tokens.refresh_token)
})

test('user information is for the token of the user', async () => {
  const config = await discovered()
  const { tokens } = await signIn(config)
  const info = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
  assert.equal(info.username, ann)
  assert.equal(info.email_verified, 'true')
})

test('a confidential client authenticates in both ways', async () => {
  for (const authentication of [oidc.ClientSecretBasic, oidc.ClientSecretPost]) {
    const { tokens } = await signIn(await discovered({ secret: true, authentication }))
    assert.ok(tokens.access_token)
  }
})

test('a wrong client secret is refused', async () => {
  const config = await discovered({ secret: true, authentication: () => oidc.ClientSecretBasic('wrong'.repeat(10)) })
  await assert.rejects(signIn(config), failsWith('invalid_client'))
})

test('a refresh keeps the sign-in', async () => {
  const config = await discovered()
  const { tokens } = await signIn(config)
  const fresh = await oidc.refreshTokenGrant(config, tokens.refresh_token)
  assert.notEqual(fresh.access_token, tokens.access_token)
  assert.equal(fresh.claims().auth_time, tokens.claims().auth_time)
  assert.equal(fresh.refresh_token, undefined)
})

test('a rotating client gets a new refresh token', async () => {
  const config = await discovered({
    ExplicitAuthFlows: ['ALLOW_USER_SRP_AUTH'],
    RefreshTokenRotation: { Feature: 'ENABLED', RetryGracePeriodSeconds: 0 },
  })
  const { tokens } = await signIn(config)
  const fresh = await oidc.refreshTokenGrant(config, tokens.refresh_token)
  assert.ok(fresh.refresh_token && fresh.refresh_token !== tokens.refresh_token)
  await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token), failsWith('invalid_grant'))
})

test('a revoked refresh token and its access token are refused', async () => {
  const config = await discovered()
  const { tokens } = await signIn(config)
  await oidc.tokenRevocation(config, tokens.refresh_token)
  await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token), failsWith('invalid_grant'))
  await assert.rejects(oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub), error => {
    assert.equal(error.status ?? error.cause?.status ?? error.response?.status, 401)
    return true
  })
  await oidc.tokenRevocation(config, tokens.refresh_token)
})

test('a global sign-out by an administrator ends the tokens', async () => {
  const config = await discovered()
  const { tokens } = await signIn(config)
  await idp.send(new AdminUserGlobalSignOutCommand({ UserPoolId: server.user_pool_id, Username: ann }))
  await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token), failsWith('invalid_grant'))
})

test('a code works once, and its second use ends what the first one made', async () => {
  const config = await discovered()
  const { tokens, arrived, checks } = await signIn(config)
  await assert.rejects(oidc.authorizationCodeGrant(config, arrived.url, checks), failsWith('invalid_grant'))
  await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token), failsWith('invalid_grant'))
})

test('a code without its verifier is refused', async () => {
  const config = await discovered()
  const visitor = new Visitor()
  const { page, checks } = await authorize(config, visitor)
  const arrived = await visitor.submit(page, { username: ann, password: PASSWORD })
  const wrong = { ...checks, pkceCodeVerifier: oidc.randomPKCECodeVerifier() }
  await assert.rejects(oidc.authorizationCodeGrant(config, arrived.url, wrong), failsWith('invalid_grant'))
})

test('a code of another client is refused', async () => {
  const [mine, other] = [await discovered(), await discovered()]
  const visitor = new Visitor()
  const { page, checks } = await authorize(mine, visitor)
  const arrived = await visitor.submit(page, { username: ann, password: PASSWORD })
  await assert.rejects(oidc.authorizationCodeGrant(other, arrived.url, checks), failsWith('invalid_grant'))
})

test('a form without its CSRF token signs nobody in', async () => {
  const config = await discovered()
  const visitor = new Visitor()
  const { page } = await authorize(config, visitor)
  const stranger = new Visitor()
  const answer = await stranger.submit(page, { username: ann, password: PASSWORD })
  assert.ok(!String(answer.url).startsWith(CALLBACK))
  assert.ok(!stranger.cookies.has('cognito'))
})

test('an address that is not registered is never visited', async () => {
  const config = await discovered()
  const wrongs = [`${CALLBACK}/`, `${CALLBACK}?x=1`, 'http://localhost:3999/other', 'http://localhost:3999/callback/../x']
  for (const redirect_uri of wrongs) {
    const answer = await new Visitor().visit(oidc.buildAuthorizationUrl(config, { redirect_uri, scope: 'openid' }))
    assert.equal(answer.status, 400)
    assert.equal(new URL(answer.url).searchParams.get('error'), 'redirect_mismatch')
    assert.ok(answer.html.includes('An error was encountered with the requested page.'))
  }
})

test('RP-initiated sign-out ends the browser session, comes back, and the next visit asks for credentials', async () => {
  const config = await discovered()
  const { tokens, visitor } = await signIn(config)
  const asked = (await authorize(config, visitor)).page
  assert.ok(asked.html.includes(`Sign in as ${ann}`) && !asked.html.includes('name="password"'))
  const url = oidc.buildEndSessionUrl(config, {
    post_logout_redirect_uri: SIGNED_OUT,
    id_token_hint: tokens.id_token,
    state: 'back',
  })
  const arrived = await visitor.visit(url)
  assert.equal(String(arrived.url), `${SIGNED_OUT}?state=back`)
  assert.ok(!visitor.cookies.has('cognito'))
  assert.ok((await authorize(config, visitor)).page.html.includes('name="password"'))
  // As in Cognito, /logout leaves tokens alone.
  assert.ok(await oidc.refreshTokenGrant(config, tokens.refresh_token))
})

test("Cognito's own form of sign-out comes back to exactly the registered address", async () => {
  const config = await discovered()
  const { visitor } = await signIn(config)
  const query = new URLSearchParams({ client_id: config.clientMetadata().client_id, logout_uri: SIGNED_OUT })
  const arrived = await visitor.visit(`${server.domain_url}/logout?${query}`)
  assert.equal(String(arrived.url), SIGNED_OUT)
  assert.ok((await authorize(config, visitor)).page.html.includes('name="password"'))
})

test('a sign-out to an address that is not registered ends the session and goes nowhere', async () => {
  const config = await discovered()
  const { visitor } = await signIn(config)
  const query = new URLSearchParams({ client_id: config.clientMetadata().client_id, logout_uri: `${SIGNED_OUT}/` })
  const answer = await visitor.visit(`${server.domain_url}/logout?${query}`)
  assert.equal(answer.status, 400)
  assert.match(answer.html, /Required String parameter (&#x27;|&#39;|')redirect_uri\1 is not present/)
  assert.ok((await authorize(config, visitor)).page.html.includes('name="password"'))
})

test('a cookie of before the sign-out is worth nothing', async () => {
  const config = await discovered()
  const { visitor } = await signIn(config)
  const thief = new Visitor()
  thief.cookies = new Map(visitor.cookies)
  const query = new URLSearchParams({ client_id: config.clientMetadata().client_id, logout_uri: SIGNED_OUT })
  await visitor.visit(`${server.domain_url}/logout?${query}`)
  assert.ok((await authorize(config, thief)).page.html.includes('name="password"'))
})
