"""What a verified token says that the feed can end: whose it is, which session, client and key, and when it was born."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Mapping

from .entries import Entries
from .errors import InvalidTokenError
from .wire import key16

_UUID_V7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)

# Clients and key ids are few and come with every token.
_few = lru_cache(1000)(key16)


@dataclass(frozen=True)
class Subjects:
    """What to look up for a token: its birth in milliseconds, and its keys with their kinds."""

    birth: int
    keys: tuple[tuple[str, bytes], ...]


def subjects(pool: str, claims: Mapping[str, Any], header: Mapping[str, Any] | None) -> Subjects:
    # The first that is there decides. An id that holds no moment is not of Cenote's making: such a token could outlive any sign-out.
    session = next((claims[name] for name in ("origin_jti", "event_id", "jti") if claims.get(name) is not None), None)
    if not isinstance(session, str) or not _UUID_V7.fullmatch(session):
        raise InvalidTokenError(
            "the token was not made by Cenote: its origin_jti, event_id or jti is no UUID of version 7"
        )
    session = session.lower()
    # An access token's `aud` is a resource; only an ID token's names its client.
    name = {"access": "client_id", "id": "aud"}.get(str(claims.get("token_use")))
    client, sub = claims.get(name) if name else None, claims.get("sub")
    if not isinstance(client, str) or not isinstance(sub, str):
        raise InvalidTokenError(
            "the token was not made by Cenote: it lacks sub, token_use, or the app client that it is for"
        )
    keys = [("P", _few("P", pool, pool)), ("C", _few("C", pool, client))]
    kid = header.get("kid") if header else None
    if isinstance(kid, str):
        keys.append(("K", _few("K", pool, kid)))
    keys += [("U", key16("U", pool, sub)), ("S", key16("S", pool, session))]
    return Subjects(int(session[:8] + session[9:13], 16), tuple(keys))


def ended_by(entries: Entries, of: Subjects) -> str | None:
    """The kind of the first entry that ends such a token, or None: it lives."""
    for kind, key in of.keys:
        times = entries.find(key)
        # A session and a key id are dead by being named; epochs spare what was born at or after them.
        if times and (kind in "SK" or of.birth < times[0]):
            return kind
    return None
