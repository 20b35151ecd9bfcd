// The client of the feed: one loop that keeps a replica fresh by long polls, and mends it by snapshots.

import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

import { FrameError, ServerError } from './errors.js'
import { ask, askJson, failed } from './transport.js'
import { feedKeys, readFrame, readSnapshot } from './wire.js'

// A frame is at most 1 s old when the next nonce leaves, so that a healthy feed never looks stale (4 s).
const WAIT_S = 1
const JWKS_PAUSE_MS = 10_000
const JWKS_LIFE_MS = 300_000
const TIDY_MS = 600_000
const MAX_FRAME = 1 << 20

/** Events: `applied` (entries), `replaced`, `problem` (error). */
export class Feed extends EventEmitter {
  #options
  #replica
  #keys = new Map()
  #keysAsked = -Infinity
  #abort = new AbortController()
  #poll
  #running
  #tidied
  #failures = 0

  /** `options`: pool, fetch, endpoints (() => discovery), credentials, consumer, policy (() => name), maxStalenessMs, clock, maxSnapshotBytes, backoff */
  constructor(replica, options) {
    super()
    this.#replica = replica
    this.#options = options
    this.#tidied = options.clock.mono()
  }

  start() {
    this.#running ??= this.#run()
  }

  async stop() {
    this.#abort.abort()
    await this.#running
  }

  /** Asks at once instead of waiting for the answer that is under way: the clocks say that it will be worth nothing. */
  hurry() {
    this.#poll?.abort()
  }

  async #run() {
    const { signal } = this.#abort
    while (!signal.aborted) {
      this.#poll = new AbortController()
      try {
        await this.#step(AbortSignal.any([signal, this.#poll.signal]))
        this.#failures = 0
      } catch (error) {
        if (signal.aborted) return
        if (this.#poll.signal.aborted) continue
        this.emit('problem', error)
        await sleep(this.#pause(error), undefined, { signal }).catch(() => {})
      }
    }
  }

  async #step(signal) {
    const replica = this.#replica
    if (this.#options.clock.mono() - this.#keysAsked > JWKS_LIFE_MS) await this.#freshKeys(signal)
    if (!replica.place) await this.#snapshot(signal)
    await this.#delta(signal)
    if (replica.entries.isLoose || this.#options.clock.mono() - this.#tidied > TIDY_MS) {
      this.#tidied = this.#options.clock.mono()
      await replica.entries.tidy(replica.forgettable())
    }
  }

  async #delta(signal) {
    const replica = this.#replica
    const { consumer, policy, maxStalenessMs } = this.#options
    const nonce = randomBytes(18).toString('base64url')
    const { seq, incarnation } = replica.place
    const query = new URLSearchParams({
      since: seq,
      incarnation,
      consumer,
      nonce,
      wait: replica.state === 'FRESH' ? WAIT_S : 0,
      policy: policy(),
      max_staleness: Math.round(maxStalenessMs / 1000),
    })
    const sent = replica.moment()
    const answer = await this.#get(`/delta?${query}`, { limit: MAX_FRAME, signal })
    if (answer.status === 410)
      return this.#lost(new ServerError('the server wants us to begin with a snapshot', { status: 410 }))
    try {
      const frame = await this.#opened(
        keys => readFrame(answer.body.toString('latin1'), keys, this.#options.pool, nonce),
        signal,
      )
      replica.accept(frame, sent)
      if (frame.entries.length > 0) this.emit('applied', frame.entries)
      this.emit('answered')
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.#lost(error)
      throw error
    }
  }

  async #snapshot(signal) {
    const answer = await this.#get('/snapshot', { limit: this.#options.maxSnapshotBytes, timeoutMs: 60_000, signal })
    const snapshot = await this.#opened(keys => readSnapshot(answer.body, keys, this.#options.pool), signal)
    await this.#replica.load(snapshot)
    this.emit('replaced')
  }

  /** What is known is kept, only the place is lost. */
  #lost(error) {
    this.#replica.place = undefined
    if (error.status === 410) this.emit('problem', error)
  }

  /** Reads a signed thing; if its key is not known, the keys are fetched anew first, at most once per 10 s. */
  async #opened(read, signal) {
    try {
      return read(this.#keys)
    } catch (error) {
      if (error.reason !== 'unknown_key' || this.#options.clock.mono() - this.#keysAsked < JWKS_PAUSE_MS) throw error
    }
    await this.#freshKeys(signal)
    return read(this.#keys)
  }

  /** Keys that the server no longer lists are forgotten; while it cannot be asked, those known serve. */
  async #freshKeys(signal) {
    const asked = this.#options.clock.mono()
    try {
      const { feedJwks } = await this.#options.endpoints(signal)
      this.#keys = feedKeys(await askJson(this.#options.fetch, feedJwks, { signal }))
      this.#keysAsked = asked
    } catch (error) {
      if (this.#keys.size === 0) throw error
      this.#keysAsked = asked - JWKS_LIFE_MS + JWKS_PAUSE_MS
      this.emit('problem', error)
    }
  }

  async #get(path, options, again = true) {
    const { feed, token: endpoint } = await this.#options.endpoints(options.signal)
    const token = await this.#options.credentials?.token(endpoint, options.signal)
    const headers = token ? { authorization: `Bearer ${token}` } : {}
    const answer = await ask(this.#options.fetch, feed + path, { ...options, headers })
    if (answer.status === 200 || (answer.status === 410 && path.startsWith('/delta'))) return answer
    if (answer.status === 401 && token) {
      this.#options.credentials.forget(token)
      if (again) return this.#get(path, options, false)
    }
    throw failed(feed + path, answer)
  }

  /** Doubles up to 5 s, with jitter, so that a thousand verifiers do not come back in one moment; the server may ask for more. */
  #pause(error) {
    const { firstMs, mostMs } = this.#options.backoff
    const most = Math.min(mostMs, firstMs * 2 ** Math.min(this.#failures++, 16))
    return Math.max(most * (0.5 + Math.random() / 2), (error.retryAfterMs ?? 0) * (1 + Math.random() / 10))
  }
}
