"""Connections that outlive the request that opened them: each waits to be told that its token is dead."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Callable, Iterable, Literal, get_args

from .entries import Entries
from .errors import CenoteError
from .tokens import Subjects, ended_by
from .wire import Entry

Policy = Literal["introspect", "closed", "open"]
_ROUND = 5.0
_AT_ONCE = 4


def check_policy(policy: str) -> None:
    if policy not in get_args(Policy):
        raise ValueError(f"policy must be introspect, closed or open, not {policy!r}")


@dataclass(frozen=True)
class End:
    """Why a guard fired: `session_revoked`, or `revocation_unknown` where the feed expired and the policy will not go on."""

    reason: Literal["session_revoked", "revocation_unknown"]
    kind: str | None = None


class Guard:
    """Fires once, when its token is dead. A refresh does not touch it. Release it (or leave its `with`) when the connection ends."""

    def __init__(
        self, subjects: Subjects, policy: Policy, ask: Callable[[], bool] | None, release: Callable[[Guard], None]
    ) -> None:
        self.subjects = subjects
        self.policy = policy
        self.ask = ask
        #: For threads: `future.result(timeout)` waits.
        self.future: Future[End] = Future()
        self._release = release

    @property
    def revoked(self) -> asyncio.Future[End]:
        """For asyncio: `await guard.revoked`. Each use is a future of its own, so that cancelling one harms nobody."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[End] = loop.create_future()

        def wake(end: End) -> None:
            if not waiter.done():
                waiter.set_result(end)

        def told(done: Future[End]) -> None:
            try:
                loop.call_soon_threadsafe(wake, done.result())
            except RuntimeError:
                pass  # The loop has ended, and with it whoever waited.

        self.future.add_done_callback(told)
        return waiter

    @property
    def is_revoked(self) -> bool:
        return self.future.done()

    def release(self) -> None:
        self._release(self)

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Guards:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[bytes, set[Guard]] = {}
        self._all: set[Guard] = set()
        self._round: threading.Thread | None = None
        self._rounded = float("-inf")

    def __len__(self) -> int:
        return len(self._all)

    def add(self, subjects: Subjects, policy: Policy, ask: Callable[[], bool] | None) -> Guard:
        guard = Guard(subjects, policy, ask, self.release)
        with self._lock:
            self._all.add(guard)
            for _, key in subjects.keys:
                self._by_key.setdefault(key, set()).add(guard)
        return guard

    def release(self, guard: Guard) -> None:
        with self._lock:
            self._all.discard(guard)
            for _, key in guard.subjects.keys:
                waiting = self._by_key.get(key)
                if waiting is not None:
                    waiting.discard(guard)
                    if not waiting:
                        del self._by_key[key]

    def applied(self, changed: Iterable[Entry], entries: Entries) -> None:
        """New entries: only guards that they name are looked at."""
        for entry in changed:
            with self._lock:
                named = list(self._by_key.get(entry.key, ()))
            for guard in named:
                self.look(guard, entries)

    def look_all(self, entries: Entries) -> None:
        for guard in self._snapshot():
            self.look(guard, entries)

    def look(self, guard: Guard, entries: Entries) -> None:
        kind = ended_by(entries, guard.subjects)
        if kind:
            self._end(guard, End("session_revoked", kind))

    def expired(self) -> None:
        """The feed is EXPIRED: what each guard's policy says. Introspection runs beside, a round every 5 s."""
        guards = self._snapshot()
        for guard in guards:
            if guard.policy == "closed":
                self._end(guard, End("revocation_unknown"))
        asking = [guard for guard in guards if guard.policy == "introspect"]
        if not asking or (self._round and self._round.is_alive()) or time.monotonic() - self._rounded < _ROUND:
            return
        self._rounded = time.monotonic()
        self._round = threading.Thread(target=self._introspect_all, args=(asking,), name="cenote-guards", daemon=True)
        self._round.start()

    def _introspect_all(self, guards: list[Guard]) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._introspect, guards))

    def _introspect(self, guard: Guard) -> None:
        if guard not in self._all:
            return
        try:
            if guard.ask is not None:
                if not guard.ask():
                    self._end(guard, End("session_revoked"))
                return
        except CenoteError:
            pass  # Nobody can say.
        self._end(guard, End("revocation_unknown"))

    def _end(self, guard: Guard, why: End) -> None:
        self.release(guard)
        try:
            guard.future.set_result(why)
        except InvalidStateError:
            pass

    def _snapshot(self) -> list[Guard]:
        with self._lock:
            return list(self._all)
