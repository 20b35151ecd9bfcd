// Against a real server: the one that CENOTE_READY names, or a fresh `cenote dev` (CENOTE_BIN, or the debug build).

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { JwtVerifier } from 'aws-jwt-verify'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'
import { WebSocket, WebSocketServer } from 'ws'

import { customJwtCheck } from '../../src/aws-jwt-verify.js'
import { httpFetch } from '../../src/http.js'
import { CenoteVerifier, RevokedError } from '../../src/index.js'
import { guardSocket } from '../../src/ws.js'
import { until } from '../fake.js'

const PASSWORD = 'Correct-horse-7'
const APP = { ExplicitAuthFlows: ['ALLOW_USER_PASSWORD_AUTH', 'ALLOW_REFRESH_TOKEN_AUTH'] }
const MACHINE = {
  GenerateSecret: true,
  AllowedOAuthFlowsUserPoolClient: true,
  AllowedOAuthFlows: ['client_credentials'],
  AllowedOAuthScopes: ['revocations/read'],
}

let server, pool, clientId, machine, verifier

before(async () => {
  server = await attachOrStart()
  pool = (await api('CreateUserPool', { PoolName: `verifier-js-${process.pid}` })).UserPool.Id
  clientId = (await makeClient(APP)).ClientId
  machine = await makeClient(MACHINE)
  verifier = make()
  const problems = []
  verifier.on('problem', error => problems.push(error.message))
  assert.equal(await verifier.ready(), true, String(problems))
})

after(async () => {
  await verifier?.stop()
  await server?.stop()
})

function make(options) {
  const named = {
    clientId: machine.ClientId,
    clientSecret: machine.ClientSecret,
    consumer: 'e2e-js',
    tls: { ca: readFileSync(server.ca_file) },
  }
  return new CenoteVerifier({ issuer: `${server.endpoint}/${pool}`, ...named, ...options })
}

test('GlobalSignOut: access and ID token are refused; who signs in again is let in', async t => {
  const ms = []
  const name = await user()
  for (let n = 0; n < 20; n++) {
    const { AccessToken, IdToken } = await signIn(name)
    assert.equal((await verifier.verify(AccessToken, { clientId })).verdict.by, 'feed')
    await verifier.verify(IdToken, { tokenUse: 'id', clientId })
    const { jti } = JSON.parse(Buffer.from(AccessToken.split('.')[1], 'base64url'))
    assert.ok(jti)
    await api('GlobalSignOut', { AccessToken })
    const answered = performance.now()
    while (await isAlive(AccessToken)) await sleep(1)
    ms.push(performance.now() - answered)
    await assert.rejects(verifier.verify(IdToken, { tokenUse: 'id' }), RevokedError)
  }
  ms.sort((a, b) => a - b)
  t.diagnostic(
    `from the answer of GlobalSignOut to refusal, 20 times: p50 ${ms[10].toFixed(1)} ms, worst ${ms[19].toFixed(1)} ms`,
  )
  assert.ok(ms[19] < 1000, `${ms[19]} ms`)
})

test('RevokeToken ends one session, and aws-jwt-verify refuses it only with the hook', async () => {
  const name = await user()
  const [ended, other] = [await signIn(name), await signIn(name)]
  const issuer = verifier.issuer
  const fetcher = { fetch: async uri => (await fetch(uri)).arrayBuffer() }
  const common = { issuer, jwksUri: `${issuer}/.well-known/jwks.json`, audience: null }
  const create = more => JwtVerifier.create({ ...common, ...more }, { jwksCache: new SimpleJwksCache({ fetcher }) })
  const [plain, hooked] = [create(), create({ customJwtCheck: customJwtCheck(verifier) })]
  await hooked.verify(ended.AccessToken)
  await api('RevokeToken', { Token: ended.RefreshToken, ClientId: clientId })
  await until(async () => !(await isAlive(ended.AccessToken)), 1000)
  await plain.verify(ended.AccessToken)
  await assert.rejects(hooked.verify(ended.AccessToken), RevokedError)
  await hooked.verify(other.AccessToken)
})

test('a refresh keeps the birth: its token dies with the session', async () => {
  const { RefreshToken } = await signIn(await user())
  const { AuthenticationResult } = await api('GetTokensFromRefreshToken', { RefreshToken, ClientId: clientId })
  await verifier.verify(AuthenticationResult.AccessToken)
  await api('GlobalSignOut', { AccessToken: AuthenticationResult.AccessToken })
  await until(async () => !(await isAlive(AuthenticationResult.AccessToken)), 1000)
})

test('a WebSocket outlives a refresh and closes within a second of the sign-out', async t => {
  const http = createServer()
  const wss = new WebSocketServer({ server: http })
  const { AccessToken, RefreshToken } = await signIn(await user())
  wss.on('connection', async ws =>
    guardSocket(verifier, ws, { ...(await verifier.verify(AccessToken)), token: AccessToken }),
  )
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const socket = new WebSocket(`ws://127.0.0.1:${http.address().port}`)
  await once(socket, 'open')
  await api('GetTokensFromRefreshToken', { RefreshToken, ClientId: clientId })
  await sleep(500)
  assert.equal(socket.readyState, WebSocket.OPEN)
  const began = performance.now()
  const [[code]] = await Promise.all([once(socket, 'close'), api('GlobalSignOut', { AccessToken })])
  const took = performance.now() - began
  assert.equal(code, 4001)
  assert.ok(took < 1000, `${took} ms`)
  t.diagnostic(`from the request of GlobalSignOut to the closed WebSocket: ${took.toFixed(1)} ms`)
  http.close()
})

