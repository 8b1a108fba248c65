"""Parts of a price: what single tickets of an order cost, what goes back of it, what a promo code takes off. Pure.

Guarantee: every share is a sum that can be moved, it is decided once and written into the fact, and shares add up: the
parts of an order are the whole, and what goes back for its tickets one by one, at one percentage, is to the minor unit
what would go back for all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass

MOVABLE_MINOR = {"BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10, "MGA": 100}
"""The smallest sum, in minor units, that every payment provider moves; 1 for all others. Card networks want the last of
a dinar's three digits to be 0, and nobody moves a fraction of an ariary. Part of the rules: a change of this table is
a new version of them (`former_rules`), so it is not looked up in a provider or in an edition of ISO 4217.
"""
_WHOLE = 100


@dataclass(frozen=True, slots=True)
class Shares:
    """The arithmetic. `movable` is the smallest sum by currency; shares are rounded down to it, a whole never is."""

    movable: dict[str, int]
    telescoping: bool

    def part(self, of_minor: int, count: int, of_count: int, currency: str) -> int:
        """What `count` of `of_count` tickets cost, that cost `of_minor` together. The last ones cost what is left."""
        if count == of_count:
            return of_minor
        return self._down(of_minor * count // of_count, currency)

    def back(self, of_minor: int, part_minor: int, percent: int, currency: str) -> int:
        """What goes back for a part of `of_minor` that is cancelled, where `percent` of a price does.

        Telescoping: what would go back for all of it, less what still would for the rest. So roundings never add up.
        """
        if not self.telescoping:
            return self.of_percent(part_minor, percent, currency)
        rest = of_minor - part_minor
        return self.of_percent(of_minor, percent, currency) - self.of_percent(rest, percent, currency)

    def of_percent(self, of_minor: int, percent: int, currency: str) -> int:
        """`percent` of a sum; all of it is all of it."""
        return of_minor if percent == _WHOLE else self._down(of_minor * percent // _WHOLE, currency)

    def at_most(self, minor: int, of_minor: int, currency: str) -> int:
        """A sum of its own that is taken off another one, and takes no more than there is."""
        return of_minor if minor >= of_minor else self._down(minor, currency)

    def _down(self, minor: int, currency: str) -> int:
        return minor - minor % self.movable.get(currency, 1)


EXACT = Shares(MOVABLE_MINOR, telescoping=True)
FORMER = Shares({}, telescoping=False)
"""Of versions 1 and 2: rounded down to the minor unit, each share by itself."""
