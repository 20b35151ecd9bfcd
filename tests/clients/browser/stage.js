// The stage of the browser tests: an application of our own, a server that is seeded with its addresses, and Chromium.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { chromium } from 'playwright-core'

import { PASSWORD, administrator, attachOrStart, trusting } from '../support.js'

// As other people's configuration would have them, and as the seed must keep them.
export const POOL = 'us-east-1_Browser01'
export const CLIENT = 'browsertestsclient00000001'
export const PEOPLE = {
  ann: '8f0c2f4e-52a4-4e62-9a55-0b2f7c1d0a01',
  bob: '8f0c2f4e-52a4-4e62-9a55-0b2f7c1d0a02',
}

/** `options` are added to the command line of the server. */
export async function openStage(...options) {
  const app = await startApp()
  const scratch = mkdtempSync(join(tmpdir(), 'cenote-browser.'))
  const seedFile = join(scratch, 'seed.json')
  writeFileSync(seedFile, JSON.stringify(seed(app.origin)))
  const closing = [() => rmSync(scratch, { recursive: true, force: true }), app.close]
  const close = async () => {
    for (const end of closing.reverse()) await end()
  }
  try {
    const server = await attachOrStart('--seed', seedFile, ...options)
    closing.push(server.stop)
    const browser = await launchChromium()
    closing.push(() => browser.close())
    const domain = `${server.tls_endpoint}/${POOL}`
    return { app, server, browser, domain, idp: administrator(server), fetch: trusting(server), close }
  } catch (error) {
    await close()
    throw error
  }
}

export function launchChromium() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // As root, and without a word to anybody outside this machine.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  })
}

function seed(origin) {
  const users = Object.entries(PEOPLE).map(([Username, Sub]) => ({
    Username,
    Sub,
    Password: PASSWORD,
    UserAttributes: [
      { Name: 'email', Value: `${Username}@example.com` },
      { Name: 'email_verified', Value: 'true' },
    ],
  }))
  const client = {
    ClientId: CLIENT,
    ClientName: 'browser tests',
    CallbackURLs: [`${origin}/callback`, `${origin}/spa`],
    LogoutURLs: [`${origin}/signed-out`, `${origin}/spa`],
    AllowedOAuthFlows: ['code'],
    AllowedOAuthScopes: ['openid', 'email', 'profile'],
    AllowedOAuthFlowsUserPoolClient: true,
    SupportedIdentityProviders: ['COGNITO'],
    ExplicitAuthFlows: ['ALLOW_USER_PASSWORD_AUTH', 'ALLOW_USER_SRP_AUTH', 'ALLOW_REFRESH_TOKEN_AUTH'],
    PreventUserExistenceErrors: 'ENABLED',
  }
  const pool = { Id: POOL, PoolName: 'browser tests', Domain: 'browser-tests', Clients: [client], Users: users }
  return { pools: [pool] }
}

/** The application that people sign in to: plain pages, and at /spa the ones that a test sets. */
export async function startApp() {
  const library = join(dirname(createRequire(import.meta.url).resolve('oidc-client-ts')), '../browser/oidc-client-ts.min.js')
  const pages = {
    '/callback': ['text/html', '<title>callback</title><h1>Welcome back to the app</h1>'],
    '/signed-out': ['text/html', '<title>signed out</title><h1>You are signed out of the app</h1>'],
    '/oidc-client-ts.js': ['text/javascript', readFileSync(library)],
    '/favicon.ico': ['image/x-icon', ''],
  }
  const server = createServer((request, response) => {
    const [type, body] = pages[request.url.split('?')[0]] ?? []
    response.writeHead(type ? 200 : 404, { 'content-type': type ?? 'text/plain' }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = () => {
    server.closeAllConnections()
    server.close()
  }
  return { origin: `http://localhost:${server.address().port}`, pages, close }
}

/**
 * Runs `visit(page)` in a browser of its own, and holds every page to its own Content-Security-Policy.
 * Pictures go to the directory that CENOTE_SHOTS names: `await page.shot('name')`.
 */
export async function visiting(stage, visit, options = {}) {
  const context = await stage.browser.newContext({ ignoreHTTPSErrors: true, ...options })
  context.setDefaultTimeout(10_000)
  const violations = []
  context.on('console', message => {
    if (/content security policy/i.test(message.text())) violations.push(message.text())
  })
  try {
    const page = await context.newPage()
    page.shot = async name => {
      if (!process.env.CENOTE_SHOTS) return
      mkdirSync(process.env.CENOTE_SHOTS, { recursive: true })
      await page.screenshot({ path: join(process.env.CENOTE_SHOTS, `${name}.png`), fullPage: true })
    }
    await visit(page)
    assert.deepEqual(violations, [])
  } finally {
    await context.close()
  }
}

/** The query of one code flow with PKCE, and what the application keeps to itself. */
export function codeFlow(stage, more = {}) {
  const verifier = randomBytes(32).toString('base64url')
  const state = randomBytes(8).toString('hex')
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: CLIENT,
    redirect_uri: `${stage.app.origin}/callback`,
    scope: 'openid email',
    state,
    nonce: randomBytes(8).toString('hex'),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...more,
  })
  return { url: `${stage.domain}/oauth2/authorize?${query}`, query, verifier, state }
}

/** Opens the login page of a new flow, or whatever the server shows instead. */
export async function arrive(stage, page, more) {
  const flow = codeFlow(stage, more)
  await page.goto(flow.url)
  return flow
}

export async function fillIn(page, username, password = PASSWORD) {
  await page.locator('input[name=username]').fill(username)
  await page.locator('input[name=password]').fill(password)
  await page.locator('form:has(input[name=password])').locator('button[type=submit], input[type=submit]').first().click()
}

/** Waits until the application has its code, and exchanges it. */
export async function redeem(stage, page, flow) {
  await page.waitForURL(url => url.href.startsWith(`${stage.app.origin}/callback?`))
  const { searchParams } = new URL(page.url())
  assert.equal(searchParams.get('state'), flow.state)
  const response = await exchange(stage, flow, searchParams.get('code'))
  assert.equal(response.status, 200)
  return response.json()
}

export function exchange(stage, flow, code) {
  const redirect_uri = flow.query.get('redirect_uri')
  return stage.fetch(`${stage.domain}/oauth2/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: CLIENT,
      redirect_uri,
      code,
      code_verifier: flow.verifier,
    }),
  })
}

export async function signIn(stage, page, username = 'ann') {
  const flow = await arrive(stage, page)
  await fillIn(page, username)
  return redeem(stage, page, flow)
}

export function claims(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))
}
