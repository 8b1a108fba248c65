"""The stand-ins for a hub's images: one for each image that compose.yaml and the Dockerfile name, but two."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.containers import images
from ops.containers.images import PREFIX, SOURCES, STAGES
from ops.run.services import containers, kafka_jars

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
STAND_INS: dict[str, Any] = yaml.safe_load(images.DEFINITIONS.read_text())["services"]
HUB = "${CIRCLE_IMAGES:-}"


class Override(yaml.SafeLoader):
    """Reads compose's tag `!override` as the value itself."""


Override.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))
WITHOUT: dict[str, Any] = yaml.load((ROOT / "ops/containers/without_a_hub.yaml").read_text(), Override)["services"]


def test_each_image_of_a_hub_has_a_stand_in_or_its_service_stays_out() -> None:
    stood_in = {one["image"].removeprefix(PREFIX) for one in STAND_INS.values()}
    bases = re.findall(r"^FROM \$\{IMAGES\}(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    named = {name: one["image"].removeprefix(HUB) for name, one in COMPOSE.items() if "build" not in one}
    assert set(bases) | {image for name, image in named.items() if name not in WITHOUT} == stood_in
    assert set(WITHOUT) == {"grafana", "kafka-ui"}
    assert all(one["profiles"] == ["hub"] for one in WITHOUT.values()), "a profile that nothing starts"


@pytest.mark.parametrize("name", [name for name, one in COMPOSE.items() if "build" not in one])
def test_one_variable_chooses_where_an_image_comes_from(name: str) -> None:
    assert COMPOSE[name]["image"].startswith(HUB)


def test_a_profile_needs_the_stand_ins_of_its_own_services() -> None:
    needed = {STAND_INS[name]["image"] for name in ("python", "python-full", "kafka", "postgres", "redis", "mailpit")}
    assert images.images_of(images.APP) == needed
    assert images.images_of(images.FULL) == {one["image"] for one in STAND_INS.values()}


def test_tests_that_start_containers_take_the_images_of_compose() -> None:
    named = {one["image"].removeprefix(HUB) for one in COMPOSE.values()}
    assert {containers.KAFKA_IMAGE, containers.POSTGRES_IMAGE, containers.REDIS_IMAGE} < named


def test_each_stand_in_has_its_sources_and_a_way_to_prepare_them() -> None:
    assert {path.name for path in SOURCES.iterdir()} == set(STAGES) == set(STAND_INS) - {"python-full"}
    assert all((SOURCES / name / "Dockerfile").exists() for name in STAGES)
    for one in STAND_INS.values():
        assert one["build"]["args"]["DEBIAN"].removeprefix(f"{PREFIX}debian:") in images.SUITES


@pytest.mark.parametrize(
    "file", [ROOT / "Dockerfile", *sorted(SOURCES.glob("*/Dockerfile"))], ids=lambda file: file.parent.name
)
def test_an_engine_without_buildkit_builds_each_image(file: Path) -> None:
    assert re.findall(r"^(?:COPY|ADD|RUN) .*--(?:chmod|link|mount|parents)\b|<<", file.read_text(), re.MULTILINE) == []


def test_every_user_of_an_image_reads_its_files_and_runs_its_programs(tmp_path: Path) -> None:
    script, binary, text = tmp_path / "bin" / "run", tmp_path / "server", tmp_path / "settings"
    script.parent.mkdir(mode=0o700)
    for path, content in ((script, b"#!/bin/bash\n"), (binary, b"\x7fELF\x02"), (text, b"port=1\n")):
        path.write_bytes(content)
        path.chmod(0o600)
    images.readable(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"bin": 0o755, "run": 0o755, "server": 0o755, "settings": 0o644}


def test_the_stand_ins_are_of_the_versions_that_they_stand_in_for() -> None:
    kafka = (SOURCES / "kafka" / "tools.xml").read_text()
    pinned = {name: f"<{name}>{version}<" for name, version in pins(kafka_jars.POM.read_text()).items()}
    assert set(pinned) == {"kafka.version", "log4j.version"}
    assert all(text in kafka for text in pinned.values())
    assert STAND_INS["kafka"]["image"].endswith(f":{kafka_jars.kafka_version()}")
    registry = re.search(r"<version>(\d[^<]+)</version>\s*<type>", (SOURCES / "registry" / "registry.xml").read_text())
    assert registry is not None
    assert STAND_INS["registry"]["image"].endswith(f":{registry.group(1)}")
    assert STAND_INS["mailpit"]["image"].endswith(f":{images.MAILPIT.version}")
    # Prometheus 3.7.3 is version 0.307.3 of its module.
    major, minor, patch = STAND_INS["prometheus"]["image"].rpartition(":v")[2].split(".")
    assert images.PROMETHEUS.version == f"v0.{major}{int(minor):02}.{patch}"


def pins(pom: str) -> dict[str, str]:
    return dict(re.findall(r"<([a-z0-9]+\.version)>([^<]+)<", pom))
