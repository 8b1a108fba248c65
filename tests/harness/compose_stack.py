"""The stack of compose.yaml in containers as a project of the test's own, and a drop with buyers who do not give up."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ops.containers.engine import ROOT, Engine
from ops.containers.images import PREFIX, PRODUCT
from ops.run.services.process import free_port, wait_for
from tests.harness.shop import OnSale, Person, Shop, unique

OVERLAYS = (
    *("--file", str(ROOT / "ops" / "containers" / "without_a_hub.yaml")),
    *("--file", str(ROOT / "tests" / "containers" / "own_ports.yaml")),
)
PORTS = ("API_PORT", "MAILPIT_PORT", "REGISTRY_PORT", "PROMETHEUS_PORT")
REGISTRY = {"CIRCLE_SCHEMA_REGISTRY_URL": "http://schema-registry:8081/apis/ccompat/v7"}
HEALTHY_S_MAX = 240
PAGE_S_MAX = 600
ANSWER_S_MAX = 120.0
ASK_AGAIN_S = 0.2
RESUMED = "wait=30"  # after the broker's death: the watchdog's limit of a transaction, and a start
SEATS = 40
BUYERS = 30
SEATS_EACH = 2


@dataclass
class ComposeStack:
    """A project of compose: its services by name, its API by URL."""

    engine: Engine
    project: str
    image: str = PRODUCT
    profile: str = "app"
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in PORTS})
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['API_PORT']}"

    @property
    def registry(self) -> str:
        """The schema registry's API, Confluent's, as this machine reaches it."""
        return f"http://127.0.0.1:{self.ports['REGISTRY_PORT']}/apis/ccompat/v7"

    @property
    def variables(self) -> dict[str, str]:
        """What the files of compose are filled with."""
        ports = {name: str(port) for name, port in self.ports.items()}
        own = {"CIRCLE_IMAGES": PREFIX, "CIRCLE_IMAGE": self.image, "COMPOSE_PROJECT_NAME": self.project}
        return {**ports, **own, **self.extra}

    def compose(self, *arguments: str) -> str:
        return self.engine.compose(*OVERLAYS, "--profile", self.profile, *arguments, env=self.variables)

    def run_page(self, script: str, cwd: Path) -> str:
        """The output of a page's commands, in which `docker compose` is this project."""
        compose = shlex.join([*self.engine.compose_command, "--file", str(ROOT / "compose.yaml"), *OVERLAYS])
        ours = f'docker() {{ if [[ $1 == compose ]]; then shift; {compose} "$@"; else command docker "$@"; fi; }}\n'
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", ours + script],
            cwd=cwd,
            env={**self.engine.env, **self.variables, "CIRCLE_URL": self.url},
            capture_output=True,
            text=True,
            timeout=PAGE_S_MAX,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self, *arguments: str) -> None:
        """Starts what is not there, and returns when all of it is healthy."""
        self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(HEALTHY_S_MAX), *arguments)

    def down(self, *, forget: bool = False) -> None:
        self.compose("--profile", "full", "down", "--remove-orphans", *(["--volumes"] if forget else []))

    def circle(self, *arguments: str) -> str:
        """The output of `circle …` in the API's container."""
        return self.compose("exec", "-T", "api", "python", "-m", "ops.cli.main", *arguments)

    def verify(self) -> int:
        """How many facts `circle verify` found right, with the rows and Redis. A divergence is an error."""
        said = self.circle("verify")
        found = re.search(r"no divergence in ([\d,]+) facts", said)
        assert found is not None, said
        return int(found.group(1).replace(",", ""))

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).split()

    def kill(self, service: str) -> str:
        """`kill -9` to the first process of a service's first container, as a crash is: the engine's own `kill` counts
        as a wish, after which nothing restarts. Returns the container."""
        container = self.containers(service)[0]
        os.kill(int(self.engine.docker("inspect", "--format", "{{.State.Pid}}", container)), signal.SIGKILL)
        return container

    def processes_are_here(self) -> bool:
        """Whether this machine runs the containers' processes, and we may send them signals."""
        container = self.containers("api")[0]
        pid = int(self.engine.docker("inspect", "--format", "{{.State.Pid}}", container))
        try:
            group = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            return False
        return container in group and os.geteuid() == 0

    def healed(self, container: str) -> bool:
        """Whether the container has been started again since, and is healthy."""
        said = self.engine.docker("inspect", "--format", "{{.RestartCount}} {{.State.Health.Status}}", container)
        count, health = said.split()
        return int(count) > 0 and health == "healthy"

    def logs(self, service: str) -> str:
        return self.compose("logs", "--no-color", "--tail", "60", service)

    @contextmanager
    def shop(self) -> Iterator[Shop]:
        shop = Shop(self.url)
        try:
            yield shop
        finally:
            shop.http.close()


