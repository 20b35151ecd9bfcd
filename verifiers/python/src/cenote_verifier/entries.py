"""What is known to be revoked: the sorted records of a snapshot as they came, and over them a map of what came since."""

from __future__ import annotations

import struct

from .wire import RECORD, Entry

Times = tuple[int, int]  # not_before, drop_after
_TIMES = struct.Struct(">QQ")


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
        return len(over) > max(4096, len(base) // RECORD // 4)

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
        rows = [base[at : at + RECORD] for at in range(0, len(base), RECORD)]
        rows += [records[at : at + RECORD] for at in range(0, len(records), RECORD)]
        rows += [key + _TIMES.pack(*times) for key, times in over.items()]
        # Runs that are sorted already cost little.
        rows.sort()
        kept: list[bytes] = []
        for row in rows:
            if kept and kept[-1][:16] == row[:16]:
                kept[-1] = row[:16] + _TIMES.pack(*_larger(_times(kept[-1], 0), _times(row, 0)))
            else:
                kept.append(row)
        self._parts = (b"".join(row for row in kept if _times(row, 0)[1] > now), {})

    def tidy(self, now: int) -> None:
        self.merge(b"", now)


def _times(records: bytes, at: int) -> Times:
    not_before, drop_after = _TIMES.unpack_from(records, at + 16)
    return (not_before, drop_after)


def _larger(a: Times, b: Times) -> Times:
    return (max(a[0], b[0]), max(a[1], b[1]))
