// The verifier against a server that follows the rules, and one that lies.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { RevokedError } from '../src/index.js'
import { Replica } from '../src/replica.js'
import { link } from '../src/wire.js'
import { feedKey, movableClock, signed, until, uuid7 } from './fake.js'
import { asked, caughtUp, fake, follow, problems, verifier } from './given.js'

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
