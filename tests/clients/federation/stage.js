// The stage of the federation tests: an application, the server under test, Chromium, and pools whose people come from elsewhere.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'

import {
  AdminGetUserCommand,
  CreateIdentityProviderCommand,
  CreateUserPoolClientCommand,
  GetUserCommand,
  UpdateIdentityProviderCommand,
} from '@aws-sdk/client-cognito-identity-provider'

import { launchChromium, startApp } from '../browser/stage.js'
import { administrator, attachOrStart, makePool, trusting, unique } from '../support.js'

export async function openStage() {
  const closing = []
  const close = async () => {
    for (const end of closing.reverse()) await end()
  }
  try {
    const app = await startApp()
    closing.push(app.close)
    const server = await attachOrStart()
    closing.push(server.stop)
    const browser = await launchChromium()
    closing.push(() => browser.close())
    return { app, server, browser, idp: administrator(server), fetch: trusting(server), closing, close }
  } catch (error) {
    await close()
    throw error
  }
}

let people = 0

/** A name that no other test has: what one test leaves at a provider or in a pool does not meet another. */
export function newcomer(name = 'ann') {
  people += 1
  return `${name}${people}`
}

/** A pool without providers; `provide` gives it one, together with an app client of its own. */
export async function makeTenant(stage) {
  const Schema = [{ Name: 'groups', AttributeDataType: 'String', Mutable: true }]
  const pool = await makePool(stage.idp, { Schema })
  return new Tenant(stage, pool)
}

class Tenant {
  constructor(stage, pool) {
    Object.assign(this, { stage, pool, poolId: pool.id, domain: `${stage.server.tls_endpoint}/${pool.id}` })
  }

  metadata() {
    return this.#text(`${this.domain}/saml2/metadata`)
  }

  async #text(url) {
    const response = await this.stage.fetch(url)
    assert.equal(response.status, 200, url)
    return response.text()
  }

  /** Adds a provider, and an app client on which one signs in with it alone or, with `local`, also with a password. */
  async provide(ProviderName, ProviderType, ProviderDetails, AttributeMapping, { local = true, ...more } = {}) {
    const UserPoolId = this.poolId
    const made = await this.stage.idp.send(
      new CreateIdentityProviderCommand({ UserPoolId, ProviderName, ProviderType, ProviderDetails, AttributeMapping, ...more }),
    )
    const { UserPoolClient } = await this.stage.idp.send(
      new CreateUserPoolClientCommand({
        UserPoolId,
        ClientName: unique('app'),
        CallbackURLs: [`${this.stage.app.origin}/callback`],
        LogoutURLs: [`${this.stage.app.origin}/signed-out`],
        AllowedOAuthFlows: ['code'],
        AllowedOAuthScopes: ['openid', 'email', 'profile', 'aws.cognito.signin.user.admin'],
        AllowedOAuthFlowsUserPoolClient: true,
        SupportedIdentityProviders: local ? ['COGNITO', ProviderName] : [ProviderName],
        ExplicitAuthFlows: ['ALLOW_USER_PASSWORD_AUTH', 'ALLOW_USER_SRP_AUTH', 'ALLOW_REFRESH_TOKEN_AUTH'],
      }),
    )
    return new Door(this, ProviderName, UserPoolClient.ClientId, made.IdentityProvider)
  }
}

/** One provider and one app client: what an app and a person do with them. */
class Door {
  constructor(tenant, provider, clientId, described) {
    Object.assign(this, { tenant, stage: tenant.stage, provider, clientId, described, domain: tenant.domain })
  }

  /** A code flow with PKCE that begins at the provider; `more` changes its query, and undefined takes out of it. */
  flow(more = {}) {
    const verifier = randomBytes(32).toString('base64url')
    const members = {
      identity_provider: this.provider,
      response_type: 'code',
      client_id: this.clientId,
      redirect_uri: `${this.stage.app.origin}/callback`,
      scope: 'openid email profile aws.cognito.signin.user.admin',
      state: randomBytes(8).toString('hex'),
      nonce: randomBytes(8).toString('hex'),
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...more,
    }
    const query = new URLSearchParams(Object.entries(members).filter(([, value]) => value !== undefined))
    return { url: `${this.domain}/oauth2/authorize?${query}`, query, verifier }
  }

