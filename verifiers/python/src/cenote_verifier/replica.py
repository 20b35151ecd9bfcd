"""One verifier's copy of a pool's feed: what it accepts, and how fresh it is. No network, no threads; the clock is an argument."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Literal

from .entries import Entries
from .errors import FrameError
from .wire import MAX_ENTRIES, Frame, Snapshot, link

State = Literal["FRESH", "STALE", "EXPIRED"]

# A signed frame that answered a nonce vouches for this long, from the moment the nonce was sent.
FRESH_SECONDS = 4.0

# How long after the end of its tokens the server still knows an entry.
SPARE_SECONDS = 120.0

# How long a snapshot still holds what is over by the server's clock.
SNAPSHOT_KEEPS_MS = 600_000


class Clock:
    """`wall` tells the time of day, `mono` never goes back. Both in seconds."""

    def wall(self) -> float:
        return time.time()

    def mono(self) -> float:
        # Where there is one, a clock that goes on while the machine sleeps.
        boottime = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if boottime is None else time.clock_gettime(boottime)


@dataclass(frozen=True)
class Moment:
    wall: float
    mono: float


@dataclass(frozen=True)
class Place:
    incarnation: str
    seq: int
    h: bytes


class Replica:
    def __init__(self, *, clock: Clock | None = None, max_staleness: float = 30.0) -> None:
        self.entries = Entries()
        # Where in the feed this copy stands; without it a snapshot is needed.
        self.place: Place | None = None
        self._clock = clock or Clock()
        self._max_staleness = max_staleness
        self._began = self.moment()
        self._vouched: Moment | None = None
        self._told: tuple[float, float] | None = None
        self._snapshot_iat = 0

    def moment(self) -> Moment:
        """Both clocks, to measure from."""
        return Moment(self._clock.wall(), self._clock.mono())

    @property
    def age(self) -> float:
        """Seconds since the nonce of the last accepted frame was sent; infinite if there was none. The larger of what two
        clocks say: a monotonic one may stand still while a machine sleeps, and the wall clock may be set back."""
        vouched = self._vouched
        return math.inf if vouched is None else self.passed(vouched)

    def passed(self, since: Moment) -> float:
        return max(self._clock.mono() - since.mono, self._clock.wall() - since.wall)

    @property
    def state(self) -> State:
        age = self.age
        return "FRESH" if age <= FRESH_SECONDS else "STALE" if age <= self._max_staleness else "EXPIRED"

    def disagreement(self, since: Moment) -> float:
        """How far the two clocks disagree about the time since then: a jump of one, or a sleep."""
        return abs((self._clock.mono() - since.mono) - (self._clock.wall() - since.wall))

    def accept(self, frame: Frame, sent: Moment) -> None:
        """Takes a frame that answers a nonce sent at that moment. What does not fit raises, and nothing has changed."""
        place = self.place
        if place is None or frame.incarnation != place.incarnation:
            raise FrameError("incarnation", "the feed has begun anew: its database was restored")
        if frame.start != place.seq:
            raise FrameError("gap", f"the frame begins at {frame.start}, we stand at {place.seq}")
        if len(frame.entries) != frame.end - frame.start or len(frame.entries) > MAX_ENTRIES:
            raise FrameError("length", f"{len(frame.entries)} records cannot lead from {frame.start} to {frame.end}")
        h = place.h
        for entry in frame.entries:
            h = link(h, entry)
        if frame.h_before != place.h or frame.h_after != h:
            raise FrameError("chain", "the records do not follow those that are known")
        if frame.iat + SNAPSHOT_KEEPS_MS < self._snapshot_iat:
            raise FrameError(
                "earlier", "the server's clock was ahead when it made the snapshot, which may lack what still lives"
            )
        for entry in frame.entries:
            self.entries.add(entry)
        self.place = Place(frame.incarnation, frame.end, h)
        self._told = (frame.iat / 1000, self._clock.mono())
        # A full frame may have more behind it.
        if len(frame.entries) < MAX_ENTRIES:
            self._vouched = sent

    def load(self, snapshot: Snapshot) -> None:
        """Takes a snapshot's place, and keeps every unexpired entry that is known already. It proves no freshness."""
        if self._told is None:
            # Before anything is left out: our wall clock may be ahead.
            self._told = (snapshot.iat / 1000, self._clock.mono())
        self.entries.merge(snapshot.records, self.forgettable())
        self._snapshot_iat = snapshot.iat
        self.place = Place(snapshot.incarnation, snapshot.seq, snapshot.h)

    def has_expired(self, exp: object) -> bool:
        """Whether a token's `exp` has passed by the server's clock, with two minutes to spare. The server forgets by its own clock
        who was signed out: behind a clock of ours that is slow, such a token would seem to live."""
        if self._told is None or not isinstance(exp, (int, float)):
            return False
        return exp <= self._told[0] + self._clock.mono() - self._told[1] - SPARE_SECONDS

    def forgettable(self) -> int:
        """Entries that end before this (in milliseconds) may be forgotten. The earliest of what three clocks say: a wall clock
        that jumps ahead and comes back must not have cost an entry whose tokens live again."""
        now = self.moment()
        times = [now.wall, self._began.wall + now.mono - self._began.mono]
        if self._told:
            times.append(self._told[0] + now.mono - self._told[1])
        return int(min(times) * 1000)
