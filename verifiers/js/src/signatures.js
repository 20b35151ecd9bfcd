// The pool's own tokens: RS256 signatures by the pool's JWKS (cached, rotated), and the claims that every token must have.

import { createHash, createPublicKey, verify } from 'node:crypto'

import { InvalidTokenError, UnavailableError } from './errors.js'
import { askJson } from './transport.js'
import { bytesOf } from './wire.js'

const MAX_TOKEN = 64 << 10
// Between two fetches of the key set: anybody can send a token with a key id of their invention.
const PAUSE_MS = 10_000
const LIFE_MS = 300_000
const SEEN = 10_000

export class Signatures {
  #options
  #keys = new Map()
  #asked = -Infinity
  #next = -Infinity
  #failures = 0
  #asking
  #seen = new Map()

  /** `options`: fetch, discovery, clock, signal, backoff */
  constructor(options) {
    this.#options = options
  }

  /** `{header, claims}` of a token that one of the pool's keys signed. */
  async open(token) {
    if (typeof token !== 'string' || token.length > MAX_TOKEN) throw new InvalidTokenError('this is no token')
    // Read anew each time: what the caller does to its claims is no business of the next.
    const { header, claims, signature } = parse(token)
    const key = await this.#key(header.kid)
    // A token seen before costs no second signature, unless its key is another now.
    const name = createHash('sha256').update(token).digest('latin1')
    if (this.#seen.get(name) === key) return { header, claims }
    const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')))
    if (!verify('RSA-SHA256', signed, key, signature))
      throw new InvalidTokenError('the signature of the token is wrong', 'signature')
    if (this.#seen.size >= SEEN) this.#seen.delete(this.#seen.keys().next().value)
    this.#seen.set(name, key)
    return { header, claims }
  }

  /** Fetches the keys before the first token needs them. */
  async warm() {
    await this.#ask()
  }

  /** The server has come back: the next token need not wait until the pause after the last failure is over. */
  hope() {
    if (this.#failures > 0) this.#next = -Infinity
  }

  async #key(kid) {
    const now = this.#options.clock.mono()
    const known = this.#keys.get(kid)
    if (known) {
      // A key is not waited for while another set is fetched; one that is not trusted any more is refused by the feed.
      if (now - this.#asked > LIFE_MS && now >= this.#next) this.#ask().catch(() => {})
      return known
    }
    if (this.#asking || now >= this.#next) {
      await this.#ask().catch(error => {
        // Without keys nobody can tell good from bad: that is our trouble, not the caller's.
        throw new UnavailableError(`the keys of the pool cannot be fetched: ${error.message}`, { cause: error })
      })
    } else if (this.#failures > 0) {
      throw new UnavailableError('the keys of the pool could not be fetched a moment ago')
    }
    const key = this.#keys.get(kid)
    if (!key) throw new InvalidTokenError(`no key of the pool has the id ${String(kid).slice(0, 200)}`, 'unknown_key')
    return key
  }

  #ask() {
    this.#asking ??= this.#refresh().finally(() => (this.#asking = undefined))
    return this.#asking
  }

  async #refresh() {
    const { fetch, discovery, clock, signal, backoff } = this.#options
    const asked = clock.mono()
    try {
      const { jwks } = await discovery.endpoints()
      this.#keys = this.#read(await askJson(fetch, jwks, { signal }))
      this.#asked = asked
      this.#next = asked + PAUSE_MS
      this.#failures = 0
    } catch (error) {
      const most = Math.min(backoff.mostMs, backoff.firstMs * 2 ** Math.min(this.#failures++, 16))
      this.#next = clock.mono() + most * (0.5 + Math.random() / 2)
      discovery.doubt()
      throw error
    }
  }

  #read({ keys: told }) {
    const keys = new Map()
    for (const jwk of Array.isArray(told) ? told : []) {
      if (jwk?.kty !== 'RSA' || typeof jwk.kid !== 'string') continue
      const { n, e } = jwk
      const had = this.#keys.get(jwk.kid)
      try {
        const same = had?.export({ format: 'jwk' }).n === n
        keys.set(jwk.kid, same ? had : createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' }))
      } catch {
        // A key that is none has signed nothing either.
      }
    }
    return keys
  }
}

/** What must hold besides the signature. Answers nothing; throws what is wrong. */
export function checkClaims(claims, { now, leewaySeconds = 0, ...wanted }) {
  const { exp, nbf } = claims
  if (typeof exp !== 'number') refuse('malformed', 'the token lacks exp')
  checkParties(claims, wanted)
  if (!(exp > now / 1000 - leewaySeconds)) refuse('expired', 'the token has expired')
  if (nbf !== undefined && !(nbf <= now / 1000 + leewaySeconds)) refuse('expired', 'the token is not valid yet')
}

/** Whose token it is, and for what. */
export function checkParties(claims, { issuer, tokenUse, clientId }) {
  const { token_use } = claims
  if (!['access', 'id'].includes(token_use)) refuse('malformed', 'the token lacks token_use')
  checkIssuer(claims, issuer)
  const uses = [tokenUse].flat()
  if (!uses.includes(token_use))
    refuse('token_use', `this is no ${uses.join(' or ')} token: its token_use is ${String(token_use)}`)
  const client = token_use === 'id' ? claims.aud : claims.client_id
  if (clientId !== undefined && ![clientId].flat().includes(client))
    refuse('client', 'the token was made for another app client')
}

/** The feed of one pool says nothing about the tokens of another. */
export function checkIssuer({ iss }, issuer) {
  if (iss !== issuer) refuse('issuer', `the token is by another issuer: ${String(iss).slice(0, 200)}`)
}

function refuse(reason, message) {
  throw new InvalidTokenError(message, reason)
}

function parse(token) {
  const parts = token.split('.')
  const [header, claims, signature] = parts.map(bytesOf)
  if (parts.length !== 3 || !header || !claims || !signature) throw new InvalidTokenError('this is no JWT')
  const read = { header: object(header), claims: object(claims), signature }
  if (read.header.alg !== 'RS256' || read.header.crit !== undefined)
    throw new InvalidTokenError('the token is not signed with RS256')
  return read
}

function object(bytes) {
  try {
    const value = JSON.parse(bytes.toString('utf8'))
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value
  } catch {
    // Falls through.
  }
  throw new InvalidTokenError('this is no JWT')
}
