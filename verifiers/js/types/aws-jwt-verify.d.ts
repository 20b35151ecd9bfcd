import type { CenoteVerifier, VerifyOptions } from './index.js'

/**
 * A `customJwtCheck` that refuses what a sign-out has ended, or is not for the use or app client wanted, and then does your own check,
 * `also`.
 */
export declare function customJwtCheck<Properties extends { header: object; payload: object }, Result = void>(
  verifier: CenoteVerifier,
  options?: VerifyOptions & { also?: (properties: Properties) => Result },
): (properties: Properties) => Result
