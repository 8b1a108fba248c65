"""Where a service runs: on this machine's loopback, or in a network namespace with an address of its own."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ServicePlace:
    """The address that a service listens on, and the words before its command, such as `ip netns exec NAME`.

    The program of these words must become the command, and not start it as a child: signals go to this process.
    """

    address: str = "127.0.0.1"
    within: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        """True when this process can listen on the address, too."""
        return not self.within


HERE = ServicePlace()
