"""The checks of compose.yaml, the Dockerfile and their mounted files that need no Docker engine."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.cli.main import run
from pipelines.configuration import settings_from_env

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
LOCKS = ("requirements-runtime.lock", "requirements-build.lock", "requirements-installer.lock")
ONE_SHOT = {"prepare"}


def test_the_full_profile_has_what_the_design_names() -> None:
    always_or_full = {n for n, s in SERVICES.items() if not s.get("profiles") or "full" in s["profiles"]}
    assert always_or_full == set(SERVICES)
    assert set(SERVICES) >= {"kafka", "postgres", "redis", "schema-registry", "kafka-ui", "prometheus", "grafana"}
    assert set(OURS) >= {"api", "reservations", "read-side", "payments"}


@pytest.mark.parametrize("name", SERVICES)
def test_references_exist_and_are_in_a_profile_of_the_service(name: str) -> None:
    service = SERVICES[name]
    for needed, how in service.get("depends_on", {}).items():
        profiles = SERVICES[needed].get("profiles")
        optional = not how.get("required", True)
        assert not profiles or optional or set(service.get("profiles", [])) <= set(profiles)
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[needed]
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_healthy_and_on_loopback(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.?\d*$", service["image"]) or name in OURS
    assert "healthcheck" in service or name in ONE_SHOT
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_published_ports_do_not_collide() -> None:
    published = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))


@pytest.mark.parametrize("name", OURS)
def test_our_settings_are_settings(name: str, tmp_path: Path) -> None:
    key = tmp_path / "jwt.pem"
    key.write_text("key")
    key.chmod(0o600)
    text = {k: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(v)) for k, v in SERVICES[name]["environment"].items()}
    text["CIRCLE_JWT_KEY_FILE"] = str(key)
    production = {**text, "CIRCLE_ENV": "production", "CIRCLE_PAYMENTS": "stripe"}
    production |= {"CIRCLE_STRIPE_API_KEY": "sk_live_x", "CIRCLE_STRIPE_WEBHOOK_SECRET": "whsec_x"}
    production["CIRCLE_POSTGRES_URL"] = "postgresql://circle:d93kd9@postgres:5432/circle"
    assert settings_from_env(text).kafka_bootstrap_servers == "kafka:9092"
    assert settings_from_env(production).production, "which also refuses a name that is no setting"


def test_our_commands_are_commands_of_circle(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [SERVICES[name]["command"] for name in OURS if name not in ONE_SHOT]
    script = SERVICES["prepare"]["command"][0]
    commands += [shlex.split(line)[3:] for line in script.splitlines()]
    assert len(commands) == len(OURS) - 1 + 3
    for command in commands:
        assert run([*command, "--help"]) == 0, command
    assert "Usage" in capsys.readouterr().out


def test_the_image_gets_every_package_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text()
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    copied = [source for line in lines for source in line.split()]
    assert set(copied) == {*LOCKS, "pyproject.toml", "schemas", "pipelines", "connectors", "sinks", "api", "ops"}
    assert all((ROOT / source).exists() and f"!{source}" in ignored for source in copied)
    assert re.search(r"^USER 1\d+", text, re.MULTILINE)
    assert text.count("pip install") == text.count("pip install --require-hashes") == len(LOCKS)


def test_prometheus_scrapes_services_that_serve_metrics() -> None:
    config = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text())
    for job in config["scrape_configs"]:
        for target in job["dns_sd_configs"]:
            assert set(target["names"]) <= set(OURS)
            operators = int(SERVICES["api"]["environment"]["CIRCLE_OPERATOR_PORT"])
            assert target["port"] == (operators if job["job_name"] == "api" else 9100)


def test_grafana_asks_for_metrics_that_exist() -> None:
    sources = "\n".join(
        path.read_text()
        for d in ("api", "connectors", "ops", "pipelines", "sinks")
        for path in (ROOT / d).rglob("*.py")
    )
    source = yaml.safe_load((ROOT / "ops/grafana/provisioning/datasources/prometheus.yml").read_text())
    uids = {one["uid"] for one in source["datasources"]}
    provider = yaml.safe_load((ROOT / "ops/grafana/provisioning/dashboards/circle.yml").read_text())
    mounted = {volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]}
    assert provider["providers"][0]["options"]["path"] in mounted
    dashboards = list((ROOT / "ops/grafana/dashboards").glob("*.json"))
    assert dashboards
    for dashboard in dashboards:
        for panel in json.loads(dashboard.read_text())["panels"]:
            assert panel["datasource"]["uid"] in uids
            for target in panel["targets"]:
                for metric in re.findall(r"circle_\w+", target["expr"]):
                    assert re.sub(r"_(total|bucket|sum|count)$", "", metric) in sources, metric


def pins(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.\-]+==[^ \\]+)", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_for_the_image_is_a_part_of_the_whole_lock(name: str) -> None:
    assert pins(name) < pins("requirements.lock")


def test_whatever_builds_the_package_is_pinned_to_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pins("requirements-build.lock") == set(project["build-system"]["requires"])
    assert project["dependency-groups"]["build"] == project["build-system"]["requires"]
    assert pins("requirements-installer.lock") == set(project["dependency-groups"]["installer"])


@pytest.mark.parametrize(("name", "least"), [("requirements.lock", 41), *zip(LOCKS, (41, 2, 1), strict=True)])
def test_a_lock_has_hashes_and_no_address(name: str, least: int) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert text.count("==") >= least
    for block in re.split(r"\n(?=[a-z0-9])", text):
        assert "--hash=sha256:" in block
