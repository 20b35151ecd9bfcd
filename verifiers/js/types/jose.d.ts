import type { CenoteVerifier, Policy } from './index.js'

/** jose's `jwtVerify`, which then refuses what a sign-out has ended. */
export declare function withRevocation<
  JwtVerify extends (...args: any[]) => Promise<{ payload: object; protectedHeader: object }>,
>(jwtVerify: JwtVerify, verifier: CenoteVerifier, options?: { policy?: Policy }): JwtVerify
