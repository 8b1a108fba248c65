"""Parts of a price: the price of single tickets, refunds, and the discount of a promo code. Pure.

Guarantee: providers can move every share. A share is decided once and written into the fact. Shares add up: the parts
of an order are the whole. Refunds of single tickets, at one percentage, add up to the refund of all tickets together,
to the minor unit.
"""

from __future__ import annotations

from dataclasses import dataclass

MOVABLE_MINOR = {"BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10, "MGA": 100}
"""The smallest sum, in minor units, that every payment provider moves; 1 for all others. Card networks want the last of
a dinar's three digits to be 0, and no provider moves a fraction of an ariary. Part of the rules: a change of this table
is a new version of them (`former_rules`), so it is not looked up in a provider or in an edition of ISO 4217.
"""
WHOLE = 100  # percent


@dataclass(frozen=True, slots=True)
class Shares:
    """The arithmetic. `movable` is the smallest sum by currency. A share is rounded down to it; a whole is never
    rounded."""

    movable: dict[str, int]
    telescoping: bool

    def part(self, of_minor: int, count: int, of_count: int, currency: str) -> int:
        """The price of `count` of `of_count` tickets, which cost `of_minor` together. The last tickets get the rest."""
        if count == of_count:
            return of_minor
        return self._down(of_minor * count // of_count, currency)

    def back(self, of_minor: int, part_minor: int, percent: int, currency: str) -> int:
        """The refund for a cancelled part of `of_minor`, at `percent` of the price.

        It is the refund for all, less the refund for the rest. So rounding errors never add up.
        """
        if not self.telescoping:
            return self.of_percent(part_minor, percent, currency)
        rest = of_minor - part_minor
        return self.of_percent(of_minor, percent, currency) - self.of_percent(rest, percent, currency)

    def of_percent(self, of_minor: int, percent: int, currency: str) -> int:
        """`percent` of a sum. 100 percent is the whole sum, without rounding."""
        return of_minor if percent == WHOLE else self._down(of_minor * percent // WHOLE, currency)

    def at_most(self, minor: int, of_minor: int, currency: str) -> int:
        """A fixed discount: at most the sum that it is taken off."""
        return of_minor if minor >= of_minor else self._down(minor, currency)

    def _down(self, minor: int, currency: str) -> int:
        return minor - minor % self.movable.get(currency, 1)


EXACT = Shares(MOVABLE_MINOR, telescoping=True)
FORMER = Shares({}, telescoping=False)
"""The arithmetic of versions 1 and 2: each share is rounded down to the minor unit by itself."""
