"""How many connections this process can have: each is a file descriptor, and where they run out, the kernel's answer is
silence. So the limit is raised as far as it may be, and the connections are bounded by what there is."""

from __future__ import annotations

import resource
from dataclasses import replace

from api.edge.protocol import EdgeLimits
from api.limits import CONNECTIONS_MAX, CONNECTIONS_REFUSED_MAX, DESCRIPTORS_RESERVED
from connectors import logs

log = logs.get("api.edge")


def affordable() -> EdgeLimits:
    """The limits of this process, after raising its limit of descriptors. Says so when that is less than wanted."""
    wanted = CONNECTIONS_MAX + CONNECTIONS_REFUSED_MAX + DESCRIPTORS_RESERVED
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
    """The limits that so many descriptors allow: some are kept for our own files, the rest is split as the maxima."""
    room = max(2, descriptors - min(DESCRIPTORS_RESERVED, descriptors // 2))
    whole = CONNECTIONS_MAX + CONNECTIONS_REFUSED_MAX
    connections = min(CONNECTIONS_MAX, max(1, room * CONNECTIONS_MAX // whole))
    return replace(
        EdgeLimits(), connections_max=connections, refused_max=min(CONNECTIONS_REFUSED_MAX, room - connections)
    )
