"""A town (`tests.simulation.whole`) where a stranger writes to the commands topic, too: any values of its types.

Seeded. `records` are the records on the topic. Those that the codec refuses (dead letters on the platform) are counted;
they are no commands of the town's log.
"""

from __future__ import annotations

from collections import Counter

from schemas import commands as c
from schemas.codec import COMMAND_BYTES_MAX, TIME_US_MAX, Undecodable
from schemas.facts import Reason
from tests.simulation.whole import CODES, EVENT, OWNER, START_US, USERS, Town

SHARE = 0.4
LONG = "x" * 128
STRANGE = (
    "", " ", "\0", "a\0b", "\x1f", "\x7f", "\\", "'; DROP TABLE events; --", "{}", "null", "\ufffd", "\u202e",
    "\U0001f4a5" * 64, LONG, LONG + "x", "y" * (COMMAND_BYTES_MAX // 4), "../../etc", "a|b|c", "not a uuid", "seated",
    "percent", "captured", "#r1",
    "00000000-0000-0000-0000-000000000000", *(reason.value for reason in (Reason.SOLD_OUT, Reason.EVENT_CANCELLED)),
)  # fmt: skip
KNOWN = (
    OWNER, *USERS[:3], "r1", "r2", "r3", "w1", "w2", "b1", "b2", "stalls", "floor", "pool", *CODES, "id-SPRING", "pay",
)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 7, 100, 101, -1, -(2**31), 2**31 - 1, 1_000, 10**6)
BEYOND = (2**31, -(2**31) - 1, 2**62, 2**63 - 1, -(2**63), 10**12, 10**12 + 1)
TIMES = (0, 1, START_US, START_US + 1, TIME_US_MAX, TIME_US_MAX + 1, -1, 2**62)
LISTS = (
    [], [""], ["A-1"], ["A-1", "A-1"], ["ZZ-99"], ["1"], ["\0"], ["stalls"], ["x" * 5_000],
    [str(n) for n in range(300)],
)  # fmt: skip


class HostileTown(Town):
    """A town with a stranger who writes to the log. `refused` counts the records that the codec refuses."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.records: list[bytes] = []
        self.refused: Counter[str] = Counter()
        self.forged: Counter[type[c.Command]] = Counter()

    def _command(self) -> c.Command:
        while len(self.log) > 4 and self.rng.random() < SHARE:
            forged = self._forged()
            self.records.append(self.codec.encode(forged))
            found = self.codec.decode(self.records[-1])
            if isinstance(found, Undecodable):
                self.refused[found.error.partition(" ")[0]] += 1
                continue
            assert isinstance(found, c.Command)
            self.forged[type(found)] += 1
            return found
        command = super()._command()
        self.records.append(self.codec.encode(command))
        return command

    def _forged(self) -> c.Command:
        """A command with mostly usual values, and an unusual one in one field or more."""
        kind = self.rng.choice(c.COMMANDS)
        wild = self.rng.choice((0.1, 0.3, 1.0))
        types = c.Command.__annotations__ | kind.__annotations__
        values = {field: self._value(field, types[field], wild) for field in kind.__struct_fields__[1:]}
        if self.rng.random() < 0.7:
            values["user_id"] = OWNER
        return kind(EVENT, **values)

    def _value(self, field: str, annotation: str, wild: float) -> object:
        odd = self.rng.random() < wild
        if "None" in annotation and self.rng.random() < 0.3:
            return None
        if annotation.startswith("list"):
            return list(self.rng.choice(LISTS if odd else LISTS[:4]))
        if annotation.startswith(("int", "Int32", "Flag")):
            if field.endswith("_at"):
                return self.rng.choice(TIMES if odd else (0, START_US, self._now, self._now + 60_000_000))
            return self.rng.choice(NUMBERS + BEYOND if odd else NUMBERS[:5])
        if odd:
            return self.rng.choice(STRANGE)
        return self.rng.choice(KNOWN)
