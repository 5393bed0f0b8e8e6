"""Which hosts may be called: never one of our own network, whatever a name resolves to (W12, W13).

Names are resolved once, every address is checked, and the caller connects to the checked one.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_HTTPS_PORTS = range(8000, 10_000)
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_NEVER: tuple[Network, ...] = (
    IPv4Network("169.254.0.0/16"),
    IPv4Network("100.100.100.200/32"),
    IPv6Network("fe80::/10"),
    IPv6Network("fd00:ec2::254/128"),
)
"""Link-local and the clouds' metadata services: not even an operator allows them."""
_NOT_PUBLIC: tuple[Network, ...] = (IPv4Network("100.64.0.0/10"), IPv4Network("192.0.0.0/24"))
_LONGEST_URL = 2000
_LOOK_UP_S = 5.0


class AddressRefused(Exception):  # noqa: N818 - names the fact
    """An address that is not called; the message says why, in a word a log may hold."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an endpoint listens, by its URL."""

    scheme: str
    host: str
    port: int


def target_of(url: str) -> Target:
    """Raises AddressRefused for what is no plain http(s) URL."""
    if len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        raise AddressRefused("url")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as broken:
        raise AddressRefused("url") from broken
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AddressRefused("url")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise AddressRefused("url")
    return Target(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))


async def checked(target: Target, allowed: Sequence[Network]) -> str:
    """One address of the host, after every one of them was found callable.

    Raises AddressRefused: the name is unknown, one address is refused, or, outside the allowed
    networks, the scheme is not https or the port neither 443 nor 8000 to 9999.
    """
    found = await _resolved(target)
    own = [_within(address, allowed) for address in found]
    for address, is_own in zip(found, own, strict=True):
        if not may_be_called(address, own=is_own):
            raise AddressRefused("address")
    if not all(own):
        if target.scheme != "https":
            raise AddressRefused("scheme")
        if target.port != 443 and target.port not in _HTTPS_PORTS:  # noqa: PLR2004 - https
            raise AddressRefused("port")
    return str(found[0])


def may_be_called(address: Address, *, own: bool = False) -> bool:
    """`own`: it lies inside a network the operator allows."""
    inner = unwrapped(address)
    if any(_in(inner, network) or _in(address, network) for network in _NEVER):
        return False
    if inner.is_multicast or inner.is_unspecified or (address.is_reserved and inner is address):
        return False
    if own:
        return True
    return inner.is_global and not any(_in(inner, network) for network in _NOT_PUBLIC)


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped, NAT64 or 6to4 one."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    inner = unwrapped(address)
    return any(_in(inner, network) for network in networks)


def _in(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


async def _resolved(target: Target) -> list[Address]:
    try:
        return [ip_address(target.host)]
    except ValueError:
        pass  # a name
    try:
        async with asyncio.timeout(_LOOK_UP_S):
            found = await asyncio.get_running_loop().getaddrinfo(
                target.host, target.port, type=socket.SOCK_STREAM
            )
    except (OSError, UnicodeError) as unknown:  # a look-up that takes too long is an OSError too
        raise AddressRefused("unknown-host") from unknown
    addresses = [ip_address(str(item[4][0]).partition("%")[0]) for item in found]
    if not addresses:
        raise AddressRefused("unknown-host")
    return addresses
