import type { FastifyPluginAsync } from 'fastify'
import type { CenoteVerifier, Policy, Verified, VerifyOptions } from './index.js'

export interface Auth extends Verified {
  token: string
}

declare module 'fastify' {
  interface FastifyRequest {
    auth: Auth | null
  }
  interface FastifyContextConfig {
    /** What this route asks of its tokens; false: it asks for none. */
    cenote?: Policy | VerifyOptions | false
  }
}

/** Every route of the scope that registers it needs a live token. */
export declare const cenote: FastifyPluginAsync<VerifyOptions & { verifier: CenoteVerifier }>
export default cenote
