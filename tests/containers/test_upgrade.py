"""An upgrade from an earlier landing's image while it sells: old and new workers side by side, then only new ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from ops.containers import images
from ops.containers.engine import ROOT, Engine
from ops.containers.images import PRODUCT
from ops.run.services.process import wait_for
from schemas.placement import partition_of
from tests.containers.conftest import PROJECT
from tests.harness.compose_stack import ComposeStack, Drop, compose_stack
from tests.unit.docs.pages import blocks, section, text_of

BEFORE = "general-circle:before"
LANDINGS_BACK = 10  # as far back as a build of today's Dockerfile goes
NEW = f"{PROJECT}-new"
HOUSES = 12  # sell out one after the other, longer than the upgrade takes
HOUSES_TRIED_MAX = 60  # of eight partitions the new worker has two or three
JOINED_S_MAX = 90
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
ROLLED = ("reservations", "read-side", "payments", "api")


def git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True).stdout


def earlier() -> str:
    """The commit to upgrade from: UPGRADE_FROM, else the oldest of the last ones that has this image."""
    if given := os.environ.get("UPGRADE_FROM"):
        return given
    commits = git("log", f"-{LANDINGS_BACK}", "--skip=1", "--format=%H", "--", "ops/containers", "Dockerfile").split()
    fit = [one for one in commits if "ops/containers" in git("ls-tree", "--name-only", one, "ops/containers")]
    if not fit:
        pytest.skip("no earlier commit with an image is in this clone")
    return fit[-1]


def rules_version(commit: str) -> str:
    return git("grep", "-h", "^RULES_VERSION", commit, "--", "schemas", "pipelines")


@pytest.fixture(scope="module")
def old_stack(whole_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeStack]:
    """The stack on the image of an earlier commit."""
    commit = earlier()
    if rules_version(commit) != rules_version("HEAD"):
        pytest.skip(f"{commit} has other rules: then all workers are upgraded together")
    tree = tmp_path_factory.mktemp("before")
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-C", str(tree), "-x"], input=archive, check=True)
    images.build_product(whole_engine, print, root=tree, tag=BEFORE)
    with compose_stack(whole_engine, PROJECT, image=BEFORE) as stack:
        yield stack


@pytest.mark.timeout(900)
def test_workers_are_replaced_one_service_after_the_other_while_it_sells(
    old_stack: ComposeStack, tmp_path: Path
) -> None:
    upgrade = "\n".join(blocks(section(text_of("ops/docs/guide/backup.md"), "Upgrade"), "bash"))
    with old_stack.shop() as shop, ThreadPoolExecutor(1) as beside:
        first = Drop(shop)
        outcomes = first.sell()
        assert images_of(old_stack) == {BEFORE}
        old_stack.image = PRODUCT
        old_stack.compose("run", "--detach", "--no-deps", "--name", NEW, "reservations")
        owned = partitions_of_the_new_worker(old_stack)
        house = on_partition(owned, lambda: Drop(shop, buyers=first.buyers))
        before = records_taken(old_stack)
        house.sell()
        assert records_taken(old_stack) >= before + len(house.buyers), "the new worker has decided this house"
        assert images_of(old_stack) == {BEFORE}, "and the old ones are there"
        old_stack.engine.docker("rm", "--force", NEW)
        houses = [Drop(shop, buyers=first.buyers) for _ in range(HOUSES)]
        upgraded = beside.submit(old_stack.run_page, upgrade, tmp_path)
        for house in houses:
            house.sell()
        upgraded.result()
        assert images_of(old_stack) == {PRODUCT}
        assert [one["position"] for one in first.ask_again()] == [one["position"] for one in outcomes]
        Drop(shop).sell()
    assert old_stack.verify() >= len(outcomes)


def images_of(stack: ComposeStack) -> set[str]:
    containers = [one for name in ROLLED for one in stack.containers(name)]
    return set(stack.engine.docker("inspect", "--format", "{{.Config.Image}}", *containers).split())


def partitions_of_the_new_worker(stack: ComposeStack) -> set[int]:
    """The partitions that the group has given to the new worker, once the old workers have theirs, too."""
    workers = len(stack.containers("reservations")) + 1
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    host = stack.engine.docker("inspect", "--format", address, NEW).strip()
    given: set[int] = set()

    def ask(*options: str) -> str:
        """By the new image: an old one may not have the command."""
        return stack.engine.docker("exec", NEW, "python", "-m", "ops.cli.main", "groups", "reservations", *options)

    def shared() -> bool:
        (group,) = json.loads(ask("--json"))
        members = [member for member in group["members"] if member["partitions"]]
        given.clear()
        given.update(number for one in members if one["host"].lstrip("/") == host for number in one["partitions"])
        return len(members) == workers and bool(given)

    assert wait_for(shared, timeout_s=JOINED_S_MAX) is None, ask()
    return given


def on_partition(owned: set[int], another: Callable[[], Drop]) -> Drop:
    """A house whose event is on one of these partitions."""
    partitions = int(COMPOSE["x-circle"]["environment"]["CIRCLE_PARTITIONS"].rpartition("-")[2].rstrip("}"))
    for _ in range(HOUSES_TRIED_MAX):
        house = another()
        if partition_of(house.event.id, partitions) in owned:
            return house
    raise AssertionError(f"{HOUSES_TRIED_MAX} events are on other partitions than {owned}")


def records_taken(stack: ComposeStack) -> float:
    """How many records the new worker's batches have had so far, by its own metrics."""
    script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9100/metrics').read().decode())"
    said = stack.engine.docker("exec", NEW, "python", "-IS", "-c", script)
    found = re.findall(r'^circle_batch_records_sum{flow="reservations"} (\S+)$', said, re.MULTILINE)
    return sum(map(float, found))
