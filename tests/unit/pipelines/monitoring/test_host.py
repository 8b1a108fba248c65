"""Monitoring sees how full its disks are and when its certificates expire; a lost file stops nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.settings import Settings
from pipelines.monitoring.broker_clocks import skew
from pipelines.monitoring.host import CHAIN_MAX, certificate_ends, disks
from tests.harness.certificates import expiring

SETTINGS = Settings()


def test_the_first_end_of_a_files_certificates_counts(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    ends = [datetime(2031, 1, day, tzinfo=UTC) for day in (9, 2, 5)]
    file.write_bytes(b"".join(expiring(end) for end in ends))
    settings = replace(SETTINGS, smtp_ca_file=file, kafka_ca_file=file)
    assert certificate_ends(settings) == {str(file): ends[1].timestamp()}
    in_url = replace(SETTINGS, postgres_url=f"postgresql://u@h/d?sslmode=verify-full&sslrootcert={file}")
    assert certificate_ends(in_url) == certificate_ends(settings)


def test_a_bundle_of_all_authorities_is_left_out_and_so_is_a_lost_file(tmp_path: Path) -> None:
    file = tmp_path / "bundle.pem"
    one = expiring(datetime.now(UTC) + timedelta(days=1))
    file.write_bytes(one * (CHAIN_MAX + 1))
    assert certificate_ends(replace(SETTINGS, smtp_ca_file=file)) == {}
    assert certificate_ends(replace(SETTINGS, smtp_ca_file=tmp_path / "gone.pem")) == {}
    file.write_text("no certificate")
    assert certificate_ends(replace(SETTINGS, smtp_ca_file=file)) == {}


def test_the_disk_of_a_watched_directory_is_seen(tmp_path: Path) -> None:
    found = disks(replace(SETTINGS, watched_dir=tmp_path))
    assert 0 < found[str(tmp_path)].free <= found[str(tmp_path)].size
    assert str(tmp_path / "gone") not in disks(replace(SETTINGS, watched_dir=tmp_path / "gone"))


def test_a_clock_differs_only_by_what_the_answers_own_time_does_not_explain() -> None:
    assert skew(10.5, 10.0, 11.0) == 0.0
    assert skew(13.0, 10.0, 11.0) == 2.0
    assert skew(7.0, 10.0, 11.0) == -3.0
