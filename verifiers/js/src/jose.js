// For jose 5 and 6, which has no hook: its jwtVerify, and then the feed.

/**
 * `const jwtVerify = withRevocation(jose.jwtVerify, verifier)`: takes and answers what jose's jwtVerify does, and refuses what a sign-out
 * has ended.
 */
export function withRevocation(jwtVerify, verifier, { policy } = {}) {
  verifier.uses(policy)
  return async function jwtVerifyLive(jwt, key, options) {
    const verified = await jwtVerify(jwt, key, options)
    const token = typeof jwt === 'string' ? jwt : new TextDecoder().decode(jwt)
    await verifier.check(verified.payload, verified.protectedHeader, { token, policy })
    return verified
  }
}
