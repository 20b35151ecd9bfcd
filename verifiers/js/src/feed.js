// The client of the feed: one loop that keeps a replica fresh by long polls, and mends it by snapshots.

import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

import { FrameError, ServerError } from './errors.js'
import { ask, askJson, failed } from './transport.js'
import { feedKeys, readFrame, readSnapshot } from './wire.js'

// A frame is at most 1 s old when the next nonce leaves, so that a healthy feed never looks stale (4 s).
const WAIT_S = 1
// Twenty questions may follow each other at once, then this is between them: what comes in a storm of sign-outs comes in fewer
// answers then, and no server is asked without end.
const BETWEEN_MS = 70
const AT_ONCE_MS = 20 * BETWEEN_MS
const JWKS_PAUSE_MS = 10_000
const JWKS_LIFE_MS = 300_000
const TIDY_MS = 600_000
const MAX_FRAME = 1 << 20

/** Events: `applied` (entries), `replaced`, `answered` (the state may be another), `problem` (error). */
export class Feed extends EventEmitter {
  #options
  #replica
  #keys = new Map()
  #keysAsked = -Infinity
  #keysTried = -Infinity
  #renewing
  #abort = new AbortController()
  #poll
  #running
  #tidied
  #failures = 0
  #asksUntil = -Infinity

  /** `options`: pool, fetch, discovery, credentials, consumer, policy (() => name), maxStalenessMs, clock, maxSnapshotBytes, backoff */
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
    this.#poll?.abort()
    await this.#running
  }

  /** Asks at once instead of waiting for the answer that is under way: the clocks say that it will be worth nothing. */
  hurry() {
    this.#poll?.abort()
    // In a sleep connections die without a word.
    this.#options.fetch.reset?.()
  }

  async #run() {
    const { signal } = this.#abort
    while (!signal.aborted) {
      this.#poll = new AbortController()
      try {
        await this.#step(this.#poll.signal)
        this.#failures = 0
      } catch (error) {
        if (signal.aborted) return
        if (this.#poll.signal.aborted) continue
        this.#options.discovery.doubt()
        this.emit('problem', error)
        await this.#sleep(this.#pause(error))
      }
    }
  }

  async #step(signal) {
    const { clock } = this.#options
    const replica = this.#replica
    const now = clock.mono()
    if (this.#keys.size === 0) await this.#freshKeys()
    else if (now - this.#keysAsked > JWKS_LIFE_MS && now - this.#keysTried > JWKS_PAUSE_MS)
      // Not waited for: a key set that comes slowly must not make the feed look stale.
      this.#freshKeys().catch(error => this.#abort.signal.aborted || this.emit('problem', error))
    if (!replica.place) await this.#snapshot(signal)
    await this.#delta(signal)
    if (replica.entries.isLoose || clock.mono() - this.#tidied > TIDY_MS) {
      this.#tidied = clock.mono()
      await replica.entries.tidy(replica.forgettable())
    }
  }

  async #delta(signal) {
    const replica = this.#replica
    const { consumer, policy, maxStalenessMs } = this.#options
    await this.#pace()
    const nonce = randomBytes(18).toString('base64url')
    const { seq, incarnation } = replica.place
    const query = new URLSearchParams({
      since: seq,
      incarnation,
      consumer,
      nonce,
      wait: replica.state === 'FRESH' ? WAIT_S : 0,
      policy: policy(),
      max_staleness: Math.ceil(maxStalenessMs / 1000),
    })
    const sent = replica.moment()
    const answer = await this.#get(`/delta?${query}`, { limit: MAX_FRAME, signal })
    if (answer.status === 410) {
      this.#lost()
      throw new ServerError('the server wants us to begin with a snapshot', { status: 410 })
    }
    let frame
    try {
      frame = await this.#opened(keys => readFrame(answer.body.toString('latin1'), keys, this.#options.pool, nonce))
      replica.accept(frame, sent)
    } catch (error) {
      if (error instanceof FrameError) this.#lost()
      throw error
    }
    if (frame.entries.length > 0) this.emit('applied', frame.entries)
    this.emit('answered')
  }

  async #pace() {
    const now = this.#options.clock.mono()
    this.#asksUntil = Math.max(now, this.#asksUntil) + BETWEEN_MS
    const wait = this.#asksUntil - now - AT_ONCE_MS
    if (wait > 0) await this.#sleep(wait)
  }

  async #snapshot(signal) {
    const answer = await this.#get('/snapshot', { limit: this.#options.maxSnapshotBytes, timeoutMs: 60_000, signal })
    const snapshot = await this.#opened(keys => readSnapshot(answer.body, keys, this.#options.pool))
    await this.#replica.load(snapshot)
    this.emit('replaced')
  }

  /** What is known is kept, only the place is lost. */
  #lost() {
    this.#replica.place = undefined
  }

  /** Reads a signed thing; if its key is not known, the keys are fetched anew first, at most once per 10 s. */
  async #opened(read) {
    try {
      return await read(this.#keys)
    } catch (error) {
      const justTried = this.#options.clock.mono() - this.#keysTried < JWKS_PAUSE_MS
      if (error.reason !== 'unknown_key' || (justTried && !this.#renewing)) throw error
    }
    await this.#freshKeys()
    return read(this.#keys)
  }

  /** Keys that the server no longer lists are forgotten; while it cannot be asked, those known serve. */
  #freshKeys() {
    this.#renewing ??= this.#renewKeys().finally(() => (this.#renewing = undefined))
    return this.#renewing
  }

  async #renewKeys() {
    const asked = (this.#keysTried = this.#options.clock.mono())
    const { feedJwks } = await this.#options.discovery.endpoints()
    this.#keys = feedKeys(await askJson(this.#options.fetch, feedJwks, { signal: this.#abort.signal }))
    this.#keysAsked = asked
  }

  async #get(path, options, again = true) {
    const { fetch, discovery, credentials } = this.#options
    const { feed, token: endpoint } = await discovery.endpoints()
    const isDelta = path.startsWith('/delta')
    let token, refused
    try {
      token = await credentials?.token(endpoint, options.signal)
    } catch (error) {
      // A pool that is deleted takes its app clients along, and tells its last record to whoever knows the incarnation.
      if (!isDelta || !(error.status >= 400 && error.status < 500)) throw error
      refused = error
    }
    const headers = token ? { authorization: `Bearer ${token}` } : {}
    const answer = await ask(fetch, feed + path, { ...options, headers })
    if (answer.status === 200 || (answer.status === 410 && isDelta)) return answer
    if (refused) throw refused
    if (answer.status === 401) {
      // A certificate that has ended is refused as long as its connection lives: another one needs another connection.
      if (token) credentials.forget(token)
      else fetch.reset?.({ inUse: true })
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

  async #sleep(ms) {
    await sleep(ms, undefined, { signal: this.#abort.signal }).catch(() => {})
  }
}
