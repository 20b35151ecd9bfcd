// Clocks that jump, machines that sleep, and heartbeats that stop.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { InvalidTokenError, RevokedError } from '../src/index.js'
import { movableClock, until } from './fake.js'
import { asked, caughtUp, fake, follow, make, verifier } from './given.js'

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
