"""Hosts on one machine: network namespaces on a bridge of the test's own, each with an address, faults and a clock.

The bridge is in a namespace, too, so no rule of this machine's firewall sees the frames. The machine itself has one
interface on it, DOOR. All that a run makes has names with the prefix NAME. The end of a run removes it by these names
and so does the start of the next one. Needs root and Debian's iproute2 and iptables; an own clock needs a C compiler.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from connectors.errors import ServiceUnreachable
from ops.run.services.kafka_jars import cache_dir, java, resolve
from ops.run.services.place import ServicePlace
from ops.run.services.process import wait_for

NAME = "circle-host"
SWITCH = f"{NAME}-switch"  # the namespace with the bridge
DOOR = NAME  # this machine's interface on the bridge
NETWORK = "10.213.0"  # /24; hosts are .1 and later
PREFIX_BITS = 24
DOOR_ADDRESS = f"{NETWORK}.254"
INTERFACE = "eth0"
ENDS_S = 10.0
LOCK = Path(tempfile.gettempdir()) / f"{NAME}.lock"
CLOCK = Path(__file__).with_name("moved_clock.c")


def why_none() -> str | None:
    """Why this machine cannot have hosts; None when it can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    for program, package in (("ip", "iproute2"), ("tc", "iproute2"), ("iptables", "iptables")):
        if shutil.which(program) is None:
            return f"{program} is missing: install Debian's package {package}"
    probe = f"{NAME}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"network namespaces cannot be made here: {made.stderr.strip()}"
    _run("ip", "netns", "del", probe)
    return None


def why_no_brokers() -> str | None:
    """Why Apache Kafka cannot run here; None when it can. Downloads its jars the first time."""
    try:
        java(), resolve()
    except ServiceUnreachable as error:
        return str(error)
    return None


@cache
def clock_library() -> Path | None:
    """The library that moves a process's clock, compiled once for each content; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = cache_dir() / "clock" / f"moved-{hashlib.sha256(CLOCK.read_bytes()).hexdigest()[:12]}.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    new = library.with_suffix(f".{os.getpid()}")
    _run(compiler, "-O2", "-shared", "-fPIC", "-o", str(new), str(CLOCK), "-ldl")
    return new.rename(library)


@dataclass
class Host:
    """A network namespace with one address. `clock_s` is how far its clock is ahead; negative is behind."""

    name: str
    address: str
    clock_s: int = 0
    cut: bool = field(default=False, init=False)

    @property
    def namespace(self) -> str:
        return f"{NAME}-{self.name}"

    @property
    def place(self) -> ServicePlace:
        """For a service. Its processes see the host's clock; time spans stay right."""
        ip = shutil.which("ip")
        assert ip is not None
        words: tuple[str, ...] = (ip, "netns", "exec", self.namespace)
        if self.clock_s:
            library = clock_library()
            assert library is not None
            words += ("/usr/bin/env", f"LD_PRELOAD={library}", f"MOVED_CLOCK_S={self.clock_s}")
        return ServicePlace(address=self.address, within=words)

    def cut_off(self) -> None:
        """No packet comes or goes, and no answer says so: connections stay half-open."""
        self._filter("INPUT", "-i")
        self._filter("OUTPUT", "-o")
        self.cut = True

    def deafen(self) -> None:
        """Packets go out, and none comes in."""
        self._filter("INPUT", "-i")

    def mute(self) -> None:
        """Packets come in, and none goes out."""
        self._filter("OUTPUT", "-o")

    def lose(self, share: float) -> None:
        """This share of the packets is lost, each way."""
        chance = ("-m", "statistic", "--mode", "random", "--probability", f"{share:.3f}")
        self._filter("INPUT", "-i", *chance)
        self._filter("OUTPUT", "-o", *chance)

    def slow_down(self, kbit_s: int) -> None:
        """So much leaves the host, and the rest waits for up to a second."""
        self._inside(
            *("tc", "qdisc", "replace", "dev", INTERFACE, "root"),
            *("tbf", "rate", f"{kbit_s}kbit", "burst", "32kbit", "latency", "1s"),
        )

    def heal(self) -> None:
        """The network is as at the start."""
        self._inside("iptables", "--flush")
        # A host that was not slow has no such rule.
        subprocess.run([*self.place.within[:4], "tc", "qdisc", "del", "dev", INTERFACE, "root"], capture_output=True)
        self.cut = False

    def lost_packets(self) -> int:
        """How many packets the rules have dropped since they were made."""
        lines = self._inside("iptables", "--list", "-v", "-n", "-x").splitlines()
        return sum(int(words[0]) for words in map(str.split, lines) if len(words) > 2 and words[2] == "DROP")

    def processes(self) -> list[int]:
        return [int(one) for one in _run("ip", "netns", "pids", self.namespace).split()]

    def _filter(self, chain: str, direction: str, *match: str) -> None:
        self._inside("iptables", "--append", chain, direction, INTERFACE, *match, "--jump", "DROP")

    def _inside(self, *command: str) -> str:
        return _run("ip", "netns", "exec", self.namespace, *command)


