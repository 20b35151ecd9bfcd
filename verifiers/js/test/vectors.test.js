// ../vectors holds all verifiers and the server to one format.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { Entries } from '../src/entries.js'
import { InvalidTokenError } from '../src/index.js'
import { Replica } from '../src/replica.js'
import { Signatures, checkClaims } from '../src/signatures.js'
import { Subjects, endedBy } from '../src/tokens.js'
import { feedKeys, key16, link, readFrame, readSnapshot } from '../src/wire.js'

const home = new URL('../../vectors/', import.meta.url)
const vectors = JSON.parse(readFileSync(new URL('feed.json', home)))
const keys = feedKeys(vectors.feed_jwks)
const bytes = text => Buffer.from(text, 'base64url')
const place = ({ incarnation, seq, h }) => ({ incarnation, seq, h: bytes(h) })
const record = ([kind, key, notBefore, dropAfter]) => ({ kind, key: bytes(key), notBefore, dropAfter })

test('there are vectors of version 1', () => {
  assert.equal(vectors.version, 1)
  for (const part of ['key16', 'frames', 'snapshots', 'tokens']) assert.ok(vectors[part].length > 5, part)
})

for (const { kind, pool, id, key16: expected } of vectors.key16) {
  test(`key16: ${kind} ${id}`, () => assert.equal(key16(kind, pool, id).toString('base64url'), expected))
}

test('the chain', () => {
  vectors.chain.records.reduce((before, { e, h }) => {
    const after = link(before, record(e))
    assert.equal(after.toString('base64url'), h)
    return after
  }, bytes(vectors.chain.h0))
})

for (const { name, state, nonce, frame, expect, reason, after } of vectors.frames) {
  test(`frame, ${expect}: ${name}`, () => {
    const replica = new Replica()
    replica.place = place(state)
    const take = () => replica.accept(readFrame(frame, keys, vectors.pool, nonce ?? undefined), replica.moment())
    if (expect === 'accept') {
      take()
      assert.deepEqual(replica.place, place(after))
      return
    }
    assert.equal(expect, 'refuse')
    assert.throws(take, error => error.name === 'FrameError' && error.reason === reason)
    assert.deepEqual(replica.place, place(state))
    assert.equal(replica.entries.size, 0)
    assert.equal(replica.state, 'EXPIRED')
  })
}

for (const { name, file, snapshot, expect, reason, after, entries } of vectors.snapshots) {
  test(`snapshot, ${expect}: ${name}`, async () => {
    const body = file ? readFileSync(new URL(file, home)) : bytes(snapshot)
    const read = () => readSnapshot(body, keys, vectors.pool)
    if (expect === 'refuse') return assert.rejects(read, error => error.name === 'FrameError' && error.reason === reason)
    assert.equal(expect, 'accept')
    const loaded = await read()
    assert.deepEqual(place({ ...loaded, h: loaded.h.toString('base64url') }), place(after))
    const known = new Entries()
    await known.merge(loaded.records, 0)
    assert.equal(known.size, entries.length)
    for (const [key, notBefore, dropAfter] of entries)
      assert.deepEqual(known.find(bytes(key)), { notBefore, dropAfter })
  })
}

for (const { name, token, state, now_ms, expect, reason } of vectors.tokens) {
  test(`token, ${expect}: ${name}`, async () => {
    const known = new Entries()
    for (const entry of vectors.states[state]) known.add(record(entry))
    const fetch = async () => new Response(JSON.stringify(vectors.token_jwks))
    const discovery = { endpoints: async () => ({ jwks: 'https://id.example.com/jwks' }) }
    const signatures = new Signatures({ fetch, discovery, clock: { mono: () => 0, wall: () => now_ms } })
    const judged = async () => {
      const { header, claims } = await signatures.open(token)
      checkClaims(claims, { issuer: vectors.issuer, tokenUse: ['access', 'id'], now: now_ms })
      return endedBy(known, new Subjects(vectors.pool).of(claims, header)) ? 'revoked' : 'alive'
    }
    if (expect !== 'invalid') return assert.equal(await judged(), expect)
    await assert.rejects(judged, error => error instanceof InvalidTokenError && error.reason === reason)
  })
}
