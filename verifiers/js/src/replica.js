// One verifier's copy of a pool's feed: what it accepts, and how fresh it is. No network, no timers; the clock is an argument.

import { Entries } from './entries.js'
import { FrameError } from './errors.js'
import { MAX_ENTRIES, link } from './wire.js'

/** A signed frame that answered a nonce vouches for this long, from the moment the nonce was sent. */
export const FRESH_MS = 4000
// How long after the end of its tokens the server still knows an entry.
const SPARE_MS = 120_000
// How long a snapshot still holds what is over by the server's clock.
const SNAPSHOT_KEEPS_MS = 600_000

/** `wall` tells the time of day, `mono` never goes back. Both in milliseconds. */
export const systemClock = { wall: () => Date.now(), mono: () => performance.now() }

export class Replica {
  entries = new Entries()
  /** Where in the feed this copy stands; without it a snapshot is needed. */
  place
  #clock
  #maxStalenessMs
  #vouched
  #began
  #told
  #snapshotIat = 0

  constructor({ clock = systemClock, maxStalenessMs = 30_000 } = {}) {
    this.#clock = clock
    this.#maxStalenessMs = maxStalenessMs
    this.#began = this.moment()
  }

  /** Both clocks, to measure from. */
  moment() {
    return { wall: this.#clock.wall(), mono: this.#clock.mono() }
  }

  /**
   * FRESH, STALE or EXPIRED. The larger of what two clocks say has passed: the monotonic one stands still while a machine
   * sleeps, and the wall clock may be set back.
   */
  get state() {
    const age = this.ageMs
    return age <= FRESH_MS ? 'FRESH' : age <= this.#maxStalenessMs ? 'STALE' : 'EXPIRED'
  }

  /** Milliseconds since the nonce of the last accepted frame was sent; Infinity if there was none. */
  get ageMs() {
    return this.#vouched ? this.passedSince(this.#vouched) : Infinity
  }

  passedSince(moment) {
    return Math.max(this.#clock.mono() - moment.mono, this.#clock.wall() - moment.wall)
  }

  /** How far the two clocks disagree about the time since `moment`: a jump of one, or a sleep. */
  disagreementSince(moment) {
    return Math.abs(this.#clock.mono() - moment.mono - (this.#clock.wall() - moment.wall))
  }

  /** Takes a frame that answers a nonce sent at the moment `sent`. What does not fit throws, and nothing has changed. */
  accept(frame, sent) {
    const { place } = this
    const { incarnation, from, to, entries } = frame
    if (!place || incarnation !== place.incarnation) {
      throw new FrameError('incarnation', 'the feed has begun anew: its database was restored')
    }
    if (from !== place.seq) throw new FrameError('gap', `the frame begins at ${from}, we stand at ${place.seq}`)
    if (entries.length !== to - from || entries.length > MAX_ENTRIES) {
      throw new FrameError('length', `${entries.length} records cannot lead from ${from} to ${to}`)
    }
    const h = entries.reduce(link, place.h)
    if (!frame.hBefore.equals(place.h) || !frame.hAfter.equals(h)) {
      throw new FrameError('chain', 'the records do not follow those that are known')
    }
    if (frame.iat + SNAPSHOT_KEEPS_MS < this.#snapshotIat) {
      throw new FrameError('earlier', "the server's clock was ahead when it made the snapshot, which may lack what still lives")
    }
    for (const entry of entries) this.entries.add(entry)
    this.place = { incarnation, seq: to, h }
    this.#told = { iat: frame.iat, mono: this.#clock.mono() }
    // A full frame may have more behind it.
    if (entries.length < MAX_ENTRIES) this.#vouched = sent
  }

  /** Takes a snapshot's place, and keeps every unexpired entry that is known already. It proves no freshness. */
  async load({ incarnation, iat, seq, h, records }) {
    // Before anything is left out: our wall clock may be ahead.
    this.#told ??= { iat, mono: this.#clock.mono() }
    await this.entries.merge(records, this.forgettable())
    this.#snapshotIat = iat
    this.place = { incarnation, seq, h }
  }

  /**
   * Whether a token's `exp` has passed by the server's clock, with two minutes to spare. The server forgets by its own clock who was
   * signed out: behind a clock of ours that is slow, such a token would seem to live.
   */
  hasExpired(exp) {
    if (!this.#told) return false
    return exp * 1000 <= this.#told.iat + this.#clock.mono() - this.#told.mono - SPARE_MS
  }

  /**
   * Entries that end before this may be forgotten. The earliest of what three clocks say: a wall clock that jumps ahead and
   * comes back must not have cost an entry whose tokens live again.
   */
  forgettable() {
    const { wall, mono } = this.moment()
    const told = this.#told ? this.#told.iat + (mono - this.#told.mono) : Infinity
    return Math.min(wall, this.#began.wall + (mono - this.#began.mono), told)
  }
}
