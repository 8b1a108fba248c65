"""An organizer who changes everything all the time, in many different towns: the checker's books find no error."""

from __future__ import annotations

import pytest

from pipelines.reservations.core.digest import canonical
from schemas import commands as c
from schemas.ids import US_PER_S
from tests.simulation.whole import _MAKERS, EVENT, OWNER, Town, digest_of, fold, replayed

pytestmark = pytest.mark.simulation

SEEDS = range(100)
COMMANDS_EACH = 500
LAYOUTS = ("stalls", "floor")


class Restless(Town):
    """A town where some acts are frequent and others rare, differently for each seed; and every term may change."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._makers = [*_MAKERS, Restless._terms, Restless._layout, Restless._called_off]
        self._weights = [weight * 2 ** self.rng.uniform(-3, 3) for weight in (*_MAKERS.values(), 3, 4, 2)]

    def _command(self) -> c.Command:
        if len(self.log) <= 4:
            return super()._command()
        return self.rng.choices(self._makers, self._weights)[0](self)

    def _terms(self) -> c.Command:
        now, chosen = self._now, {}
        for name, values in {
            "title": ("A", "B"),
            "starts_at": (now - 5 * US_PER_S, now + 50 * US_PER_S, now + 500 * US_PER_S),
            "ends_at": (now + US_PER_S, now + 60 * US_PER_S, now + 3_000 * US_PER_S),
            "sales_open_at": (0, now + 20 * US_PER_S),
            "sales_close_at": (0, now + 300 * US_PER_S),
            "refund_until_at": (0, now, now + 100 * US_PER_S),
            "refund_percent": (0, 33, 100),
            "hold_ttl_s": (1, 30, 240),
            "hold_extension_s": (0, 30),
            "offer_ttl_s": (0, 20),
            "max_tickets_per_order": (0, 2),
        }.items():
            if self.rng.random() < 0.25:
                chosen[name] = self.rng.choice(values)
        return c.UpdateEvent(EVENT, OWNER, "id", **chosen)

    def _layout(self) -> c.Command:
        choose = self.rng.choice
        return c.UpdateTicketType(
            EVENT, OWNER, "id", choose(LAYOUTS), rows=choose((None, 1, 2, 5)), seats_per_row=choose((None, 2, 7)),
            capacity=choose((None, 5, 20)), hidden=choose((None, 0, 1)), max_per_order=choose((None, None, 0, 1)),
        )  # fmt: skip

    def _called_off(self) -> c.Command:
        late = len(self.log) > COMMANDS_EACH // 2 and self.rng.random() < 0.05
        return c.CancelEvent(EVENT, OWNER, "id", "rain") if late else c.Tick(EVENT, "", "tick")


def test_whatever_is_changed_meanwhile_the_books_agree_and_the_log_gives_the_same_facts() -> None:
    for seed in SEEDS:
        town = Restless(seed)
        town.run(COMMANDS_EACH)
        town.finish()
        assert town.violations == [], (seed, town.violations[:3])
        assert list(town.ledger.unfinished()) == [], seed
        assert canonical(fold(town.facts)) == canonical(town.state), seed
        assert digest_of(town.codec, replayed(town.log, 7)) == town.digest(), seed
