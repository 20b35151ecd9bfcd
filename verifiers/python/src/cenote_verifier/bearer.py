"""The bearer token of a request (RFC 6750). Only from the Authorization header: query strings end in logs."""

from __future__ import annotations

import re

from .errors import MissingTokenError

_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/-]+=*) *", re.ASCII | re.IGNORECASE)


def bearer(header: str | None) -> str:
    found = _BEARER.fullmatch(header or "")
    if not found:
        raise MissingTokenError("the request has no bearer token")
    return found[1]
