"""Asking the server about one token (RFC 7662), while the feed cannot answer. What it says holds for 5 s."""

from __future__ import annotations

import hashlib
import threading
from typing import Callable

from .errors import CenoteError, UnavailableError
from .replica import Clock
from .signatures import WouldBlock

_HOLDS = 5.0
_MANY = 10_000


class Introspection:
    """`ask` posts one token, and answers whether it is active, or raises."""

    def __init__(self, ask: Callable[[str], bool], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._told: dict[bytes, tuple[bool, float, float]] = {}
        self._locks = [threading.Lock() for _ in range(16)]

    def is_active(self, token: str, *, may_wait: bool) -> bool:
        """Raises UnavailableError if nobody can say."""
        name = hashlib.sha256(token.encode()).digest()
        known = self._known(name)
        if known is not None:
            return known
        if not may_wait:
            raise WouldBlock
        # Many requests with one token ask once.
        with self._locks[name[0] % 16]:
            known = self._known(name)
            if known is not None:
                return known
            wall, mono = self._clock.wall(), self._clock.mono()
            try:
                active = self._ask(token)
            except CenoteError as error:
                raise UnavailableError(f"the feed is not fresh, and introspection failed: {error}") from error
            if len(self._told) >= _MANY:
                self._told.clear()
            self._told[name] = (active, wall, mono)
            return active

    def _known(self, name: bytes) -> bool | None:
        told = self._told.get(name)
        if told and self._clock.mono() - told[2] < _HOLDS and self._clock.wall() - told[1] < _HOLDS:
            return told[0]
        return None
