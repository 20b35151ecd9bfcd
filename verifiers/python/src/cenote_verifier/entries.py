"""What is known to be revoked: the sorted records of a snapshot as they came, and over them a map of what came since."""

from __future__ import annotations

import struct

from .wire import RECORD, Entry

Times = tuple[int, int]  # not_before, drop_after
_TIMES = struct.Struct(">QQ")
_DROP_AFTER = struct.Struct(">24xQ")


class Entries:
    """One thread writes, any number read without a lock: a merge replaces both parts at once."""

    def __init__(self) -> None:
        self._parts: tuple[bytes, dict[bytes, Times]] = (b"", {})

    def __len__(self) -> int:
        base, over = self._parts
        return len(base) // RECORD + len(over)

    @property
    def is_loose(self) -> bool:
        """Whether the map has grown so much that it should be folded into the sorted records."""
        base, over = self._parts
        return len(over) > max(4096, len(base) // RECORD // 16)

    def find(self, key: bytes) -> Times | None:
        base, over = self._parts
        newer = over.get(key)
        low, high = 0, len(base) // RECORD
        while low < high:
            middle = (low + high) // 2
            at = middle * RECORD
            here = base[at : at + 16]
            if here == key:
                times = _times(base, at)
                return _larger(newer, times) if newer else times
            if here < key:
                low = middle + 1
            else:
                high = middle
        return newer

    def add(self, entry: Entry) -> None:
        """Of two records of one key the larger times hold, so that records may come twice and in any order."""
        over = self._parts[1]
        times = (entry.not_before, entry.drop_after)
        had = over.get(entry.key)
        over[entry.key] = _larger(had, times) if had else times

    def merge(self, records: bytes, now: int) -> None:
        """Takes in the sorted records of a snapshot and keeps what was known; leaves out what ended before `now`."""
        base, over = self._parts
        mine = b"".join(key + _TIMES.pack(*over[key]) for key in sorted(over))
        self._parts = (_unended(_fold(_fold(base, mine), records), now), {})

    def tidy(self, now: int) -> None:
        self.merge(b"", now)


def _times(records: bytes, at: int) -> Times:
    not_before, drop_after = _TIMES.unpack_from(records, at + 16)
    return (not_before, drop_after)


def _larger(a: Times, b: Times) -> Times:
    return (max(a[0], b[0]), max(a[1], b[1]))


# A million records make a list of a million objects, eight times as large as they are: so there are no lists here.


def _fold(a: bytes, b: bytes) -> bytes:
    """One sorted run of two. Of two records of one key the larger times hold."""
    long, short = (a, b) if len(a) >= len(b) else (b, a)
    if not short:
        return long
    rest, out, at = memoryview(long), bytearray(), 0
    for row in range(0, len(short), RECORD):
        key = short[row : row + 16]
        end = _first_not_below(long, at, key)
        out += rest[at:end]
        at = end
        if long[at : at + 16] == key:
            out += key + _TIMES.pack(*_larger(_times(long, at), _times(short, row)))
            at += RECORD
        else:
            out += short[row : row + RECORD]
    out += rest[at:]
    return bytes(out)


def _first_not_below(records: bytes, at: int, key: bytes) -> int:
    """Where the first key is that is not below this one, from `at` on. Mostly it is near: steps that double, and then halves."""
    step = RECORD
    low, high = at, at
    while high < len(records) and records[high : high + 16] < key:
        low, high, step = high + RECORD, high + step, step * 2
    high = min(high, len(records))
    while low < high:
        middle = low + (high - low) // RECORD // 2 * RECORD
        if records[middle : middle + 16] < key:
            low = middle + RECORD
        else:
            high = middle
    return low


def _unended(records: bytes, now: int) -> bytes:
    ended = [n * RECORD for n, (drop_after,) in enumerate(_DROP_AFTER.iter_unpack(records)) if drop_after <= now]
    if not ended:
        return records
    rest, out, at = memoryview(records), bytearray(), 0
    for end in ended:
        out += rest[at:end]
        at = end + RECORD
    out += rest[at:]
    return bytes(out)
