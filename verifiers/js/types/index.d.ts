import type { EventEmitter } from 'node:events'
import type { SecureContextOptions } from 'node:tls'

/** What a route does while the feed is EXPIRED: ask the server about the token, refuse with 503, or let it through. */
export type Policy = 'introspect' | 'closed' | 'open'
/** FRESH: at most 4 s old. STALE: at most `maxStalenessSeconds`; it still serves. EXPIRED: the policy decides. */
export type State = 'FRESH' | 'STALE' | 'EXPIRED'
export type TokenUse = 'access' | 'id'

export interface Options {
  /** As in the tokens' `iss`, such as `https://id.example.com/eu-west-1_Ab3dEf9Gh`. */
  issuer: string
  /** Of an app client with a secret and the scope `revocations/read`. Left out, requests carry no bearer token: see `tls`. */
  clientId?: string
  clientSecret?: string
  /** The name by which receipts call this process; by default the host's name and the process id. */
  consumer?: string
  /** App clients whose tokens are taken; by default those of all in the pool. */
  audience?: string | string[]
  /** By default `access`. */
  tokenUse?: TokenUse | TokenUse[]
  /** By default `introspect`. */
  policy?: Policy
  /** By default 30, at least 4, at most a day. */
  maxStalenessSeconds?: number
  /** For clocks that differ; by default 0. */
  leewaySeconds?: number
  /** The pool's id, where the issuer does not end in it. */
  pool?: string
  /** Where the discovery document is, if not under the issuer. */
  discoveryUrl?: string
  /**
   * A certificate authority of your own (`ca`), or a client certificate instead of clientId and clientSecret (`cert`, `key`). A function
   * is asked for each new connection: so a certificate can be renewed.
   */
  tls?: SecureContextOptions | (() => SecureContextOptions)
  /** Another way to the server, such as through a proxy. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Plain http to another machine. Secrets and tokens are then for all to read. */
  allowHttp?: boolean
  /** By default 512 MiB. */
  maxSnapshotBytes?: number
  backoff?: { firstMs?: number; mostMs?: number }
  clock?: { wall(): number; mono(): number }
}

export interface Claims {
  sub: string
  iss: string
  exp: number
  token_use: TokenUse
  client_id?: string
  [name: string]: unknown
}

export interface Header {
  kid?: string
  alg?: string
  [name: string]: unknown
}

export interface Verdict {
  state: State
  /** Who says that the token lives: the feed, the server, or only the policy `open`. */
  by: 'feed' | 'introspection' | 'policy'
}

export interface Verified {
  claims: Claims
  header: Header
  verdict: Verdict
}

export interface VerifyOptions {
  policy?: Policy
  tokenUse?: TokenUse | TokenUse[]
  clientId?: string | string[]
}

export interface CheckOptions extends VerifyOptions {
  /** What introspection is asked about. */
  token?: string
}

export interface End {
  reason: 'session_revoked' | 'revocation_unknown'
  kind?: string
}

export interface Guard {
  /** Resolved once the token is dead. A refresh does not touch it. Never rejected. */
  revoked: Promise<End>
  /** The connection has ended: nobody waits any more. */
  release(): void
}

export interface Status {
  state: State
  ageMs: number | null
  seq: number | null
  incarnation: string | null
  entries: number
  guards: number
}

interface Events {
  state: [now: State, before: State]
  problem: [error: Error]
}

/** Follows the revocation feed of one pool, and judges tokens. */
export declare class CenoteVerifier extends EventEmitter<Events> {
  constructor(options: Options)
  readonly issuer: string
  readonly pool: string
  readonly state: State
  readonly status: Status
  /** Begins to follow the feed, which the first use would do, too; does not wait. */
  start(): this
  /** For good. */
  stop(): Promise<void>
  /** Waits until the feed is FRESH for the first time, by default 10 s at most; answers whether it is. */
  ready(options?: { timeoutMs?: number }): Promise<boolean>
  /** Signature, issuer, expiry, use, app client, and that no sign-out ended the token. */
  verify(token: string, options?: VerifyOptions): Promise<Verified>
  /** For claims whose signature and times something else has verified: issuer, use, app client, and the revocation. */
  check(claims: object, header: object | undefined, options?: CheckOptions): Promise<Verdict>
  /** The same without waiting: where the feed is EXPIRED, `introspect` refuses as `closed` does. */
  checkNow(claims: object, header: object | undefined, options?: VerifyOptions): Verdict
  /** For a connection that outlives its request. */
  guard(claims: object, header: object | undefined, options?: { token?: string; policy?: Policy }): Guard
  /** Says before the first request that a route has this policy. */
  uses(policy: Policy | undefined): void
}

export declare class CenoteError extends Error {}

/** 401. */
export declare class InvalidTokenError extends CenoteError {
  readonly code: 'invalid_token'
  readonly reason: 'malformed' | 'unknown_key' | 'signature' | 'issuer' | 'token_use' | 'client' | 'expired'
  readonly status: 401
  readonly headers: Record<string, string>
}

/** 401: no bearer token came. */
export declare class MissingTokenError extends CenoteError {
  readonly code: 'missing_token'
  readonly status: 401
  readonly headers: Record<string, string>
}

/** 401: a sign-out has ended the token. */
export declare class RevokedError extends CenoteError {
  readonly code: 'session_revoked'
  readonly status: 401
  readonly headers: Record<string, string>
}

/** 503: nobody can say now whether the token lives. */
export declare class UnavailableError extends CenoteError {
  readonly code: 'revocation_unknown'
  readonly status: 503
  readonly headers: Record<string, string>
}

/** A frame or snapshot of the feed that was not accepted. Comes by the event `problem`. */
export declare class FrameError extends CenoteError {
  readonly reason: string
}

/** The server could not be reached, or answered something else than what was asked for. Comes by the event `problem`. */
export declare class ServerError extends CenoteError {
  readonly status?: number
  readonly error?: string
  readonly retryAfterMs?: number
}
