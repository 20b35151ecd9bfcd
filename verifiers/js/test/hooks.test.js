// The libraries and frameworks that people have, without and with the hook.

import assert from 'node:assert/strict'
import { createHmac, createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { afterEach, beforeEach, test } from 'node:test'

import { JwtVerifier } from 'aws-jwt-verify'
import express5 from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import * as jose from 'jose'
import { WebSocket, WebSocketServer } from 'ws'

import { customJwtCheck } from '../src/aws-jwt-verify.js'
import { protect } from '../src/express.js'
import { cenote } from '../src/fastify.js'
import { CenoteVerifier, RevokedError, UnavailableError } from '../src/index.js'
import { withRevocation } from '../src/jose.js'
import { guardSocket } from '../src/ws.js'
import { Fake, movableClock, until } from './fake.js'

let fake, verifier, clock, server

beforeEach(async () => {
  fake = await new Fake().listen()
  clock = movableClock()
  verifier = new CenoteVerifier(fake.options({ clock }))
  assert.equal(await verifier.ready(), true)
})

afterEach(async () => {
  server?.closeAllConnections?.()
  await new Promise(resolve => (server ? server.close(resolve) : resolve()))
  server = undefined
  await verifier.stop()
  await fake.close()
})

async function signOut(sub = 'ann') {
  fake.publish('U', sub, 1_000_001)
  await until(() => verifier.status.seq === fake.seq)
}

function cutOff() {
  fake.intercept = () => ({ status: 503 })
  forward(31_000)
}

function forward(ms) {
  clock.moved.mono += ms
  clock.moved.wall += ms
}

/** Tokens that no helper lets through, whatever the library before it thinks of them. */
function impostors() {
  const good = fake.token()
  const [, body] = good.split('.')
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
  const pem = createPublicKey({ key: fake.jwks().keys[0], format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  const confused = `${part({ alg: 'HS256', kid: fake.kid })}.${body}`
  return {
    'alg none': `${part({ alg: 'none', kid: fake.kid })}.${body}.`,
    'an HMAC by the public key': `${confused}.${createHmac('sha256', pem).update(confused).digest('base64url')}`,
    'another issuer': fake.token({ iss: `${fake.issuer}x` }),
    'another use': fake.token({ use: 'id' }),
    'no use': fake.token({ token_use: undefined }),
    'another client': fake.token({ client_id: 'another' }),
    'a birth that is none': fake.token({ session: '0b5e8d2c-1111-4222-8333-444455556666' }),
    'an expiry in the past': fake.token({ exp: 1 }),
  }
}

test('aws-jwt-verify takes a revoked token without the hook and refuses it with it', async () => {
  const options = { issuer: fake.issuer, audience: null, jwksUri: `${fake.issuer}/.well-known/jwks.json` }
  const [plain, hooked] = [
    JwtVerifier.create(options),
    JwtVerifier.create({ ...options, customJwtCheck: customJwtCheck(verifier) }),
  ]
  for (const one of [plain, hooked]) one.cacheJwks(fake.jwks())
  const token = fake.token({ born: 1_000_000 })
  assert.equal((await hooked.verify(token)).sub, 'ann')
  await signOut()
  assert.equal((await plain.verify(token)).sub, 'ann')
  await assert.rejects(hooked.verify(token), RevokedError)
  assert.throws(() => hooked.verifySync(token), RevokedError)
  assert.equal((await hooked.verify(fake.token())).sub, 'ann')
})

test("aws-jwt-verify: the application's own check still runs, and a feed that is not fresh refuses", async () => {
  const check = customJwtCheck(verifier, {
    also: ({ payload }) => {
      if (payload.sub === 'eve') throw new Error('not eve')
    },
  })
  const one = JwtVerifier.create({ issuer: fake.issuer, audience: null, customJwtCheck: check })
  one.cacheJwks(fake.jwks())
  await one.verify(fake.token())
  await assert.rejects(one.verify(fake.token({ sub: 'eve' })), /not eve/)
  cutOff()
  await assert.rejects(
    one.verify(fake.token()),
    error => error instanceof UnavailableError || error.name === 'JwtExpiredError',
  )
})

test('jose takes a revoked token alone and refuses it with the feed', async () => {
  const keys = jose.createLocalJWKSet(fake.jwks())
  const jwtVerify = withRevocation(jose.jwtVerify, verifier)
  const token = fake.token({ born: 1_000_000 })
  assert.equal((await jwtVerify(token, keys, { issuer: fake.issuer })).payload.sub, 'ann')
  await signOut()
  assert.equal((await jose.jwtVerify(token, keys)).payload.sub, 'ann')
  await assert.rejects(jwtVerify(token, keys), RevokedError)
  await assert.rejects(jwtVerify(new TextEncoder().encode(token), keys), RevokedError)
})

test('aws-jwt-verify with the hook lets no impostor through', async () => {
  const keys = { issuer: fake.issuer, audience: null, jwksUri: `${fake.issuer}/.well-known/jwks.json` }
  const ours = JwtVerifier.create({ ...keys, customJwtCheck: customJwtCheck(verifier, { clientId: fake.clientId }) })
  ours.cacheJwks(fake.jwks())
  await ours.verify(fake.token())
  for (const [what, token] of Object.entries(impostors())) await assert.rejects(ours.verify(token), what)
  const ids = JwtVerifier.create({ ...keys, customJwtCheck: customJwtCheck(verifier, { tokenUse: 'id' }) })
  ids.cacheJwks(fake.jwks())
  await ids.verify(fake.token({ use: 'id' }))
  await assert.rejects(ids.verify(fake.token()), { reason: 'token_use' })
})

test('aws-jwt-verify for several issuers: the hook does not vouch for tokens of another pool', async () => {
  const issuers = [fake.issuer, 'https://id.example.com/us-east-1_Other0001']
  const jwksUri = `${fake.issuer}/.well-known/jwks.json`
  const hook = customJwtCheck(verifier)
  const one = JwtVerifier.create(issuers.map(issuer => ({ issuer, jwksUri, audience: null, customJwtCheck: hook })))
  for (const issuer of issuers) one.cacheJwks(fake.jwks(), issuer)
  await one.verify(fake.token())
  await assert.rejects(one.verify(fake.token({ iss: issuers[1] })), { reason: 'issuer' })
})

test('jose with the feed lets no impostor through', async () => {
  const keys = jose.createLocalJWKSet(fake.jwks())
  const ours = withRevocation(jose.jwtVerify, verifier, { clientId: fake.clientId })
  await ours(fake.token(), keys)
  for (const [what, token] of Object.entries(impostors())) await assert.rejects(ours(token, keys), what)
  await withRevocation(jose.jwtVerify, verifier, { tokenUse: ['access', 'id'] })(fake.token({ use: 'id' }), keys)
})

test('what something else has verified by another algorithm is not vouched for', async () => {
  const [head, body] = impostors()['an HMAC by the public key'].split('.').map(part => Buffer.from(part, 'base64url'))
  assert.throws(() => verifier.checkNow(JSON.parse(body), JSON.parse(head)), { reason: 'malformed' })
})

for (const [name, express] of [
  ['4', express4],
  ['5', express5],
]) {
  test(`Express ${name}: 200, then 401 with a challenge that leads to sign-in; 503 where nobody can say`, async () => {
    const app = express()
    app.get('/me', protect(verifier), (req, res) => res.json({ sub: req.auth.claims.sub, by: req.auth.verdict.by }))
    app.get('/pay', protect(verifier, { policy: 'closed' }), (req, res) => res.json({}))
    app.get('/news', protect(verifier, { policy: 'open' }), (req, res) => res.json({}))
    app.get('/mine', protect(verifier, { clientId: fake.clientId }), (req, res) => res.json({}))
    server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    await holdsFor(`http://127.0.0.1:${server.address().port}`)
  })
}

test('Fastify: the same, with a policy per route, and routes that need no token', async () => {
  const app = fastify()
  await app.register(cenote, { verifier })
  app.get('/me', async ({ auth }) => ({ sub: auth.claims.sub, by: auth.verdict.by }))
  app.get('/pay', { config: { cenote: 'closed' } }, async () => ({}))
  app.get('/news', { config: { cenote: { policy: 'open' } } }, async () => ({}))
  app.get('/mine', { config: { cenote: { clientId: fake.clientId } } }, async () => ({}))
  app.get('/health', { config: { cenote: false } }, async () => ({ ok: true }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { server: http } = app
  server = { close: done => app.close().then(done) }
  const base = `http://127.0.0.1:${http.address().port}`
  assert.deepEqual(await (await fetch(`${base}/health`)).json(), { ok: true })
  await holdsFor(base)
})

async function holdsFor(base) {
  const token = fake.token({ born: 1_000_000 })
  const get = (path, authorization) => fetch(base + path, { headers: authorization ? { authorization } : {} })
  const me = await get('/me', `Bearer ${token}`)
  assert.deepEqual([me.status, await me.json()], [200, { sub: 'ann', by: 'feed' }])

  const none = await get('/me')
  assert.deepEqual([none.status, none.headers.get('www-authenticate')], [401, 'Bearer'])
  for (const bad of ['Bearer', 'Basic YTpi', 'Bearer a b', 'Bearer x.y.z', `Bearer ${token}x`]) {
    assert.equal((await get('/me', bad)).status, 401, bad)
  }

  assert.equal((await get('/mine', `Bearer ${token}`)).status, 200)
  for (const [what, impostor] of Object.entries(impostors())) {
    const refused = await get('/mine', `Bearer ${impostor}`)
    assert.deepEqual([refused.status, (await refused.json()).error], [401, 'invalid_token'], what)
  }

  await signOut()
  const revoked = await get('/me', `Bearer ${token}`)
  assert.equal(revoked.status, 401)
  const challenge = 'Bearer error="invalid_token", error_description="session revoked", max_age=0'
  assert.equal(revoked.headers.get('www-authenticate'), challenge)
  assert.deepEqual(await revoked.json(), { error: 'invalid_token', error_description: 'session revoked' })

  const bob = `Bearer ${fake.token({ sub: 'bob', exp: Math.floor(Date.now() / 1000) + 7200 })}`
  const eve = `Bearer ${fake.token({ sub: 'eve', exp: Math.floor(Date.now() / 1000) + 7200 })}`
  fake.active.add(bob.slice(7))
  fake.intercept = ({ path }) => (path.startsWith('/revocations/') ? 'hang' : undefined)
  await until(() => fake.requests.at(-1).path.startsWith('/revocations/'))
  forward(20_000)
  assert.equal(verifier.state, 'STALE')
  for (const path of ['/me', '/pay', '/news']) assert.equal((await get(path, bob)).status, 200, path)
  forward(11_000)
  assert.deepEqual(await (await get('/me', bob)).json(), { sub: 'bob', by: 'introspection' })
  assert.equal((await get('/me', eve)).status, 401)
  cutOff()
  assert.equal((await get('/me', bob)).status, 503)
  const closed = await get('/pay', bob)
  assert.deepEqual([closed.status, closed.headers.get('retry-after')], [503, '2'])
  assert.equal((await get('/news', bob)).status, 200)
  assert.equal((await get('/news', `Bearer ${token}`)).status, 401)
}

test('Fastify: an address that nobody serves is not served without a token either', async () => {
  const app = fastify()
  await app.register(cenote, { verifier })
  for (const [headers, status] of [
    [{}, 401],
    [{ authorization: `Bearer ${fake.token()}` }, 404],
  ]) {
    assert.equal((await app.inject({ url: '/nowhere', headers })).statusCode, status)
  }
})

test('an error that is not ours goes to the error handler of Express', async () => {
  const app = express5()
  const broken = { uses() {}, verify: async () => Promise.reject(new RangeError('a bug')) }
  app.get('/', protect(broken))
  app.use((error, req, res, next) => res.status(500).send(error.message))
  server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const answer = await fetch(`http://127.0.0.1:${server.address().port}`, { headers: { authorization: 'Bearer x' } })
  assert.deepEqual([answer.status, await answer.text()], [500, 'a bug'])
})

async function sockets(options) {
  server = createServer()
  const wss = new WebSocketServer({ noServer: true })
  server.on('upgrade', async (request, socket, head) => {
    const token = request.headers.authorization?.slice('Bearer '.length)
    try {
      const verified = await verifier.verify(token)
      wss.handleUpgrade(request, socket, head, ws => guardSocket(verifier, ws, { ...verified, token }, options))
    } catch (error) {
      socket.end(`HTTP/1.1 ${error.status ?? 500} Refused\r\nConnection: close\r\n\r\n`)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return async token => {
    const headers = token && { authorization: `Bearer ${token}` }
    const socket = new WebSocket(`ws://127.0.0.1:${server.address().port}`, { headers })
    await once(socket, 'open')
    return socket
  }
}

test('a WebSocket closes with 4001 within a second of the sign-out, and a refresh does not close it', async () => {
  const open = await sockets()
  const token = fake.token({ born: 1_000_000 })
  const [ann, bob] = [await open(token), await open(fake.token({ sub: 'bob' }))]
  // A refresh makes a new token of the same session, and no record.
  await verifier.verify(fake.token({ session: JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).origin_jti }))
  await new Promise(resolve => setTimeout(resolve, 300))
  assert.equal(ann.readyState, WebSocket.OPEN)

  const began = performance.now()
  fake.publish('U', 'ann', 1_000_001)
  const [code, reason] = await once(ann, 'close')
  assert.deepEqual([code, String(reason)], [4001, 'session revoked'])
  assert.ok(performance.now() - began < 1000)
  assert.equal(bob.readyState, WebSocket.OPEN)
  assert.equal(verifier.status.guards, 1)
  bob.close()
  await until(() => verifier.status.guards === 0)
})

test('a WebSocket that closed while its token was verified leaves no guard behind', async () => {
  const auth = await verifier.verify(fake.token())
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const client = new WebSocket(`ws://127.0.0.1:${server.address().port}`)
  const [[socket]] = await Promise.all([once(server, 'connection'), once(client, 'open')])
  client.terminate()
  await once(socket, 'close')
  guardSocket(verifier, socket, auth)
  assert.equal(verifier.status.guards, 0)
})

test('a WebSocket without a live token is refused at the handshake', async () => {
  const open = await sockets()
  const token = fake.token({ born: 1_000_000 })
  await signOut()
  for (const refused of [token, undefined, 'nonsense'])
    await assert.rejects(open(refused), /Unexpected server response: 401/)
})

test('a WebSocket whose token nobody can vouch for any more closes with 1013 where the route fails closed', async () => {
  const open = await sockets({ policy: 'closed' })
  const socket = await open(fake.token())
  cutOff()
  const [code, reason] = await once(socket, 'close')
  assert.deepEqual([code, String(reason)], [1013, 'try again later'])
})

test('a client that ignores the closing handshake is cut off within a second', async () => {
  const open = await sockets()
  const socket = await open(fake.token({ born: 1_000_000 }))
  const began = performance.now()
  // It reads nothing any more, so it never answers.
  socket.pause()
  fake.publish('U', 'ann', 1_000_001)
  await until(() => verifier.status.guards === 0, 1000)
  await new Promise(resolve => server.getConnections((error, n) => resolve(n))).then(() =>
    until(
      () => new Promise(resolve => server.getConnections((error, n) => resolve(n === 0))),
      1000 - (performance.now() - began),
    ),
  )
  socket.terminate()
})
