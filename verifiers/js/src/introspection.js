// Asking the server about one token (RFC 7662), while the feed cannot answer. What it says holds for 5 s.

import { createHash } from 'node:crypto'

import { UnavailableError } from './errors.js'
import { askJson } from './transport.js'

const HOLDS_MS = 5000
const MANY = 10_000
// A server that has just failed is not asked about every token that comes, each of which would wait for it.
const PAUSE_MS = 1000

export class Introspection {
  #options
  #told = new Map()
  #failed = -Infinity

  /** `options`: fetch, discovery, credentials, clock */
  constructor(options) {
    this.#options = options
  }

  /** Whether the access token is alive. Throws UnavailableError if nobody can say. */
  async isActive(token) {
    const { clock } = this.#options
    const name = createHash('sha256').update(token).digest('latin1')
    const had = this.#told.get(name)
    if (had && clock.mono() - had.mono < HOLDS_MS && clock.wall() - had.wall < HOLDS_MS) return had.answer
    if (this.#told.size >= MANY) this.#told.delete(this.#told.keys().next().value)
    // The promise is kept, so that many requests with one token ask once.
    const entry = { answer: this.#ask(token), mono: clock.mono(), wall: clock.wall() }
    this.#told.delete(name)
    this.#told.set(name, entry)
    entry.answer.catch(() => {
      if (this.#told.get(name) === entry) this.#told.delete(name)
    })
    return entry.answer
  }

  async #ask(token) {
    const { fetch, discovery, credentials, clock } = this.#options
    if (!credentials) throw new UnavailableError('introspection needs clientId and clientSecret')
    if (clock.mono() - this.#failed < PAUSE_MS)
      throw new UnavailableError('the feed is not fresh, and introspection failed a moment ago')
    try {
      const { introspection } = await discovery.endpoints()
      const told = await askJson(fetch, introspection, {
        method: 'POST',
        headers: { authorization: credentials.basic, 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ token, token_type_hint: 'access_token' }).toString(),
        timeoutMs: 2000,
      })
      return told.active === true
    } catch (error) {
      this.#failed = clock.mono()
      throw new UnavailableError(`the feed is not fresh, and introspection failed: ${error.message}`, { cause: error })
    }
  }
}
