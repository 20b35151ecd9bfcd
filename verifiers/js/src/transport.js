// Requests with a bound on time and bytes, and the bearer token that opens the feed.

import { ServerError } from './errors.js'

// What stands before a server may ask for minutes, which would leave us EXPIRED long after it is back.
const MOST_PATIENCE_S = 5

/** `{status, headers, body}`. No redirects: they could carry the bearer token elsewhere. */
export async function ask(fetcher, url, { method, headers, body, timeoutMs = 5000, limit = 1 << 18, signal } = {}) {
  // Not AbortSignal.any: each use of it leaves something behind in a signal that lives on, for ever in Node 20.
  const both = new AbortController()
  const stop = () => both.abort()
  let isLate = false
  const patience = setTimeout(() => {
    isLate = true
    stop()
  }, timeoutMs)
  if (signal?.aborted) stop()
  signal?.addEventListener('abort', stop)
  try {
    const answer = await fetcher(url, { method, headers, body, redirect: 'manual', signal: both.signal })
    const chunks = []
    let length = 0
    for await (const chunk of answer.body ?? []) {
      length += chunk.length
      if (length > limit)
        throw new ServerError(`${short(url)} answered more than ${limit} bytes`, { status: answer.status })
      chunks.push(chunk)
    }
    return { status: answer.status, headers: answer.headers, body: Buffer.concat(chunks) }
  } catch (error) {
    if (error instanceof ServerError) throw error
    const why = isLate ? `no answer within ${timeoutMs} ms` : (error.cause?.message ?? error.message)
    throw new ServerError(`${short(url)} cannot be reached: ${why}`, {}, { cause: error })
  } finally {
    clearTimeout(patience)
    signal?.removeEventListener('abort', stop)
  }
}

/** The JSON object of a 200; anything else throws. */
export async function askJson(fetcher, url, options) {
  const answer = await ask(fetcher, url, options)
  if (answer.status !== 200) throw failed(url, answer)
  const value = parsed(answer.body)
  if (!value) throw new ServerError(`${url} answered no JSON object`, { status: 200 })
  return value
}

/** The error of an answer that is not the one wanted. */
export function failed(url, { status, headers, body }) {
  const told = parsed(body) ?? {}
  const [error, words] = [told.error, told.error_description].map(text =>
    typeof text === 'string' ? text.slice(0, 200) : undefined,
  )
  const after = Number(headers.get('retry-after') ?? NaN)
  return new ServerError(`${short(url)} answered ${status}${error ? ` ${error}` : ''}${words ? `: ${words}` : ''}`, {
    status,
    error,
    retryAfterMs: after >= 0 ? Math.min(after, MOST_PATIENCE_S) * 1000 : undefined,
  })
}

function short(url) {
  return url.split('?')[0]
}

function parsed(body) {
  try {
    const value = JSON.parse(body.toString('utf8'))
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** https, or plain http on this machine: everything here carries secrets or decides who comes in. */
export function safeUrl(text, what, allowHttp) {
  let url
  try {
    url = new URL(text)
  } catch {
    throw new TypeError(`${what} is no URL: ${text}`)
  }
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname) || url.hostname.endsWith('.localhost')
  if (url.protocol === 'https:' || (url.protocol === 'http:' && (local || allowHttp))) return text
  throw new TypeError(`${what} must begin with https://, or set allowHttp: ${text}`)
}

/** An access token by client credentials, renewed before it ends. */
export class ClientCredentials {
  #fetcher
  #clientId
  #secret
  #mono
  #token
  #renewal

  constructor(fetcher, clientId, clientSecret, mono) {
    this.#fetcher = fetcher
    this.#clientId = clientId
    this.#secret = clientSecret
    this.#mono = mono
  }

  get basic() {
    const [user, password] = [this.#clientId, this.#secret].map(encodeURIComponent)
    return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  }

  /** The token to send now. One that has begun its last fifth, or minute, is renewed; while that fails it still serves. */
  async token(endpoint, signal) {
    const now = this.#mono()
    if (this.#token && now < this.#token.renewAt) return this.#token.text
    this.#renewal ??= this.#renew(endpoint, signal).finally(() => (this.#renewal = undefined))
    try {
      return await this.#renewal
    } catch (error) {
      if (this.#token && now < this.#token.endsAt) return this.#token.text
      throw error
    }
  }

  /** The server refused this token: the next request gets another. */
  forget(text) {
    if (this.#token?.text === text) this.#token = undefined
  }

  async #renew(endpoint, signal) {
    const asked = this.#mono()
    const told = await askJson(this.#fetcher, endpoint, {
      method: 'POST',
      headers: { authorization: this.basic, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'grant_type=client_credentials&scope=revocations%2Fread',
      signal,
    })
    if (typeof told.access_token !== 'string')
      throw new ServerError(`${endpoint} answered no access_token`, { status: 200 })
    const life = (Number(told.expires_in) > 0 ? Number(told.expires_in) : 300) * 1000
    this.#token = { text: told.access_token, renewAt: asked + life - Math.min(60_000, life / 5), endsAt: asked + life }
    return told.access_token
  }
}
