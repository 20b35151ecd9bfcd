// express-openid-connect as a relying party: who is signed out here is signed out there, whichever way that happens, by the logout tokens
// that it verifies itself. People sign in at our pages as a browser without scripts does.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { AdminUserGlobalSignOutCommand, GlobalSignOutCommand, RevokeTokenCommand } from '@aws-sdk/client-cognito-identity-provider'
import express from 'express'
import oidc from 'express-openid-connect'

import { PASSWORD, administrator, attachOrStart, freePort, trusting } from '../support.js'

const POOL = 'us-east-1_Parties01'
const SECRET = 'aSecretOfFiftyOneCharacters0123456789abcdefghijklmnop'
/** One that needs the sid to find a session, and one that says nothing. */
const PARTIES = [
  { client: 'relyingpartytests000000001', required: true },
  { client: 'relyingpartytests000000002', required: undefined },
]

let server, idp, scratch, trustingFetch
const closing = []

before(async () => {
  for (const party of PARTIES) party.port = Number(await freePort())
  scratch = mkdtempSync(join(tmpdir(), 'cenote-parties.'))
  closing.push(() => rmSync(scratch, { recursive: true, force: true }))
  const seed = join(scratch, 'seed.json')
  writeFileSync(seed, JSON.stringify({ pools: [pool()] }))
  server = await attachOrStart('--seed', seed)
  closing.push(server.stop)
  idp = administrator(server)
  trustingFetch = trusting(server)
  for (const party of PARTIES) await open(party)
  closing.push(() => Promise.all(PARTIES.map(close)))
})

after(async () => {
  for (const end of closing.reverse()) await end()
})

function pool() {
  const Clients = PARTIES.map(({ client, port, required }) => ({
    ClientId: client,
    ClientName: 'relying party',
    ClientSecret: SECRET,
    CallbackURLs: [`http://localhost:${port}/callback`],
    LogoutURLs: [`http://localhost:${port}`],
    AllowedOAuthFlows: ['code'],
    AllowedOAuthScopes: ['openid', 'email', 'aws.cognito.signin.user.admin'],
    AllowedOAuthFlowsUserPoolClient: true,
    SupportedIdentityProviders: ['COGNITO'],
    Extensions: {
      BackchannelLogoutUri: `http://localhost:${port}/backchannel-logout`,
      ...(required !== undefined && { BackchannelLogoutSessionRequired: required }),
    },
  }))
  const Users = ['ann', 'bob', 'cleo', 'dan', 'eve', 'flo', 'gus'].map(Username => ({
    Username,
    Password: PASSWORD,
    UserAttributes: { email: `${Username}@example.com`, email_verified: 'true' },
  }))
  return { Id: POOL, PoolName: 'relying parties', Domain: 'relying-parties', Clients, Users }
}

/** What express-session's stores are, in memory. */
class Store {
  entries = new Map()
  get(id, done) {
    done(null, this.entries.get(id))
  }
  set(id, entry, done) {
    this.entries.set(id, entry)
    done(null)
  }
  destroy(id, done) {
    this.entries.delete(id)
    done(null)
  }
}

/** What it asks us itself goes to the TLS listener, whose authority it trusts; its library wants answers of Node's own type. */
async function customFetch(url, options) {
  const answer = await trustingFetch(url, { ...options, headers: Object.fromEntries(options.headers) })
  return new Response(await answer.text(), { status: answer.status, headers: Object.fromEntries(answer.headers) })
}

/** Starts a relying party, with what it knew before. */
async function open(party) {
  party.store ??= new Store()
  party.answers ??= []
  const app = express()
  app.use((request, response, next) => {
    if (request.path === '/backchannel-logout') response.on('finish', () => party.answers.push(response.statusCode))
    next()
  })
  app.use(
    oidc.auth({
      issuerBaseURL: `${server.endpoint}/${POOL}`,
      baseURL: `http://localhost:${party.port}`,
      clientID: party.client,
      clientSecret: SECRET,
      secret: 'what the cookies of the tests are sealed with',
      authRequired: false,
      customFetch,
      idpLogout: true,
      authorizationParams: { response_type: 'code', scope: 'openid email aws.cognito.signin.user.admin' },
      backchannelLogout: { store: party.store },
    }),
  )
  app.get('/me', (request, response) => {
    const { oidc } = request
    if (!oidc.isAuthenticated()) return response.status(401).json({})
    response.json({ user: oidc.user, access: oidc.accessToken.access_token, refresh: oidc.refreshToken, id: oidc.idToken })
  })
  party.server = createServer(app).listen(party.port, 'localhost')
  await once(party.server, 'listening')
}

async function close(party) {
  party.server.closeAllConnections()
  party.server.close()
}

/** A browser without scripts: it keeps cookies by port, since a host has one jar for all, and follows redirects. */
class Browser {
  jars = new Map()

