"""Which addresses belong to the public internet, and which to this machine, its networks or its cloud.

Rules: what a packet would reach decides, not how the address is written: an IPv4 address carried inside
an IPv6 one (mapped, translated by NAT64, 6to4, Teredo) is judged by itself (threats.md T28). Whatever
is not plainly public is private. Resolves no names.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_METADATA = (IPv4Address("169.254.169.254"), IPv6Address("fd00:ec2::254"))


def private_kind(text: str) -> str | None:
    """What kind of private address `text` is ("loopback"); None for a public one.

    Raises: ValueError when it is no address.
    """
    address = ip_address(text.partition("%")[0])
    carried = list(_carried(address))
    if carried:
        return next((kind for inner in carried if (kind := _kind(inner))), None)
    return _kind(address)


def _carried(address: Address) -> Iterator[Address]:
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    if address in _NAT64:
        yield IPv4Address(address.packed[-4:])


def _kind(address: Address) -> str | None:
    if address in _METADATA:
        return "a cloud's metadata service"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    if address.is_unspecified:
        return "unspecified"
    if address.is_multicast:
        return "multicast"
    site_local = isinstance(address, IPv6Address) and address.is_site_local
    if site_local or address in _LOCAL_NAT64 or address.is_private:
        return "private"
    # The rest of what is not global: shared, reserved, documentation.
    return None if address.is_global and not address.is_reserved else "reserved"
