// Version 1 of the feed's format (docs/revocation-feed.md): bytes and JSON in, values out. No state, no clock, no network.

import { createHash, createPublicKey, verify } from 'node:crypto'
import { setImmediate as breathe } from 'node:timers/promises'

import { FrameError } from './errors.js'

export const RECORD = 32
const HEADER = 32
const MAGIC = Buffer.from('CNTRVF')
// Reading a snapshot lets requests through after so many bytes.
const STRIDE = 1 << 20
/** A frame with as many says nothing about freshness: more may follow. */
export const MAX_ENTRIES = 1000
const KEY16 = /^[A-Za-z0-9_-]{21}[AQgw]$/
const BASE64URL = /^[A-Za-z0-9_-]*$/
const HASH = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/

/** What an entry is found by: it names nobody. `kind` is U, S, X, C, P or K. */
export function key16(kind, pool, id) {
  return sha256(`${kind}\0${pool}\0${id}`).subarray(0, 16)
}

/** The chain after one more entry of a frame. */
export function link(before, { kind, key, notBefore, dropAfter }) {
  const record = Buffer.allocUnsafe(33)
  record.writeUInt8(kind.charCodeAt(0), 0)
  key.copy(record, 1)
  record.writeBigUInt64BE(BigInt(notBefore), 17)
  record.writeBigUInt64BE(BigInt(dropAfter), 25)
  return createHash('sha256').update(before).update(record).digest()
}

/** The public keys of a JWK Set by their kid. Keys of other kinds are left out: a later version may bring some. */
export function feedKeys(jwks) {
  const keys = new Map()
  for (const jwk of Array.isArray(jwks?.keys) ? jwks.keys : []) {
    if (jwk?.kty !== 'OKP' || jwk.crv !== 'Ed25519' || typeof jwk.kid !== 'string' || typeof jwk.x !== 'string')
      continue
    try {
      keys.set(jwk.kid, createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: jwk.x }, format: 'jwk' }))
    } catch {
      // A key that is none signs nothing either.
    }
  }
  return keys
}

/** The payload of a JWS signed by one of `keys`; its `typ` must be the one expected. */
export function openJws(jws, typ, keys) {
  const { header, payload, signed, signature } = opened(jws)
  if (header.typ !== typ) refuse('type', `typ is ${String(header.typ)}, not ${typ}`)
  const key = keys.get(header.kid)
  if (!key) refuse('unknown_key', `no key of the feed has the id ${String(header.kid)}`)
  if (header.alg !== 'EdDSA' || header.crit !== undefined)
    refuse('signature', 'the feed is signed with EdDSA and no extensions')
  if (signature.length !== 64 || !verify(null, Buffer.from(signed), key, signature))
    refuse('signature', 'the signature is wrong')
  const told = json(payload)
  // Before the rest: another version may look quite different.
  if (typeof told.v !== 'number') refuse('malformed', 'the version of the format is missing')
  if (told.v !== 1)
    refuse('version', `version ${String(told.v)} of the format is not known here; a newer package may know it`)
  return told
}

/** A frame about `pool` that answers `nonce`. Whether it continues what one has is the replica's question. */
export function readFrame(jws, keys, pool, nonce) {
  const frame = openJws(jws, 'revfeed+jwt', keys)
  const { incarnation, iat, from, to, e } = frame
  samePool(frame, pool)
  if (frame.nonce !== nonce) refuse('nonce', 'the frame does not answer this request: it is an old one')
  if (typeof incarnation !== 'string' || ![iat, from, to].every(natural) || !Array.isArray(e))
    refuse('malformed', 'a member is missing')
  return {
    incarnation,
    iat,
    from,
    to,
    hBefore: hash(frame.h_before),
    hAfter: hash(frame.h_after),
    entries: e.map(entry),
  }
}

