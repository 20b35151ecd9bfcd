"""One thread for what has no haste: reading again what gets old. Nothing waits for it, so a server that answers slowly costs nobody anything."""

from __future__ import annotations

import threading
from typing import Callable, Sequence

from .errors import CenoteError

_TICK = 0.25


class Keeper:
    """`chores`: for each, whether it is due, and what to do. Each keeps its own pauses."""

    def __init__(
        self,
        chores: Sequence[tuple[Callable[[], bool], Callable[[], object]]],
        stopped: threading.Event,
        on_problem: Callable[[Exception], None],
    ) -> None:
        self._chores = chores
        self._stopped = stopped
        self._on_problem = on_problem
        self._thread = threading.Thread(target=self._run, name="cenote-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(6.0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            for is_due, do in self._chores:
                try:
                    if is_due():
                        do()
                except Exception as error:  # The thread must go on whatever happens; it is told.
                    if not (self._stopped.is_set() and isinstance(error, CenoteError)):
                        self._on_problem(error)
            self._stopped.wait(_TICK)
