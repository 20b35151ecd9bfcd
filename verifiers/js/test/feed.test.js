// The verifier against a server that follows the rules, breaks, lies, and comes back.

import assert from 'node:assert/strict'
import { after, afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { CenoteVerifier, InvalidTokenError, RevokedError, UnavailableError } from '../src/index.js'
import { Replica } from '../src/replica.js'
import { link } from '../src/wire.js'
import { Fake, feedKey, movableClock, signed, until, uuid7 } from './fake.js'

let fake, verifier, problems

beforeEach(async () => {
  fake = await new Fake().listen()
})

afterEach(async () => {
  await verifier?.stop()
  await fake.close().catch(() => {})
})

async function follow(options, { fresh = true } = {}) {
  problems = []
  verifier = new CenoteVerifier(fake.options(options))
  verifier.on('problem', error => problems.push(error))
  if (fresh) assert.equal(await verifier.ready(), true, String(problems))
  else verifier.start()
  return verifier
}

/** Waits until every record that the server has is known. */
async function caughtUp() {
  return until(() => verifier.status.seq === fake.seq && verifier.status.incarnation === fake.incarnation)
}

const asked = path => fake.requests.filter(request => request.path === path)

test('a live token is let through and says how fresh that is', async () => {
  await follow()
  const { claims, verdict } = await verifier.verify(fake.token())
  assert.equal(claims.sub, 'ann')
  assert.deepEqual(verdict, { state: 'FRESH', by: 'feed' })
})

test('a user sign-out ends every token born before it, ID tokens too, and none born after it', async () => {
  await follow()
  const [before, id] = [fake.token({ born: 1_000_000 }), fake.token({ born: 1_000_000, use: 'id' })]
  await verifier.verify(before)
  fake.publish('U', 'ann', 1_000_001)
  const ms = await caughtUp()
  assert.ok(ms < 250, `${ms} ms`)
  await assert.rejects(verifier.verify(before), RevokedError)
  await assert.rejects(verifier.verify(id, { tokenUse: 'id' }), RevokedError)
  await verifier.verify(fake.token({ born: 1_000_001 }))
  await verifier.verify(fake.token({ born: 1_000_000, sub: 'bob' }))
})

for (const [kind, id, what] of [
  ['C', 'appclient0000000000000001', 'a client'],
  ['P', 'us-east-1_Fake00001', 'the pool'],
]) {
  test(`an epoch of ${what} ends what was born before it`, async () => {
    await follow()
    fake.publish(kind, id, 1_000_001)
    await caughtUp()
    await assert.rejects(verifier.verify(fake.token({ born: 1_000_000 })), RevokedError)
    await verifier.verify(fake.token({ born: 1_000_001 }))
  })
}

test('the end of a session ends its tokens and no others', async () => {
  await follow()
  const session = uuid7(Date.now())
  fake.publish('S', session, 0)
  await caughtUp()
  await assert.rejects(verifier.verify(fake.token({ session: session.toUpperCase() })), RevokedError)
  await verifier.verify(fake.token())
})

test('a revoked key id ends tokens of any birth', async () => {
  await follow()
  fake.publish('K', 'pool-key-1', 0)
  await caughtUp()
  await assert.rejects(verifier.verify(fake.token({ born: Date.now() + 1e9 })), RevokedError)
})

test('what is known before the start is in the snapshot', async () => {
  for (let n = 0; n < 500; n++) fake.publish('U', `user-${n}`, 1_000_001)
  await follow()
  assert.equal(verifier.status.entries, 500)
  for (const n of [0, 77, 499])
    await assert.rejects(verifier.verify(fake.token({ sub: `user-${n}`, born: 1_000_000 })), RevokedError)
  await verifier.verify(fake.token({ sub: 'user-500', born: 1_000_000 }))
})

test('2,500 records in one moment come in full frames, and only the last one proves freshness', async () => {
  await follow()
  for (let n = 0; n < 2500; n++) fake.publish('U', `user-${n}`, 1_000_001)
  await caughtUp()
  assert.equal(verifier.status.entries, 2500)
  await assert.rejects(verifier.verify(fake.token({ sub: 'user-2499', born: 1_000_000 })), RevokedError)
})

test('a frame of 1,000 records proves no freshness: more may be behind it', () => {
  const replica = new Replica()
  const h = Buffer.alloc(32)
  const entries = Array.from({ length: 1000 }, (_, n) => ({
    kind: 'U',
    key: Buffer.alloc(16, n),
    notBefore: 1,
    dropAfter: 2,
  }))
  const frame = (from, some, before) => {
    const hAfter = some.reduce(link, before)
    return { incarnation: 'a', iat: Date.now(), from, to: from + some.length, hBefore: before, hAfter, entries: some }
  }
  replica.place = { incarnation: 'a', seq: 0, h }
  replica.accept(frame(0, entries, h), replica.moment())
  assert.deepEqual([replica.place.seq, replica.state], [1000, 'EXPIRED'])
  replica.accept(frame(1000, entries.slice(0, 999), replica.place.h), replica.moment())
  assert.deepEqual([replica.place.seq, replica.state], [1999, 'FRESH'])
})

test('the acknowledgement names the consumer, the weakest policy in use, and how stale we may be', async () => {
  await follow({ maxStalenessSeconds: 20 })
  const last = () => Object.fromEntries(asked('/revocations/delta').at(-1).query)
  const { consumer, policy, max_staleness } = last()
  assert.deepEqual(
    { consumer, policy, max_staleness },
    { consumer: 'test-1', policy: 'introspect', max_staleness: '20' },
  )
  verifier.uses('open')
  await until(() => last().policy === 'open')
  fake.publish('U', 'ann')
  await until(() => last().since === '1')
})

test('a server that is down at the start: the policy decides, and the feed is found once it is up', async () => {
  const { port } = fake
  const token = fake.token()
  await fake.close()
  await follow({}, { fresh: false })
  await assert.rejects(verifier.verify(token), UnavailableError)
  assert.equal(verifier.state, 'EXPIRED')
  await until(() => problems.length > 3)
  await fake.listen(port)
  await until(() => verifier.state === 'FRESH')
  await verifier.verify(token)
})

test('without the feed: closed refuses, open lets through, introspect asks the server and remembers for 5 s', async () => {
  const clock = movableClock()
  const [live, dead] = [fake.token(), fake.token()]
  fake.active.add(live)
  fake.intercept = ({ path }) => (path.startsWith('/revocations/') ? { status: 503 } : undefined)
  await follow({ clock }, { fresh: false })
  await assert.rejects(verifier.verify(live, { policy: 'closed' }), UnavailableError)
  assert.deepEqual((await verifier.verify(dead, { policy: 'open' })).verdict, { state: 'EXPIRED', by: 'policy' })
  const both = await Promise.all([verifier.verify(live), verifier.verify(live)])
  assert.deepEqual(both[1].verdict, { state: 'EXPIRED', by: 'introspection' })
  assert.equal(asked('/oauth2/introspect').length, 1)
  await assert.rejects(verifier.verify(dead), RevokedError)
  fake.active.delete(live)
  await verifier.verify(live)
  clock.moved.mono += 5001
  await assert.rejects(verifier.verify(live), RevokedError)
})

test('introspection that fails, or would be about an ID token, refuses as closed does', async () => {
  fake.intercept = ({ path }) => (/^.(revocations|oauth2.introspect)/.test(path) ? { status: 500 } : undefined)
  await follow({}, { fresh: false })
  await assert.rejects(verifier.verify(fake.token()), UnavailableError)
  await assert.rejects(verifier.verify(fake.token({ use: 'id' }), { tokenUse: 'id' }), /ID token/)
})

test('an entry holds while the feed is expired, whatever the policy', async () => {
  const clock = movableClock()
  await follow({ clock })
  fake.publish('U', 'ann', 1_000_001)
  await caughtUp()
  await fake.close()
  clock.moved.mono += 31_000
  assert.equal(verifier.state, 'EXPIRED')
  await assert.rejects(verifier.verify(fake.token({ born: 1_000_000 }), { policy: 'open' }), RevokedError)
})

test('heartbeats that stop make it STALE after 4 s and EXPIRED after 30', async () => {
  const clock = movableClock()
  await follow({ clock })
  const said = []
  verifier.on('state', state => said.push(state))
  fake.intercept = () => 'hang'
  await sleep(1100)
  clock.moved.mono += 3500
  clock.moved.wall += 3500
  assert.equal(verifier.state, 'STALE')
  await verifier.verify(fake.token())
  await until(() => said.at(-1) === 'STALE')
  clock.moved.mono += 27_000
  clock.moved.wall += 27_000
  assert.equal(verifier.state, 'EXPIRED')
  await until(() => said.at(-1) === 'EXPIRED')
})

for (const [what, move] of [
  ['the whole process slept for an hour', { wall: 3_600_000, mono: 3_600_000 }],
  ['the machine slept, and its monotonic clock with it', { wall: 3_600_000, mono: 0 }],
  ['the wall clock was set back in the sleep', { wall: -3_600_000, mono: 3_600_000 }],
]) {
  test(`${what}: not fresh, and an answer to what was asked before does not make it so`, async () => {
    const clock = movableClock()
    await follow({ clock })
    let late
    fake.tamper = frame => new Promise(resolve => (late = () => resolve(frame)))
    await until(() => late)
    clock.moved.wall += move.wall
    clock.moved.mono += move.mono
    assert.equal(verifier.state, 'EXPIRED')
    const { seq } = verifier.status
    fake.tamper = () => new Promise(() => {})
    late()
    await sleep(100)
    assert.equal(verifier.state, 'EXPIRED')
    assert.equal(verifier.status.seq, seq)
    fake.tamper = frame => frame
  })
}

test('after a sleep the feed is asked at once, not after the answer that was under way', async () => {
  const clock = movableClock()
  await follow({ clock })
  fake.publish('U', 'ann', 1_000_001)
  clock.moved.wall += 3_600_000
  assert.ok((await until(() => verifier.state === 'FRESH')) < 900)
})

test('a wall clock that jumps ahead and comes back costs no entry', async () => {
  const clock = movableClock()
  await follow({ clock })
  fake.publish('U', 'ann', 1_000_001, Date.now() + 60_000)
  await caughtUp()
  clock.moved.wall += 7_200_000
  // A new incarnation makes it fetch a snapshot, and a snapshot makes it tidy up.
  fake.begin()
  await caughtUp()
  clock.moved.wall = 0
  await assert.rejects(verifier.verify(fake.token({ born: 1_000_000 })), RevokedError)
})

test('a wall clock that is ahead at the start and is corrected has cost no entry of the snapshot', async () => {
  const clock = movableClock()
  clock.moved.wall = 7_200_000
  fake.publish('U', 'ann', 1_000_001, Date.now() + 60_000)
  await follow({ clock })
  clock.moved.wall = 0
  await assert.rejects(verifier.verify(fake.token({ born: 1_000_000 })), RevokedError)
})

test('a clock that is hours slow revives no token that the server has forgotten', async () => {
  const clock = movableClock()
  clock.moved.wall = -7_200_000
  await follow({ clock })
  const exp = Math.floor(Date.now() / 1000) - 121
  const expired = { name: 'InvalidTokenError', reason: 'expired' }
  await assert.rejects(verifier.verify(fake.token({ exp })), expired)
  assert.throws(
    () => verifier.checkNow(JSON.parse(Buffer.from(fake.token({ exp }).split('.')[1], 'base64url'))),
    expired,
  )
})

const liar = feedKey()
for (const [what, tamper] of [
  ['dropped', (fake, { nonce, since }) => fake.frame({ nonce, from: since + 1, to: fake.seq })],
  ['repeated', (fake, { nonce }) => fake.frame({ nonce, from: 0, to: 1 })],
  [
    'reordered',
    (fake, { nonce, since }) => resigned(fake, { nonce, from: since, to: fake.seq }, frame => frame.e.reverse()),
  ],
  [
    'shortened',
    (fake, { nonce, since }) => resigned(fake, { nonce, from: since, to: fake.seq }, frame => frame.e.pop()),
  ],
  [
    'altered and signed again',
    (fake, { nonce, since }) => resigned(fake, { nonce, from: since, to: fake.seq }, ({ e }) => (e[0][2] = 5)),
  ],
  ['altered', (fake, { nonce, since }) => flipped(fake.frame({ nonce, from: since, to: fake.seq }))],
  ['replayed', (fake, { since }) => fake.frame({ nonce: 'A'.repeat(24), from: since, to: fake.seq })],
  ['without a nonce', (fake, { since }) => fake.frame({ from: since, to: fake.seq })],
  [
    'of another pool',
    (fake, { nonce, since }) => fake.frame({ nonce, from: since, to: fake.seq, pool: 'us-east-1_Other0001' }),
  ],
  ['of version 2', (fake, { nonce, since }) => fake.frame({ nonce, from: since, to: fake.seq, v: 2 })],
  ['by an unknown key', (fake, { nonce }) => signed('revfeed+jwt', payloadOf(fake.frame({ nonce })), liar)],
  [
    'by a known key id and another key',
    (fake, { nonce }) =>
      signed('revfeed+jwt', payloadOf(fake.frame({ nonce })), { ...liar, kid: fake.feedKeys[0].kid }),
  ],
  ['of another type', (fake, { nonce }) => signed('JWT', payloadOf(fake.frame({ nonce })), fake.feedKeys[0])],
  ['no frame at all', () => '<html>welcome to the hotel</html>'],
]) {
  test(`a frame that is ${what} changes nothing and proves nothing, and is mended by a snapshot`, async () => {
    const clock = movableClock()
    fake.publish('U', 'old', 1_000_001)
    await follow({ clock })
    fake.tamper = (frame, request) => {
      // Never a mere heartbeat: there must be something to tamper with.
      for (const n of [1, 2]) fake.publish('U', `more-${n}`)
      return tamper(fake, request)
    }
    fake.publish('U', 'ann', 1_000_001)
    fake.publish('U', 'bob', 1_000_001)
    await until(() => problems.length > 1)
    clock.moved.mono += 31_000
    clock.moved.wall += 31_000
    assert.equal(verifier.state, 'EXPIRED')
    for (const sub of ['old', 'ann', 'bob']) {
      // What the snapshot has told is known, though the feed is not fresh.
      await until(async () =>
        verifier.verify(fake.token({ sub, born: 1_000_000 }), { policy: 'open' }).then(
          () => false,
          error => error instanceof RevokedError,
        ),
      )
    }
    assert.equal(verifier.state, 'EXPIRED')
    fake.tamper = frame => frame
    await until(() => verifier.state === 'FRESH')
  })
}

test('a snapshot with one byte changed is refused, and what was known stays', async () => {
  fake.publish('U', 'ann', 1_000_001)
  await follow()
  fake.begin()
  fake.intercept = ({ path }) => {
    if (path !== '/revocations/snapshot') return undefined
    fake.publish('U', 'bob')
    const body = fake.snapshot()
    body[40] ^= 1
    return { body }
  }
  await until(() => problems.some(({ reason }) => reason === 'digest'))
  await assert.rejects(verifier.verify(fake.token({ born: 1_000_000 })), RevokedError)
  fake.intercept = () => undefined
  await caughtUp()
})

test('a new incarnation merges: what was known and has not ended is kept', async () => {
  await follow()
  fake.publish('U', 'ann', 1_000_001)
  await caughtUp()
  fake.begin(40)
  fake.publish('U', 'bob', 1_000_001)
  await caughtUp()
  assert.equal(problems.length, 1)
  for (const sub of ['ann', 'bob'])
    await assert.rejects(verifier.verify(fake.token({ sub, born: 1_000_000 })), RevokedError)
  await until(() => verifier.state === 'FRESH')
})

test('a 410 is mended by a snapshot', async () => {
  await follow()
  fake.publish('U', 'ann', 1_000_001)
  await caughtUp()
  fake.intercept = ({ path }) =>
    path === '/revocations/delta' ? { status: 410, body: { error: 'snapshot_required' } } : undefined
  await until(() => problems.some(({ status }) => status === 410))
  fake.intercept = () => undefined
  await caughtUp()
  await assert.rejects(verifier.verify(fake.token({ born: 1_000_000 })), RevokedError)
})

test('a key of the feed that is new is fetched; one that is gone is not believed any more', async () => {
  const clock = movableClock()
  await follow({ clock })
  const [old] = fake.feedKeys
  clock.moved.mono += 10_001
  clock.moved.wall += 10_001
  fake.feedKeys = [feedKey()]
  fake.publish('U', 'ann', 1_000_001)
  await caughtUp()
  fake.tamper = (frame, { nonce }) => signed('revfeed+jwt', payloadOf(fake.frame({ nonce })), old)
  await until(() => problems.some(({ reason }) => reason === 'unknown_key'))
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

test('tokens that are none of this pool: each is refused with its reason', async () => {
  await follow({ audience: 'appclient0000000000000001' })
  const good = fake.token()
  const [head, body, signature] = good.split('.')
  const none = Buffer.from('{"alg":"none","kid":"pool-key-1"}').toString('base64url')
  for (const [token, reason] of [
    ['', 'malformed'],
    ['a.b', 'malformed'],
    [`${good}A`.padEnd(70_000, 'A'), 'malformed'],
    [`${none}.${body}.`, 'malformed'],
    [`${head}.${Buffer.from('{}').toString('base64url')}.${signature}`, 'signature'],
    [fake.token({ kid: 'other' }), 'unknown_key'],
    [fake.token({ iss: 'https://elsewhere.example' }), 'issuer'],
    [fake.token({ exp: Math.floor(Date.now() / 1000) - 1 }), 'expired'],
    [fake.token({ nbf: Math.floor(Date.now() / 1000) + 60 }), 'expired'],
    [fake.token({ use: 'id' }), 'token_use'],
    [fake.token({ client_id: 'other' }), 'client'],
    [fake.token({ session: '0b5e8d2c-1111-4222-8333-444455556666' }), 'malformed'],
  ]) {
    await assert.rejects(
      verifier.verify(token),
      error => error instanceof InvalidTokenError && error.reason === reason,
      reason,
    )
  }
})

test('a guard fires once its session ends, and not for the sessions of others', async () => {
  await follow()
  const { claims, header } = await verifier.verify(fake.token())
  const other = await verifier.verify(fake.token())
  const [guard, spared] = [verifier.guard(claims, header), verifier.guard(other.claims, other.header)]
  let fired = false
  spared.revoked.then(() => (fired = true))
  assert.equal(verifier.status.guards, 2)
  fake.publish('S', claims.origin_jti)
  assert.deepEqual(await guard.revoked, { reason: 'session_revoked', kind: 'S' })
  assert.equal(fired, false)
  spared.release()
  assert.equal(verifier.status.guards, 0)
})

test('a guard fires also when the news comes in a snapshot, or was there before it', async () => {
  await follow()
  const { claims, header } = await verifier.verify(fake.token({ born: 1_000_000 }))
  const guard = verifier.guard(claims, header)
  fake.begin()
  fake.publish('U', 'ann', 1_000_001)
  assert.equal((await guard.revoked).kind, 'U')
  assert.equal((await verifier.guard(claims, header).revoked).kind, 'U')
})

test('guards when the feed expires: closed fires, open stays, introspect asks', async () => {
  const clock = movableClock()
  await follow({ clock })
  const [live, dead] = [fake.token(), fake.token()]
  fake.active.add(live)
  const fired = []
  for (const [name, token, policy] of [
    ['closed', live, 'closed'],
    ['open', live, 'open'],
    ['live', live, 'introspect'],
    ['dead', dead, 'introspect'],
  ]) {
    const { claims, header } = await verifier.verify(token)
    verifier.guard(claims, header, { token, policy }).revoked.then(({ reason }) => fired.push([name, reason]))
  }
  fake.intercept = ({ path }) => (path.startsWith('/revocations/') ? 'hang' : undefined)
  clock.moved.mono += 31_000
  clock.moved.wall += 31_000
  await until(() => fired.length === 2)
  await sleep(300)
  assert.deepEqual(Object.fromEntries(fired), { closed: 'revocation_unknown', dead: 'session_revoked' })
})

test('mistakes in the options are told when the verifier is made', () => {
  for (const [options, message] of [
    [{ issuer: 'nonsense' }, /issuer is no URL/],
    [{ issuer: 'http://id.example.com/us-east-1_A' }, /https/],
    [{ consumer: 'a b' }, /consumer/],
    [{ clientSecret: undefined }, /belong together/],
    [{ policy: 'maybe' }, /policy/],
    [{ maxStalenessSeconds: 1 }, /at least 4/],
  ]) {
    assert.throws(() => new CenoteVerifier(fake.options(options)), message)
  }
})

function payloadOf(jws) {
  return JSON.parse(Buffer.from(jws.split('.')[1], 'base64url'))
}

function resigned(fake, request, change) {
  const payload = payloadOf(fake.frame(request))
  change(payload)
  return signed('revfeed+jwt', payload, fake.feedKeys[0])
}

function flipped(jws) {
  const middle = Math.floor(jws.length / 2)
  return jws.slice(0, middle) + (jws[middle] === 'A' ? 'B' : 'A') + jws.slice(middle + 1)
}

after(() => verifier?.stop())
