// The hook of aws-jwt-verify: `JwtVerifier.create({.., customJwtCheck: customJwtCheck(verifier)})`.

/**
 * A customJwtCheck that refuses what a sign-out has ended, and tokens of another use or app client than the verifier, or `tokenUse` and
 * `clientId` here, ask for; and then does your own check, `also`, if you have one.
 * The library gives the hook no raw token, so nothing can be introspected: where the feed is EXPIRED, `introspect` refuses as `closed` does.
 * `verifySync` of the library works as well if `also` answers at once.
 */
export function customJwtCheck(verifier, { also, ...options } = {}) {
  verifier.uses(options.policy)
  return properties => {
    const { header, payload } = properties
    verifier.checkNow(payload, header, options)
    return also?.(properties)
  }
}
