// Connections that outlive their request.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { movableClock, until } from './fake.js'
import { fake, follow, verifier } from './given.js'

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
