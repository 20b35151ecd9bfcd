// What a verified token says that the feed can end: whose it is, which session, which client, which key, and when it was born.

import { InvalidTokenError } from './errors.js'
import { key16 } from './wire.js'

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i
// Clients and key ids are few and come with every token.
const MEMO = 1000

/** `{birth, keys}`: what to look up for a token with these verified claims. `keys` are in the order of cost to learn. */
export class Subjects {
  #pool
  #memo = new Map()

  constructor(pool) {
    this.#pool = pool
  }

  of(claims, header) {
    const session = [claims?.origin_jti, claims?.event_id, claims?.jti].find(id => typeof id === 'string' && UUID_V7.test(id))
    if (!session) {
      throw new InvalidTokenError('the token was not made by Cenote: none of origin_jti, event_id and jti is a UUID of version 7')
    }
    const birth = parseInt(session.slice(0, 8) + session.slice(9, 13), 16)
    const keys = [this.#few('P', this.#pool)]
    for (const client of clients(claims)) keys.push(this.#few('C', client))
    if (typeof header?.kid === 'string') keys.push(this.#few('K', header.kid))
    if (typeof claims.sub === 'string') keys.push(this.#one('U', claims.sub))
    keys.push(this.#one('S', session.toLowerCase()))
    return { birth, session: session.toLowerCase(), keys }
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

function clients({ client_id, aud }) {
  if (typeof client_id === 'string') return [client_id]
  return (Array.isArray(aud) ? aud : [aud]).filter(one => typeof one === 'string').slice(0, 8)
}
