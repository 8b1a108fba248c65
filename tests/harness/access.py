"""Who may call which route: one line a route, one column a kind of caller. A route without a line fails a unit test.

`ok` is any answer but 401, 403, 404 and 5xx, a number is exactly that status. A word in brackets behind a route's name
is another case of it. `tests/e2e/test_access_matrix.py` goes through all of it.
"""

from __future__ import annotations

CALLERS = ("anonymous", "buyer", "other buyer", "staff", "other organizer", "owner", "admin")
ALL = "ok        ok    ok    ok    ok    ok    ok"
USERS = "401       ok    ok    ok    ok    ok    ok"
ORGANIZERS = "401       403   403   403   ok    ok    ok"
OWNER = "401       403   403   403   403   ok    403"
NOBODY = "404       404   404   404   404   404   404"  # with the sandbox there are no webhooks
DOOR = "401       403   403   ok    403   ok    403"
READS_DOOR = "401       403   403   ok    403   ok    ok"
BUYER = "401       ok    404   404   404   404   404"

MATRIX: dict[str, str] = {
    # route                                                     anonymous buyer other staff org.  owner admin
    "POST /v1/auth/register":                                  ALL,
    "POST /v1/auth/login":                                     ALL,
    "POST /v1/auth/refresh":                                   ALL,
    "POST /v1/auth/logout":                                    ALL,
    "GET /.well-known/jwks.json":                              ALL,
    "GET /v1/users/me":                                        USERS,
    "PATCH /v1/users/me":                                      USERS,
    "DELETE /v1/users/me":                                     USERS,
    "POST /v1/users/me/become-organizer":                      USERS,
    "GET /v1/users/<user_id>":                                 ALL,
    "GET /v1/users/<user_id> (buyer)":                         "404       ok    404   404   404   404   ok",
    "GET /v1/categories":                                      ALL,
    "POST /v1/categories":                                     ORGANIZERS,
    "GET /v1/categories/<category_id>":                        ALL,
    "DELETE /v1/categories/<category_id>":                     "401       403   403   403   403   ok    ok",
    "GET /v1/events":                                          ALL,
    "POST /v1/events":                                         ORGANIZERS,
    "GET /v1/events/<event_id>":                               ALL,
    "GET /v1/events/<event_id> (draft)":                       "404       404   404   404   404   ok    ok",
    "PATCH /v1/events/<event_id>":                             OWNER,
    "POST /v1/events/<event_id>/publish":                      OWNER,
    "GET /v1/events/<event_id>/ticket-types":                  ALL,
    "GET /v1/events/<event_id>/ticket-types (draft)":          "404       404   404   404   404   ok    ok",
    "POST /v1/events/<event_id>/ticket-types":                 OWNER,
    "GET /v1/events/<event_id>/availability":                  ALL,
    "GET /v1/events/<event_id>/availability (draft)":          "404       404   404   404   404   ok    ok",
    "GET /v1/events/<event_id>/seats":                         ALL,
    "GET /v1/events/<event_id>/seats (draft)":                 "404       404   404   404   404   ok    ok",
    "GET /v1/events/<event_id>/stream":                        ALL,
    "GET /v1/events/<event_id>/stream (draft)":                "404       404   404   404   404   ok    ok",
    "POST /v1/events/<event_id>/cancel": OWNER,
    "DELETE /v1/events/<event_id>": OWNER,
    "GET /v1/events/<event_id>/schedule": ALL,
    "PUT /v1/events/<event_id>/schedule": OWNER,
    "PATCH /v1/events/<event_id>/ticket-types/<ticket_type_id>": OWNER,
    "GET /v1/events/<event_id>/pools": OWNER,
    "POST /v1/events/<event_id>/pools": OWNER,
    "PUT /v1/events/<event_id>/pools/<pool_id>": OWNER,
    "GET /v1/events/<event_id>/codes": OWNER,
    "POST /v1/events/<event_id>/codes": OWNER,
    "DELETE /v1/events/<event_id>/codes/<code_id>": OWNER,
    "GET /v1/events/<event_id>/blocks": OWNER,
    "POST /v1/events/<event_id>/blocks": OWNER,
    "POST /v1/events/<event_id>/blocks/<block_id>/release": OWNER,
    "POST /v1/events/<event_id>/waitlist": USERS,
    "GET /v1/events/<event_id>/waitlist": OWNER,
    "GET /v1/waitlist": USERS,
    "GET /v1/waitlist/<entry_id>": BUYER,
    "DELETE /v1/waitlist/<entry_id>": BUYER,
    "POST /v1/reservations/<reservation_id>/extend": BUYER,
    "POST /v1/reservations/<reservation_id>/cancel-tickets": BUYER,
    "POST /v1/events/<event_id>/reservations/<reservation_id>/refund": OWNER,
    "POST /v1/events/<event_id>/reservations":                 USERS,
    "GET /v1/reservations":                                    USERS,
    "GET /v1/reservations/<reservation_id>":                   BUYER,
    "GET /v1/reservations/<reservation_id>/explanation":       BUYER,
    "POST /v1/reservations/<reservation_id>/confirm":          BUYER,
    "DELETE /v1/reservations/<reservation_id>":                BUYER,
    "POST /v1/payments/stripe/webhook":                        NOBODY,
    "GET /v1/tickets":                                         USERS,
    "GET /v1/tickets/<ticket_id>":                             BUYER,
    "GET /v1/tickets/<ticket_id>/qr.svg":                      BUYER,
    "GET /v1/tickets/<ticket_id>/qr.png":                      BUYER,
    "GET /v1/tickets/<ticket_id>/ticket.pdf":                  BUYER,
    "GET /v1/tickets/<ticket_id>/ticket.ics":                  BUYER,
    "POST /v1/tickets/validate":                               "401       403   403   ok    403   ok    ok",
    "POST /v1/tickets/<ticket_id>/transfer":                    BUYER,
    "POST /v1/events/<event_id>/check-ins":                     DOOR,
    "POST /v1/events/<event_id>/check-ins/batch":               DOOR,
    "GET /v1/events/<event_id>/check-ins":                      READS_DOOR,
    "GET /v1/events/<event_id>/check-ins/counts":               READS_DOOR,
    "GET /v1/events/<event_id>/check-ins/<ticket_id>":          READS_DOOR,
    "DELETE /v1/events/<event_id>/check-ins/<ticket_id>":       DOOR,
    "GET /v1/notifications":                                   USERS,
    "GET /v1/notifications/unread-count":                      USERS,
    "GET /v1/notifications/stream":                            USERS,
    "GET /v1/notifications/preferences":                        USERS,
    "PATCH /v1/notifications/preferences":                      USERS,
    "PUT /v1/notifications/read-all":                          USERS,
    "PUT /v1/notifications/<notification>/read":               BUYER,
    "DELETE /v1/notifications/<notification>":                 BUYER,
    "GET /healthz":                                            ALL,
    "GET /readyz":                                             ALL,
    "GET /metrics":                                            ALL,
    "GET /problems/<kind>":                                    ALL,
    "GET /openapi.json":                                       ALL,
    "GET /docs":                                               ALL,
    "GET /dashboard":                                          ALL,
}  # fmt: skip