  async go(url, options = {}) {
    for (let hops = 0; hops < 12; hops++) {
      const at = new URL(url)
      const jar = this.jars.get(at.port) ?? this.jars.set(at.port, new Map()).get(at.port)
      const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
      const response = await trustingFetch(url, { ...options, redirect: 'manual', headers: { ...options.headers, ...(cookie && { cookie }) } })
      for (const line of response.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
        if (/expires=Thu, 01 Jan 1970|max-age=0/i.test(line)) jar.delete(name)
        else jar.set(name, value)
      }
      const to = response.headers.get('location')
      if (!to) return { url, status: response.status, body: await response.text() }
      url = new URL(to, url).href
      options = {}
    }
    throw new Error(`no end of redirects at ${url}`)
  }

  /** Signs in at a relying party; where our pages know the browser, with one press of a button. */
  async signIn(party, user) {
    const page = await this.go(`http://localhost:${party.port}/login`)
    assert.equal(page.status, 200, page.body)
    const _csrf = /name="_csrf" value="([^"]+)"/.exec(page.body)?.[1]
    assert.ok(_csrf, `${page.url}: ${page.body}`)
    const known = /name="continue"/.test(page.body)
    const form = known ? { _csrf, continue: '1' } : { _csrf, username: user, password: PASSWORD }
    const done = await this.go(page.url, { method: 'POST', body: new URLSearchParams(form) })
    assert.equal(new URL(done.url).port, String(party.port), `${done.url}: ${done.body}`)
    const me = await this.me(party)
    assert.equal(me?.user['cognito:username'], user)
    return me
  }

  /** Whom the relying party says this is; null for nobody. */
  async me(party) {
    const page = await this.go(`http://localhost:${party.port}/me`)
    return page.status === 200 ? JSON.parse(page.body) : null
  }
}

async function soon(check, what, ms = 5_000) {
  const began = Date.now()
  while (!(await check())) {
    assert.ok(Date.now() - began < ms, `${what}: not within ${ms} ms`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  return Date.now() - began
}

const gone = (browser, party) => soon(async () => (await browser.me(party)) === null, 'the session there ends')
const admin = Username => idp.send(new AdminUserGlobalSignOutCommand({ UserPoolId: POOL, Username }))

for (const [n, party] of PARTIES.entries()) {
  const which = party.required ? 'a client that needs the sid' : 'a client that says nothing'

  test(`GlobalSignOut, AdminUserGlobalSignOut, RevokeToken and /logout end the session there: ${which}`, async t => {
    const browser = new Browser()
    const user = ['ann', 'bob'][n]
    const sids = new Set()
    const ways = {
      GlobalSignOut: me => idp.send(new GlobalSignOutCommand({ AccessToken: me.access })),
      AdminUserGlobalSignOut: () => admin(user),
      RevokeToken: me => idp.send(new RevokeTokenCommand({ Token: me.refresh, ClientId: party.client, ClientSecret: SECRET })),
      'its own /logout': () => browser.go(`http://localhost:${party.port}/logout`),
    }
    for (const [name, signOut] of Object.entries(ways)) {
      const from = party.answers.length
      // The browser session lives through the first three: who comes back is let in, and not held to an old sign-out (issue 646).
      const me = await browser.signIn(party, user)
      assert.ok(!sids.has(me.user.sid), 'a sid that is over is never used again')
      sids.add(me.user.sid)
      const began = Date.now()
      await signOut(me)
      await gone(browser, party)
      await soon(() => party.answers.length > from, `${name} brings a logout token`)
      t.diagnostic(`${name}: over there after ${Date.now() - began} ms`)
      assert.deepEqual(new Set(party.answers.slice(from)), new Set([204]), name)
    }
  })

  test(`all four browsers of a user are signed out there: ${which}`, async () => {
    const user = ['cleo', 'dan'][n]
    const browsers = [new Browser(), new Browser(), new Browser(), new Browser()]
    for (const browser of browsers) await browser.signIn(party, user)
    await admin(user)
    for (const browser of browsers) await gone(browser, party)
  })
}

test('one browser that signs out leaves the others in peace, at a client that needs the sid', async () => {
  const [party] = PARTIES
  const [one, other] = [new Browser(), new Browser()]
  await one.signIn(party, 'eve')
  await other.signIn(party, 'eve')
  const from = party.answers.length
  const logout = new URLSearchParams({ client_id: party.client, logout_uri: `http://localhost:${party.port}` })
  await one.go(`${server.tls_endpoint}/${POOL}/logout?${logout}`)
  await gone(one, party)
  await soon(() => party.answers.length > from, 'a logout token')
  assert.ok(await other.me(party))
})

test('one browser is signed in at two clients, and signs out of both', async () => {
  const browser = new Browser()
  for (const party of PARTIES) await browser.signIn(party, 'flo')
  await browser.go(`http://localhost:${PARTIES[0].port}/logout`)
  for (const party of PARTIES) await gone(browser, party)
})

test('a relying party that is down is told when it is back', async t => {
  const [party] = PARTIES
  const browser = new Browser()
  await browser.signIn(party, 'gus')
  await close(party)
  const began = Date.now()
  await admin('gus')
  assert.ok(Date.now() - began < 1_000, 'the sign-out waits for nobody')
  await new Promise(resolve => setTimeout(resolve, 4_000))
  await open(party)
  const ms = await soon(async () => (await browser.me(party)) === null, 'the session there ends', 10_000)
  t.diagnostic(`told ${ms} ms after it was back`)
})
