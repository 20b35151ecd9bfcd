"""For PyJWT: a `jwt.PyJWT` whose `decode` also refuses what a sign-out has ended."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import jwt

from . import errors
from .guards import Policy
from .verifier import CenoteVerifier


class RevokedTokenError(errors.RevokedError, jwt.InvalidTokenError):
    """Caught by whoever catches PyJWT's errors."""


class UnknownRevocationError(errors.UnavailableError, jwt.PyJWTError):
    """Nobody can say now whether the token lives: 503, not the token's fault."""


class CenoteJWT(jwt.PyJWT):
    """`CenoteJWT(verifier).decode(token, key, algorithms=["RS256"], ..)` takes what `jwt.decode` takes.

    It refuses tokens of another issuer, use or app client, too: those that the verifier takes, or `token_use` and `audience` here."""

    def __init__(
        self,
        verifier: CenoteVerifier,
        *,
        policy: Policy | None = None,
        token_use: str | Collection[str] | None = None,
        audience: str | Collection[str] | None = None,
        options: Any = None,
    ) -> None:
        super().__init__(options)
        verifier.uses(policy)
        self._verifier = verifier
        self._wanted: Any = {"policy": policy, "token_use": token_use, "audience": audience}

    # `decode` of PyJWT goes through here, too.
    def decode_complete(self, jwt: str | bytes, *args: Any, **kwargs: Any) -> dict[str, Any]:
        complete: dict[str, Any] = super().decode_complete(jwt, *args, **kwargs)
        token = jwt.decode() if isinstance(jwt, bytes) else jwt
        try:
            self._verifier.check(complete["payload"], complete["header"], token=token, **self._wanted)
        except errors.RevokedError as error:
            raise RevokedTokenError(str(error)) from error
        except errors.UnavailableError as error:
            raise UnknownRevocationError(str(error)) from error
        except errors.InvalidTokenError as error:
            raise NotOursError(str(error), error.reason) from error
        return complete


class NotOursError(errors.InvalidTokenError, jwt.InvalidTokenError):
    """A token that is not of this pool, or not for this use or app client; `reason` says it."""
