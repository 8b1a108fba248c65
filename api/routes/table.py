"""The table of routes: who may call what, with which body, and what comes back. The one place where this is said.

Sanic's routes, the OpenAPI document and the test of the access matrix are made from it.
"""

from __future__ import annotations

from typing import Any

from api.routes import (
    auth,
    categories,
    events,
    history,
    notifications,
    payments,
    preferences,
    reservations,
    streams,
    system,
    ticket_documents,
    ticket_types,
    tickets,
    users,
)
from api.routing import Access, Handler, Route
from api.shapes import accounts as a
from api.shapes import channels as ch
from api.shapes import events as e
from api.shapes import payments as p
from api.shapes import reservations as r
from api.shapes.base import Accepted, Page, PageQuery
from pipelines.replay.explain import Explanation

PUBLIC, OPTIONAL, USER, ORGANIZER = Access.PUBLIC, Access.OPTIONAL, Access.USER, Access.ORGANIZER

_REFUSED_RESERVATION = (
    "sold-out", "seat-taken", "limit-exceeded", "sales-not-open", "sales-closed", "event-cancelled", "seat-unknown",
    "invalid-seats", "event-not-found", "ticket-type-not-found", "idempotency-key-reused",
)  # fmt: skip
_OWNED = ("event-not-found", "not-owner")


def _route(method: str, path: str, handler: Handler, access: Access, tag: str, summary: str, **options: Any) -> Route:
    return Route(method=method, path=path, handler=handler, access=access, tag=tag, summary=summary, **options)


