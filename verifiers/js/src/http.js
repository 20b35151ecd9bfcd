// A small `fetch` on Node's own client: connections are kept, and certificates can be given, which the built-in one does not let us do.

import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { createGunzip } from 'node:zlib'

/** `tls`: what `tls.connect` takes, such as `ca`, `cert` and `key`. Redirects are answered as they are, not followed. */
export function httpFetch(tls) {
  const agents = { 'http:': new HttpAgent({ keepAlive: true }), 'https:': new HttpsAgent({ keepAlive: true, ...tls }) }
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
      if (request.reusedSocket && error.code === 'ECONNRESET' && !signal?.aborted) return send(url, options)
      throw error
    }
  }
  return async (text, options) => {
    const response = await send(new URL(text), options)
    const zipped = response.headers['content-encoding'] === 'gzip'
    return {
      status: response.statusCode,
      headers: { get: name => response.headers[name.toLowerCase()] ?? null },
      body: zipped ? unzipped(response) : response,
    }
  }
}

function unzipped(response) {
  const gunzip = createGunzip()
  response.on('error', error => gunzip.destroy(error))
  return response.pipe(gunzip)
}

function withResolvers() {
  const all = {}
  all.promise = new Promise((resolve, reject) => Object.assign(all, { resolve, reject }))
  return all
}
