// Front-channel logout in a real browser: it loads what the app client wants it to, and is never kept for long.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { CLIENT, POOL, arrive, claims, fillIn, launchChromium, redeem, visiting } from '../browser/stage.js'
import { PASSWORD, attachOrStart, trusting } from '../support.js'

const closing = []
const stage = {}
/** What the application is asked for; while `silent`, its front-channel address does not answer. */
const asked = []
let silent = false

before(async () => {
  const app = createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost')
    asked.push(url)
    if (url.pathname === '/out' && silent) return
    response.writeHead(200, { 'content-type': 'text/html' }).end('<title>app</title><p>The app</p>')
  }).listen(0, '127.0.0.1')
  await once(app, 'listening')
  closing.push(() => {
    app.closeAllConnections()
    app.close()
  })
  const origin = `http://localhost:${app.address().port}`
  const scratch = mkdtempSync(join(tmpdir(), 'cenote-front.'))
  closing.push(() => rmSync(scratch, { recursive: true, force: true }))
  const seed = join(scratch, 'seed.json')
  const client = {
    ClientId: CLIENT,
    ClientName: 'front channel',
    CallbackURLs: [`${origin}/callback`],
    LogoutURLs: [`${origin}/signed-out`],
    AllowedOAuthFlows: ['code'],
    AllowedOAuthScopes: ['openid', 'email'],
    AllowedOAuthFlowsUserPoolClient: true,
    SupportedIdentityProviders: ['COGNITO'],
    Extensions: { FrontchannelLogoutUri: `${origin}/out?tenant=1` },
  }
  const Users = [{ Username: 'ann', Password: PASSWORD, UserAttributes: { email: 'ann@example.com', email_verified: 'true' } }]
  writeFileSync(seed, JSON.stringify({ pools: [{ Id: POOL, PoolName: 'front channel', Domain: 'front-channel', Clients: [client], Users }] }))
  const server = await attachOrStart('--seed', seed)
  closing.push(server.stop)
  const browser = await launchChromium()
  closing.push(() => browser.close())
  Object.assign(stage, { app: { origin }, server, browser, domain: `${server.tls_endpoint}/${POOL}`, fetch: trusting(server) })
})

after(async () => {
  for (const end of closing.reverse()) await end()
})

/** Signs in and out; answers the ID token and how long signing out took. */
async function inAndOut(page) {
  const flow = await arrive(stage, page)
  await fillIn(page, 'ann')
  const tokens = await redeem(stage, page, flow)
  asked.length = 0
  const logout = new URLSearchParams({ client_id: CLIENT, logout_uri: `${stage.app.origin}/signed-out` })
  const began = performance.now()
  await page.goto(`${stage.domain}/logout?${logout}`, { waitUntil: 'commit' })
  await page.waitForURL(`${stage.app.origin}/signed-out`)
  return { id: claims(tokens.id_token), ms: performance.now() - began }
}

test('a browser that signs out loads the address with the issuer and the sid, and goes on', t =>
  visiting(stage, async page => {
    silent = false
    const { id, ms } = await inAndOut(page)
    const [out] = asked.filter(url => url.pathname === '/out')
    assert.ok(out, 'the frame was loaded')
    assert.deepEqual(Object.fromEntries(out.searchParams), { tenant: '1', iss: id.iss, sid: id.sid })
    assert.ok(ms < 1_900, `${ms} ms`)
    t.diagnostic(`${Math.round(ms)} ms`)
  }))

test('an address that does not answer keeps nobody for longer than two seconds', t =>
  visiting(stage, async page => {
    silent = true
    const { ms } = await inAndOut(page)
    assert.ok(asked.some(url => url.pathname === '/out'))
    // The two seconds, and what Chromium needs on a machine that does other things.
    assert.ok(ms >= 1_900 && ms < 4_000, `${ms} ms`)
    t.diagnostic(`${Math.round(ms)} ms`)
  }))
