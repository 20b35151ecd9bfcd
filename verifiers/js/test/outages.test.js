// What the verifier asks a server that fails, moves, or is not what it seems to be: enough to find it again, and not more.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { RevokedError, UnavailableError } from '../src/index.js'
import { failed } from '../src/transport.js'
import { movableClock, until } from './fake.js'
import { asked, caughtUp, fake, follow, make, problems, verifier } from './given.js'

const DISCOVERY = '/.well-known/openid-configuration'
const JWKS = '/.well-known/jwks.json'
const DELTA = '/revocations/delta'

function forward(clock, ms) {
  clock.moved.mono += ms
  clock.moved.wall += ms
}

test('the discovery document is read again after an hour, and what it says now is followed', async () => {
  const clock = movableClock()
  await follow({ clock })
  fake.moved = '/moved'
  forward(clock, 3_500_000)
  await until(() => verifier.state === 'FRESH')
  assert.equal(asked(DISCOVERY).length, 1)
  forward(clock, 200_000)
  await until(() => asked(`/moved${DELTA}`).length > 1)
  assert.equal(asked(DISCOVERY).length, 2)
  await until(() => verifier.state === 'FRESH')
})

test('where the feed does not answer as it should, the document is read again after a minute, and once a minute', async () => {
  const clock = movableClock()
  await follow({ clock })
  fake.intercept = ({ path }) =>
    path.startsWith('/revocations/') ? { status: 404, body: 'gone to another address' } : undefined
  await until(() => problems.length > 2)
  assert.equal(asked(DISCOVERY).length, 1)
  forward(clock, 61_000)
  await until(() => asked(DISCOVERY).length === 2)
  const { length } = problems
  await until(() => problems.length > length + 2)
  assert.equal(asked(DISCOVERY).length, 2)
  fake.moved = '/moved'
  forward(clock, 61_000)
  await until(() => verifier.state === 'FRESH')
})

test('a discovery document that cannot be read, or is of another issuer, leaves the one that is known', async () => {
  const clock = movableClock()
  await follow({ clock })
  let answer = { status: 500 }
  fake.intercept = ({ path }) => (path === DISCOVERY ? answer : undefined)
  forward(clock, 3_700_000)
  await until(() => problems.some(({ status }) => status === 500))
  await until(() => verifier.state === 'FRESH')
  answer = { body: { issuer: 'https://elsewhere.example' } }
  forward(clock, 61_000)
  await until(() => problems.some(({ message }) => /another issuer/.test(message)))
  await until(() => verifier.state === 'FRESH')
  await verifier.verify(fake.token({ exp: 9_999_999_999 }))
})

test('while the keys cannot be fetched, tokens are refused without asking for them each time', async () => {
  fake.intercept = ({ path }) => (path === JWKS ? { status: 503 } : undefined)
  await follow({ backoff: { firstMs: 300, mostMs: 1000 } })
  // The state has just become FRESH, and with it the hope that the keys can be had.
  for (let n = 0; n < 50; n++)
    await assert.rejects(verifier.verify(fake.token({ kid: `made-up-${n}` })), UnavailableError)
  assert.ok(asked(JWKS).length <= 3, `${asked(JWKS).length} requests`)
  fake.intercept = () => undefined
  await until(() => verifier.verify(fake.token()).then(Boolean, () => false))
})

test('made-up key ids cost one request for the keys in ten seconds', async () => {
  const clock = movableClock()
  await follow({ clock })
  await verifier.verify(fake.token())
  const unknown = { name: 'InvalidTokenError', reason: 'unknown_key' }
  for (let n = 0; n < 20; n++) await assert.rejects(verifier.verify(fake.token({ kid: `made-up-${n}` })), unknown)
  assert.equal(asked(JWKS).length, 1)
  forward(clock, 10_001)
  fake.kid = 'pool-key-2'
  await verifier.verify(fake.token())
  assert.equal(asked(JWKS).length, 2)
})

test('one key that is none does not cost the others', async () => {
  fake.intercept = ({ path }) =>
    path === JWKS
      ? { body: { keys: [{ kty: 'RSA', kid: 'broken', n: 5 }, null, 'x', ...fake.jwks().keys] } }
      : undefined
  await follow()
  await verifier.verify(fake.token())
})