  async begin(page, more) {
    const flow = this.flow(more)
    await page.goto(flow.url)
    return flow
  }

  /** Waits until the app is reached, and answers what it was told. */
  async arrival(page) {
    await page.waitForURL(url => url.href.startsWith(`${this.stage.app.origin}/callback?`))
    return Object.fromEntries(new URL(page.url()).searchParams)
  }

  /** The tokens of a flow that ended well. */
  async redeem(page, flow) {
    const told = await this.arrival(page)
    assert.ok(told.code, JSON.stringify(told))
    if (flow.query.has('state')) assert.equal(told.state, flow.query.get('state'))
    return this.exchange(told.code, flow)
  }

  async exchange(code, flow) {
    const response = await this.token({
      grant_type: 'authorization_code',
      code,
      redirect_uri: flow.query.get('redirect_uri'),
      ...(flow.verifier && { code_verifier: flow.verifier }),
    })
    assert.equal(response.status, 200, await response.clone().text())
    return response.json()
  }

  token(form) {
    return this.stage.fetch(`${this.domain}/oauth2/token`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: this.clientId, ...form }),
    })
  }

  /** The whole way in; `prove` fills in the provider's page. */
  async signIn(page, user, prove, more) {
    const flow = await this.begin(page, more)
    await prove(page, user)
    return this.redeem(page, flow)
  }

  /** Once more, when the provider still knows the person: no page asks for anything. */
  async signInAgain(page) {
    return this.redeem(page, await this.begin(page))
  }

  get signedOutUrl() {
    return `${this.stage.app.origin}/signed-out`
  }

  get logoutUrl() {
    return `${this.domain}/logout?${new URLSearchParams({ client_id: this.clientId, logout_uri: this.signedOutUrl })}`
  }

  /** The provider with these details, as if an administrator had pressed save. */
  update(ProviderDetails) {
    const names = { UserPoolId: this.tenant.poolId, ProviderName: this.provider }
    return this.stage.idp.send(new UpdateIdentityProviderCommand({ ...names, ProviderDetails }))
  }

  async describe(tokens) {
    const { UserAttributes, Username } = await this.stage.idp.send(new GetUserCommand({ AccessToken: tokens.access_token }))
    const { UserStatus } = await this.stage.idp.send(new AdminGetUserCommand({ UserPoolId: this.tenant.poolId, Username }))
    return { Username, UserStatus, ...Object.fromEntries(UserAttributes.map(({ Name, Value }) => [Name, Value])) }
  }

  /** Both tokens work. */
  async assertAlive(tokens, why) {
    assert.deepEqual(await this.#statuses(tokens), [200, 200], why)
  }

  /** Neither works. */
  async assertEnded(tokens, why) {
    assert.deepEqual(await this.#statuses(tokens), [401, 400], why)
  }

  async #statuses(tokens) {
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    const info = await this.stage.fetch(`${this.domain}/oauth2/userInfo`, { headers })
    const fresh = await this.token({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token })
    return [info.status, fresh.status]
  }

  /** Whether this browser is still signed in at our pages. */
  async isSignedIn(page) {
    await this.begin(page, { identity_provider: undefined, prompt: 'none' })
    const { code, error } = await this.arrival(page)
    if (!code) assert.equal(error, 'login_required')
    return Boolean(code)
  }
}

/** Waits until `check()` is true; most of what happens without a browser needs no time at all. */
export async function soon(check, what, ms = 5_000) {
  const began = Date.now()
  while (!(await check())) {
    assert.ok(Date.now() - began < ms, `${what}: not within ${ms} ms`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  return Date.now() - began
}

/** Runs a sign-out and prints how long it took and how many clicks it needed; `run` answers the clicks. */
export async function timed(t, what, run) {
  const began = performance.now()
  const clicks = (await run()) ?? 0
  const ms = Math.round(performance.now() - began)
  t.diagnostic(`${what}: ${ms} ms, ${clicks} clicks`)
  return ms
}
