"""`python -m ops.containers.sbom [IMAGE]`: what is in the product's image, as CycloneDX 1.6 in JSON.

The image itself is asked: dpkg for Debian's packages, their metadata for Python's distributions. So what a base image
brings is in the document, and what was removed is not.
"""

import json
import sys
from collections.abc import Iterable, Iterator

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from connectors.errors import ServiceUnreachable
from ops.containers import engine as engines
from ops.containers.engine import DockerFailed, Engine

IMAGE = "general-circle:dev"
DISTRIBUTION = "general-circle"
LICENSE_CHARS_MAX = 60  # a longer one is the licence's whole text, not its name
DEBIAN_FORMAT = "${Package}\\t${Version}\\t${Architecture}\\n"
# Name, version and licence of each: an SPDX expression, else the older free text, else the classifier.
PYTHON = """
import importlib.metadata, json
def licence(of):
    marks = [mark for mark in of.get_all("Classifier", ()) if mark.startswith("License :: ")]
    return of.get("License-Expression") or of.get("License") or (marks[0].rpartition(" :: ")[2] if marks else "")
print(json.dumps([[one.name, one.version, licence(one.metadata)] for one in importlib.metadata.distributions()]))
"""


def sbom_of(engine: Engine, image: str) -> str:
    """The document, with one component for each package and distribution. Raises `DockerFailed`."""
    distributions: list[list[str]] = json.loads(_ask(engine, image, "python", "-c", PYTHON))
    version = next(version for name, version, _ in distributions if name == DISTRIBUTION)
    bom = Bom()
    product = Component(name=DISTRIBUTION, version=version, type=ComponentType.CONTAINER, bom_ref=DISTRIBUTION)
    bom.metadata.component = product
    components = [*_python(distributions), *_debian(_ask(engine, image, "dpkg-query", "-W", "-f", DEBIAN_FORMAT))]
    for component in components:
        bom.components.add(component)
    bom.register_dependency(product, components)
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)


def _ask(engine: Engine, image: str, program: str, *arguments: str) -> str:
    return engine.docker("run", "--rm", "--network", "none", "--entrypoint", program, image, *arguments)


def _python(distributions: Iterable[list[str]]) -> Iterator[Component]:
    for name, version, license_text in distributions:
        if name == DISTRIBUTION:
            continue
        purl = PackageURL("pypi", None, name.lower().replace("_", "-"), version)
        known = [LicenseFactory().make_from_string(license_text)] if 0 < len(license_text) < LICENSE_CHARS_MAX else []
        yield Component(name=name, version=version, purl=purl, bom_ref=str(purl), licenses=known)


def _debian(listed: str) -> Iterator[Component]:
    for line in listed.splitlines():
        name, version, architecture = line.split("\t")
        purl = PackageURL("deb", "debian", name, version, {"arch": architecture})
        yield Component(name=name, version=version, purl=purl, bom_ref=str(purl))


def main(arguments: list[str]) -> int:
    """Prints the document for the image that is named, else for the product's."""
    try:
        with engines.running() as engine:
            print(sbom_of(engine, arguments[0] if arguments else IMAGE))
    except (ServiceUnreachable, DockerFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