ROUTES: tuple[Route, ...] = (
    # --- accounts
    _route("POST", "/v1/auth/register", auth.register, PUBLIC, "accounts", "Make an account",
           body=a.RegisterIn, answers={201: a.UserOut}, problems=("email-taken", "busy")),
    _route("POST", "/v1/auth/login", auth.login, PUBLIC, "accounts", "Log in",
           body=a.LoginIn, answers={200: a.TokensOut}, problems=("invalid-credentials", "busy")),
    _route("POST", "/v1/auth/refresh", auth.refresh, PUBLIC, "accounts", "Get the next tokens",
           body=a.RefreshIn, answers={200: a.TokensOut}, problems=("invalid-refresh-token",)),
    _route("POST", "/v1/auth/logout", auth.logout, PUBLIC, "accounts", "End the session of a refresh token",
           body=a.RefreshIn, answers={204: None}),
    _route("GET", "/.well-known/jwks.json", auth.jwks, PUBLIC, "accounts", "The keys that tokens are signed with",
           answers={200: a.JwksOut}),
    _route("GET", "/v1/users/me", users.me, USER, "accounts", "One's own account", answers={200: a.UserOut},
           problems=("not-found",)),
    _route("PATCH", "/v1/users/me", users.update_me, USER, "accounts",
           "Change name, profile or password; a new password ends all other sessions",
           body=a.UserPatch, answers={200: a.UserOut}, problems=("invalid-credentials", "not-found", "busy")),
    _route("POST", "/v1/users/me/become-organizer", users.become_organizer, USER, "accounts",
           "Become an organizer; the answer has tokens that carry the role", answers={200: a.OrganizerOut},
           problems=("not-found",)),
    _route("GET", "/v1/users/<user_id>", users.user, OPTIONAL, "accounts", "An organizer's public profile",
           answers={200: a.PublicUserOut}, problems=("not-found",)),
    # --- categories
    _route("GET", "/v1/categories", categories.categories, PUBLIC, "categories", "Categories",
           query=PageQuery, answers={200: Page[e.CategoryOut]}),
    _route("POST", "/v1/categories", categories.create, ORGANIZER, "categories", "Make a category",
           body=e.CategoryIn, answers={201: e.CategoryOut}, problems=("category-taken",)),
    _route("GET", "/v1/categories/<category_id>", categories.category, PUBLIC, "categories", "A category",
           answers={200: e.CategoryOut}, problems=("not-found",)),
    _route("DELETE", "/v1/categories/<category_id>", categories.delete, ORGANIZER, "categories",
           "Delete a category of one's own that no event is in", answers={204: None},
           problems=("not-found", "category-in-use")),
    # --- events
    _route("GET", "/v1/events", events.events, OPTIONAL, "events", "Events; one's own drafts with status=draft",
           query=e.EventsQuery, answers={200: Page[e.EventOut]}),
    _route("POST", "/v1/events", events.create, ORGANIZER, "events", "Make a draft event",
           body=e.EventIn, answers={201: e.EventOut, 202: Accepted}, idempotency_key="optional", prefer=True,
           problems=("invalid-schedule", "event-exists")),
    _route("GET", "/v1/events/<event_id>", events.event, OPTIONAL, "events", "An event; a draft to its organizer only",
           answers={200: e.EventOut}, problems=("event-not-found",)),
    _route("PATCH", "/v1/events/<event_id>", events.update, ORGANIZER, "events", "Change one's own event",
           body=e.EventPatch, answers={200: e.EventOut, 202: Accepted}, idempotency_key="optional", prefer=True,
           problems=(*_OWNED, "invalid-schedule")),
    _route("POST", "/v1/events/<event_id>/publish", events.publish, ORGANIZER, "events", "Publish one's own event",
           answers={200: e.EventOut, 202: Accepted}, idempotency_key="optional", prefer=True,
           problems=(*_OWNED, "not-draft")),
    _route("GET", "/v1/events/<event_id>/ticket-types", ticket_types.ticket_types, OPTIONAL, "events",
           "What an event sells", answers={200: Page[e.TicketTypeOut]}, problems=("event-not-found",)),
    _route("POST", "/v1/events/<event_id>/ticket-types", ticket_types.create, ORGANIZER, "events",
           "Add something to sell to one's own event", body=e.TicketTypeIn,
           answers={201: e.TicketTypeOut, 202: Accepted}, idempotency_key="optional", prefer=True,
           problems=(*_OWNED, "invalid-ticket-type")),
    _route("GET", "/v1/events/<event_id>/availability", ticket_types.availability, OPTIONAL, "events",
           "How much is left", answers={200: e.EventAvailabilityOut}, problems=("event-not-found",)),
    _route("GET", "/v1/events/<event_id>/seats", ticket_types.seats, OPTIONAL, "events",
           "The seat map, now or (at) as it was at a time or a position of the log", query=e.SeatsQuery,
           answers={200: e.SeatsOut}, problems=("event-not-found", "busy")),
    _route("GET", "/v1/events/<event_id>/stream", streams.event, OPTIONAL, "live",
           "Availability as it changes (server-sent events)", media_type="text/event-stream",
           answers={200: e.EventAvailabilityOut}, problems=("event-not-found", "busy")),
    # --- reservations
    _route("POST", "/v1/events/<event_id>/reservations", reservations.create, USER, "reservations",
           "Hold tickets: so many, or these seats", body=r.ReservationIn,
           answers={201: r.ReservationOut, 202: Accepted}, idempotency_key="required", prefer=True,
           problems=_REFUSED_RESERVATION),
    _route("GET", "/v1/reservations", reservations.own, USER, "reservations", "One's own reservations",
           query=r.ReservationsQuery, answers={200: Page[r.ReservationOut]}),
    _route("GET", "/v1/reservations/<reservation_id>", reservations.one, USER, "reservations",
           "One's own reservation", prefer=True, answers={200: r.ReservationOut},
           problems=("reservation-not-found",)),
    _route("GET", "/v1/reservations/<reservation_id>/explanation", history.explanation, USER, "reservations",
           "Why one's own reservation got what it got, from the log", answers={200: Explanation},
           problems=("reservation-not-found", "busy")),
    _route("POST", "/v1/reservations/<reservation_id>/confirm", reservations.confirm, USER, "reservations",
           "Pay for a hold", body=r.ConfirmIn, answers={200: r.ConfirmedOut, 202: Accepted},
           idempotency_key="required", prefer=True,
           problems=("payment-declined", "hold-expired", "not-held", "payment-in-progress", "reservation-not-found",
                     "idempotency-key-reused")),
    _route("DELETE", "/v1/reservations/<reservation_id>", reservations.release, USER, "reservations",
           "Release a hold; cancel and refund a confirmed reservation",
           answers={200: r.ReservationOut, 202: Accepted}, idempotency_key="optional", prefer=True,
           problems=("hold-expired", "not-held", "reservation-not-found")),
    _route("POST", "/v1/payments/stripe/webhook", payments.stripe, PUBLIC, "payments",
           "What Stripe has to say: signed in Stripe-Signature, and safe to be sent again", body=p.StripeEventIn,
           answers={200: p.WebhookOut},
           problems=("not-found", "missing-header", "invalid-signature", "busy", "not-acknowledged")),
    # --- tickets
    _route("GET", "/v1/tickets", tickets.tickets, USER, "tickets", "One's own tickets",
           query=r.TicketsQuery, answers={200: Page[r.TicketOut]}),
    _route("GET", "/v1/tickets/<ticket_id>", tickets.ticket, USER, "tickets", "One's own ticket",
           answers={200: r.TicketOut}, problems=("not-found",)),
    _route("GET", "/v1/tickets/<ticket_id>/qr.svg", ticket_documents.qr_svg, USER, "tickets",
           "The code of one's own ticket, to be scanned", media_type="image/svg+xml", answers={200: str},
           problems=("not-found", "ticket-void", "busy")),
    _route("GET", "/v1/tickets/<ticket_id>/qr.png", ticket_documents.qr_png, USER, "tickets",
           "The code of one's own ticket, to be scanned", media_type="image/png", answers={200: bytes},
           problems=("not-found", "ticket-void", "busy")),
    _route("GET", "/v1/tickets/<ticket_id>/ticket.pdf", ticket_documents.printed, USER, "tickets",
           "One's own ticket, to be printed", media_type="application/pdf", answers={200: bytes},
           problems=("not-found", "ticket-void", "busy")),
    _route("GET", "/v1/tickets/<ticket_id>/ticket.ics", ticket_documents.calendar, USER, "tickets",
           "One's own ticket as a calendar entry (RFC 5545)", media_type="text/calendar", answers={200: str},
           problems=("not-found", "busy")),
    _route("POST", "/v1/tickets/validate", tickets.validate, ORGANIZER, "tickets",
           "Whether a code lets somebody in to one's own event", body=r.ValidateIn, answers={200: r.ValidationOut},
           problems=("not-owner",), free=True),
    # --- notifications
    _route("GET", "/v1/notifications", notifications.notifications, USER, "notifications", "One's own notifications",
           query=r.NotificationsQuery, answers={200: Page[r.NotificationOut]}),
    _route("GET", "/v1/notifications/unread-count", notifications.unread_count, USER, "notifications",
           "How many are unread", answers={200: r.UnreadOut}),
    _route("GET", "/v1/notifications/stream", streams.notifications, USER, "live",
           "Notifications as they come (server-sent events); Last-Event-ID resumes", media_type="text/event-stream",
           answers={200: r.NotificationOut}, problems=("busy",)),
    _route("PUT", "/v1/notifications/read-all", notifications.read_all, USER, "notifications", "Mark all as read",
           answers={200: r.ReadAllOut}),
    _route("PUT", "/v1/notifications/<notification>/read", notifications.read, USER, "notifications",
           "Mark one as read", answers={200: r.NotificationOut}, problems=("not-found",)),
    _route("GET", "/v1/notifications/preferences", preferences.preferences, USER, "notifications",
           "Which kinds go over which channel", answers={200: ch.PreferencesOut}),
    _route("PATCH", "/v1/notifications/preferences", preferences.update, USER, "notifications",
           "Change which kinds go over which channel", body=ch.PreferencesIn, answers={200: ch.PreferencesOut},
           problems=("not-found",)),
    _route("DELETE", "/v1/notifications/<notification>", notifications.delete, USER, "notifications", "Delete one",
           answers={204: None}, problems=("not-found",)),
    # --- the platform
    _route("GET", "/healthz", system.healthz, PUBLIC, "platform", "Whether the process answers",
           answers={200: dict[str, str]}),
    _route("GET", "/readyz", system.readyz, PUBLIC, "platform", "Whether Kafka, Redis and Postgres answer",
           answers={200: dict[str, Any]}),
    _route("GET", "/metrics", system.metrics, PUBLIC, "platform", "Prometheus metrics", media_type="text/plain",
           answers={200: str}),
    _route("GET", "/problems/<kind>", system.problem_kind, PUBLIC, "platform", "What a problem type means",
           answers={200: dict[str, Any]}, problems=("not-found",)),
    _route("GET", "/openapi.json", system.openapi, PUBLIC, "platform", "This document",
           answers={200: dict[str, Any]}),
    _route("GET", "/docs", system.docs, PUBLIC, "platform", "This document, as a page", media_type="text/html",
           answers={200: str}),
    _route("GET", "/dashboard", system.dashboard, PUBLIC, "platform", "Events and how they sell",
           media_type="text/html", answers={200: str}),
)  # fmt: skip
