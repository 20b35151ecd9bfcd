// A server and a verifier for each test of a file that imports this: `fake` at once, `verifier` and `problems` once `follow` was called.

import assert from 'node:assert/strict'
import { afterEach, beforeEach } from 'node:test'

import { CenoteVerifier } from '../src/index.js'
import { Fake, until } from './fake.js'

export let fake, verifier, problems

beforeEach(async () => {
  fake = await new Fake().listen()
})

afterEach(async () => {
  await verifier?.stop()
  verifier = undefined
  await fake.close().catch(() => {})
})

/** Makes the verifier, and waits until it is FRESH. */
export async function follow(options, { fresh = true } = {}) {
  make(options)
  if (fresh) assert.equal(await verifier.ready(), true, String(problems))
  else verifier.start()
  return verifier
}

/** Makes the verifier, and does not start it. */
export function make(options) {
  problems = []
  verifier = new CenoteVerifier(fake.options(options))
  verifier.on('problem', error => problems.push(error))
  return verifier
}

/** Waits until every record that the server has is known. */
export async function caughtUp() {
  return until(() => verifier.status.seq === fake.seq && verifier.status.incarnation === fake.incarnation)
}

export const asked = path => fake.requests.filter(request => request.path === path)
