// Where the pool's endpoints are: its discovery document says it. It is read again every hour, and soon where what it named does not work.

import { ServerError } from './errors.js'
import { askJson, safeUrl } from './transport.js'

const LIFE_MS = 3_600_000
const DOUBTED_MS = 60_000

export class Discovery {
  #options
  #known
  #asked
  #asking
  #isDoubted = false

  /** `options`: issuer, discoveryUrl, allowHttp, fetch, clock, signal, onProblem */
  constructor(options) {
    this.#options = options
  }

  /** What was read last: while it is read again, and while it cannot be, it serves. */
  async endpoints() {
    if (!this.#known) return this.#read()
    const passed = this.#options.clock.mono() - this.#asked
    if (passed > (this.#isDoubted ? DOUBTED_MS : LIFE_MS)) {
      this.#read().catch(error => {
        this.#isDoubted = true
        this.#options.onProblem(error)
      })
    }
    return this.#known
  }

  /** An endpoint did not answer as it should: it may have moved. */
  doubt() {
    this.#isDoubted = true
  }

  #read() {
    this.#asking ??= this.#readNow().finally(() => (this.#asking = undefined))
    return this.#asking
  }

  async #readNow() {
    const { issuer, discoveryUrl, allowHttp, fetch, clock, signal } = this.#options
    this.#asked = clock.mono()
    const told = await askJson(fetch, discoveryUrl, { signal })
    if (told.issuer !== issuer)
      throw new ServerError(`${discoveryUrl} is about another issuer: ${String(told.issuer).slice(0, 200)}`)
    const named = name => {
      if (typeof told[name] !== 'string')
        throw new ServerError(`${discoveryUrl} has no ${name}: is this a Cenote with the revocation feed?`)
      try {
        return safeUrl(told[name], name, allowHttp)
      } catch (error) {
        throw new ServerError(`${discoveryUrl}: ${error.message}`)
      }
    }
    this.#known = {
      jwks: named('jwks_uri'),
      token: named('token_endpoint'),
      introspection: named('introspection_endpoint'),
      feed: named('revocation_feed_endpoint'),
      feedJwks: named('revocation_feed_jwks_uri'),
    }
    this.#isDoubted = false
    return this.#known
  }
}
