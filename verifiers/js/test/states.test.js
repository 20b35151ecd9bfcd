// Every state of the feed under every policy.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { RevokedError, UnavailableError } from '../src/index.js'
import { movableClock, until } from './fake.js'
import { asked, caughtUp, fake, follow, problems, verifier } from './given.js'

/** What becomes of a live token, of one that the feed has told of, and of one that ended since the feed was heard last. */
const TABLE = [
  ['FRESH', 'introspect', 'feed', RevokedError, RevokedError],
  ['FRESH', 'closed', 'feed', RevokedError, RevokedError],
  ['FRESH', 'open', 'feed', RevokedError, RevokedError],
  ['STALE', 'introspect', 'feed', RevokedError, 'feed'],
  ['STALE', 'closed', 'feed', RevokedError, 'feed'],
  ['STALE', 'open', 'feed', RevokedError, 'feed'],
  ['EXPIRED', 'introspect', 'introspection', RevokedError, RevokedError],
  ['EXPIRED', 'closed', UnavailableError, RevokedError, UnavailableError],
  ['EXPIRED', 'open', 'policy', RevokedError, 'policy'],
]
const AGE = { FRESH: 0, STALE: 20_000, EXPIRED: 31_000 }

for (const [state, policy, live, told, untold] of TABLE) {
  test(`${state}, ${policy}`, async () => {
    const clock = movableClock()
    await follow({ clock })
    const token = { live: fake.token({ sub: 'bob' }), told: fake.token({ sub: 'ann', born: 1_000_000 }) }
    token.untold = fake.token({ sub: 'eve', born: 1_000_000 })
    fake.active.add(token.live)
    await verifier.verify(token.live)
    fake.publish('U', 'ann', 1_000_001)
    await caughtUp()
    if (state !== 'FRESH') {
      fake.intercept = ({ path }) => (path.startsWith('/revocations/') ? { status: 503 } : undefined)
      await until(() => problems.length > 0, 2000)
    }
    fake.publish('U', 'eve', 1_000_001)
    if (state === 'FRESH') await caughtUp()
    clock.moved.mono += AGE[state]
    clock.moved.wall += AGE[state]
    assert.equal(verifier.state, state)
    for (const [name, expected] of Object.entries({ live, told, untold })) {
      const judged = verifier.verify(token[name], { policy })
      if (typeof expected === 'string') assert.deepEqual((await judged).verdict, { state, by: expected }, name)
      else await assert.rejects(judged, expected, name)
    }
  })
}

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
