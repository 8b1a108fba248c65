# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled twin of `outgoing.py`: the same records, in a fraction of the time.

The loops over facts are C. What facts have in common (the headers that are always the same, the name of a type) is made
once. Of replies, only those to a request for tickets are made here: a hold, or a refusal. The plain module makes the
others. Compiled when the package is installed, where there is a C compiler.
"""

from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_SIZE

from pipelines.reservations import outgoing
from pipelines.reservations.core.entities import Reservation
from pipelines.reservations.outgoing import EncodedFact
from pipelines.reservations.replies import reply_to
from schemas import cloudevents
from schemas.codec import Undecodable
from schemas.commands import ReserveTickets
from schemas.facts import RULES_VERSION, ReservationRejected, TicketsHeld
from schemas.ids import NO_EVENT
from schemas.recorded_facts import Envelope
from schemas.replies import REPLY_KEY, REPLY_TO, Reply, ReplyMessage, ReservationView
from schemas.statuses import ReplyOutcome, ReservationStatus
from schemas.struct_fields cimport field, place_of
from schemas.times import rfc3339
from schemas.topics import FACTS

SOURCE = "f61e896115a5ee05"

cdef frozenset _passed_on = outgoing.PASSED_ON
cdef Py_ssize_t _bytes_max = outgoing.PASSED_ON_BYTES_MAX
cdef Py_ssize_t _key_bytes_min = min(outgoing.REPLY_KEY_BYTES)
cdef Py_ssize_t _key_bytes_max = max(outgoing.REPLY_KEY_BYTES)
cdef list _sample = cloudevents.headers(cloudevents.RESERVATIONS, "", "", "")
cdef tuple _source = tuple(_sample)[3:]
cdef dict _kinds = {}  # by type of fact: its header


def encoded(decisions, codec):
    """As `outgoing.encoded`."""
    cdef dict encoders = codec.encoders
    cdef object record, placed, at, event_id, key, fact, value, when_header = None
    cdef object partition, offset, log_time, stamped = None
    cdef list facts, same
    cdef str place
    cdef Py_ssize_t index, count
    for record, placed, facts in decisions:
        at = placed.at
        partition, offset, log_time = at.partition, at.offset, at.log_time
        command = placed.command
        event_id = NO_EVENT if type(command) is Undecodable else command.event_id
        key = (<str?> event_id).encode() if event_id else (record.key or b"")[:_bytes_max] or None
        same = _fitting(record.headers)
        if log_time != stamped:
            stamped, when_header = log_time, ("ce_time", rfc3339(log_time))
        count, place = len(facts), f"{partition}-{offset}-"
        for index in range(count):
            fact = facts[index]
            value = encoders[type(fact)](
                Envelope(
                    event_id=event_id,
                    partition=partition,
                    offset=offset,
                    index=index,
                    count=count,
                    log_time=log_time,
                    rules_version=RULES_VERSION,
                ),
                fact,
            )
            yield EncodedFact(
                topic=FACTS,
                partition=partition,
                key=key,
                value=value,
                headers=_headers(("ce_id", f"{place}{index}"), type(fact), when_header, same),
            )


cdef list _headers(tuple identity, kind, when, list same):
    """The headers of a fact: its own, those of every fact, those of its command."""
    cdef Py_ssize_t always = PyTuple_GET_SIZE(_source), own = 3, number
    cdef list headers
    cdef object named = _kinds.get(kind)
    if named is None:
        named = _kinds[kind] = ("ce_type", kind.__name__)
    headers = PyList_New(own + always + len(same))
    _put(headers, 0, identity)
    _put(headers, 1, named)
    _put(headers, 2, when)
    for number in range(always):
        _put(headers, own + number, _source[number])
    for number in range(len(same)):
        _put(headers, own + always + number, same[number])
    return headers


cdef inline void _put(list headers, Py_ssize_t number, object header):
    """Fill a place of a new list."""
    Py_INCREF(header)
    PyList_SET_ITEM(headers, number, header)


def passed_on(headers):
    """As `outgoing.passed_on`."""
    cdef list found = []
    cdef object header
    for header in headers or ():
        if header[0] in _passed_on:
            found.append(header)
    return found


cdef object _address(headers):
    """As `outgoing.reply_address`."""
    cdef object name, value, channel = b"", key = b""
    for name, value in headers:
        if not value:
            continue
        if name == REPLY_TO:
            channel = value if isinstance(value, bytes) else (<str?> value).encode()
        elif name == REPLY_KEY:
            key = value if isinstance(value, bytes) else (<str?> value).encode()
    if not channel:
        return None
    return (<bytes> channel).decode("utf-8", "replace"), key if _key_bytes_min <= len(key) <= _key_bytes_max else b""


cdef list _fitting(headers):
    """The headers that are passed on, without those that are too long."""
    cdef list same = []
    cdef object header, value
    for header in headers or ():
        value = header[1]
        if header[0] in _passed_on and (value is None or len(value) <= _bytes_max):
            same.append(header)
    return same


_ACCEPTED, _REFUSED = ReplyOutcome.ACCEPTED, ReplyOutcome.REFUSED
_HELD, _REJECTED = ReservationStatus.HELD, ReservationStatus.REJECTED
VIEWED = (
    "id", "user_id", "ticket_type_id", "status", "quantity", "seats", "amount_minor", "currency", "expires_at",
    "partition", "offset", "payment", "reason", "detail", "asked_at", "detail_at",
)
cdef Py_ssize_t[16] _places
for _number, _name in enumerate(VIEWED):
    _places[_number] = place_of(Reservation, _name)


def replies(decisions, dict states not None):
    """As `outgoing.replies`."""
    cdef dict found = {}
    cdef object record, placed, command, headers, state, to, message, reply
    cdef list facts
    for record, placed, facts in decisions:
        command, headers = placed.command, record.headers
        if type(command) is Undecodable or not headers:
            continue
        to = _address(headers)
        if to is None:
            continue
        state = states[command.event_id]
        reply = _reply_to_buyer(state, command, facts, record.partition, record.offset)
        if reply is None:
            reply = reply_to(state, command, facts, record.partition, record.offset)
        message = found.get(to)
        if message is None:
            message = found[to] = ReplyMessage()
        message.add(reply)
    return found


cdef object _reply_to_buyer(state, command, list facts, partition, offset):
    """The reply to a request for tickets with one fact, a hold or a refusal; None for everything else."""
    cdef object fact, kind, reservation, outcome, reason = "", detail = "", named = "", at = 0
    if type(command) is not ReserveTickets or len(facts) != 1:
        return None
    fact = facts[0]
    kind = type(fact)
    if kind is TicketsHeld:
        outcome = _ACCEPTED
    elif kind is ReservationRejected:
        outcome, reason, detail, named, at = _REFUSED, fact.reason, fact.detail, fact.field or "", fact.at or 0
    else:
        return None
    reservation = (<dict?> state.reservations).get(command.reservation_id)
    if type(reservation) is not Reservation or reservation.user_id != command.user_id:
        return None
    status = field(reservation, _places[3], "status")
    if status is not _HELD and status is not _REJECTED:
        return None
    event_id = state.event_id
    view = ReservationView(  # by place, since Cython makes a dictionary of keywords; a test compares each field
        field(reservation, _places[0], "id"),
        event_id,
        field(reservation, _places[1], "user_id"),
        field(reservation, _places[2], "ticket_type_id"),
        status,
        field(reservation, _places[4], "quantity"),
        field(reservation, _places[5], "seats"),
        field(reservation, _places[6], "amount_minor"),
        field(reservation, _places[7], "currency"),
        field(reservation, _places[8], "expires_at"),
        field(reservation, _places[9], "partition"),
        field(reservation, _places[10], "offset"),
        field(reservation, _places[11], "payment"),
        field(reservation, _places[12], "reason"),
        field(reservation, _places[13], "detail"),
        [],
        field(reservation, _places[14], "asked_at"),
        field(reservation, _places[15], "detail_at"),
    )
    return Reply(
        command_id=command.command_id,
        event_id=event_id,
        partition=partition,
        offset=offset,
        outcome=outcome,
        reason=reason,
        detail=detail,
        duplicate=False,
        reservation=view,
        field=named,
        at=at,
    )
