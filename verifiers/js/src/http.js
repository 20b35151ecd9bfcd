// A small `fetch` on Node's own client: connections are kept, and certificates can be given, which the built-in one does not let us do.

import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { createGunzip } from 'node:zlib'

/**
 * `tls`: what `tls.connect` takes, such as `ca`, `cert` and `key`, or a function that answers it, asked for each new connection.
 * Redirects are answered as they are, not followed. `reset()` closes the connections that are kept, with `inUse` all.
 */
export function httpFetch(tls) {
  const agents = { 'http:': new HttpAgent({ keepAlive: true }), 'https:': new Certified(tls) }
  const send = async (url, options) => {
    const secure = url.protocol === 'https:'
    const { promise, resolve, reject } = withResolvers()
    const headers = { 'accept-encoding': 'gzip', ...options.headers }
    const { method = 'GET', body, signal } = options
    const request = (secure ? httpsRequest : httpRequest)(url, { method, headers, signal, agent: agents[url.protocol] })
    request.on('response', resolve).on('error', reject)
    request.setNoDelay(true)
    request.end(body)
    try {
      return await promise
    } catch (error) {
      // The server closed a connection that was idle: that says nothing about the server.
      const wasIdle = request.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(error.code)
      if (wasIdle && !signal?.aborted) return send(url, options)
      throw error
    }
  }
  const fetch = async (text, options) => {
    const response = await send(new URL(text), options)
    const zipped = response.headers['content-encoding'] === 'gzip'
    return {
      status: response.statusCode,
      headers: { get: name => response.headers[name.toLowerCase()] ?? null },
      body: zipped ? unzipped(response) : response,
    }
  }
  fetch.reset = ({ inUse = false } = {}) => {
    for (const agent of Object.values(agents)) {
      if (inUse) agent.destroy()
      else for (const socket of Object.values(agent.freeSockets).flat()) socket.destroy()
    }
  }
  return fetch
}

class Certified extends HttpsAgent {
  #tls

  constructor(tls) {
    // A TLS session that is resumed would go on with the certificate with which it began.
    super({ keepAlive: true, maxCachedSessions: 0 })
    this.#tls = tls
  }

  createConnection(options, callback) {
    const tls = typeof this.#tls === 'function' ? this.#tls() : this.#tls
    return super.createConnection({ ...options, ...tls }, callback)
  }
}

function unzipped(response) {
  const gunzip = createGunzip()
  response.on('error', error => gunzip.destroy(error))
  // Whoever stops reading does not want the rest.
  gunzip.on('close', () => response.complete || response.destroy())
  return response.pipe(gunzip)
}

function withResolvers() {
  const all = {}
  all.promise = new Promise((resolve, reject) => Object.assign(all, { resolve, reject }))
  return all
}
