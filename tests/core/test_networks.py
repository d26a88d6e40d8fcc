"""Public and private addresses, in every way they can be written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.networks import private_kind

PRIVATE = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "192.168.1.1": "private",
    "169.254.1.1": "link-local",
    "169.254.169.254": "a cloud's metadata service",
    "fd00:ec2::254": "a cloud's metadata service",
    "100.64.0.1": "reserved",
    "0.0.0.0": "unspecified",
    "224.0.0.1": "multicast",
    "255.255.255.255": "private",
    "192.0.2.1": "private",
    "::1": "loopback",
    "::": "unspecified",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "private",
    "fc00::1": "private",
    "ff02::1": "multicast",
    "2001:db8::1": "private",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:169.254.169.254": "a cloud's metadata service",
    "::127.0.0.1": "reserved",
    "64:ff9b::7f00:1": "loopback",
    "64:ff9b::a9fe:a9fe": "a cloud's metadata service",
    "64:ff9b:1::808:808": "private",
    "2002:7f00:1::": "loopback",
    "2002:c0a8:101::1": "private",
}
PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize(("address", "kind"), PRIVATE.items())
def test_private_address_then_its_kind(address: str, kind: str) -> None:
    """threats.md T28."""
    assert private_kind(address) == kind


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_then_no_kind(address: str) -> None:
    assert private_kind(address) is None


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "2130706433", "1.2.3.4.5"])
def test_what_is_no_address_then_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        private_kind(text)


@given(st.ip_addresses(v=4))
def test_ipv4_inside_ipv6_then_judged_as_itself(address: IPv4Address) -> None:
    """threats.md T28."""
    number = int(address)
    for carrier in (0xFFFF << 32, 0x64FF9B << 96, 0x2002 << 112):
        shift = 80 if carrier == 0x2002 << 112 else 0
        assert private_kind(str(IPv6Address(carrier | (number << shift)))) == private_kind(str(address))


@given(st.ip_addresses(v=6))
def test_any_address_then_an_answer(address: IPv6Address) -> None:
    assert private_kind(str(address)) in {None, *PRIVATE.values()}
