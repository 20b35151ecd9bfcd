// For jose 5 and 6, which has no hook: its jwtVerify, and then the feed.

/**
 * `const jwtVerify = withRevocation(jose.jwtVerify, verifier)`: takes and answers what jose's jwtVerify does, and refuses what a sign-out
 * has ended, and tokens of another use or app client than the verifier, or `tokenUse` and `clientId` here, ask for.
 */
export function withRevocation(jwtVerify, verifier, options = {}) {
  verifier.uses(options.policy)
  return async function jwtVerifyLive(jwt, key, wanted) {
    const verified = await jwtVerify(jwt, key, wanted)
    const token = typeof jwt === 'string' ? jwt : new TextDecoder().decode(jwt)
    await verifier.check(verified.payload, verified.protectedHeader, { ...options, token })
    return verified
  }
}