test('a verifier cut off from the feed asks the server about tokens of other clients', async () => {
  const reached = httpFetch({ ca: readFileSync(server.ca_file) })
  const cut = async (url, init) => {
    if (url.includes('/revocations/')) throw new Error('cut off')
    return reached(url, init)
  }
  const cutOff = make({ consumer: 'e2e-js-cut-off', fetch: cut })
  const { AccessToken } = await signIn(await user())
  assert.equal((await cutOff.verify(AccessToken)).verdict.by, 'introspection')
  const other = await signIn(await user())
  await api('GlobalSignOut', { AccessToken: other.AccessToken })
  await assert.rejects(cutOff.verify(other.AccessToken), RevokedError)
  await cutOff.stop()
})

test('the tokens of a pool that is deleted are refused at once', async () => {
  const UserPoolId = (await api('CreateUserPool', { PoolName: `verifier-js-gone-${process.pid}` })).UserPool.Id
  const [its, app] = [await makeClient({ ...MACHINE, UserPoolId }), await makeClient({ ...APP, UserPoolId })]
  const credentials = { clientId: its.ClientId, clientSecret: its.ClientSecret }
  const gone = make({ issuer: `${server.endpoint}/${UserPoolId}`, ...credentials, consumer: 'e2e-js-gone' })
  assert.equal(await gone.ready(), true)
  const { AccessToken } = await signIn(await user(UserPoolId), app.ClientId)
  await gone.verify(AccessToken, { policy: 'closed' })
  await api('DeleteUserPool', { UserPoolId })
  await until(async () => !(await isAlive(AccessToken, gone)), 1000)
  await gone.stop()
})

test('the lines of the README work as they stand', async () => {
  const [, text] = /^```js\n(.*?)^```$/ms.exec(readFileSync(new URL('../../README.md', import.meta.url), 'utf8'))
  const port = await freePort()
  // Beside this test, so that the package finds itself by its name.
  const file = fileURLToPath(new URL(`.readme-${process.pid}.mjs`, import.meta.url))
  writeFileSync(file, text.replace('3000', port))
  const environment = { ISSUER: verifier.issuer, CLIENT_ID: machine.ClientId, CLIENT_SECRET: machine.ClientSecret }
  const env = { ...process.env, ...environment, NODE_EXTRA_CA_CERTS: server.ca_file }
  const program = spawn(process.execPath, [file], { env, stdio: ['ignore', 'inherit', 'inherit'] })
  try {
    const { AccessToken } = await signIn(await user())
    const orders = () =>
      fetch(`http://127.0.0.1:${port}/orders`, { headers: { authorization: `Bearer ${AccessToken}` } })
    await until(async () => (await orders().catch(() => ({}))).status === 200, 10_000)
    await api('GlobalSignOut', { AccessToken })
    await until(async () => (await orders()).status === 401, 1000)
  } finally {
    program.kill()
    await once(program, 'exit')
    rmSync(file)
  }
})

async function isAlive(token, by = verifier) {
  return by.verify(token).then(
    () => true,
    error => {
      if (error instanceof RevokedError) return false
      throw error
    },
  )
}

let users = 0

async function user(UserPoolId = pool) {
  const Username = `ann-${process.pid}-${++users}`
  await api('AdminCreateUser', { UserPoolId, Username, MessageAction: 'SUPPRESS' })
  await api('AdminSetUserPassword', { UserPoolId, Username, Password: PASSWORD, Permanent: true })
  return Username
}

async function signIn(USERNAME, ClientId = clientId) {
  const AuthParameters = { USERNAME, PASSWORD }
  return (await api('InitiateAuth', { ClientId, AuthFlow: 'USER_PASSWORD_AUTH', AuthParameters }))
    .AuthenticationResult
}

async function makeClient(more) {
  const { UserPoolClient } = await api('CreateUserPoolClient', { UserPoolId: pool, ClientName: 'app', ...more })
  return UserPoolClient
}

async function api(operation, body) {
  const headers = {
    'Content-Type': 'application/x-amz-json-1.1',
    'X-Amz-Target': `AWSCognitoIdentityProviderService.${operation}`,
  }
  const answer = await fetch(server.endpoint, { method: 'POST', headers, body: JSON.stringify(body) })
  const told = JSON.parse((await answer.text()) || '{}')
  assert.equal(answer.status, 200, `${operation}: ${JSON.stringify(told)}`)
  return told
}

async function attachOrStart() {
  const ready = file => JSON.parse(readFileSync(file, 'utf8'))
  if (process.env.CENOTE_READY) return { ...ready(process.env.CENOTE_READY), stop: async () => {} }
  const binary = process.env.CENOTE_BIN ?? fileURLToPath(new URL('../../../../target/debug/cenote', import.meta.url))
  const scratch = mkdtempSync(join(tmpdir(), 'cenote-verifier.'))
  const file = join(scratch, 'ready.json')
  const ports = await Promise.all([freePort(), freePort()])
  const process_ = spawn(
    binary,
    ['dev', '--ephemeral', '--port', ports[0], '--tls-port', ports[1], '--ready-file', file],
    { stdio: 'ignore' },
  )
  await until(() => existsSync(file), 30_000)
  const stop = async () => {
    process_.kill('SIGTERM')
    await once(process_, 'exit')
    rmSync(scratch, { recursive: true, force: true })
  }
  return { ...ready(file), stop }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  return String(port)
}
