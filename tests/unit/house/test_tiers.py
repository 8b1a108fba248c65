"""Each kind of fault happens on both brokers: `make test` runs the embedded case, `make test-kafka` the other one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ops.containers import short
from tests.conftest import ByFile
from tests.unit.docs.pages import ROOT, text_of

APACHE_ALONE = {
    "test_the_broker_is_killed_and_started_in_the_middle_of_a_drop",  # the embedded broker keeps nothing
    "test_without_the_fence_a_paused_workers_facts_are_visible_and_found",  # the embedded broker has no fence
}


def recipe(target: str) -> str:
    return text_of("Makefile").partition(f"\n{target}:")[2].partition("\n\n")[0]


def recipe_of_make(target: str) -> str:
    """The target's commands, with make's variables filled in."""
    printed = subprocess.run(["make", "--just-print", target], cwd=ROOT, capture_output=True, text=True, check=True)
    return printed.stdout


COLLECT = """
import pytest

class Tiers:
    def pytest_collection_finish(self, session):
        for item in session.items:
            marks = [mark.name for mark in item.iter_markers() if mark.name in ("e2e", "kafka")]
            print("case", item.originalname, item.callspec.id.partition("-")[0], *marks)

pytest.main(["--collect-only", "-q", "tests/faults"], plugins=[Tiers()])
"""


def cases() -> dict[str, dict[str, set[str]]]:
    """Each test of faults, with its brokers, each with the tiers that run it."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECT], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    found: dict[str, dict[str, set[str]]] = {}
    for line in re.findall(r"^case (.+)$", done.stdout, re.MULTILINE):
        name, broker, *tiers = line.split()
        found.setdefault(name, {})[broker] = set(tiers)
    assert found, done.stdout + done.stderr
    return found


def test_each_fault_test_has_a_case_for_each_broker_and_its_tier_runs_it() -> None:
    found = cases()
    assert found.keys() >= APACHE_ALONE
    for name, brokers in found.items():
        alone = {} if name in APACHE_ALONE else {"embedded": {"e2e"}}
        assert brokers == {"apache": {"kafka"}} | alone, name


def test_the_gate_runs_the_embedded_cases_and_those_on_apache_kafka() -> None:
    assert re.search(r'SERVER_PYTEST\) \$\(SERVER_TESTS\) -m "not kafka and not long"', recipe("test"))
    ran = set(recipe_of_make("test").split())
    assert {"tests/faults", "tests/e2e"} <= ran
    folders = {path.parent for path in (ROOT / "tests/integration").glob("*/**/test_*.py")}
    assert {"/".join(path.relative_to(ROOT).parts[:3]) for path in folders} <= ran
    assert re.search(r'SERVER_PYTEST\) tests/e2e -m "long and not kafka"', recipe("test-long"))
    assert re.search(r"PYTEST\) \$\(wildcard tests/faults .*\) tests/kafka/ops -m kafka", recipe("test-kafka"))
    assert "tests/kafka" not in recipe("test")


def test_the_gate_builds_the_image_and_tests_it_after_the_tests_on_apache_kafka() -> None:
    (first,) = re.findall(r'^step \.ci/beside 0 "(.+)" make test$', text_of(".ci/run"), re.MULTILINE)
    assert first.split(" && ") == [
        "nice make lint",
        "make test-kafka TEST_WORKERS=1",
        "nice make test-containers-short",
    ]
    assert text_of(".ci/run").rstrip().endswith("make test"), "and its own last line is that of the containers"
    built, *tests = recipe_of_make("test-containers-short").partition("-m pytest")
    assert built.rstrip().endswith("-m ops.containers.short .venv/bin/python"), "the build is outside of a test's time"
    assert {"tests/containers/test_image.py", "tests/containers/test_stack.py"} <= set("".join(tests).split())


def test_the_tier_on_apache_kafka_also_runs_in_containers_with_its_faults() -> None:
    ran = recipe_of_make("test-containers").rpartition("-m pytest")[2].split()
    assert {"--containers", "kafka", "tests/faults", "tests/kafka/ops", "tests/kafka/test_*.py"} <= set(ran)


def test_where_no_engine_can_be_had_the_gate_says_why_and_passes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops.containers.short", "false"],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()[-1]
    assert said.startswith("containers: nothing ran: no Docker engine answers, and these are not on the PATH")


@pytest.mark.parametrize(("user", "installed"), [(0, "debootstrap docker.io iptables"), (1_000, "")])
def test_the_gate_installs_an_engine_as_root_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, installed: str
) -> None:
    said = tmp_path / "said"
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: user)
    short.install()
    calls = said.read_text().splitlines() if said.exists() else []
    assert calls == (["update -qq", f"install -y -qq --no-install-recommends {installed}"] if installed else [])


@pytest.mark.parametrize(
    ("test", "together_with"),
    [
        ("tests/faults/test_redis_flushed.py::test_a[embedded]", "tests/faults"),
        ("tests/faults/test_worker_killed.py::test_b[apache]", "tests/faults"),
        ("tests/e2e/one_shop/test_door.py::test_c", "tests/e2e/one_shop"),
        ("tests/e2e/test_greedy.py::test_d", "tests/e2e/test_greedy.py"),
    ],
)
def test_faults_happen_one_at_a_time_and_a_shop_is_shared(test: str, together_with: str) -> None:
    assert ByFile._split_scope(ByFile.__new__(ByFile), test) == together_with
