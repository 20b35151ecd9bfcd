// What is known to be revoked: the sorted records of a snapshot as they came (32 bytes each), and over them a map of what came since.

import { setImmediate as breathe } from 'node:timers/promises'

import { RECORD } from './wire.js'

// A merge lets requests through this often.
const STRIDE = 1 << 15

export class Entries {
  #base = Buffer.alloc(0)
  #over = new Map()

  get size() {
    return this.#base.length / RECORD + this.#over.size
  }

  /** Whether the map has grown so much that it should be folded into the sorted records. */
  get isLoose() {
    return this.#over.size > Math.max(4096, this.#base.length / RECORD / 4)
  }

  /** `{notBefore, dropAfter}` of a key, or undefined. */
  find(key) {
    const over = this.#over.size > 0 ? this.#over.get(key.latin1Slice(0, 16)) : undefined
    const at = this.#search(key)
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
    this.#base = await fold(mine, records, now)
    this.#over.clear()
  }

  async tidy(now) {
    await this.merge(Buffer.alloc(0), now)
  }

  #search(key) {
    let low = 0
    let high = this.#base.length / RECORD - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const at = middle * RECORD
      const order = this.#base.compare(key, 0, 16, at, at + 16)
      if (order === 0) return at
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }
}

function read(records, at) {
  return { notBefore: Number(records.readBigUInt64BE(at + 16)), dropAfter: Number(records.readBigUInt64BE(at + 24)) }
}

function larger(a, b) {
  return { notBefore: Math.max(a.notBefore, b.notBefore), dropAfter: Math.max(a.dropAfter, b.dropAfter) }
}

function sorted(map) {
  const names = [...map.keys()].sort(byCode)
  const records = Buffer.allocUnsafe(names.length * RECORD)
  names.forEach((name, n) => {
    records.latin1Write(name, n * RECORD, 16)
    write(records, n * RECORD, map.get(name))
  })
  return records
}

function byCode(a, b) {
  return a < b ? -1 : a > b ? 1 : 0
}

function write(records, at, { notBefore, dropAfter }) {
  records.writeBigUInt64BE(BigInt(notBefore), at + 16)
  records.writeBigUInt64BE(BigInt(dropAfter), at + 24)
}

/** One sorted buffer of two, without what ended before `now`. */
async function fold(a, b, now) {
  const out = Buffer.allocUnsafe(a.length + b.length)
  let [i, j, end, steps] = [0, 0, 0, 0]
  while (i < a.length || j < b.length) {
    if (++steps % STRIDE === 0) await breathe()
    const order = i >= a.length ? 1 : j >= b.length ? -1 : a.compare(b, j, j + 16, i, i + 16)
    const [from, at] = order <= 0 ? [a, i] : [b, j]
    from.copy(out, end, at, at + RECORD)
    if (order === 0) write(out, end, larger(read(a, i), read(b, j)))
    if (order <= 0) i += RECORD
    if (order >= 0) j += RECORD
    if (Number(out.readBigUInt64BE(end + 24)) > now) end += RECORD
  }
  // A copy, if much was left out: a slice would keep the whole memory.
  return end < out.length * 0.9 ? Buffer.from(out.subarray(0, end)) : out.subarray(0, end)
}
