"""W12, W13: which addresses are called, whatever name they hide behind."""

import asyncio
import socket
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from app.webhooks.addresses import AddressRefused, Target, checked, may_be_called, target_of

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104 - refused
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "192.0.0.8",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "198.18.0.1",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2002:a9fe:a9fe::",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "100::1",
    ],
)
def test_w12_an_address_of_our_own_or_of_nobody_is_refused(address: str) -> None:
    assert not may_be_called(ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "114.114.114.114", "2400:3200::1", "64:ff9b::101:101", "2002:101:101::"]
)
def test_w12_a_public_address_is_called(address: str) -> None:
    assert may_be_called(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://1.1.1.1/",
        "file:///etc/passwd",
        "https:///path",
        "https://user@1.1.1.1/",
        "https://user:word@1.1.1.1/",
        "https://1.1.1.1:99999/",
        "https://1.1.1.1/#part",
        "https://1.1.1.1/a b",
        "https://1.1.1.1/\n",
        "https://[::1/",
        "gopher://1.1.1.1",
        "https://" + "a" * 2000,
        "//1.1.1.1",
    ],
)
def test_w12_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        target_of(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://1.1.1.1/", "scheme"),
        ("https://1.1.1.1:22/", "port"),
        ("https://1.1.1.1:7999/", "port"),
        ("https://1.1.1.1:10000/", "port"),
        ("https://127.0.0.1/", "address"),
        ("https://[::ffff:127.0.0.1]/", "address"),
        ("https://localhost/", "address"),
        ("https://2130706433/", "address"),
        ("https://0x7f.1/", "address"),
        ("https://127.1/", "address"),
        ("https://nobody.invalid/", "unknown-host"),
    ],
)
async def test_w12_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(AddressRefused, match=why):
        await checked(target_of(url), ())


@pytest.mark.parametrize("port", [443, 8000, 8443, 9999])
async def test_w12_https_on_these_ports(port: int) -> None:
    assert await checked(Target("https", "1.1.1.1", port), ()) == "1.1.1.1"


@pytest.mark.parametrize(
    "answers",
    [["1.1.1.1", "127.0.0.1"], ["127.0.0.1", "1.1.1.1"], ["1.1.1.1", "::ffff:10.0.0.1"]],
)
async def test_w12_one_refused_address_refuses_the_name(
    answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _resolve_to(monkeypatch, answers)
    with pytest.raises(AddressRefused, match="address"):
        await checked(Target("https", "platform.example", 443), ())


async def test_w13_inside_an_allowed_network_http_and_any_port() -> None:
    assert await checked(Target("http", "127.0.0.1", 81), LOOPBACK) == "127.0.0.1"
    assert await checked(Target("http", "::ffff:127.0.0.1", 81), LOOPBACK)


async def test_w13_a_name_that_is_only_partly_inside_gets_no_exception(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _resolve_to(monkeypatch, ["127.0.0.1", "1.1.1.1"])
    with pytest.raises(AddressRefused, match="scheme"):
        await checked(Target("http", "platform.example", 80), LOOPBACK)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "100.100.100.200",
        "fd00:ec2::254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
    ],
)
async def test_w13_metadata_and_link_local_never(address: str) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    with pytest.raises(AddressRefused, match="address"):
        await checked(Target("http", address, 80), everything)


def _resolve_to(monkeypatch: pytest.MonkeyPatch, answers: list[str]) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, 443)) for answer in answers]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
