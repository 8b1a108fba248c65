"""Each compiled twin is built by every way to install, and has a declaration of what it offers."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

from schemas import generate, twins
from tests.harness.native import TWINS

ROOT = Path(__file__).parents[3]
SOURCES = sorted(
    str(path.relative_to(ROOT))
    for folder in ("schemas", "pipelines", "api")
    for path in (ROOT / folder).rglob("native_*.pyx")
)


def test_every_twin_is_built_by_setup_and_by_the_image() -> None:
    modules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
    assert sorted(source for module in modules for source in module["sources"]) == SOURCES
    assert all(module["optional"] for module in modules), "without a C compiler the installation must go on"
    assert [source.removesuffix(".pyx").replace("/", ".") for source in SOURCES] == sorted(TWINS)
    variables = subprocess.run(["make", "-pn", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (twins,) = (line.partition(":=")[2] for line in variables.splitlines() if line.startswith("TWINS :="))
    assert sorted(twins.split()) == SOURCES
    assert "cythonize -i $(find . -name 'native_*.pyx')" in (ROOT / "Dockerfile").read_text()


def test_every_twin_declares_what_it_offers() -> None:
    assert [source for source in SOURCES if not (ROOT / source).with_suffix(".pyi").exists()] == []


def test_every_twin_states_the_hash_of_its_source() -> None:
    assert sorted(str(path.relative_to(ROOT)) for path in generate.TWINS) == SOURCES
    for source in generate.TWINS:
        assert twins.stated(source), f"{source.name} has no line SOURCE"
        assert twins.with_its_hash(source) == source.read_text(), "run python -m schemas.generate"
