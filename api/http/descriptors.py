"""How many connections this process can have: each is a file descriptor, and where they run out, the kernel's answer is
silence. So the limit is raised as far as it may be, and the connections are bounded by what there is."""

from __future__ import annotations

import resource
from dataclasses import replace

from api.fairness.limits import (
    ACCEPT_QUEUE_MAX,
    CONNECTIONS_MAX,
    CONNECTIONS_OF_NETWORK_MAX,
    CONNECTIONS_REFUSED_MAX,
    DESCRIPTORS_RESERVED,
)
from api.http.protocol import EdgeLimits
from connectors import logs

log = logs.get("api.http")


def affordable() -> EdgeLimits:
    """The limits of this process, after raising its limit of descriptors. Says so when that is less than wanted."""
    wanted = CONNECTIONS_MAX + CONNECTIONS_REFUSED_MAX + ACCEPT_QUEUE_MAX + DESCRIPTORS_RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    have = soft if soft != resource.RLIM_INFINITY else wanted
    if have < wanted:
        have = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (have, hard))
    limits = within(have)
    if limits.connections_max < CONNECTIONS_MAX:
        log.warning("connections.limited", connections=limits.connections_max, descriptors=have, wanted=wanted)
    return limits


def within(descriptors: int) -> EdgeLimits:
    """The limits that so many descriptors allow.

    Some are kept for our own files, and some for a whole accept queue: it is emptied at once, before any connection of
    it can be refused. The rest is split as the maxima.
    """
    queue = min(ACCEPT_QUEUE_MAX, max(1, descriptors // 4))
    room = max(2, descriptors - min(DESCRIPTORS_RESERVED, descriptors // 4) - queue)
    whole = CONNECTIONS_MAX + CONNECTIONS_REFUSED_MAX
    connections = min(CONNECTIONS_MAX, max(1, room * CONNECTIONS_MAX // whole))
    refused = min(CONNECTIONS_REFUSED_MAX, room - connections)
    of_network = min(CONNECTIONS_OF_NETWORK_MAX, max(1, connections // 2))
    return replace(
        EdgeLimits(),
        connections_max=connections,
        of_network_max=of_network,
        refused_max=refused,
        accept_queue_max=queue,
    )
