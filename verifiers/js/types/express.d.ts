import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CenoteVerifier, Verified, VerifyOptions } from './index.js'

export interface Auth extends Verified {
  token: string
}

declare global {
  namespace Express {
    interface Request {
      auth?: Auth
    }
  }
}

/** Lets requests with a live token through, with `req.auth`. For Express 4 and 5, and whatever else takes (req, res, next). */
export declare function protect(
  verifier: CenoteVerifier,
  options?: VerifyOptions,
): (req: IncomingMessage & { auth?: Auth }, res: ServerResponse, next: (error?: unknown) => void) => Promise<void>
