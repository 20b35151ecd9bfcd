// The pool's own tokens: RS256 signatures by the pool's JWKS (cached, rotated), and the claims that every token must have.

import { createHash, createPublicKey, verify } from 'node:crypto'

import { InvalidTokenError, UnavailableError } from './errors.js'
import { askJson } from './transport.js'
import { bytesOf } from './wire.js'

const MAX_TOKEN = 64 << 10
const PAUSE_MS = 10_000
const LIFE_MS = 300_000
const SEEN = 10_000

export class Signatures {
  #fetch
  #endpoints
  #clock
  #keys = new Map()
  #asked = -Infinity
  #tried = -Infinity
  #asking
  #seen = new Map()

  constructor({ fetch, endpoints, clock }) {
    this.#fetch = fetch
    this.#endpoints = endpoints
    this.#clock = clock
  }

  /** `{header, claims}` of a token that one of the pool's keys signed. */
  async open(token) {
    if (typeof token !== 'string' || token.length > MAX_TOKEN) throw new InvalidTokenError('this is no token')
    const name = createHash('sha256').update(token).digest('latin1')
    const seen = this.#seen.get(name)
    const { header, claims, signature } = seen ?? parse(token)
    const key = await this.#key(header.kid)
    // A token seen before costs no second signature, unless its key is another now.
    if (seen?.key === key) return { header, claims }
    const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')))
    if (!verify('RSA-SHA256', signed, key, signature))
      throw new InvalidTokenError('the signature of the token is wrong', 'signature')
    if (this.#seen.size >= SEEN) this.#seen.delete(this.#seen.keys().next().value)
    this.#seen.set(name, { header, claims, signature, key })
    return { header, claims }
  }

  /** Fetches the keys before the first token needs them. */
  async warm() {
    await this.#ask()
  }

  async #key(kid) {
    const now = this.#clock.mono()
    const known = this.#keys.get(kid)
    if (known) {
      // A key is not waited for while another set is fetched; one that is not trusted any more is refused by the feed.
      if (now - this.#asked > LIFE_MS && now - this.#tried > PAUSE_MS) this.#ask().catch(() => {})
      return known
    }
    if (now - this.#asked > PAUSE_MS) {
      await this.#ask().catch(error => {
        // Without keys nobody can tell good from bad: that is our trouble, not the caller's.
        throw new UnavailableError(`the keys of the pool cannot be fetched: ${error.message}`, { cause: error })
      })
    }
    const key = this.#keys.get(kid)
    if (!key) throw new InvalidTokenError(`no key of the pool has the id ${String(kid)}`, 'unknown_key')
    return key
  }

  #ask() {
    this.#tried = this.#clock.mono()
    this.#asking ??= this.#refresh().finally(() => (this.#asking = undefined))
    return this.#asking
  }

  async #refresh() {
    const asked = this.#clock.mono()
    const { jwks } = await this.#endpoints()
    const told = await askJson(this.#fetch, jwks)
    const keys = new Map()
    for (const jwk of Array.isArray(told.keys) ? told.keys : []) {
      if (jwk?.kty !== 'RSA' || typeof jwk.kid !== 'string') continue
      const { n, e } = jwk
      const had = this.#keys.get(jwk.kid)
      const same = had?.export({ format: 'jwk' }).n === n
      keys.set(jwk.kid, same ? had : createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' }))
    }
    this.#keys = keys
    this.#asked = asked
  }
}

/** What must hold besides the signature. Answers nothing; throws what is wrong. */
export function checkClaims(claims, { issuer, tokenUse, clientId, now, leewaySeconds = 0 }) {
  const refuse = (reason, message) => {
    throw new InvalidTokenError(message, reason)
  }
  const { iss, exp, nbf, token_use } = claims
  if (!['access', 'id'].includes(token_use) || typeof exp !== 'number')
    refuse('malformed', 'the token lacks token_use or exp')
  const client = token_use === 'id' ? claims.aud : claims.client_id
  if (iss !== issuer) refuse('issuer', `the token is by another issuer: ${String(iss)}`)
  const uses = [tokenUse].flat()
  if (!uses.includes(token_use))
    refuse('token_use', `this is no ${uses.join(' or ')} token: its token_use is ${String(token_use)}`)
  if (clientId !== undefined && ![clientId].flat().includes(client))
    refuse('client', 'the token was made for another app client')
  if (!(exp > now / 1000 - leewaySeconds)) refuse('expired', 'the token has expired')
  if (nbf !== undefined && !(nbf <= now / 1000 + leewaySeconds)) refuse('expired', 'the token is not valid yet')
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
