"""The reference pages agree with the code, and they leave no command, setting or limit out."""

from __future__ import annotations

import re

import pytest

from api.fairness.rate_limits import Rate
from ops.reference.commands import leaves
from ops.reference.limits import MODULES, figure, rate, reasons
from ops.reference.pages import PAGES, main, old_pages
from pipelines.platform_settings import PlatformSettings
from pipelines.variables import FOREIGN_VARIABLES
from tests.unit.docs.pages import anchors, rows, section, text_of

COMMANDS = leaves()
CONSTANTS = [(module.__name__, name) for module in MODULES.values() for name in reasons(module)]


def test_no_page_is_old() -> None:
    assert old_pages() == [], "run python -m ops.reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_was_changed_by_hand_is_found(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PAGES, name, lambda: text_of(f"ops/docs/reference/{name}") + "one more line\n")
    assert main(["--check"]) == 1
    assert capsys.readouterr().err == f"reference/{name} is old: run python -m ops.reference\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_on_the_page_with_its_help_and_every_option(name: str) -> None:
    page = text_of("ops/docs/reference/commands.md")
    described = section(page, f"circle {name}")
    assert COMMANDS[name].help
    usage = re.search(rf"^`circle {re.escape(name)}(.*)`$", described, re.MULTILINE)
    assert usage is not None
    listed = set(re.findall(r"--[a-z-]+", usage[1] + "".join(cells[0] for cells in rows(described))))
    for parameter in COMMANDS[name].params:
        names = {one for one in (*parameter.opts, *parameter.secondary_opts) if one.startswith("--")}
        assert names <= listed | {"--help"}, names - listed
        assert parameter.help, f"{parameter.name} has no help"
        if not names:
            assert str(parameter.name).upper().removesuffix("_ID") in usage[1]
    assert f"circle-{name.replace(' ', '-')}" in anchors(page)


def test_every_setting_is_documented_with_its_default() -> None:
    cells_of = {cells[0].strip("`"): cells for cells in rows(text_of("ops/docs/reference/settings.md"))}
    listed = {name: cells[1] for name, cells in cells_of.items() if len(cells) == 4}
    defaults = PlatformSettings()
    assert set(listed) == {f"CIRCLE_{name.upper()}" for name in PlatformSettings.__dataclass_fields__}
    for name, said in listed.items():
        value = getattr(defaults, name.removeprefix("CIRCLE_").lower())
        if name == "CIRCLE_INSTANCE":
            assert "process id" in said
        elif value in (None, frozenset()):
            assert said == "none", name
        else:
            written = f"{value:g}" if isinstance(value, float) else str(value)
            assert said == f"`{written}`", name


def test_variables_that_are_no_settings_are_documented_too() -> None:
    assert {name for name in FOREIGN_VARIABLES if f"`{name}`" not in text_of("ops/docs/reference/settings.md")} == set()


def test_what_production_requires_is_on_the_page() -> None:
    production = {
        cells[0].strip("`"): cells[3] for cells in rows(text_of("ops/docs/reference/settings.md")) if len(cells) == 4
    }
    required = {name for name, said in production.items() if said.startswith("required")}
    assert required == {
        "CIRCLE_KAFKA_BOOTSTRAP_SERVERS",
        "CIRCLE_POSTGRES_URL",
        "CIRCLE_REDIS_URL",
        "CIRCLE_JWT_KEY_FILE",
    }


@pytest.mark.parametrize(("module", "name"), CONSTANTS)
def test_every_limit_has_a_reason(module: str, name: str) -> None:
    (why,) = [reasons(one)[name] for one in MODULES.values() if one.__name__ == module]
    assert len(why) > 5, f"{module}.{name} says not why"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BODY_BYTES_MAX", 65_536, "64 KB"),
        ("SECTION_BYTES_MAX", 64 * 1024 * 1024, "64 MB"),
        ("PROGRAMME_BYTES_MAX", 60_000, "60,000 bytes"),
        ("READ_BYTES_PER_S", 16_384, "16 KB a second"),
        ("DELIVERY_TIMEOUT_MS", 4_500, "4,500 ms"),
        ("HEARTBEAT_S", 15.0, "15 s"),
        ("SWITCH_S", 0.001, "0.001 s"),
        ("HOLD_WARNING_S", 60, "60 s"),
        ("ACCESS_TOKEN_TTL_S", 900, "15 minutes"),
        ("HOLD_TTL_S_MAX", 3_600, "1 hour"),
        ("UNPAID_WINDOW_S", 21_600, "6 hours"),
        ("REFRESH_TOKEN_TTL_S", 2_592_000, "30 days"),
        ("ROWS_MAX", 1_000, "1,000"),
    ],
)
def test_a_figure_is_written_in_the_unit_of_its_name(name: str, value: float, said: str) -> None:
    assert figure(name, value) == said


@pytest.mark.parametrize(
    ("per_s", "said"),
    [(1_000, "1,000 a second"), (0.2, "0.2 a second"), (0.02, "1.2 a minute"), (1 / 600, "6 an hour")],
)
def test_a_slow_rate_is_written_by_the_minute_or_the_hour(per_s: float, said: str) -> None:
    assert rate(Rate(name="of a test", per_s=per_s, burst=5)) == f"{said}, 5 at once"
