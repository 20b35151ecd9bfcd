"""Asking the server about one token (RFC 7662), while the feed cannot answer. What it says holds for 5 s."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Future
from typing import Callable

from .errors import CenoteError, UnavailableError
from .replica import Clock
from .signatures import WouldBlock

_HOLDS = 5.0
_MANY = 10_000
# A server that has just failed is not asked about every token that comes, each of which would wait for it.
_PAUSE = 1.0


class Introspection:
    """`ask` posts one token, and answers whether it is active, or raises."""

    def __init__(self, ask: Callable[[str], bool], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[bytes, tuple[bool, float, float]] = {}
        self._asking: dict[bytes, Future[bool]] = {}
        self._failed = float("-inf")

    def is_active(self, token: str, *, may_wait: bool) -> bool:
        """Raises UnavailableError if nobody can say."""
        name = hashlib.sha256(token.encode()).digest()
        with self._lock:
            known = self._known(name)
            if known is not None:
                return known
            if self._clock.mono() - self._failed < _PAUSE:
                raise UnavailableError("the feed is not fresh, and introspection failed a moment ago")
            if not may_wait:
                raise WouldBlock
            # Many requests with one token ask once, and those with others do not wait for them.
            asking = self._asking.get(name)
            mine: Future[bool] | None = None
            if asking is None:
                asking = mine = self._asking[name] = Future()
        if mine is not None:
            self._find_out(name, token, mine)
        return asking.result()

    def _find_out(self, name: bytes, token: str, answer: Future[bool]) -> None:
        wall, mono = self._clock.wall(), self._clock.mono()
        try:
            active = self._ask(token)
        except BaseException as error:
            with self._lock:
                self._failed = self._clock.mono()
                del self._asking[name]
            if isinstance(error, CenoteError):
                error = UnavailableError(f"the feed is not fresh, and introspection failed: {error}")
            answer.set_exception(error)
            return
        with self._lock:
            if len(self._told) >= _MANY:
                del self._told[next(iter(self._told))]
            self._told[name] = (active, wall, mono)
            del self._asking[name]
        answer.set_result(active)

    def _known(self, name: bytes) -> bool | None:
        told = self._told.get(name)
        if told and self._clock.mono() - told[2] < _HOLDS and self._clock.wall() - told[1] < _HOLDS:
            return told[0]
        return None
