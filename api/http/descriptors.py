"""How many connections this process can have. Each one is a file descriptor; without descriptors, clients get no
answer at all. So the process raises its limit as high as it may, and bounds its connections by that limit."""

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
    """The limits of this process, after it has raised its descriptor limit. Logs when this is lower than needed."""
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
    """The limits that `descriptors` allow.

    Some are reserved for our own files, and some for a full accept queue: the loop accepts all of it before it can
    refuse one connection. The rest is split in proportion to the maxima.
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