/** A whole snapshot: its place in the feed, and its records as they stand in the file. */
export async function readSnapshot(bytes, keys, pool) {
  if (bytes.length < HEADER || !bytes.subarray(0, 6).equals(MAGIC)) refuse('malformed', 'this is no snapshot')
  if (bytes.readUInt16BE(6) !== 1) refuse('version', 'a newer package may know this version of snapshots')
  const n = Number(bytes.readBigUInt64BE(8))
  const end = HEADER + n * RECORD
  if (!Number.isSafeInteger(end) || bytes.length !== end + bytes.readUInt32BE(16))
    refuse('malformed', 'the snapshot is cut short or too long')
  const told = openJws(bytes.toString('latin1', end), 'revsnap+jwt', keys)
  samePool(told, pool)
  const { incarnation, iat, seq } = told
  if (typeof incarnation !== 'string' || ![iat, seq].every(natural)) refuse('malformed', 'a member is missing')
  if (told.n !== n) refuse('length', 'the snapshot and its signature count differently')
  const digest = createHash('sha256')
  for (let at = 0; at < end; at += STRIDE) {
    digest.update(bytes.subarray(at, Math.min(at + STRIDE, end)))
    await breathe()
  }
  if (!digest.digest().equals(hash(told.sha256))) refuse('digest', 'the records are not those that were signed')
  const records = bytes.subarray(HEADER, end)
  if (!(await isSorted(records))) refuse('malformed', 'the records are not sorted')
  return { incarnation, iat, seq, h: hash(told.h), records }
}

async function isSorted(records) {
  const view = viewOf(records)
  for (let at = RECORD; at < records.length; at += RECORD) {
    if (compareKeys(view, at - RECORD, view, at) >= 0) return false
    if (at % STRIDE === 0) await breathe()
  }
  return true
}

/** Below, equal to or above 0, by words: a snapshot may have millions of keys. */
export function compareKeys(a, i, b, j) {
  for (let word = 0; word < 16; word += 4) {
    const difference = a.getUint32(i + word) - b.getUint32(j + word)
    if (difference !== 0) return difference
  }
  return 0
}

export function viewOf({ buffer, byteOffset, byteLength }) {
  return new DataView(buffer, byteOffset, byteLength)
}

export function sha256(data) {
  return createHash('sha256').update(data).digest()
}

/** The bytes of text in base64url. Node would skip what is none. */
export function bytesOf(text) {
  if (typeof text !== 'string' || !BASE64URL.test(text) || text.length % 4 === 1) return undefined
  return Buffer.from(text, 'base64url')
}

function opened(jws) {
  const parts = typeof jws === 'string' ? jws.split('.') : []
  const [header, payload, signature] = parts.map(bytesOf)
  if (parts.length !== 3 || !header || !payload || !signature) refuse('malformed', 'this is no compact JWS')
  return { header: json(header), payload, signature, signed: jws.slice(0, jws.lastIndexOf('.')) }
}

function json(bytes) {
  let value
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    // Falls through: it is no object either.
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    refuse('malformed', 'a part of the JWS is no JSON object')
  return value
}

function samePool(told, pool) {
  if (told.pool !== pool) refuse('pool', `this is about the pool ${String(told.pool)}, not ${pool}`)
}

function entry(row) {
  if (!Array.isArray(row) || row.length !== 4) refuse('malformed', 'a record has not four members')
  const [kind, key, notBefore, dropAfter] = row
  // A kind that is not known yet is kept: nothing looks it up, but the chain runs through it.
  if (typeof kind !== 'string' || !/^[A-Z]$/.test(kind)) refuse('malformed', 'the kind of a record is no letter')
  if (typeof key !== 'string' || !KEY16.test(key)) refuse('malformed', 'the key of a record is not 16 bytes')
  if (!natural(notBefore) || !natural(dropAfter)) refuse('malformed', 'a time of a record is no time')
  return { kind, key: Buffer.from(key, 'base64url'), notBefore, dropAfter }
}

function hash(text) {
  if (typeof text !== 'string' || !HASH.test(text)) refuse('malformed', 'a hash is not 32 bytes')
  return Buffer.from(text, 'base64url')
}

function natural(value) {
  return Number.isSafeInteger(value) && value >= 0
}

function refuse(reason, message) {
  throw new FrameError(reason, message)
}
