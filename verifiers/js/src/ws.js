// Closes a WebSocket once its token is dead: code 4001 after a sign-out, 1013 if nobody can say any more whether the token lives.

const PATIENCE_MS = 1000
const CLOSED = 3

/**
 * `socket` is a WebSocket of the package `ws` (or anything with `close`, `once` and, if it can, `terminate`); `auth` what
 * `verifier.verify` answered, with the token beside it. Answers the guard.
 */
export function guardSocket(verifier, socket, { claims, header, token }, { policy } = {}) {
  const guard = verifier.guard(claims, header, { token, policy })
  socket.once('close', () => guard.release())
  // Closed while the token was verified: there is nothing left to wait for.
  if (socket.readyState === CLOSED) guard.release()
  guard.revoked.then(({ reason }) => {
    const dead = reason === 'session_revoked'
    socket.close(dead ? 4001 : 1013, dead ? 'session revoked' : 'try again later')
    // Whoever does not answer the closing handshake is cut off.
    const late = setTimeout(() => socket.terminate?.(), PATIENCE_MS / 2)
    socket.once('close', () => clearTimeout(late))
  })
  return guard
}
