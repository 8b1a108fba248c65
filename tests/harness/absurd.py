"""Facts that are valid by schema and absurd by value: of every kind, with any value of its type in every field.
Seeded."""

from __future__ import annotations

import random
from typing import Any, get_args

import msgspec

from schemas import facts as f
from schemas.codec import TIME_US_MAX
from schemas.facts import FACTS, RULES_VERSION, Envelope, RecordedFact
from schemas.field_types import is_int32
from schemas.ids import ticket_id

LONG_MAX, INT_MAX = 2**63 - 1, 2**31 - 1
YEAR_1_US = -62_135_596_800_000_000
LONGS = (
    0,
    1,
    -1,
    2**31,
    2**53,
    2**53 + 1,
    LONG_MAX,
    -LONG_MAX - 1,
    TIME_US_MAX,
    TIME_US_MAX + 1,
    YEAR_1_US,
    600_000_000,
)
INTS = (0, 1, -1, 7, INT_MAX, -INT_MAX - 1)
ENDLESS = random.Random(3).randbytes(20_000).hex()  # too large for any index
TEXTS = (
    "", " ", "\0", "a\0b", "\x1b[31m", "\x9b", "\u202eabc", "\u2028", "\ufeff", "\U0001f468\u200d\U0001f469", "\\",
    "'; --", "{}", "null", ENDLESS, "x" * 5_000, "EUO", "ZZZ", "KWD", "JPY", "localtime", "../../etc/passwd", "a,b",
    "é" * 300,
)  # fmt: skip
LISTS: tuple[list[str], ...] = ([], [""], ["A-1"], ["A-1", "A-1"], ["\0"], [ENDLESS[:9_000]], ["a,b", "c"], ["1"] * 300)


class Absurd:
    """Facts of one partition, each at the next position; every kind, `rounds` times."""

    def __init__(self, seed: int, partition: int, currencies: tuple[str, ...]) -> None:
        self._random, self._partition, self._currencies = random.Random(seed), partition, currencies
        self.offset = 0

    def facts(self, rounds: int) -> list[RecordedFact]:
        """Facts of events and users that do not exist."""
        made = []
        for wild in (0.15, 0.4, 1.0) * rounds:
            for kind in FACTS:
                made.append(self.next(self._fact(kind, wild), self._event(wild)))
        return made

    def next(self, fact: f.Fact, event_id: str) -> RecordedFact:
        """A fact at the next position."""
        log_time = self._random.choice((0, 1_800_000_000_000_000, TIME_US_MAX))
        at = Envelope(
            event_id=event_id,
            partition=self._partition,
            offset=self.offset,
            index=0,
            count=1,
            log_time=log_time,
            rules_version=RULES_VERSION,
        )
        self.offset += 1
        return RecordedFact(at, fact)

    def _event(self, wild: float) -> str:
        return self._random.choice(TEXTS) if self._random.random() < wild / 3 else f"event-{self._random.randrange(20)}"

    def _fact(self, kind: type[f.Fact], wild: float) -> f.Fact:
        fields: dict[str, Any] = {}
        for field in msgspec.structs.fields(kind):
            fields[field.name] = self._value(field.name, field.type, wild)
        return kind(**fields)

    def _value(self, name: str, hint: Any, wild: float) -> Any:
        info = msgspec.inspect.type_info(hint)
        optional = isinstance(info, msgspec.inspect.UnionType)
        if optional and self._random.random() < 0.3:
            return None
        inner = next(one for one in info.types if not isinstance(one, msgspec.inspect.NoneType)) if optional else info
        odd = self._random.random() < wild
        if isinstance(inner, msgspec.inspect.ListType):
            chosen = self._random.choice(LISTS if odd else LISTS[:3])
            # No two facts have the same seat: a seat that is sold twice stops the projection, as it should.
            return [f"{one}{self.offset}" for one in chosen] if name == "seats" else list(chosen)
        if isinstance(inner, msgspec.inspect.IntType):
            narrow = any(map(is_int32, (hint, *get_args(hint))))
            return self._random.choice((INTS if narrow else LONGS) if odd else (0, 1, 2))
        if name == "currency" and not odd:
            return self._random.choice(self._currencies)
        if name == "ticket_id" and not odd:
            return ticket_id("r1", "A-1")  # type: ignore[arg-type]
        return self._random.choice(TEXTS) if odd else f"{name}-{self._random.randrange(3)}"