@contextmanager
def compose_stack(
    engine: Engine,
    project: str,
    *,
    image: str = PRODUCT,
    profile: str = "app",
    extra: Mapping[str, str] | None = None,
    first: Callable[[ComposeStack], None] = lambda _: None,
) -> Iterator[ComposeStack]:
    """A stack that is up and healthy, and leaves nothing.

    `extra`: more variables for compose.yaml. `first` is called before all of it is up.
    """
    stack = ComposeStack(engine, project, image=image, profile=profile, extra=dict(extra or {}))
    stack.down(forget=True)
    try:
        first(stack)
        stack.up()
        yield stack
    finally:
        stack.down(forget=True)


class Drop:
    """A house of SEATS seats, and more buyers than seats. Each has one key, and asks until there is an answer."""

    def __init__(self, shop: Shop, *, buyers: Sequence[Person] = ()) -> None:
        self.event: OnSale = shop.event(shop.organizer(), prefer=RESUMED)
        self.buyers = list(buyers) or [shop.person() for _ in range(BUYERS)]
        self.keys = [unique() for _ in self.buyers]

    def sell(self) -> list[dict[str, Any]]:
        """Everyone's outcome: a hold that was paid, or the refusal."""
        with ThreadPoolExecutor(len(self.buyers)) as pool:
            outcomes = list(pool.map(self._buy, self.buyers, self.keys))
        check_house(outcomes)
        return outcomes

    def ask_again(self) -> list[dict[str, Any]]:
        """Everyone repeats the request with the same key."""
        with ThreadPoolExecutor(len(self.buyers)) as pool:
            return list(pool.map(self._reserve, self.buyers, self.keys))

    def _buy(self, buyer: Person, key: str) -> dict[str, Any]:
        outcome = self._reserve(buyer, key)
        if outcome.get("status") == "held":
            paid = persistent(lambda: buyer.confirm(outcome["id"], key=f"pay-{key}"), (200,))
            outcome |= {"status": paid["status"], "tickets": [ticket["seat"] for ticket in paid["tickets"]]}
        return outcome

    def _reserve(self, buyer: Person, key: str) -> dict[str, Any]:
        wanted = {"ticket_type_id": self.event.seated, "quantity": SEATS_EACH}
        return persistent(lambda: buyer.reserve(self.event.id, key=key, prefer="wait=5", **wanted), (200, 201, 409))


def check_house(outcomes: Sequence[dict[str, Any]]) -> None:
    """No seat is sold twice, the house is sold out, and everyone else was refused for this reason."""
    sold = [seat for one in outcomes for seat in one.get("tickets", ())]
    assert len(sold) == len(set(sold)) == SEATS
    refused = [one for one in outcomes if "tickets" not in one]
    assert {one["type"] for one in refused} <= {"/problems/sold-out"}
    assert len(refused) == len(outcomes) - SEATS // SEATS_EACH


def persistent(ask: Any, final: tuple[int, ...]) -> dict[str, Any]:
    """The first answer with one of these statuses. A connection that fails, 202 and 503 mean: ask again."""
    deadline = time.monotonic() + ANSWER_S_MAX
    last: object = None
    while time.monotonic() < deadline:
        try:
            answer = ask()
        except httpx.TransportError as error:
            last = error
        else:
            if answer.status_code in final:
                document: dict[str, Any] = answer.json()
                return document
            assert answer.status_code in (202, 503), answer.text
            last = answer.text
        time.sleep(ASK_AGAIN_S)
    raise AssertionError(f"no final answer in {ANSWER_S_MAX:.0f} s: {last!r}")


def healed(stack: ComposeStack, container: str, service: str) -> None:
    """Returns when a killed container is healthy again. Fails with its last lines."""
    problem = wait_for(lambda: stack.healed(container), timeout_s=HEALTHY_S_MAX)
    assert problem is None, f"{service}: {problem}\n{stack.logs(service)}"
