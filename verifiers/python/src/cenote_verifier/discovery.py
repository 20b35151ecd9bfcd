"""Where the pool's endpoints are: its discovery document says it. Read again every hour, and soon where what it named does not work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from .errors import CenoteError, ServerError
from .transport import Connection, ask_json, safe_url

_LIFE = 3600.0
_DOUBTED = 60.0


@dataclass(frozen=True)
class Endpoints:
    jwks: str
    token: str
    introspection: str
    feed: str
    feed_jwks: str


class Discovery:
    """For any thread: whoever reads later says the same or newer."""

    def __init__(self, url: str, *, issuer: str, allow_http: bool, mono: Callable[[], float]) -> None:
        self._url = url
        self._issuer = issuer
        self._allow_http = allow_http
        self._mono = mono
        self._known: Endpoints | None = None
        self._asked = float("-inf")
        self._is_doubted = False

    def endpoints(self, connection: Connection) -> Endpoints:
        """What was read last: while it is read again, and while it cannot be, it serves."""
        return self._known or self.read(connection)

    @property
    def is_old(self) -> bool:
        passed = self._mono() - self._asked
        return self._known is not None and passed > (_DOUBTED if self._is_doubted else _LIFE)

    def doubt(self) -> None:
        """An endpoint did not answer as it should: it may have moved."""
        self._is_doubted = True

    def read(self, connection: Connection) -> Endpoints:
        self._asked = self._mono()
        try:
            self._known = self._read(connection)
        except CenoteError:
            self._is_doubted = True
            raise
        self._is_doubted = False
        return self._known

    def _read(self, connection: Connection) -> Endpoints:
        told = ask_json(connection, self._url)
        if told.get("issuer") != self._issuer:
            raise ServerError(f"{self._url} is about another issuer: {str(told.get('issuer')):.200}")

        def named(name: str) -> str:
            url = told.get(name)
            if not isinstance(url, str):
                raise ServerError(f"{self._url} has no {name}: is this a Cenote with the revocation feed?")
            try:
                return safe_url(url, name, self._allow_http)
            except ValueError as error:
                raise ServerError(f"{self._url}: {error}") from None

        return Endpoints(
            jwks=named("jwks_uri"),
            token=named("token_endpoint"),
            introspection=named("introspection_endpoint"),
            feed=named("revocation_feed_endpoint"),
            feed_jwks=named("revocation_feed_jwks_uri"),
        )
