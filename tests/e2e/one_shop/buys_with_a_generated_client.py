"""A program with a generated client: an account, an event, a hold, a payment, the tickets."""

import json
import sys

from client import AuthenticatedClient, Client
from client import models as m
from client.api.accounts import post_auth_login, post_auth_register, post_users_me_become_organizer
from client.api.events import post_events, post_events_by_event_id_publish, post_events_by_event_id_ticket_types
from client.api.reservations import post_events_by_event_id_reservations, post_reservations_by_reservation_id_confirm
from client.api.tickets import get_tickets

url, email, event = sys.argv[1:]


def done(answer, kind):
    assert isinstance(answer.parsed, kind), (answer.status_code, answer.content)
    return answer.parsed


def caller(token):
    return AuthenticatedClient(base_url=url, token=token)


anybody, password = Client(base_url=url), "correct-horse-7"
done(
    post_auth_register.sync_detailed(client=anybody, body=m.RegisterIn(email=email, password=password, name="Ada")),
    m.UserOut,
)
tokens = done(
    post_auth_login.sync_detailed(client=anybody, body=m.LoginIn(email=email, password=password)), m.TokensOut
)
organizer = done(post_users_me_become_organizer.sync_detailed(client=caller(tokens.access_token)), m.OrganizerOut)
ada = caller(organizer.access_token)
draft = m.EventIn.from_dict(json.loads(event))
made = done(post_events.sync_detailed(client=ada, body=draft, prefer="wait=20"), m.EventOut)
kind = m.TicketTypeIn(
    name="Stalls",
    price=m.Price(amount=4250, currency="EUR"),
    layout=m.Seated(kind=m.SeatedKind.SEATED, rows=2, seats_per_row=4),
)
sold = done(
    post_events_by_event_id_ticket_types.sync_detailed(made.id, client=ada, body=kind, prefer="wait=20"),
    m.TicketTypeOut,
)
done(post_events_by_event_id_publish.sync_detailed(made.id, client=ada, prefer="wait=20"), m.EventOut)
wanted = m.ReservationIn(ticket_type_id=sold.id, quantity=2)
hold = done(
    post_events_by_event_id_reservations.sync_detailed(
        made.id, client=ada, body=wanted, idempotency_key="hold", prefer="wait=20"
    ),
    m.ReservationOut,
)
paid = done(
    post_reservations_by_reservation_id_confirm.sync_detailed(
        hold.id, client=ada, body=m.ConfirmIn(payment_token="tok_ok"), idempotency_key="pay", prefer="wait=20"
    ),
    m.ConfirmedOut,
)
page = done(get_tickets.sync_detailed(client=ada), m.TicketOutPage)
print(json.dumps({"seats": hold.seats, "amount": hold.amount, "tickets": len(paid.tickets), "listed": len(page.items)}))
