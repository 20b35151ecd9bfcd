// What a verified token says that the feed can end: whose it is, which session, which client, which key, and when it was born.

import { InvalidTokenError } from './errors.js'
import { key16 } from './wire.js'

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i
// Clients and key ids are few and come with every token.
const MEMO = 1000

/** `of` answers `{birth, keys}`: what to look up for a token with these verified claims. */
export class Subjects {
  #pool
  #memo = new Map()

  constructor(pool) {
    this.#pool = pool
  }

  of(claims, header) {
    // The first that is there decides. An id that holds no moment is not of Cenote's making: such a token could outlive any sign-out.
    const session = claims?.origin_jti ?? claims?.event_id ?? claims?.jti
    if (typeof session !== 'string' || !UUID_V7.test(session)) {
      throw new InvalidTokenError(
        'the token was not made by Cenote: its origin_jti, event_id or jti is no UUID of version 7',
      )
    }
    const { sub, token_use } = claims
    // An access token's `aud` is a resource; only an ID token's names its client.
    const client = { access: claims.client_id, id: claims.aud }[token_use]
    if (typeof client !== 'string' || typeof sub !== 'string') {
      throw new InvalidTokenError(
        'the token was not made by Cenote: it lacks sub, token_use, or the app client that it is for',
      )
    }
    const keys = [this.#few('P', this.#pool), this.#few('C', client)]
    if (typeof header?.kid === 'string') keys.push(this.#few('K', header.kid))
    keys.push(this.#one('U', sub), this.#one('S', session.toLowerCase()))
    return { birth: parseInt(session.slice(0, 8) + session.slice(9, 13), 16), keys }
  }

  #one(kind, id) {
    return { kind, key: key16(kind, this.#pool, id) }
  }

  #few(kind, id) {
    const name = kind + id
    const had = this.#memo.get(name)
    if (had) return had
    if (this.#memo.size >= MEMO) this.#memo.clear()
    const made = this.#one(kind, id)
    this.#memo.set(name, made)
    return made
  }
}

/** The kind of the first entry that ends such a token, or undefined: it lives. */
export function endedBy(entries, { birth, keys }) {
  for (const { kind, key } of keys) {
    const entry = entries.find(key)
    // A session and a key id are dead by being named; epochs spare what was born at or after them.
    if (entry && (kind === 'S' || kind === 'K' || birth < entry.notBefore)) return kind
  }
  return undefined
}
