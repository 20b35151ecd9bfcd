import type { CenoteVerifier, Policy } from './index.js'

/** A `customJwtCheck` that refuses what a sign-out has ended, and then does your own check, `also`. */
export declare function customJwtCheck<Properties extends { header: object; payload: object }, Result = void>(
  verifier: CenoteVerifier,
  options?: { policy?: Policy; also?: (properties: Properties) => Result },
): (properties: Properties) => Result
