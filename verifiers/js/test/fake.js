// A server that speaks the feed as docs/revocation-feed.md says, and misbehaves when told to.

import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { gzipSync } from 'node:zlib'

import { key16 } from '../src/wire.js'

const POOL = 'us-east-1_Fake00001'
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

export class Fake {
  pool = POOL
  clientId = 'appclient0000000000000001'
  requests = []
  /** Answers a request in the server's stead if it answers something: `{status, headers, body}`. */
  intercept = () => undefined
  /** Changes the text of a frame before it leaves. */
  tamper = frame => frame
  /** By how many milliseconds the server's clock is ahead. */
  ahead = 0
  tokenLife = 3600
  kid = 'pool-key-1'
  active = new Set()
  /** With it the server speaks TLS only, and lets in who shows a certificate of `tls.ca`: no token is needed then. */
  tls
  /** Where the feed is now, below the issuer; the old address goes on as long as nobody intercepts it. */
  moved = ''
  /** Fingerprints of certificates that have expired since their connections began. */
  ended = new Set()
  #bearers = new Set()
  #waiting = new Set()

  constructor() {
    this.feedKeys = [feedKey()]
    this.begin()
  }

  /** A new incarnation with no records, as after a restore. */
  begin(seq = 0) {
    this.incarnation = randomBytes(16).toString('base64url')
    this.base = seq
    this.records = []
    this.chain = [sha256(`cenote-revocation-feed/1\0${POOL}\0${this.incarnation}`)]
  }

  get seq() {
    return this.base + this.records.length
  }

  get issuer() {
    return `${this.tls ? 'https' : 'http'}://127.0.0.1:${this.port}/${POOL}`
  }

  async listen(port = this.port ?? 0) {
    const serve = (req, res) => this.#serve(req, res)
    const asks = { requestCert: true, rejectUnauthorized: true }
    this.server = this.tls ? createTlsServer({ ...this.tls, ...asks }, serve) : createServer(serve)
    this.server.listen(port, '127.0.0.1')
    await once(this.server, 'listening')
    this.port = this.server.address().port
    return this
  }

  async close() {
    this.server.closeAllConnections()
    this.server.close()
    await once(this.server, 'close')
  }

  /** Options for a verifier of this server. */
  options(more) {
    return {
      issuer: this.issuer,
      clientId: 'machine',
      clientSecret: 'a secret: with %',
      consumer: 'test-1',
      backoff: { firstMs: 20, mostMs: 200 },
      ...more,
    }
  }

