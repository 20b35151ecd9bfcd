"""The client of the feed: one thread that keeps a replica fresh by long polls, and mends it by snapshots."""

from __future__ import annotations

import math
import random
import secrets
import threading
from dataclasses import dataclass
from typing import Callable, TypeVar
from urllib.parse import urlencode

from .discovery import Discovery
from .errors import FrameError, ServerError
from .replica import Clock, Replica
from .transport import Answer, ClientCredentials, Connection, Connections, ask_json, failed
from .wire import Entry, FeedKeys, feed_keys, read_frame, read_snapshot

# A frame is at most 1 s old when the next nonce leaves, so that a healthy feed never looks stale (4 s).
_WAIT = 1
# Twenty questions may follow each other at once, then this is between them: what comes in a storm of sign-outs comes in fewer
# answers then, and no server is asked without end.
_BETWEEN = 0.07
_AT_ONCE = 20 * _BETWEEN
_JWKS_PAUSE = 10.0
_JWKS_LIFE = 300.0
_TIDY = 600.0
_MAX_FRAME = 1 << 20

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    pool: str
    consumer: str
    policy: Callable[[], str]
    max_staleness: float
    max_snapshot_bytes: int
    backoff: tuple[float, float]
    discovery: Discovery
    credentials: ClientCredentials | None
    on_applied: Callable[[list[Entry]], None]
    on_replaced: Callable[[], None]
    on_answered: Callable[[], None]
    on_problem: Callable[[Exception], None]


class Feed:
    def __init__(
        self,
        replica: Replica,
        settings: Settings,
        connections: Connections,
        clock: Clock,
        stopped: threading.Event,
    ) -> None:
        self._replica = replica
        self._settings = settings
        self._connections = connections
        self._connection = connections.open()
        self._clock = clock
        self._keys: FeedKeys = {}
        self._keys_asked = self._keys_tried = float("-inf")
        self._stopped = stopped
        self._hurried = False
        self._asks_until = float("-inf")
        self._failures = 0
        self._tidied = clock.mono()
        self._thread = threading.Thread(target=self._run, name="cenote-feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(6.0)

    def hurry(self) -> None:
        """Asks at once instead of waiting for the answer that is under way: the clocks say that it will be worth nothing."""
        self._hurried = True
        self._connection.abort()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._hurried = False
            try:
                self._step()
                self._failures = 0
            except Exception as error:  # The thread must go on whatever happens; it is told.
                if self._stopped.is_set():
                    break
                if self._hurried and isinstance(error, ServerError):
                    continue
                self._settings.discovery.doubt()
                self._settings.on_problem(error)
                self._stopped.wait(self._pause(error))
        self._connections.close(self._connection)

    def _step(self) -> None:
        if not self._keys:
            self.renew_keys(self._connection)
        if self._replica.place is None:
            self._snapshot()
        self._delta()
        if self._replica.entries.is_loose or self._clock.mono() - self._tidied > _TIDY:
            self._tidied = self._clock.mono()
            self._replica.entries.tidy(self._replica.forgettable())

    def _delta(self) -> None:
        replica, settings = self._replica, self._settings
        place = replica.place
        if place is None:
            return
        self._pace()
        nonce = secrets.token_urlsafe(18)
        query = {
            "since": place.seq,
            "incarnation": place.incarnation,
            "consumer": settings.consumer,
            "nonce": nonce,
            "wait": _WAIT if replica.state == "FRESH" else 0,
            "policy": settings.policy(),
            "max_staleness": math.ceil(settings.max_staleness),
        }
        sent = replica.moment()
        answer = self._get(f"/delta?{urlencode(query)}", limit=_MAX_FRAME)
        if answer.status == 410:
            # What is known is kept, only the place is lost.
            replica.place = None
            raise ServerError("the server wants us to begin with a snapshot", status=410)
        text = answer.body.decode("latin-1")
        try:
            frame = self._opened(lambda keys: read_frame(text, keys, settings.pool, nonce))
            replica.accept(frame, sent)
        except FrameError:
            replica.place = None
            raise
        if frame.entries:
            settings.on_applied(frame.entries)
        settings.on_answered()

    def _pace(self) -> None:
        now = self._clock.mono()
        self._asks_until = max(now, self._asks_until) + _BETWEEN
        wait = self._asks_until - now - _AT_ONCE
        if wait > 0:
            self._stopped.wait(wait)

    def _snapshot(self) -> None:
        limit = self._settings.max_snapshot_bytes
        answer = self._get("/snapshot", limit=limit, timeout=60.0, headers={"Accept-Encoding": "gzip"})
        self._replica.load(self._opened(lambda keys: read_snapshot(answer.body, keys, self._settings.pool)))
        self._settings.on_replaced()

    def _opened(self, read: Callable[[FeedKeys], T]) -> T:
        """Reads a signed thing; if its key is not known, the keys are fetched anew first, at most once per 10 s."""
        try:
            return read(self._keys)
        except FrameError as error:
            if error.reason != "unknown_key" or self._clock.mono() - self._keys_tried < _JWKS_PAUSE:
                raise
        self.renew_keys(self._connection)
        return read(self._keys)

    @property
    def has_old_keys(self) -> bool:
        now = self._clock.mono()
        return bool(self._keys) and now - self._keys_asked > _JWKS_LIFE and now - self._keys_tried > _JWKS_PAUSE

    def renew_keys(self, connection: Connection) -> None:
        """Keys that the server no longer lists are forgotten; while it cannot be asked, those known serve."""
        asked = self._keys_tried = self._clock.mono()
        self._keys = feed_keys(ask_json(connection, self._settings.discovery.endpoints(connection).feed_jwks))
        self._keys_asked = asked

    def _get(
        self, path: str, *, limit: int, timeout: float = 5.0, headers: dict[str, str] | None = None, again: bool = True
    ) -> Answer:
        endpoints = self._settings.discovery.endpoints(self._connection)
        credentials = self._settings.credentials
        is_delta = path.startswith("/delta")
        token: str | None = None
        refused: ServerError | None = None
        try:
            token = credentials.token(self._connection, endpoints.token) if credentials else None
        except ServerError as error:
            # A pool that is deleted takes its app clients along, and tells its last record to whoever knows the incarnation.
            if not is_delta or error.status is None or not 400 <= error.status < 500:
                raise
            refused = error
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        url = endpoints.feed + path
        answer = self._connection.ask(url, headers={**(headers or {}), **bearer}, timeout=timeout, limit=limit)
        if answer.status == 200 or (answer.status == 410 and is_delta):
            return answer
        if refused:
            raise refused
        if answer.status == 401:
            if credentials and token:
                credentials.forget(token)
            else:
                # A certificate that has ended is refused as long as its connection lives: another one needs another connection.
                self._connection.close()
            if again:
                return self._get(path, limit=limit, timeout=timeout, headers=headers, again=False)
        raise failed(url, answer)

    def _pause(self, error: Exception) -> float:
        """Doubles up to 5 s, with jitter, so that a thousand verifiers do not come back in one moment; the server may ask for more."""
        first, most = self._settings.backoff
        pause = min(most, first * 2.0 ** min(self._failures, 16)) * random.uniform(0.5, 1.0)
        self._failures += 1
        after = getattr(error, "retry_after", None) or 0.0
        return max(pause, after * random.uniform(1.0, 1.1))
