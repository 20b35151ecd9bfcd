// Refuses tokens that a sign-out has ended. The parts for a framework are modules of their own, such as @cenote/verifier/express.

export {
  CenoteError,
  FrameError,
  InvalidTokenError,
  MissingTokenError,
  RevokedError,
  ServerError,
  UnavailableError,
} from './errors.js'
export { CenoteVerifier } from './verifier.js'
