"""Tools find the platform that runs here, and no other."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ops.cli.main import run
from ops.run import discovery as found
from ops.run.discovery import Choice, NothingRuns, Published, RunningStack, SeveralRun, publish, running, stack_of

ENV = {
    "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "CIRCLE_POSTGRES_URL": "postgresql://postgres:it's-secret@127.0.0.1:9/circle",
    "CIRCLE_REDIS_URL": "redis://127.0.0.1:9/0",
    "CIRCLE_PARTITIONS": "3",
}


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory for the test, and no variable of the machine in the environment."""
    for name in [name for name in os.environ if name.startswith("CIRCLE_")]:
        monkeypatch.delenv(name)
    directory = tmp_path / "runtime"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    return directory


@pytest.fixture
def published() -> Iterator[list[Published]]:
    made: list[Published] = []
    yield made
    for one in made:
        one.remove()


def a_stack(name: str = "8000", data_dir: Path | None = None, **env: str) -> RunningStack:
    return RunningStack(
        name=name,
        pid=os.getpid(),
        url=f"http://127.0.0.1:{name}",
        broker="embedded",
        data_dir=str(data_dir) if data_dir is not None else None,
        env=ENV | env,
    )


def test_the_one_platform_that_runs_is_found(published: list[Published]) -> None:
    published.append(publish(a_stack()))
    assert stack_of(Choice()) == a_stack()
    assert found.operator_settings().partitions == 3