test('introspection that has failed is not tried again for each token of the next second', async () => {
  const clock = movableClock()
  let isDown = true
  fake.intercept = ({ path }) =>
    isDown && /^.(revocations|oauth2.introspect)/.test(path) ? { status: 500 } : undefined
  await follow({ clock }, { fresh: false })
  for (let n = 0; n < 20; n++) await assert.rejects(verifier.verify(fake.token()), UnavailableError)
  assert.equal(asked('/oauth2/introspect').length, 1)
  isDown = false
  forward(clock, 1001)
  const token = fake.token()
  fake.active.add(token)
  await verifier.verify(token)
})

test('a 410 after each snapshot is answered with growing pauses', async () => {
  await follow({ backoff: { firstMs: 100, mostMs: 5000 } })
  fake.intercept = ({ path }) => (path === DELTA ? { status: 410, body: { error: 'snapshot_required' } } : undefined)
  fake.publish('U', 'ann')
  await sleep(1500)
  const times = asked('/revocations/snapshot').length
  assert.ok(times >= 2 && times <= 8, `${times} snapshots`)
})

for (const [what, news] of [
  ['a server that holds no question back', () => {}],
  ['a storm of sign-outs', () => fake.publish('U', 'ann')],
]) {
  test(`${what} is asked about fourteen times a second`, async () => {
    await follow()
    fake.intercept = async ({ path, query }) => {
      if (path !== DELTA) return undefined
      news()
      return { body: fake.frame({ nonce: query.get('nonce'), from: Number(query.get('since')) }) }
    }
    await until(() => asked(DELTA).length > 25)
    fake.requests.length = 0
    await sleep(1000)
    const times = asked(DELTA).length
    assert.ok(times >= 8 && times <= 16, `${times} requests`)
    assert.equal(verifier.state, 'FRESH')
  })
}

test('a pool that is deleted tells its last record to whoever gets no token any more', async () => {
  const clock = movableClock()
  await follow({ clock })
  const token = fake.token({ exp: 9_999_999_999 })
  await verifier.verify(token, { policy: 'closed' })
  const seen = []
  fake.intercept = ({ path, query, headers }) => {
    if (path === '/oauth2/token') return { status: 401, body: { error: 'invalid_client' } }
    if (path !== DELTA) return undefined
    seen.push(headers.authorization)
    const since = Number(query.get('since'))
    if (since === fake.seq) return { status: 404, body: { error: 'not_found' } }
    return { body: fake.frame({ nonce: query.get('nonce'), from: since }) }
  }
  // The token that opened the feed has ended, and there will be no other.
  forward(clock, 3_601_000)
  await until(() => seen.length > 0 && seen.at(-1) === undefined)
  await until(() => problems.at(-1)?.error === 'invalid_client')
  fake.publish('P', fake.pool, Date.now() + 60_000)
  await until(async () =>
    verifier.verify(token, { policy: 'open' }).then(
      () => false,
      error => error instanceof RevokedError,
    ),
  )
})

test('a 404 proves nothing: it is an outage like any other', async () => {
  const clock = movableClock()
  await follow({ clock })
  let answer = { status: 404, body: { error: 'not_found', error_description: 'There is no such user pool.' } }
  fake.intercept = ({ path }) => (path.startsWith('/revocations/') ? answer : undefined)
  await until(() => problems.length > 2)
  assert.notEqual(verifier.state, 'EXPIRED')
  answer = { status: 404, body: '<h1>Not Found</h1>' }
  const { length } = problems
  await until(() => problems.length > length + 2)
  assert.notEqual(verifier.state, 'EXPIRED')
  forward(clock, 31_000)
  assert.equal(verifier.state, 'EXPIRED')
})

test("a snapshot made while the server's clock was ahead is made again: it may lack what still lives", async () => {
  fake.ahead = 3_600_000
  await follow()
  fake.ahead = 0
  await until(() => problems.some(({ reason }) => reason === 'earlier'))
  await until(() => asked('/revocations/snapshot').length === 2)
  await until(() => verifier.state === 'FRESH')
})

