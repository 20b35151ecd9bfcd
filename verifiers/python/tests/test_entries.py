"""What is known, held against a dictionary."""

import random
import struct

from cenote_verifier.entries import Entries
from cenote_verifier.wire import Entry


def snapshot(known):
    return b"".join(key + struct.pack(">QQ", *times) for key, times in sorted(known.items()))


def test_whatever_comes_in_whatever_order_each_key_has_its_larger_times_until_they_end():
    dice = random.Random(5)
    for _ in range(300):
        entries, known = Entries(), {}
        # Few keys meet often, many seldom.
        keys = [dice.randbytes(16) for _ in range(dice.choice([1, 3, 40, 300]))]
        row = lambda: (dice.choice(keys), dice.randrange(100), dice.randrange(100))
        for _ in range(dice.randrange(6)):
            rows = [row() for _ in range(dice.randrange(60))]
            taken = {key: (not_before, drop_after) for key, not_before, drop_after in rows}
            if dice.random() < 0.5:
                for key, times in taken.items():
                    entries.add(Entry("U", key, *times))
            for key, (not_before, drop_after) in taken.items():
                had = known.get(key, (0, 0))
                known[key] = (max(had[0], not_before), max(had[1], drop_after))
            now = dice.choice([0, 0, 30, 90])
            entries.merge(snapshot(taken), now)
            known = {key: times for key, times in known.items() if times[1] > now}
            assert {key: entries.find(key) for key in keys} == {key: known.get(key) for key in keys}
            assert len(entries) == len(known)
