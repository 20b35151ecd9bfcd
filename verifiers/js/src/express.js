// Middleware for Express 4 and 5 (and whatever else takes (req, res, next)).

import { bearer, refusal } from './bearer.js'

/** Lets requests with a live token through, with `req.auth = {token, claims, header, verdict}`. */
export function protect(verifier, options) {
  verifier.uses(options?.policy)
  return async function cenote(req, res, next) {
    try {
      const token = bearer(req.headers.authorization)
      req.auth = { token, ...(await verifier.verify(token, options)) }
    } catch (error) {
      const answer = refusal(error)
      if (!answer) return next(error)
      res.writeHead(answer.status, answer.headers).end(answer.body)
      return
    }
    next()
  }
}