test('a listener that throws does not end the feed', async t => {
  await follow()
  const thrown = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', error => thrown.push(error.message))
  t.after(() => {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
  })
  verifier.on('problem', () => {
    throw new Error('a bug of the application')
  })
  fake.intercept = ({ path }) => (path === DELTA ? { status: 500 } : undefined)
  await until(() => thrown.length > 1)
  fake.intercept = () => undefined
  fake.publish('U', 'ann')
  await caughtUp()
  assert.equal(thrown[0], 'a bug of the application')
})

test('it begins to follow at its first use, and not after it was stopped', async () => {
  await follow()
  await verifier.stop()
  make()
  await assert.rejects(verifier.verify(fake.token(), { policy: 'closed' }), UnavailableError)
  await until(() => verifier.state === 'FRESH')
  await verifier.verify(fake.token(), { policy: 'closed' })
  await verifier.stop()
  // What was under way has arrived.
  await sleep(50)
  fake.requests.length = 0
  verifier.start()
  await sleep(100)
  assert.equal(fake.requests.length, 0)
})

test('what the caller does to its claims does not change those of the next', async () => {
  await follow()
  const token = fake.token({ 'cognito:groups': ['staff'] })
  const first = await verifier.verify(token)
  first.claims['cognito:groups'].push('admin')
  first.claims.sub = 'eve'
  const { claims } = await verifier.verify(token)
  assert.deepEqual([claims.sub, claims['cognito:groups']], ['ann', ['staff']])
})

test('a bearer token that is refused is renewed at once', async () => {
  await follow()
  fake.forgetBearers()
  fake.publish('U', 'ann')
  await caughtUp()
  assert.deepEqual(problems, [])
  assert.equal(asked('/oauth2/token').length, 2)
})

test('a bearer token is renewed before it ends', async () => {
  const clock = movableClock()
  await follow({ clock })
  clock.moved.mono += 3_541_000
  clock.moved.wall += 3_541_000
  await until(() => asked('/oauth2/token').length === 2)
  await until(() => verifier.state === 'FRESH')
})

for (const [status, headers, least] of [
  [503, {}, 0],
  [429, { 'Retry-After': '1' }, 1],
]) {
  test(`a ${status} is not hammered${least ? ', and Retry-After is kept' : ''}`, async () => {
    await follow()
    fake.requests.length = 0
    fake.intercept = ({ path }) =>
      path === '/revocations/delta' ? { status, headers, body: { error: 'temporarily_unavailable' } } : undefined
    await sleep(1900)
    const times = asked('/revocations/delta').length
    assert.ok(least ? times <= 2 : times >= 4 && times <= 20, `${times} requests`)
    fake.intercept = () => undefined
    await until(() => verifier.state === 'FRESH')
  })
}

test('what stands before the server may not ask for more patience than 5 s', () => {
  const headers = new Headers({ 'Retry-After': '3600' })
  assert.equal(failed('https://id.example.com/x', { status: 503, headers, body: Buffer.alloc(0) }).retryAfterMs, 5000)
})

test('a redirect is not followed: it would carry the bearer token elsewhere', async () => {
  await follow()
  fake.intercept = ({ path }) =>
    path === '/revocations/delta' ? { status: 302, headers: { Location: `${fake.issuer}/elsewhere` } } : undefined
  await until(() => problems.length > 0)
  assert.equal(asked('/elsewhere').length, 0)
})

test('an answer without end is cut off', async () => {
  await follow()
  fake.intercept = ({ path }) => (path === '/revocations/delta' ? { body: Buffer.alloc(3 << 20, 65) } : undefined)
  await until(() => problems.some(({ message }) => /more than 1048576 bytes/.test(message)))
})

test('discovery of another issuer, or without a feed, says so', async () => {
  fake.intercept = ({ path }) =>
    path.startsWith('/.well-known/openid')
      ? { body: { issuer: fake.issuer, jwks_uri: `${fake.issuer}/jwks` } }
      : undefined
  await follow({}, { fresh: false })
  await until(() => problems.some(({ message }) => /revocation feed/.test(message)))
  await verifier.stop()
  fake.intercept = ({ path }) =>
    path.startsWith('/.well-known/openid') ? { body: { issuer: 'https://elsewhere.example' } } : undefined
  await follow({}, { fresh: false })
  await until(() => problems.some(({ message }) => /another issuer: https:..elsewhere/.test(message)))
})
