"""CenoteVerifier: the one object that an application makes. It ties the feed, the token checks and the policies together."""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import ssl
import threading
import weakref
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Callable, Literal, Mapping
from urllib.parse import urlencode

from .discovery import Discovery
from .errors import CenoteError, InvalidTokenError, RevokedError, UnavailableError
from .feed import Feed, Settings
from .guards import Guard, Guards, Policy, check_policy
from .introspection import Introspection
from .keeper import Keeper
from .replica import Clock, Moment, Replica, State
from .signatures import Signatures, check_claims, check_issuer, check_parties
from .tls import Path, Tls
from .tokens import Subjects, ended_by, subjects
from .transport import ClientCredentials, Connections, ask_json, safe_url
from .wire import Entry

log = logging.getLogger("cenote_verifier")

_TICK = 0.25
_JUMP = 1.0


@dataclass(frozen=True)
class Verdict:
    """How fresh the answer is, and whose: the feed's, the introspection's, or that of the policy `open`."""

    state: State
    by: Literal["feed", "introspection", "policy"]


@dataclass(frozen=True)
class Verified:
    claims: Mapping[str, Any]
    header: Mapping[str, Any]
    verdict: Verdict
    token: str


class CenoteVerifier:
    """Follows the revocation feed of one pool in a thread of its own, and judges tokens. Safe to use from any thread.

    Starts by itself at the first use, also in a process that was forked from one that had started."""

    def __init__(
        self,
        issuer: str,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        consumer: str | None = None,
        audience: str | Collection[str] | None = None,
        token_use: str | Collection[str] = "access",
        policy: Policy = "introspect",
        max_staleness: float = 30.0,
        pool: str | None = None,
        discovery_url: str | None = None,
        ca_file: Path | None = None,
        client_cert: Path | None = None,
        client_key: Path | None = None,
        ssl_context: ssl.SSLContext | None = None,
        allow_http: bool = False,
        leeway: float = 0.0,
        max_snapshot_bytes: int = 1 << 29,
        backoff: tuple[float, float] = (0.25, 5.0),
        on_state: Callable[[State, State], None] | None = None,
        on_problem: Callable[[Exception], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.issuer = safe_url(issuer, "issuer", allow_http)
        self.pool = pool or issuer.rpartition("/")[2]
        if (client_id is None) != (client_secret is None):
            raise ValueError("client_id and client_secret belong together")
        if not 4 <= max_staleness <= 86_400:
            raise ValueError("max_staleness must be 4 to 86400 seconds: a healthy feed is 4 s old at most")
        if consumer is not None:
            _checked_consumer(consumer)
        self._consumer = consumer
        self._made_in = os.getpid()
        self._discovery_url = safe_url(
            discovery_url or f"{issuer}/.well-known/openid-configuration", "discovery_url", allow_http
        )
        self._allow_http = allow_http
        self._tls = Tls(context=ssl_context, ca_file=ca_file, cert=client_cert, key=client_key)
        self._clock = clock or Clock()
        self._client = (client_id, client_secret) if client_id and client_secret else None
        self._audience = _several(audience)
        self._token_use = _several(token_use) or ()
        self._max_staleness = max_staleness
        self._max_snapshot_bytes = max_snapshot_bytes
        self._backoff = backoff
        self._leeway = leeway
        self._on_state = on_state
        self._on_problem = on_problem
        self._open = False
        self._policy: Policy = policy
        self.uses(policy)
        self._begin()
        me = weakref.ref(self)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: _forked(me()))

    def _begin(self) -> None:
        """What a forked process has to make anew: nothing of a thread, a lock or a connection survives a fork."""
        mono = self._clock.mono
        self._lock = threading.Lock()
        self._connections = Connections(self._tls)
        self._discovery = Discovery(
            self._discovery_url, issuer=self.issuer, allow_http=self._allow_http, mono=mono
        )
        self._credentials = ClientCredentials(*self._client, mono) if self._client else None
        self._replica = Replica(clock=self._clock, max_staleness=self._max_staleness)
        self._guards = Guards()
        self._signatures = Signatures(self._fetch_jwks, mono, self._backoff)
        self._introspection = Introspection(self._introspect, self._clock)
        self._said: State = "EXPIRED"
        self._fresh = threading.Event()
        self._stopped = threading.Event()
        self._feed: Feed | None = None
        self._watcher: threading.Thread | None = None
        self._keeper: Keeper | None = None
        self._tick: Moment = self._replica.moment()

    def start(self) -> CenoteVerifier:
        """Begins to follow the feed; does not wait."""
        with self._lock:
            if self._feed is None and not self._stopped.is_set():
                self._feed = Feed(self._replica, self._settings(), self._connections, self._clock, self._stopped)
                self._keeper = Keeper(self._chores(self._feed), self._stopped, self._problem)
                self._watcher = threading.Thread(target=self._watch, name="cenote-watch", daemon=True)
                self._tick = self._replica.moment()
                self._feed.start()
                self._keeper.start()
                self._watcher.start()
        return self

    def stop(self) -> None:
        """For good."""
        self._stopped.set()
        self._connections.end()
        if self._feed and self._keeper and self._watcher:
            self._feed.join()
            self._keeper.join()
            self._watcher.join(6.0)

    def ready(self, timeout: float = 10.0) -> bool:
        """Waits until the feed is FRESH for the first time; answers whether it is."""
        self.start()
        return self._fresh.wait(timeout)

    @property
    def state(self) -> State:
        return self._replica.state

    @property
    def status(self) -> dict[str, Any]:
        """For a health page or metrics."""
        place, age = self._replica.place, self._replica.age
        return {
            "state": self.state,
            "age": round(age, 3) if math.isfinite(age) else None,
            "seq": place.seq if place else None,
            "incarnation": place.incarnation if place else None,
            "entries": len(self._replica.entries),
            "guards": len(self._guards),
        }

    def uses(self, policy: Policy | None) -> None:
        """Says before the first request that a route has this policy: the server's receipts count on the weakest in use here."""
        if policy is None:
            return
        check_policy(policy)
        if policy == "open":
            self._open = True

    def verify(
        self,
        token: str,
        *,
        token_use: str | Collection[str] | None = None,
        audience: str | Collection[str] | None = None,
        policy: Policy | None = None,
        may_wait: bool = True,
    ) -> Verified:
        """Verifies a token of this pool: signature, issuer, expiry, use, app client, and that no sign-out ended it.

        Raises a `Refusal`, which has `status`, `headers` and `body`. With `may_wait=False` it raises WouldBlock where only the
        network knows: an event loop then asks again from a thread."""
        self._running()
        header, claims = self._signatures.open(token, may_wait=may_wait)
        check_claims(
            claims, **self._wanted(token_use, audience), now=self._clock.wall(), leeway=self._leeway
        )
        wanted: Any = {"token_use": token_use, "audience": audience}
        verdict = self.check(claims, header, token=token, policy=policy, may_wait=may_wait, **wanted)
        return Verified(claims, header, verdict, token)

    def check(
        self,
        claims: Mapping[str, Any],
        header: Mapping[str, Any] | None,
        *,
        token: str | None = None,
        policy: Policy | None = None,
        token_use: str | Collection[str] | None = None,
        audience: str | Collection[str] | None = None,
        may_wait: bool = True,
    ) -> Verdict:
        """For claims whose signature and times something else has verified: issuer, use, app client, and the revocation. `token` is
        what introspection is asked about."""
        self._running()
        policy = self._policy if policy is None else policy
        self.uses(policy)
        check_parties(claims, **self._wanted(token_use, audience))
        # Whoever verified the signature may have been talked into another one.
        if header and header.get("alg", "RS256") != "RS256":
            raise InvalidTokenError("the token is not signed with RS256")
        # First: what the feed's thread took in between would be vouched for, and not looked up.
        state = self.state
        kind = ended_by(self._replica.entries, self._subjects(claims, header))
        if kind:
            raise RevokedError(f"a sign-out has ended the token ({kind})")
        if self._replica.has_expired(claims.get("exp")):
            raise InvalidTokenError(
                "the token has expired by the server's clock; is the clock of this machine slow?", "expired"
            )
        if state != "EXPIRED":
            return Verdict(state, "feed")
        if policy == "open":
            return Verdict(state, "policy")
        if policy == "introspect" and token is not None and claims.get("token_use") == "access":
            if self._introspection.is_active(token, may_wait=may_wait):
                return Verdict(state, "introspection")
            raise RevokedError("the server says that the token is not active")
        id_token = policy == "introspect" and claims.get("token_use") == "id"
        words = ", and an ID token cannot be introspected" if id_token else ""
        raise UnavailableError(f"the revocation feed cannot be reached{words}")

    def guard(
        self,
        claims: Mapping[str, Any],
        header: Mapping[str, Any] | None,
        *,
        token: str | None = None,
        policy: Policy | None = None,
    ) -> Guard:
        """For a connection that outlives its request: fires once the token is dead."""
        self._running()
        policy = self._policy if policy is None else policy
        self.uses(policy)
        check_issuer(claims, self.issuer)
        ask = None
        if token is not None and claims.get("token_use") == "access":
            known = token
            ask = lambda: self._introspection.is_active(known, may_wait=True)
        guard = self._guards.add(self._subjects(claims, header), policy, ask)
        self._guards.look(guard, self._replica.entries)
        return guard

    def _running(self) -> None:
        if self._feed is None:
            self.start()

    def _wanted(
        self, token_use: str | Collection[str] | None, audience: str | Collection[str] | None
    ) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "token_use": self._token_use if token_use is None else _several(token_use),
            "client_id": self._audience if audience is None else _several(audience),
        }

    def _subjects(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None) -> Subjects:
        return subjects(self.pool, claims, header)

    def _settings(self) -> Settings:
        return Settings(
            pool=self.pool,
            consumer=self._named(),
            policy=lambda: "open" if self._open else self._policy,
            max_staleness=self._max_staleness,
            max_snapshot_bytes=self._max_snapshot_bytes,
            backoff=self._backoff,
            discovery=self._discovery,
            credentials=self._credentials,
            on_applied=self._applied,
            on_replaced=lambda: self._guards.look_all(self._replica.entries),
            on_answered=self._look,
            on_problem=self._problem,
        )

    def _named(self) -> str:
        """Two processes under one name would hide from a receipt that one of them lags: a forked one gets a name of its own."""
        if self._consumer is None:
            return f"{re.sub('[^A-Za-z0-9._-]', '-', socket.gethostname())[:48]}-{os.getpid()}"
        return self._consumer if os.getpid() == self._made_in else f"{self._consumer[:53]}-{os.getpid()}"

    def _applied(self, entries: list[Entry]) -> None:
        self._guards.applied(entries, self._replica.entries)

    def _chores(self, feed: Feed) -> list[tuple[Callable[[], bool], Callable[[], object]]]:
        def renew_keys() -> None:
            with self._connections.connected() as connection:
                feed.renew_keys(connection)

        def read_again() -> None:
            with self._connections.connected() as connection:
                self._discovery.read(connection)

        signatures = self._signatures
        return [
            (lambda: self._discovery.is_old, read_again),
            (lambda: signatures.is_old, signatures.refresh),
            (lambda: feed.has_old_keys, renew_keys),
        ]

    def _watch(self) -> None:
        while not self._stopped.wait(_TICK):
            try:
                self._connections.abort_late()
                if self._replica.disagreement(self._tick) > _JUMP and self.state != "FRESH" and self._feed:
                    self._feed.hurry()
                self._tick = self._replica.moment()
                self._look()
                if self.state == "EXPIRED":
                    self._guards.expired()
            except Exception as error:  # The thread must go on whatever happens; it is told.
                self._problem(error)

    def _look(self) -> None:
        with self._lock:
            before, now = self._said, self.state
            self._said = now
        if before == now:
            return
        if now == "FRESH":
            self._fresh.set()
            self._signatures.hope()
        log.log(logging.INFO if now == "FRESH" else logging.WARNING, "the revocation feed of %s is %s", self.pool, now)
        if self._on_state:
            _tell(self._on_state, now, before)

    def _problem(self, error: Exception) -> None:
        log.warning("the revocation feed of %s: %s", self.pool, error)
        if self._on_problem:
            _tell(self._on_problem, error)

    def _fetch_jwks(self) -> Mapping[str, Any]:
        with self._connections.connected() as connection:
            try:
                return ask_json(connection, self._discovery.endpoints(connection).jwks)
            except CenoteError:
                self._discovery.doubt()
                raise

    def _introspect(self, token: str) -> bool:
        if self._credentials is None:
            raise UnavailableError("introspection needs client_id and client_secret")
        headers = {"Authorization": self._credentials.basic, "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        with self._connections.connected() as connection:
            url = self._discovery.endpoints(connection).introspection
            told = ask_json(connection, url, method="POST", headers=headers, body=body, timeout=2.0)
        return told.get("active") is True


def _tell(callback: Callable[..., object], *what: object) -> None:
    """A callback that raises does not end the thread that follows the feed."""
    try:
        callback(*what)
    except Exception:
        log.exception("a callback of the application failed")


def _forked(verifier: CenoteVerifier | None) -> None:
    if verifier:
        verifier._begin()


def _several(value: str | Collection[str] | None) -> tuple[str, ...] | None:
    return None if value is None else (value,) if isinstance(value, str) else tuple(value)


def _checked_consumer(consumer: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", consumer, re.ASCII):
        raise ValueError(f"consumer must be 1 to 64 of A-Z a-z 0-9 . _ -, not {consumer!r}")
