"""The pages as pages: links lead somewhere, and nothing of one machine is in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import PAGES, ROOT, anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{target} leads nowhere"
        assert found.is_relative_to(ROOT), f"{target} leaves the repository"
        assert not anchor or anchor in anchors(found.read_text()), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_that_is_labelled_with_a_file_leads_to_that_file(page: Path) -> None:
    """A label may have a part of the path before the file's name."""
    links = re.findall(r"\[`?([\w/.-]+\.(?:py|pyx|sql|lua|md|typ|yaml|toml))`?\]\(([^)\s#]+)[^)]*\)", page.read_text())
    assert [(label, path) for label, path in links if Path(label).name != Path(path).name] == []


def test_every_picture_of_the_guide_is_on_a_page() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", page.read_text())
    }
    pictures = {one.resolve() for one in (ROOT / "ops" / "docs").rglob("*.png")}
    assert pictures
    assert pictures <= shown, sorted(pictures - shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_directory_of_one_machine(page: Path) -> None:
    assert not re.findall(r"(?:/home|/root|/work|/tmp|/Users)/\S+", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_begins_with_its_title(page: Path) -> None:
    assert page.read_text().startswith("# ")


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            targets = re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)", page.read_text())
            waiting += [(page.parent / target).resolve() for target in targets]
    assert set(PAGES) <= reached, sorted(set(PAGES) - reached)


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    kinds = set(re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE))
    assert kinds
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
