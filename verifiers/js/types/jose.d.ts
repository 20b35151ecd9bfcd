import type { CenoteVerifier, VerifyOptions } from './index.js'

/** jose's `jwtVerify`, which then refuses what a sign-out has ended, or is not for the use or app client wanted. */
export declare function withRevocation<
  JwtVerify extends (...args: any[]) => Promise<{ payload: object; protectedHeader: object }>,
>(jwtVerify: JwtVerify, verifier: CenoteVerifier, options?: VerifyOptions): JwtVerify