def test_a_file_is_its_users_alone(published: list[Published], runtime: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        published += [publish(a_stack()), publish(a_stack("8001", tmp_path))]
    finally:
        os.umask(before)
    files = [*(runtime / "general-circle").iterdir(), tmp_path / "stack.json"]
    assert len(files) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((runtime / "general-circle").stat().st_mode) == 0o700


def test_a_file_goes_with_its_platform(published: list[Published], runtime: Path, tmp_path: Path) -> None:
    for data_dir in (None, tmp_path):
        publish(a_stack(data_dir=data_dir)).remove()
        assert list((runtime / "general-circle").iterdir()) == []
        with pytest.raises(NothingRuns):
            stack_of(Choice())
    assert not (tmp_path / "stack.json").exists()


@pytest.mark.parametrize("with_data", [False, True])
def test_what_a_killed_platform_has_left_is_passed_over_and_removed(
    with_data: bool, runtime: Path, tmp_path: Path
) -> None:
    data_dir = str(tmp_path) if with_data else None
    program = (
        "import os, signal\n"
        "from ops.run.discovery import RunningStack, publish\n"
        f"publish(RunningStack(name='8000', pid=os.getpid(), url='http://x', broker='embedded', data_dir={data_dir!r},"
        " env={}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    left = runtime / "general-circle" / "8000.json"
    assert left.exists()
    assert running() == []
    assert not left.exists()
    assert not (tmp_path / "stack.json").exists()


def test_a_process_that_has_the_number_of_a_dead_platform_is_not_taken_for_it(runtime: Path) -> None:
    directory = runtime / "general-circle"
    directory.mkdir(mode=0o700)
    path = directory / "8000.json"
    path.write_bytes(msgspec.json.encode(a_stack()))  # its pid is ours, and alive
    path.chmod(0o600)
    assert running() == []


def test_half_a_file_is_no_platform(runtime: Path) -> None:
    directory = runtime / "general-circle"
    directory.mkdir(mode=0o700)
    for name, text in (("a", ""), ("b", "{"), ("c", "[1]"), ("d", '{"pid": 1}'), ("e", '{"stack": 7}')):
        path = directory / f"{name}.json"
        path.write_text(text)
        path.chmod(0o600)
    assert running() == []


def test_where_several_run_each_is_named_and_one_is_asked_for(published: list[Published], tmp_path: Path) -> None:
    published += [publish(a_stack("8000")), publish(a_stack("8001", tmp_path))]
    with pytest.raises(SeveralRun, match=r"2 platforms run here: 8000 .*; say which is meant with --stack") as caught:
        stack_of(Choice())
    assert f"8001 (http://127.0.0.1:8001, process {os.getpid()}, {tmp_path})" in str(caught.value)
    assert stack_of(Choice(stack="8000")).name == "8000"
    assert stack_of(Choice(data_dir=str(tmp_path))).name == "8001"
    with pytest.raises(NothingRuns, match="no platform named 9 runs here: 8000"):
        stack_of(Choice(stack="9"))
    with pytest.raises(NothingRuns, match="no platform of this user runs with --data-dir"):
        stack_of(Choice(data_dir=str(tmp_path / "elsewhere")))


@pytest.mark.parametrize("name", found.ADDRESSES)
def test_addresses_in_the_environment_win_all_or_none(
    name: str, published: list[Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    published.append(publish(a_stack()))
    explicit = {**ENV, name: ENV[name].replace(":9", ":10")}
    monkeypatch.setenv(name, explicit[name])
    assert {one for one in found.ADDRESSES if one in found.environment()} == {name}, "not the log of one, rows of other"
    assert "CIRCLE_PARTITIONS" not in found.environment()


def test_what_else_the_environment_says_is_kept(published: list[Published], monkeypatch: pytest.MonkeyPatch) -> None:
    published.append(publish(a_stack()))
    monkeypatch.setenv("CIRCLE_PARTITIONS", "5")
    assert found.operator_settings().partitions == 5
    monkeypatch.setenv("CIRCLE_PARTITIONS", "")
    assert found.operator_settings().partitions == 3


def test_a_directory_that_others_can_write_to_is_not_trusted(runtime: Path) -> None:
    directory = runtime / "general-circle"
    directory.mkdir(mode=0o700)
    directory.chmod(0o777)
    with pytest.raises(found.SettingsError, match="not a directory of this user alone"):
        publish(a_stack())
    assert running() == []


def test_what_belongs_to_one_process_is_not_handed_on() -> None:
    given = {
        "CIRCLE_INSTANCE": "api",
        "CIRCLE_LOG_LEVEL": "debug",
        "CIRCLE_REDIS_URL": "x",
        "HOME": "/",
        "CIRCLE_A": "",
    }
    assert found.exported(given) == {"CIRCLE_REDIS_URL": "x"}


@pytest.mark.parametrize(
    ("arguments", "choice", "left"),
    [
        (["verify"], Choice(), ["verify"]),
        (["--stack", "8000", "verify"], Choice(stack="8000"), ["verify"]),
        (["verify", "--event", "e", "--stack=8000"], Choice(stack="8000"), ["verify", "--event", "e"]),
        (["--data-dir", "d", "dlq", "list"], Choice(data_dir="d"), ["dlq", "list"]),
        (["up", "--data-dir", "d"], Choice(), ["up", "--data-dir", "d"]),
        (["api", "--stack", "d"], Choice(), ["api", "--stack", "d"]),
        (["locks", "free", "--", "--stack", "x"], Choice(), ["locks", "free", "--", "--stack", "x"]),
    ],
)
def test_the_options_stand_before_a_command_or_after_it(arguments: list[str], choice: Choice, left: list[str]) -> None:
    assert found.take_options(arguments) == (choice, left)


@pytest.mark.parametrize(
    "arguments", [["verify", "--stack"], ["--data-dir=", "verify"], ["--stack", "1", "--data-dir", "d", "verify"]]
)
def test_half_an_option_and_two_of_them_are_wrong_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert capsys.readouterr().err.startswith("error: --")


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["dlq", "list"],
        ["explain", "r"],
        ["users", "promote", "a@example.org", "--role", "admin"],
        ["locks", "list", "e"],
        ["seats", "e"],
        ["replay", "redis"],
        ["migrate"],
        ["topics", "describe"],
        ["env"],
    ],
)
def test_where_nothing_runs_a_tool_says_so_and_exits_with_3(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 3
    error = capsys.readouterr().err.lstrip()  # the place of a progress bar
    assert error.startswith("error: no platform runs here")
    assert "circle up" in error
    assert all(name in error for name in found.ADDRESSES)


def test_a_tool_that_needs_no_service_needs_no_platform(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topics", "list", "--json"]) == 0
    assert {one["partitions"] for one in json.loads(capsys.readouterr().out)} >= {8}


def test_env_prints_what_a_shell_can_read(published: list[Published], capsys: pytest.CaptureFixture[str]) -> None:
    published.append(publish(a_stack()))
    assert run(["env"]) == 0
    script = capsys.readouterr().out + 'echo "$CIRCLE_POSTGRES_URL $CIRCLE_URL"'
    printed = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed == f"{ENV['CIRCLE_POSTGRES_URL']} http://127.0.0.1:8000\n"
    assert run(["env", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ENV | {"CIRCLE_URL": "http://127.0.0.1:8000"}
