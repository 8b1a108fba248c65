"""Every spelling of a client's address is the same client, and a text that is no address is one client, too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.fairness.rate_limits import Rate, rates_of_address
from api.http.client_address import UNKNOWN, ClientAddress, forwarded_for, parse

V6 = ("20010db800010002/64", "20010db80001/48")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("192.0.2.7", ("192.0.2.7",)),
        (" 192.0.2.7\t", ("192.0.2.7",)),
        ("192.0.2.7:65535", ("192.0.2.7",)),
        ('"192.0.2.7:80"', ("192.0.2.7",)),
        ("2001:db8:1:2::7", V6),
        ("2001:DB8:1:2:0:0:0:7", V6),
        ("2001:0db8:0001:0002:ffff:ffff:ffff:ffff", V6),
        ("[2001:db8:1:2::7]", V6),
        ("[2001:db8:1:2::7]:443", V6),
        ('"[2001:db8:1:2::7]:443"', V6),
        ("2001:db8:1:2::7%eth0", V6),
        ("[2001:db8:1:2::7%25en0]:1", V6),
        ("2001:db8:1:2::443", V6),
        ("2001:db8:1:2::192.0.2.7", V6),
        ("2001:db8:1:2:0:0:0:7:443", V6),  # all eight groups and a port, without brackets
        ("::ffff:192.0.2.7", ("192.0.2.7",)),
        ("::ffff:c000:207", ("192.0.2.7",)),
        ("[::FFFF:192.0.2.7]:80", ("192.0.2.7",)),
        ("::ffff:192.0.2.7%1", ("192.0.2.7",)),
        ("fe80::1%eth0", ("fe80000000000000/64", "fe8000000000/48")),
        ("::1", ("0000000000000000/64", "000000000000/48")),
    ],
)
def test_every_spelling_of_one_client_has_the_same_keys(text: str, keys: tuple[str, ...]) -> None:
    assert parse(text).keys == keys


@pytest.mark.parametrize(
    "text",
    ["", " ", "unknown", "_hidden", "localhost", "192.0.2", "192.0.2.256", "192.0.2.07", "192.0.2.7:", "192.0.2.7:x",
     "192.0.2.7:65536", "192.0.2.7:-1", "192.0.2.7:٣", "192.0.2.7%eth0", "[192.0.2.7]", "[::1", "::1]", "[[::1]]",
     "[::1]443", "[::1]:", "[::1]:99999", "1:2:3:4:5:6:7:8:9:1", "::1::2", "for=192.0.2.7", "192.0.2.7 192.0.2.8",
     "192.0.2.7\x00", "::1%", "٣.1.1.1", "9" * 65, "0x7f.1.1.1", "2130706433"],
)  # fmt: skip
def test_what_is_no_address_shares_one_key(text: str) -> None:
    assert parse(text) is UNKNOWN


@given(st.text(max_size=100))
def test_anything_has_a_key_and_nothing_raises(text: str) -> None:
    found = parse(text)
    assert isinstance(found, ClientAddress)
    assert 1 <= len(found.keys) <= 2


@given(st.ip_addresses(v=6), st.integers(1, 65_535))
def test_with_and_without_brackets_and_port_is_one_client(address: object, port: int) -> None:
    assert parse(f"[{address}]:{port}") == parse(str(address)) == parse(f" [{address}] ")


@pytest.mark.parametrize(
    ("lines", "proxies", "entry"),
    [
        (["192.0.2.1"], 1, "192.0.2.1"),
        (["203.0.113.9, 192.0.2.1"], 1, "192.0.2.1"),
        (["203.0.113.9, 192.0.2.1, 198.51.100.1"], 2, "192.0.2.1"),
        (["203.0.113.9", "192.0.2.1"], 1, "192.0.2.1"),
        (["203.0.113.9", "192.0.2.1, 198.51.100.1"], 2, "192.0.2.1"),
        ([",, ,192.0.2.1 , "], 1, "192.0.2.1"),
        (["192.0.2.1"], 2, None),
        ([], 1, None),
        ([""], 1, None),
        ([", ,"], 1, None),
    ],
)
def test_what_the_outermost_trusted_proxy_added_counts(lines: list[str], proxies: int, entry: str | None) -> None:
    assert forwarded_for(lines, proxies) == entry


def test_a_network_has_more_than_one_of_its_addresses_and_less_than_all() -> None:
    rate = Rate(name="things", per_s=2, burst=5)
    narrow, wide = rates_of_address(rate)
    assert narrow is rate
    assert (wide.per_s, wide.burst) == (20, 50)
