// What can go wrong, as a caller sees it. `status` and `headers` are how a server answers a request that met the error.

export class CenoteError extends Error {
  constructor(message, options) {
    super(message, options)
    this.name = new.target.name
  }
}

/** 401. `reason`: malformed, unknown_key, signature, issuer, token_use, client or expired. */
export class InvalidTokenError extends CenoteError {
  constructor(message, reason = 'malformed') {
    super(message)
    this.reason = reason
  }
  code = 'invalid_token'
  status = 401
  get headers() {
    return { 'WWW-Authenticate': challenge('the token is not valid') }
  }
}

/** No bearer token came with the request: 401 without an error code (RFC 6750, 3.1). */
export class MissingTokenError extends CenoteError {
  code = 'missing_token'
  status = 401
  headers = { 'WWW-Authenticate': 'Bearer' }
}

/** The token was ended by a sign-out: 401. `max_age=0` sends the client to sign in again, not into a loop of refreshes. */
export class RevokedError extends CenoteError {
  code = 'session_revoked'
  status = 401
  headers = { 'WWW-Authenticate': `${challenge('session revoked')}, max_age=0` }
}

/** Nobody can say now whether the token lives, and the policy of the route does not let it through: 503. */
export class UnavailableError extends CenoteError {
  code = 'revocation_unknown'
  status = 503
  headers = { 'Retry-After': '2' }
}

/** A frame or snapshot that was not accepted; `reason` is one word: signature, nonce, gap, chain, .. */
export class FrameError extends CenoteError {
  constructor(reason, message) {
    super(message)
    this.reason = reason
  }
}

/** The server could not be reached, or answered something else than what was asked for. */
export class ServerError extends CenoteError {
  constructor(message, { status, error, retryAfterMs } = {}, options) {
    super(message, options)
    this.status = status
    this.error = error
    this.retryAfterMs = retryAfterMs
  }
}

function challenge(description) {
  return `Bearer error="invalid_token", error_description="${description}"`
}
