"""The circle command: exit codes, errors in one line, JSON where it reports."""

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest
from typer.core import TyperGroup

from ops.cli.app import circle
from ops.cli.main import COMMANDS_OF, MODULE_OF, NICENESS, main, run
from ops.proof.bench.catalogue import BENCHES
from ops.run.processes import named_by
from ops.run.services.process import free_port
from pipelines.flows import Flow


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """A command may configure logging, for the process that it usually is."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine reaches a test; services are searched at addresses without a server."""
    monkeypatch.setenv("CIRCLE_KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("CIRCLE_POSTGRES_URL", f"postgresql://postgres@127.0.0.1:{free_port()}/circle")
    for limit in (
        "connectors.topics.TIMEOUT_S",
        "connectors.log_reader.METADATA_TIMEOUT_S",
        "pipelines.watch.dead_letters.TIMEOUT_S",
        "ops.run.processes.START_TIMEOUT_S",
    ):
        monkeypatch.setattr(limit, 0.2)


COMMANDS = """
    alerts api bench demo dlq doctor env explain follow groups kafka keys locks migrate payments pipeline replay rights
    seats size tickets top topics up users verify
"""


def test_the_commands_of_a_group_are_no_commands_of_circle_itself() -> None:
    top = circle()
    assert isinstance(top, TyperGroup)
    assert sorted(top.commands) == COMMANDS.split()
    bench = top.commands["bench"]
    assert isinstance(bench, TyperGroup)
    assert set(BENCHES) < set(bench.commands)


def test_a_command_is_loaded_from_the_module_that_registers_it() -> None:
    found = {}
    for module in COMMANDS_OF:
        group = circle(module)
        assert isinstance(group, TyperGroup)
        found[module] = " ".join(sorted(group.commands))
    assert found == COMMANDS_OF
    assert sorted(MODULE_OF) == COMMANDS.split(), "every command has a module"


def test_a_command_loads_no_module_of_another_one() -> None:
    code = "import sys; from ops.cli.main import run; run(['size', '--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("ops.cli.")}
    assert loaded == {"ops.cli.app", "ops.cli.main", "ops.cli.size"}


@pytest.mark.parametrize("process", ["pipeline payments", "pipeline read-side", "api --port 8123 --workers 2"])
def test_a_process_of_the_platform_starts_without_the_library_of_the_command_line(process: str) -> None:
    code = (
        "import sys, ops.run.processes as p; p.START_TIMEOUT_S = 0.2; p.refuse_unsuitable_services = lambda _: None; "
        "import api.server as s; s.serve = lambda *given: print('serves', *given[1:]); from ops.cli.main import run; "
        f"print(run({process.split()!r})); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *served, ended, modules = done.stdout.splitlines()
    assert (served, ended) == (["serves 127.0.0.1 8123 2"], "0") if process.startswith("api") else ([], "3")
    assert not {"typer", "pydantic", "rich"} & set(modules.split())


PLAIN = {
    "pipeline read-side": (Flow.READ_SIDE,),
    "api": ("127.0.0.1", 8000, 1),
    "api --host 0.0.0.0": ("0.0.0.0", 8000, 1),
    "api --workers 64 --port 65535": ("127.0.0.1", 65_535, 64),
}
OTHERWISE = """
    pipeline; pipeline nonsense; pipeline read-side twice; pipeline --help; api --help; api extra; api --port; up;
    api --port 0; api --port 65536; api --port x; api --port ٣; api --port=8001; api --port 1 --port 2;
    api --workers 65; api --host --port 8001 1; api --nonsense 1
"""


@pytest.mark.parametrize(("line", "means"), PLAIN.items())
def test_a_plain_command_line_of_a_process_means_what_the_library_reads_in_it(
    line: str, means: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = named_by(line.split())
    assert isinstance(process, partial)
    assert process.args == means
    meant: list[tuple[object, ...]] = []
    for name in ("api", "pipeline"):
        monkeypatch.setattr(f"ops.run.processes.{name}", lambda *given: meant.append(given))
    circle().main(line.split(), standalone_mode=False)
    assert meant == [means]


@pytest.mark.parametrize("line", [line.strip() for line in OTHERWISE.split(";")])
def test_the_library_of_the_command_line_reads_every_other_command_line(line: str) -> None:
    assert named_by(line.split()) is None


@pytest.mark.parametrize("command", ["up", "api", "pipeline", "topics", "migrate", "doctor", "kafka"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert "Usage: circle" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "yields"),
    [
        (["verify", "--follow"], True),
        (["replay", "projections"], True),
        (["replay", "what-if", "e1"], True),
        (["explain", "r1"], True),
        (["seats", "e1"], True),
        (["replay", "load", "dir"], False),  # it makes the load: late requests would be its own fault
        (["pipeline", "reservations"], False),
        (["api"], False),
    ],
)
def test_what_looks_into_the_past_yields_the_processors_to_the_platform(
    arguments: list[str], yields: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    niceness: list[int] = []
    monkeypatch.setattr("os.nice", niceness.append)
    monkeypatch.setattr("ops.cli.main.run", lambda _: 0)
    with pytest.raises(SystemExit):
        main(arguments)
    assert niceness == ([NICENESS] if yields else [])


@pytest.mark.parametrize("arguments", [["nonsense"], ["up", "--port", "x"], ["up", "--port", "0"], ["pipeline", "x"]])
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_wrong_setting_exits_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CIRCLE_PARTITIONS", "many")
    assert run(["topics", "list"]) == 2
    assert capsys.readouterr().err.startswith("error: CIRCLE_PARTITIONS: ")


@pytest.mark.parametrize(
    "arguments",
    [["migrate"], ["topics", "apply"], ["topics", "describe"], ["dlq", "list"], ["verify"], ["pipeline", "payments"]],
)
def test_a_service_that_does_not_answer_exits_with_3(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 3
    assert_one_error(capsys.readouterr().err)


def assert_one_error(text: str) -> None:
    error = text.strip()  # a progress bar leaves an empty line
    assert error.startswith("error: ")
    assert "cannot be reached" in error
    assert len(error.splitlines()) == 1


def test_what_the_kafka_client_logs_is_not_shown_to_a_person() -> None:
    code = (
        "import pipelines.watch.dead_letters as d; d.TIMEOUT_S = 0.3; "
        "from ops.cli.main import main; main(['dlq', 'list'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert_one_error(done.stderr)


def test_topics_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topics", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [topic["name"] for topic in listed][:2] == ["tickets.commands", "tickets.facts"]


def test_up_refuses_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["up", "--port", str(port)]) == 2
    assert f"--port: another process listens there already; got '{port}'" in capsys.readouterr().err


@pytest.mark.parametrize("broker", ["kafka", "Embedded", ""])
def test_up_refuses_an_unknown_broker(broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--port", str(free_port()), "--broker", broker]) == 2
    assert "--broker: must be embedded, apache, apache-3 or host:port" in capsys.readouterr().err


def test_up_with_apache_and_no_java_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert run(["kafka", "resolve"]) == 3
    assert "no java was found; a JDK 17 or later is needed" in capsys.readouterr().err
