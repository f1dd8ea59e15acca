"""Lists of networks: their contents, their errors, and the speed of look-ups."""

from __future__ import annotations

import ipaddress
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_api.protection.lists.networks import NetworkSet, is_too_wide, parse_networks, plain


def address(text: str):
    return plain(ipaddress.ip_address(text))


LIST = """
# offices
10.1.0.0/16   # Berlin
192.0.2.7
2001:db8::/32
::ffff:198.51.100.0/120
"""


@pytest.mark.parametrize(
    ("text", "is_listed"),
    [
        ("10.1.2.3", True),
        ("10.2.0.0", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8:1::1", True),
        ("2001:db9::1", False),
        ("::ffff:10.1.2.3", True),
        ("198.51.100.99", True),
        ("::ffff:198.51.101.1", False),
        ("::1", False),
        ("0.0.0.0", False),
    ],
)
def test_an_address_is_in_a_list_or_not(text, is_listed):
    """IPv4, IPv6, and IPv4 mapped into IPv6 on either side."""
    assert (address(text) in parse_networks(LIST)) is is_listed


@pytest.mark.parametrize("text", ["", "\n\n", "# nobody\n", "\r\n"])
def test_an_empty_list_contains_nobody(text):
    """It never contains everybody."""
    networks = parse_networks(text)
    assert len(networks) == 0
    assert address("10.0.0.1") not in networks
    assert address("::1") not in networks


def test_a_default_route_only_covers_its_ip_version():
    """One of IPv4 contains no IPv6 address, nor the other way round."""
    assert address("203.0.113.1") in parse_networks("0.0.0.0/0")
    assert address("2001:db8::1") not in parse_networks("0.0.0.0/0")
    assert address("203.0.113.1") not in parse_networks("::/0")


def test_errors_are_reported_with_their_line_and_remedy():
    """All of them, up to five lines."""
    with pytest.raises(ValueError, match="line 2") as caught:
        parse_networks("10.0.0.0/8\n10.0.0.1/8\nhere\n" + "x\n" * 10)
    text = str(caught.value)
    assert "line 2: got '10.0.0.1/8'; did you mean 10.0.0.0/8?" in text
    assert "line 3: got 'here'; write a network like" in text
    assert text.endswith("; and 7 more")


networks_4 = st.builds(
    lambda number, length: ipaddress.ip_network((number >> (32 - length) << (32 - length), length)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
networks_6 = st.builds(
    lambda number, length: ipaddress.ip_network((number >> (128 - length) << (128 - length), length)),
    st.integers(2**120, 2**128 - 1),
    st.integers(8, 128),
)


@pytest.mark.slow
@given(networks=st.lists(networks_4 | networks_6, max_size=8), number=st.integers(0, 2**32 - 1), data=st.data())
def test_the_quick_look_up_agrees_with_the_slow_one(networks, number, data):
    """For any address, and for those at the edges of the networks."""
    edges = [edge for network in networks for edge in (network[0], network[-1])]
    looked_up = data.draw(st.sampled_from([ipaddress.ip_address(number), *edges]))
    assert (looked_up in NetworkSet(networks)) is any(looked_up in network for network in networks)


@pytest.mark.slow
def test_looking_up_an_address_in_ten_thousand_networks_takes_microseconds():
    """An address that is in none has to be looked up in all."""
    lines = [f"{10 + number % 90}.{number // 256 % 256}.{number % 256}.0/{24 + number % 9}" for number in range(10_000)]
    lines += [f"2001:db8:{number:x}::/{48 + number % 17}" for number in range(1000)]
    networks = parse_networks("\n".join(lines))
    assert len(networks) > 9_000
    strangers = [address(f"203.0.{number % 256}.1") for number in range(2000)]
    began_s = time.process_time()
    assert not any(stranger in networks for stranger in strangers)
    assert (time.process_time() - began_s) / len(strangers) < 50e-6


@pytest.mark.parametrize(
    ("network", "is_so"),
    [
        ("0.0.0.0/0", True),
        ("0.0.0.0/1", True),
        ("::/0", True),
        ("::ffff:0:0/96", True),
        ("::ffff:0:0/103", True),
        ("2000::/3", True),
        ("2000::/15", True),
        ("10.0.0.0/8", False),
        ("::ffff:10.0.0.0/104", False),
        ("fc00::/7", False),
        ("fdaa::/16", False),
        ("2400:cb00::/32", False),
        ("127.0.0.1/32", False),
    ],
)
def test_a_network_that_must_contain_strangers_is_too_wide(network, is_so):
    """However it is written; private networks and those of a provider's proxies aren't."""
    assert is_too_wide(ipaddress.ip_network(network)) is is_so
