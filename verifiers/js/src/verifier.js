// CenoteVerifier: the one object that an application makes. It ties the feed, the token checks and the policies together.

import { EventEmitter } from 'node:events'
import { hostname } from 'node:os'

import { InvalidTokenError, RevokedError, ServerError, UnavailableError } from './errors.js'
import { Feed } from './feed.js'
import { Guards } from './guards.js'
import { httpFetch } from './http.js'
import { Introspection } from './introspection.js'
import { Replica, systemClock } from './replica.js'
import { Signatures, checkClaims } from './signatures.js'
import { Subjects, endedBy } from './tokens.js'
import { ClientCredentials, askJson, safeUrl } from './transport.js'

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
  #discovered
  #timer
  #said = 'EXPIRED'
  #tick
  #open = false

  constructor(options) {
    super()
    this.#options = checked(options)
    const { issuer, pool, clientId, clientSecret, clock, maxStalenessMs, policy, consumer, maxSnapshotBytes, backoff } =
      this.#options
    const { fetch } = this.#options
    this.#use(policy)
    this.pool = pool
    this.issuer = issuer
    this.#replica = new Replica({ clock, maxStalenessMs })
    this.#subjects = new Subjects(pool)
    const credentials = clientSecret && new ClientCredentials(fetch, clientId, clientSecret, clock.mono)
    const endpoints = signal => this.#endpoints(signal)
    const shared = { fetch, endpoints, clock }
    this.#signatures = new Signatures(shared)
    this.#introspection = new Introspection({ ...shared, credentials })
    const reported = () => (this.#open ? 'open' : policy)
    const follow = { pool, credentials, consumer, policy: reported, maxStalenessMs, maxSnapshotBytes, backoff }
    this.#feed = new Feed(this.#replica, { ...shared, ...follow })
    this.#feed.on('problem', error => this.emit('problem', error))
    this.#feed.on('applied', entries => this.#guards.applied(entries, this.#replica.entries))
    this.#feed.on('replaced', () => this.#guards.lookAll(this.#replica.entries))
    this.#feed.on('answered', () => this.#watch())
  }

  /** Begins to follow the feed. Answers itself at once; `ready` waits. */
  start() {
    if (this.#timer) return this
    this.#tick = this.#replica.moment()
    this.#timer = setInterval(() => this.#watch(), TICK_MS)
    this.#timer.unref()
    this.#feed.start()
    this.#signatures.warm().catch(error => this.emit('problem', error))
    return this
  }

  async stop() {
    clearInterval(this.#timer)
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
  async verify(token, { tokenUse, clientId, policy } = {}) {
    const { header, claims } = await this.#signatures.open(token)
    checkClaims(claims, {
      issuer: this.issuer,
      tokenUse: tokenUse ?? this.#options.tokenUse,
      clientId: clientId ?? this.#options.audience,
      now: this.#options.clock.wall(),
      leewaySeconds: this.#options.leewaySeconds,
    })
    return { claims, header, verdict: await this.check(claims, header, { token, policy }) }
  }

  /**
   * Only the revocation, for claims that something else has verified. `token` is what introspection is asked about.
   * Answers `{state, by}`; throws RevokedError, InvalidTokenError or UnavailableError.
   */
  async check(claims, header, { token, policy = this.#options.policy } = {}) {
    this.#use(policy)
    const state = this.#known(claims, header)
    if (state !== 'EXPIRED') return { state, by: 'feed' }
    if (policy === 'open') return { state, by: 'policy' }
    if (policy === 'introspect' && token !== undefined && claims.token_use !== 'id') {
      if (await this.#introspection.isActive(token)) return { state, by: 'introspection' }
      throw new RevokedError('the server says that the token is not active')
    }
    throw unknown(policy, claims)
  }

  /** The same without waiting: where the feed is EXPIRED, `introspect` refuses as `closed` does. */
  checkNow(claims, header, { policy = this.#options.policy } = {}) {
    this.#use(policy)
    const state = this.#known(claims, header)
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
    const ask = token !== undefined && claims.token_use !== 'id' ? () => this.#introspection.isActive(token) : undefined
    const { revoked, release, guard } = this.#guards.add(this.#subjects.of(claims, header), policy, ask)
    this.#guards.look(guard, this.#replica.entries)
    return { revoked, release }
  }

  #known(claims, header) {
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
      this.emit('state', state, before)
    }
    if (state === 'EXPIRED') this.#guards.expired(this.#options.clock.mono())
  }

  #endpoints(signal) {
    this.#discovered ??= this.#discover(signal).catch(error => {
      this.#discovered = undefined
      throw error
    })
    return this.#discovered
  }

  async #discover(signal) {
    const { issuer, discoveryUrl, fetch, allowHttp } = this.#options
    const told = await askJson(fetch, discoveryUrl, { signal })
    if (told.issuer !== issuer) throw new ServerError(`${discoveryUrl} is about another issuer: ${String(told.issuer)}`)
    const named = name => {
      if (typeof told[name] !== 'string')
        throw new ServerError(`${discoveryUrl} has no ${name}: is this a Cenote with the revocation feed?`)
      return safeUrl(told[name], name, allowHttp)
    }
    return {
      jwks: named('jwks_uri'),
      token: named('token_endpoint'),
      introspection: named('introspection_endpoint'),
      feed: named('revocation_feed_endpoint'),
      feedJwks: named('revocation_feed_jwks_uri'),
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
      .slice(0, 48)}-${process.pid}`
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(consumer))
    throw new TypeError(`consumer must be 1 to 64 of A-Z a-z 0-9 . _ -, not ${consumer}`)
  if ((clientId === undefined) !== (clientSecret === undefined))
    throw new TypeError('clientId and clientSecret belong together')
  if (!(maxStalenessSeconds >= 4))
    throw new TypeError('maxStalenessSeconds must be at least 4: a healthy feed is that old at most')
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
