// The bearer token of a request, and the answer to one that is refused (RFC 6750).

import { CenoteError, MissingTokenError } from './errors.js'

/** The token of an Authorization header. Only there: query strings end in logs. */
export function bearer(header) {
  const found = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(header ?? '')
  if (!found) throw new MissingTokenError('the request has no bearer token')
  return found[1]
}

/** `{status, headers, body}` for an error of this package; undefined for any other. */
export function refusal(error) {
  if (!(error instanceof CenoteError) || !error.headers) return undefined
  const words = { session_revoked: 'session revoked', revocation_unknown: 'try again later' }[error.code]
  const name = error.status === 503 ? 'temporarily_unavailable' : 'invalid_token'
  const headers = { ...error.headers, 'Cache-Control': 'no-store', 'Content-Type': 'application/json' }
  return {
    status: error.status,
    headers,
    body: JSON.stringify({ error: name, error_description: words ?? 'the token is missing or not valid' }),
  }
}
