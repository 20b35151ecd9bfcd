// CenoteVerifier: the one object that an application makes. It ties the feed, the token checks and the policies together.

import { EventEmitter } from 'node:events'
import { hostname } from 'node:os'
import { threadId } from 'node:worker_threads'

import { Discovery } from './discovery.js'
import { InvalidTokenError, RevokedError, UnavailableError } from './errors.js'
import { Feed } from './feed.js'
import { Guards } from './guards.js'
import { httpFetch } from './http.js'
import { Introspection } from './introspection.js'
import { Replica, systemClock } from './replica.js'
import { Signatures, checkClaims, checkIssuer, checkParties } from './signatures.js'
import { Subjects, endedBy } from './tokens.js'
import { ClientCredentials, safeUrl } from './transport.js'

const POLICIES = ['introspect', 'closed', 'open']
const TICK_MS = 250
const JUMP_MS = 1000

export class CenoteVerifier extends EventEmitter {
  #options
  #replica
  #feed
  #signatures
  #introspection
  #subjects
  #guards = new Guards()
  #abort = new AbortController()
  #onProblem
  #timer
  #said = 'EXPIRED'
  #tick
  #open = false

  constructor(options) {
    super()
    this.#options = checked(options)
    const { issuer, pool, clientId, clientSecret, clock, maxStalenessMs, policy, consumer } = this.#options
    const { fetch, discoveryUrl, allowHttp, maxSnapshotBytes, backoff } = this.#options
    this.#use(policy)
    this.pool = pool
    this.issuer = issuer
    this.#replica = new Replica({ clock, maxStalenessMs })
    this.#subjects = new Subjects(pool)
    const credentials = clientSecret && new ClientCredentials(fetch, clientId, clientSecret, clock.mono)
    const { signal } = this.#abort
    const onProblem = (this.#onProblem = error => signal.aborted || this.#tell('problem', error))
    const discovery = new Discovery({ issuer, discoveryUrl, allowHttp, fetch, clock, signal, onProblem })
    this.#signatures = new Signatures({ fetch, discovery, clock, signal, backoff })
    this.#introspection = new Introspection({ fetch, discovery, clock, credentials })
    const reported = () => (this.#open ? 'open' : policy)
    const follow = { pool, credentials, consumer, policy: reported, maxStalenessMs, maxSnapshotBytes, backoff }
    this.#feed = new Feed(this.#replica, { fetch, discovery, clock, ...follow })
    this.#feed.on('problem', onProblem)
    this.#feed.on('applied', entries => this.#guards.applied(entries, this.#replica.entries))
    this.#feed.on('replaced', () => this.#guards.lookAll(this.#replica.entries))
    this.#feed.on('answered', () => this.#watch())
  }

  /** Begins to follow the feed, which the first use would do, too. Answers itself at once; `ready` waits. */
  start() {
    if (this.#timer) return this
    this.#tick = this.#replica.moment()
    this.#timer = setInterval(() => this.#watch(), TICK_MS)
    this.#timer.unref()
    this.#feed.start()
    this.#signatures.warm().catch(this.#onProblem)
    return this
  }

  /** For good. */
  async stop() {
    clearInterval(this.#timer)
    this.#timer ??= true
    this.#abort.abort()
    await this.#feed.stop()
  }

  /** Waits until the feed is FRESH for the first time, at most `timeoutMs`; answers whether it is. */
  async ready({ timeoutMs = 10_000 } = {}) {
    this.start()
    if (this.state === 'FRESH') return true
    return new Promise(resolve => {
      const done = () => {
        if (this.state !== 'FRESH' && performance.now() < until) return
        clearTimeout(late)
        this.off('state', done)
        resolve(this.state === 'FRESH')
      }
      const until = performance.now() + timeoutMs - 1
      const late = setTimeout(done, timeoutMs)
      this.on('state', done)
    })
  }

  /** FRESH, STALE or EXPIRED. */
  get state() {
    return this.#replica.state
  }

  /** For a health page or metrics. */
  get status() {
    const { place, ageMs, state, entries } = this.#replica
    const age = Number.isFinite(ageMs) ? Math.max(0, Math.round(ageMs)) : null
    return {
      state,
      ageMs: age,
      seq: place?.seq ?? null,
      incarnation: place?.incarnation ?? null,
      entries: entries.size,
      guards: this.#guards.size,
    }
  }

  /**
   * Verifies a token of this pool: signature, issuer, expiry, use, app client, and that no sign-out ended it.
   * Answers `{claims, header, verdict}`; throws an error that has `status` and `headers`.
   */
  async verify(token, options = {}) {
    this.start()
    const { header, claims } = await this.#signatures.open(token)
    const { clock, leewaySeconds } = this.#options
    checkClaims(claims, { ...this.#wanted(options), now: clock.wall(), leewaySeconds })
    return { claims, header, verdict: await this.check(claims, header, { ...options, token }) }
  }

  /**
   * For claims whose signature and times something else has verified: issuer, use, app client, and the revocation. `token` is what
   * introspection is asked about. Answers `{state, by}`; throws RevokedError, InvalidTokenError or UnavailableError.
   */
  async check(claims, header, options = {}) {
    const { token, policy = this.#options.policy } = options
    this.#use(policy)
    const state = this.#known(claims, header, options)
    if (state !== 'EXPIRED') return { state, by: 'feed' }
    if (policy === 'open') return { state, by: 'policy' }
    if (policy === 'introspect' && token !== undefined && claims.token_use !== 'id') {
      if (await this.#introspection.isActive(token)) return { state, by: 'introspection' }
      throw new RevokedError('the server says that the token is not active')
    }
    throw unknown(policy, claims)
  }

  /** The same without waiting: where the feed is EXPIRED, `introspect` refuses as `closed` does. */
  checkNow(claims, header, options = {}) {
    const { policy = this.#options.policy } = options
    this.#use(policy)
    const state = this.#known(claims, header, options)
    if (state !== 'EXPIRED') return { state, by: 'feed' }
    if (policy === 'open') return { state, by: 'policy' }
    throw unknown(policy, claims)
  }

  /**
   * For a connection that outlives its request: `revoked` is resolved once the token is dead; a refresh does not touch it.
   * Call `release()` when the connection ends.
   */
  guard(claims, header, { token, policy = this.#options.policy } = {}) {
    this.#use(policy)
    this.start()
    checkIssuer(claims, this.issuer)
    const ask = token !== undefined && claims.token_use !== 'id' ? () => this.#introspection.isActive(token) : undefined
    const { revoked, release, guard } = this.#guards.add(this.#subjects.of(claims, header), policy, ask)
    this.#guards.look(guard, this.#replica.entries)
    return { revoked, release }
  }

  #wanted({ tokenUse = this.#options.tokenUse, clientId = this.#options.audience }) {
    return { issuer: this.issuer, tokenUse, clientId }
  }

  #known(claims, header, options) {
    this.start()
    checkParties(claims, this.#wanted(options))
    // Whoever verified the signature may have been talked into another one.
    if (header?.alg !== undefined && header.alg !== 'RS256')
      throw new InvalidTokenError('the token is not signed with RS256')
    const kind = endedBy(this.#replica.entries, this.#subjects.of(claims, header))
    if (kind) throw new RevokedError(`a sign-out has ended the token (${kind})`)
    if (this.#replica.hasExpired(claims.exp)) {
      throw new InvalidTokenError(
        "the token has expired by the server's clock; is the clock of this machine slow?",
        'expired',
      )
    }
    return this.#replica.state
  }

  /** Says before the first request that a route has this policy: the server's receipts count on the weakest that is in use here. */
  uses(policy) {
    if (policy !== undefined) this.#use(policy)
  }

  #use(policy) {
    if (!POLICIES.includes(policy))
      throw new TypeError(`policy must be introspect, closed or open, not ${String(policy)}`)
    if (policy === 'open') this.#open = true
  }

  #watch() {
    const { state } = this
    if (this.#tick && this.#replica.disagreementSince(this.#tick) > JUMP_MS && state !== 'FRESH') this.#feed.hurry()
    this.#tick = this.#replica.moment()
    if (state !== this.#said) {
      const before = this.#said
      this.#said = state
      if (state === 'FRESH') this.#signatures.hope()
      this.#tell('state', state, before)
    }
    if (state === 'EXPIRED') this.#guards.expired(this.#options.clock.mono())
  }

  /** A listener that throws ends the process, or not, as any error of the application does; it does not end the feed. */
  #tell(event, ...what) {
    try {
      this.emit(event, ...what)
    } catch (error) {
      process.nextTick(() => {
        throw error
      })
    }
  }
}

function unknown(policy, claims) {
  const words = policy === 'introspect' && claims.token_use === 'id' ? ', and an ID token cannot be introspected' : ''
  return new UnavailableError(`the revocation feed cannot be reached${words}`)
}

function checked(options) {
  const { issuer, allowHttp = false, clientId, clientSecret, maxStalenessSeconds = 30 } = options
  safeUrl(issuer, 'issuer', allowHttp)
  const pool = options.pool ?? issuer.slice(issuer.lastIndexOf('/') + 1)
  const consumer =
    options.consumer ??
    `${hostname()
      .replace(/[^A-Za-z0-9._-]/g, '-')
      .slice(0, 48)}-${process.pid}${threadId > 0 ? `-${threadId}` : ''}`
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(consumer))
    throw new TypeError(`consumer must be 1 to 64 of A-Z a-z 0-9 . _ -, not ${consumer}`)
  if ((clientId === undefined) !== (clientSecret === undefined))
    throw new TypeError('clientId and clientSecret belong together')
  if (!(maxStalenessSeconds >= 4 && maxStalenessSeconds <= 86_400))
    throw new TypeError('maxStalenessSeconds must be 4 to 86400: a healthy feed is 4 s old at most')
  const discoveryUrl = options.discoveryUrl ?? `${issuer}/.well-known/openid-configuration`
  return {
    ...options,
    allowHttp,
    pool,
    consumer,
    discoveryUrl: safeUrl(discoveryUrl, 'discoveryUrl', allowHttp),
    maxStalenessMs: maxStalenessSeconds * 1000,
    policy: options.policy ?? 'introspect',
    tokenUse: options.tokenUse ?? 'access',
    clock: options.clock ?? systemClock,
    fetch: options.fetch ?? httpFetch(options.tls),
    maxSnapshotBytes: options.maxSnapshotBytes ?? 1 << 29,
    backoff: { firstMs: 250, mostMs: 5000, ...options.backoff },
  }
}
