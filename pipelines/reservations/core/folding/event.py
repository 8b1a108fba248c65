"""What the facts about an event change: its terms, its status, its programme."""

from __future__ import annotations

from pipelines.reservations.core.entities import Details, Placed
from pipelines.reservations.core.folding.change import Change
from pipelines.reservations.core.state import EventState
from schemas import facts as f
from schemas.event_terms import EventTerms
from schemas.statuses import EventStage
from schemas.terms import terms_of


def _details(state: EventState, fact: f.EventCreated | f.EventUpdated, _at: Placed) -> None:
    organizer = fact.user_id if state.details is None else state.details.organizer_id
    state.details = Details(organizer_id=organizer, **terms_of(EventTerms, fact))


def _status(status: EventStage) -> Change:
    def change(state: EventState, _fact: f.Fact, _at: Placed) -> None:
        state.status = status

    return change


def _schedule(state: EventState, fact: f.ScheduleChanged, _at: Placed) -> None:
    state.schedule = fact.activities


CHANGES: dict[type[f.Fact], Change] = {
    f.EventCreated: _details,
    f.EventUpdated: _details,
    f.EventPublished: _status(EventStage.PUBLISHED),
    f.EventDeleted: _status(EventStage.DELETED),
    f.EventCancelled: _status(EventStage.CANCELLED),
    f.EventEnded: _status(EventStage.ENDED),
    f.ScheduleChanged: _schedule,
}