  /** A record, as a sign-out makes one. */
  publish(kind, id, notBefore = Date.now() + 1, dropAfter = Date.now() + 3_600_000) {
    const key = key16(kind, POOL, id)
    const record = Buffer.concat([Buffer.from(kind), key, u64(notBefore), u64(dropAfter)])
    this.records.push({ kind, key, notBefore, dropAfter })
    this.chain.push(sha256(Buffer.concat([this.chain.at(-1), record])))
    for (const wake of this.#waiting) wake()
  }

  forgetBearers() {
    this.#bearers.clear()
  }

  frame({ nonce, from = this.seq, to = this.seq, ...more } = {}) {
    const e = this.records
      .slice(from - this.base, to - this.base)
      .map(({ kind, key, notBefore, dropAfter }) => [kind, key.toString('base64url'), notBefore, dropAfter])
    const [h_before, h_after] = [from, to].map(n => this.chain[n - this.base]?.toString('base64url'))
    const payload = {
      v: 1,
      pool: POOL,
      incarnation: this.incarnation,
      iat: Date.now() + this.ahead,
      nonce,
      from,
      to,
      h_before,
      h_after,
      e,
      ...more,
    }
    return signed('revfeed+jwt', payload, this.feedKeys.at(-1))
  }

  snapshot() {
    const byKey = new Map()
    for (const { key, notBefore, dropAfter } of this.records) {
      const had = byKey.get(key.toString('hex')) ?? { notBefore: 0, dropAfter: 0 }
      byKey.set(key.toString('hex'), {
        key,
        notBefore: Math.max(had.notBefore, notBefore),
        dropAfter: Math.max(had.dropAfter, dropAfter),
      })
    }
    const sorted = [...byKey.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
    const records = sorted.map(({ key, notBefore, dropAfter }) => Buffer.concat([key, u64(notBefore), u64(dropAfter)]))
    const head = length =>
      Buffer.concat([Buffer.from('CNTRVF\0\x01', 'latin1'), u64(sorted.length), u32(length), Buffer.alloc(12)])
    const told = length => {
      const sha = sha256(Buffer.concat([head(length), ...records])).toString('base64url')
      const place = { v: 1, pool: POOL, incarnation: this.incarnation, iat: Date.now() + this.ahead, seq: this.seq }
      const payload = { ...place, h: this.chain.at(-1).toString('base64url'), n: sorted.length, sha256: sha }
      return signed('revsnap+jwt', payload, this.feedKeys.at(-1))
    }
    // The digest covers the length of the signature, which does not depend on the digest.
    const length = told(0).length
    return Buffer.concat([head(length), ...records, Buffer.from(told(length))])
  }

  /** A token of the pool. `born` is the birth of its session. */
  token({
    born = Date.now(),
    session = uuid7(born),
    use = 'access',
    kid = this.kid,
    key = rsa.privateKey,
    ...more
  } = {}) {
    const now = Math.floor(Date.now() / 1000)
    const client = use === 'id' ? { aud: this.clientId } : { client_id: this.clientId }
    const claims = {
      iss: this.issuer,
      sub: 'ann',
      token_use: use,
      origin_jti: session,
      jti: randomBytes(8).toString('hex'),
    }
    const payload = { ...claims, ...client, iat: now, exp: now + 3600, ...more }
    const text = `${encoded({ alg: 'RS256', kid })}.${encoded(payload)}`
    return `${text}.${sign('RSA-SHA256', Buffer.from(text), key).toString('base64url')}`
  }

  jwks() {
    return { keys: [{ ...rsa.publicKey.export({ format: 'jwk' }), kid: this.kid, alg: 'RS256', use: 'sig' }] }
  }

  async #serve(req, res) {
    const url = new URL(req.url, this.issuer)
    const chunks = []
    for await (const chunk of req) chunks.push(chunk)
    const asked = {
      path: url.pathname.slice(POOL.length + 1),
      query: url.searchParams,
      headers: req.headers,
      body: Buffer.concat(chunks).toString(),
      certificate: req.socket.getPeerCertificate?.().fingerprint256,
    }
    this.requests.push(asked)
    const answer = (await this.intercept(asked)) ?? (await this.#answer(asked))
    if (answer === 'hang') return
    const { status = 200, headers = {}, body = '' } = answer
    const json = typeof body === 'object' && !Buffer.isBuffer(body)
    res.writeHead(status, {
      'Cache-Control': 'no-store',
      ...(json && { 'Content-Type': 'application/json' }),
      ...headers,
    })
    res.end(json ? JSON.stringify(body) : body)
  }

  async #answer({ path, query, headers, body, certificate }) {
    const { issuer } = this
    switch (path) {
      case '/.well-known/openid-configuration':
        return {
          body: {
            issuer,
            jwks_uri: `${issuer}/.well-known/jwks.json`,
            token_endpoint: `${issuer}/oauth2/token`,
            introspection_endpoint: `${issuer}/oauth2/introspect`,
            revocation_feed_endpoint: `${issuer}${this.moved}/revocations`,
            revocation_feed_jwks_uri: `${issuer}/.well-known/revocation-jwks.json`,
          },
        }
      case '/.well-known/jwks.json':
        return { body: this.jwks() }
      case '/.well-known/revocation-jwks.json':
        return {
          body: {
            keys: this.feedKeys.map(({ kid, publicKey }) => ({
              ...publicKey.export({ format: 'jwk' }),
              kid,
              use: 'sig',
              alg: 'EdDSA',
            })),
          },
        }
      case '/oauth2/token':
        return this.#token(headers, body)
      case '/oauth2/introspect':
        return { body: { active: this.active.has(new URLSearchParams(body).get('token')) } }
    }
    const isIn = certificate ? !this.ended.has(certificate) : this.#bearers.has(headers.authorization)
    if (!isIn) return { status: 401, body: { error: 'invalid_token' } }
    if (path.endsWith('/revocations/snapshot')) {
      const type = { 'Content-Type': 'application/vnd.cenote.revocations' }
      return { headers: { ...type, 'Content-Encoding': 'gzip' }, body: gzipSync(this.snapshot()) }
    }
    return this.#delta(query)
  }

  #token(headers, body) {
    const basic = `Basic ${Buffer.from('machine:a%20secret%3A%20with%20%25').toString('base64')}`
    if (headers.authorization !== basic) return { status: 401, body: { error: 'invalid_client' } }
    if (new URLSearchParams(body).get('scope') !== 'revocations/read')
      return { status: 400, body: { error: 'invalid_scope' } }
    const token = randomBytes(12).toString('hex')
    this.#bearers.add(`Bearer ${token}`)
    return { body: { access_token: token, token_type: 'Bearer', expires_in: this.tokenLife } }
  }

  async #delta(query) {
    const [since, nonce] = [Number(query.get('since')), query.get('nonce')]
    if (!/^[A-Za-z0-9_-]{16,64}$/.test(nonce) || !/^[012]$/.test(query.get('wait')))
      return { status: 400, body: { error: 'invalid_request' } }
    if (query.get('incarnation') !== this.incarnation || since > this.seq || since < this.base) {
      return { status: 410, body: { error: 'snapshot_required' } }
    }
    if (since === this.seq) {
      await new Promise(resolve => {
        this.#waiting.add(resolve)
        setTimeout(resolve, Number(query.get('wait')) * 1000)
      })
    }
    const text = this.frame({ nonce, from: since, to: Math.min(this.seq, since + 1000) })
    return { headers: { 'Content-Type': 'application/revfeed+jwt' }, body: await this.tamper(text, { nonce, since }) }
  }
}

let kids = 0

export function feedKey() {
  return { kid: `feed-key-${++kids}`, ...generateKeyPairSync('ed25519') }
}

export function signed(typ, payload, { kid, privateKey }) {
  const text = `${encoded({ alg: 'EdDSA', kid, typ })}.${encoded(payload)}`
  return `${text}.${sign(null, Buffer.from(text), privateKey).toString('base64url')}`
}

export function uuid7(ms) {
  const hex =
    ms.toString(16).padStart(12, '0') +
    '7' +
    randomBytes(10).toString('hex').slice(0, 3) +
    'a' +
    randomBytes(10).toString('hex').slice(0, 15)
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** A clock whose two hands can be moved apart. */
export function movableClock() {
  const moved = { wall: 0, mono: 0 }
  return { moved, wall: () => Date.now() + moved.wall, mono: () => performance.now() + moved.mono }
}

/** Waits until something holds, at most `ms`; answers how long it took. */
export async function until(holds, ms = 3000) {
  const began = performance.now()
  while (!(await holds())) {
    if (performance.now() - began > ms) throw new Error(`not within ${ms} ms: ${holds}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  return performance.now() - began
}

function encoded(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function sha256(data) {
  return createHash('sha256').update(data).digest()
}

function u64(n) {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(n))
  return bytes
}

function u32(n) {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(n)
  return bytes
}