class Network:
    """The bridge, and the hosts on it, from `with` to its end. One at a time on a machine: the next one waits."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self._lock: IO[str] | None = None

    def host(self, name: str, *, clock_s: int = 0) -> Host:
        """A new host on the bridge."""
        host = Host(name, f"{NETWORK}.{len(self.hosts) + 1}", clock_s)
        port = f"port-{len(self.hosts) + 1}"
        self.hosts[name] = host
        space = host.namespace
        _run("ip", "netns", "add", space)
        _run(
            *("ip", "link", "add", port, "netns", SWITCH, "type", "veth"),
            *("peer", "name", INTERFACE, "netns", space),
        )
        _run("ip", "-n", SWITCH, "link", "set", port, "master", "bridge", "up")
        _run("ip", "-n", space, "addr", "add", f"{host.address}/{PREFIX_BITS}", "dev", INTERFACE)
        for interface in ("lo", INTERFACE):
            _run("ip", "-n", space, "link", "set", interface, "up")
        return host

    def __enter__(self) -> Self:
        self._lock = LOCK.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        remove()
        _run("ip", "netns", "add", SWITCH)
        _run("ip", "-n", SWITCH, "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", SWITCH, "link", "set", "bridge", "up")
        _run("ip", "link", "add", DOOR, "type", "veth", "peer", "name", "door", "netns", SWITCH)
        _run("ip", "-n", SWITCH, "link", "set", "door", "master", "bridge", "up")
        _run("ip", "addr", "add", f"{DOOR_ADDRESS}/{PREFIX_BITS}", "dev", DOOR)
        _run("ip", "link", "set", DOOR, "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove()
        assert self._lock is not None
        self._lock.close()


def made() -> list[str]:
    """The names of everything of ours on this machine: namespaces, and the interface."""
    spaces = [line.split()[0] for line in _run("ip", "netns", "list").splitlines() if line.startswith(f"{NAME}-")]
    return [*spaces, *([DOOR] if Path("/sys/class/net", DOOR).exists() else [])]


def remove() -> None:
    """Ends all processes on hosts, and removes the hosts, the bridge and the door. A process that a killed run has left
    is among them."""
    for name in made():
        if name != DOOR:
            ended = wait_for(lambda name=name: _ended(name), timeout_s=ENDS_S)  # type: ignore[misc]
            assert ended is None, f"processes in {name}: {ended}"
            _run("ip", "netns", "del", name)
    if DOOR in made():  # it goes with its peer, which may take a moment
        subprocess.run(["ip", "link", "del", DOOR], capture_output=True, check=False)
    gone = wait_for(lambda: not made(), timeout_s=ENDS_S)
    assert gone is None, f"left: {made()}"


def _ended(namespace: str) -> bool:
    left = [int(one) for one in _run("ip", "netns", "pids", namespace).split()]
    for process in left:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return not left


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}"
    return done.stdout
