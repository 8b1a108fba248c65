"""Migration files: names, numbers, checksums. The rest is tested on a real database."""

from pathlib import Path

import pytest

from connectors.errors import MigrationError
from ops.migrations import migrations
from ops.migrations.tables import DERIVED_TABLES
from ops.rebuild.rows import TABLES


def test_files_come_in_number_order_with_a_checksum(tmp_path: Path) -> None:
    (tmp_path / "0002_b.sql").write_text("SELECT 2")
    (tmp_path / "0001_a.sql").write_text("SELECT 1")
    found = migrations(tmp_path)
    assert [(m.number, m.name, m.sql) for m in found] == [(1, "a", "SELECT 1"), (2, "b", "SELECT 2")]
    assert found[0].checksum != found[1].checksum


@pytest.mark.parametrize("name", ["1_a.sql", "0001-a.sql", "0001_A.sql", "latest.sql"])
def test_a_wrong_name_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(MigrationError, match=r"NNNN_name\.sql"):
        migrations(tmp_path)


def test_a_number_used_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("")
    (tmp_path / "0001_b.sql").write_text("")
    with pytest.raises(MigrationError, match="a and b have the same number 0001"):
        migrations(tmp_path)


def test_our_own_files_are_in_order() -> None:
    assert next(m.number for m in migrations()) == 1


def test_whatever_the_projections_write_is_in_a_new_generation() -> None:
    others = {
        "fact_redrives",
        "fact_totals",
        "notifications",
        "projection_positions",
        "sandbox.disputes",
        "sandbox.payments",
        "sandbox.refunds",
    }
    assert set(TABLES) == set(DERIVED_TABLES) - others
