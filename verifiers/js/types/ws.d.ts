import type { CenoteVerifier, Guard, Policy } from './index.js'

export interface Closable {
  readonly readyState?: number
  close(code: number, reason: string): void
  terminate?(): void
  once(event: 'close', listener: () => void): unknown
}

/** Closes the socket with 4001 once the token is dead, with 1013 if nobody can say any more whether it lives. */
export declare function guardSocket(
  verifier: CenoteVerifier,
  socket: Closable,
  auth: { claims: object; header: object; token?: string },
  options?: { policy?: Policy },
): Guard
