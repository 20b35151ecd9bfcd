"""What can go wrong, as a caller sees it. `status` and `headers` are how a server answers a request that met the error."""

from __future__ import annotations

import json


class CenoteError(Exception):
    """Every error of this package."""


class Refusal(CenoteError):
    """A request is not let through."""

    status = 401
    error = "invalid_token"
    description = "the token is missing or not valid"
    challenge: str | None = 'Bearer error="invalid_token", error_description="the token is not valid"'

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Cache-Control": "no-store", "Content-Type": "application/json"}
        if self.challenge:
            headers["WWW-Authenticate"] = self.challenge
        return headers

    @property
    def body(self) -> bytes:
        return json.dumps({"error": self.error, "error_description": self.description}).encode()


class InvalidTokenError(Refusal):
    """401. `reason`: malformed, unknown_key, signature, issuer, token_use, client or expired."""

    def __init__(self, message: str, reason: str = "malformed") -> None:
        super().__init__(message)
        self.reason = reason


class MissingTokenError(Refusal):
    """No bearer token came with the request: 401 without an error code (RFC 6750, 3.1)."""

    challenge = "Bearer"


class RevokedError(Refusal):
    """The token was ended by a sign-out: 401. `max_age=0` sends the client to sign in again, not into a loop of refreshes."""

    description = "session revoked"
    challenge = 'Bearer error="invalid_token", error_description="session revoked", max_age=0'


class UnavailableError(Refusal):
    """Nobody can say now whether the token lives, and the policy of the route does not let it through: 503."""

    status = 503
    error = "temporarily_unavailable"
    description = "try again later"
    challenge = None

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, "Retry-After": "2"}


class FrameError(CenoteError):
    """A frame or snapshot that was not accepted; `reason` is one word: signature, nonce, gap, chain, .."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ServerError(CenoteError):
    """The server could not be reached, or answered something else than what was asked for."""

    def __init__(
        self, message: str, *, status: int | None = None, error: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.retry_after = retry_after
