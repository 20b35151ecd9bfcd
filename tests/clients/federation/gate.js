// What stands in front of a provider: it notes what comes, and fails in the way that a test asks for.

import { once } from 'node:events'
import { createServer, request } from 'node:http'

export class Gate {
  /** Every request that came: { method, path, query, headers, body }, newest last. */
  seen = []
  /** What goes wrong: { path: RegExp, with: status } or { path, after: ms }; null is nothing. */
  fault = null
  #server
  #port
  #target
  #hanging = new Set()

  /** `target` is the port of the program behind, or a request handler in this process. */
  static async open(target) {
    const gate = new Gate()
    gate.#target = target
    await gate.plug()
    return gate
  }

  get origin() {
    return `http://127.0.0.1:${this.#port}`
  }

  set target(target) {
    this.#target = target
  }

  /** Listens again where it did before. */
  async plug() {
    this.#server = createServer((incoming, outgoing) => this.#pass(incoming, outgoing))
    this.#server.listen(this.#port ?? 0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = this.#server.address().port
  }

  /** From here on connections are refused, as by a machine whose service is not running. */
  async unplug() {
    if (!this.#server) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    this.#server = null
    await closed
  }

  /** Runs `during` with the provider failing so. */
  async failing(fault, during) {
    this.fault = fault
    try {
      return await during()
    } finally {
      this.fault = null
      // Who comes back has forgotten what it was asked before.
      for (const hanging of this.#hanging) hanging.destroy()
      this.#hanging.clear()
    }
  }

  async unplugged(during) {
    await this.unplug()
    try {
      return await during()
    } finally {
      await this.plug()
    }
  }

  /** The requests to `path` since `from`, the length of `seen` then. */
  to(path, from = 0) {
    return this.seen.slice(from).filter(request => request.path === path)
  }

  async #pass(incoming, outgoing) {
    const chunks = []
    incoming.on('error', () => {})
    for await (const chunk of incoming) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const { pathname, searchParams } = new URL(incoming.url, this.origin)
    const { method, headers } = incoming
    this.seen.push({ method, path: pathname, query: Object.fromEntries(searchParams), headers, body: body.toString(), at: Date.now() })
    if (this.fault?.path.test(pathname)) {
      if (this.fault.with) {
        outgoing.writeHead(this.fault.with, { 'content-type': 'text/html' })
        return outgoing.end('<title>Trouble</title><h1>Something is wrong here</h1>')
      }
      this.#hanging.add(incoming.socket)
      // Longer than anybody waits; unref'd, so that it does not hold the tests.
      await new Promise(resolve => setTimeout(resolve, this.fault.after).unref())
      if (incoming.socket.destroyed) return
    }
    const onward = request(
      { host: '127.0.0.1', port: this.#target, method, path: incoming.url, headers: { ...headers, 'content-length': body.length, connection: 'close' } },
      answer => {
        outgoing.writeHead(answer.statusCode, answer.headers)
        answer.pipe(outgoing)
      },
    )
    onward.on('error', error => {
      if (!outgoing.headersSent) outgoing.writeHead(502, { 'content-type': 'text/plain' })
      outgoing.end(String(error))
    })
    onward.end(body)
  }
}
