"""Refuses tokens that a sign-out has ended. The parts for a library or framework are modules of their own: `pyjwt`, `asgi`, `django`."""

from .errors import (
    CenoteError,
    FrameError,
    InvalidTokenError,
    MissingTokenError,
    Refusal,
    RevokedError,
    ServerError,
    UnavailableError,
)
from .guards import End, Guard, Policy
from .replica import State
from .verifier import CenoteVerifier, Verdict, Verified

__all__ = [
    "CenoteError",
    "CenoteVerifier",
    "End",
    "FrameError",
    "Guard",
    "InvalidTokenError",
    "MissingTokenError",
    "Policy",
    "Refusal",
    "RevokedError",
    "ServerError",
    "State",
    "UnavailableError",
    "Verdict",
    "Verified",
]
