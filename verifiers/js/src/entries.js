// What is known to be revoked: the sorted records of a snapshot as they came (32 bytes each), and over them a map of what came since.

import { setImmediate as breathe } from 'node:timers/promises'

import { RECORD, compareKeys, viewOf } from './wire.js'

// A merge lets requests through this often.
const STRIDE = 1 << 15
const HIGH = 2 ** 32

export class Entries {
  #base = new DataView(new ArrayBuffer(0))
  #over = new Map()

  get size() {
    return this.#base.byteLength / RECORD + this.#over.size
  }

  /** Whether the map has grown so much that it should be folded into the sorted records. */
  get isLoose() {
    return this.#over.size > Math.max(4096, this.#base.byteLength / RECORD / 16)
  }

  /** `{notBefore, dropAfter}` of a key, or undefined. */
  find(key) {
    const over = this.#over.size > 0 ? this.#over.get(key.latin1Slice(0, 16)) : undefined
    const at = search(this.#base, viewOf(key))
    if (at === undefined) return over
    const base = read(this.#base, at)
    return over ? larger(over, base) : base
  }

  /** Of two records of one key the larger times hold, so that records may come twice and in any order. */
  add({ key, notBefore, dropAfter }) {
    const name = key.latin1Slice(0, 16)
    const had = this.#over.get(name)
    const next = { notBefore, dropAfter }
    this.#over.set(name, had ? larger(had, next) : next)
  }

  /** Takes in the sorted records of a snapshot and keeps what was known; leaves out what ended before `now`. */
  async merge(records, now) {
    const mine = await fold(this.#base, sorted(this.#over), now)
    this.#base = await fold(mine, viewOf(records), now)
    this.#over.clear()
  }

  async tidy(now) {
    await this.merge(Buffer.alloc(0), now)
  }
}

function search(records, key) {
  let low = 0
  let high = records.byteLength / RECORD - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const order = compareKeys(records, middle * RECORD, key, 0)
    if (order === 0) return middle * RECORD
    if (order < 0) low = middle + 1
    else high = middle - 1
  }
  return undefined
}

function read(records, at) {
  const number = from => records.getUint32(from) * HIGH + records.getUint32(from + 4)
  return { notBefore: number(at + 16), dropAfter: number(at + 24) }
}

function write(records, at, { notBefore, dropAfter }) {
  const number = (to, value) => {
    records.setUint32(to, Math.floor(value / HIGH))
    records.setUint32(to + 4, value % HIGH)
  }
  number(at + 16, notBefore)
  number(at + 24, dropAfter)
}

function larger(a, b) {
  return { notBefore: Math.max(a.notBefore, b.notBefore), dropAfter: Math.max(a.dropAfter, b.dropAfter) }
}

function sorted(map) {
  // By code units: the order of the bytes that they stand for.
  const names = [...map.keys()].sort()
  const records = Buffer.alloc(names.length * RECORD)
  const view = viewOf(records)
  names.forEach((name, n) => {
    records.latin1Write(name, n * RECORD, 16)
    write(view, n * RECORD, map.get(name))
  })
  return view
}

/** One sorted run of two, without what ended before `now`. */
async function fold(a, b, now) {
  if (a.byteLength === 0 && b.byteLength === 0) return a
  const out = new DataView(new ArrayBuffer(a.byteLength + b.byteLength))
  let [i, j, end, steps] = [0, 0, 0, 0]
  while (i < a.byteLength || j < b.byteLength) {
    if (++steps % STRIDE === 0) await breathe()
    const order = i >= a.byteLength ? 1 : j >= b.byteLength ? -1 : compareKeys(a, i, b, j)
    const [from, at] = order <= 0 ? [a, i] : [b, j]
    for (let word = 0; word < RECORD; word += 4) out.setUint32(end + word, from.getUint32(at + word))
    if (order === 0) write(out, end, larger(read(a, i), read(b, j)))
    if (order <= 0) i += RECORD
    if (order >= 0) j += RECORD
    if (read(out, end).dropAfter > now) end += RECORD
  }
  // A copy, if much was left out: a view would keep the whole memory.
  return new DataView(end < out.byteLength * 0.9 ? out.buffer.slice(0, end) : out.buffer, 0, end)
}
