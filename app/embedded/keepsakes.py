"""Small values that must be the same after a restart: secrets and ports."""

import os
import random
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below every system's range of outgoing ports, so that no client connection sits on a kept port.
_PORTS = range(15_000, 32_000)


def keep_text(path: Path, make: Callable[[], str]) -> str:
    """The file's text; where it is missing or empty, what `make` returns is written first."""
    with suppress(FileNotFoundError):
        if text := path.read_text(encoding="utf-8").strip():
            return text
    text = make()
    write_durably(path, text)
    return text


def keep_secret(path: Path) -> str:
    """64 URL-safe characters, 0600."""
    return keep_text(path, lambda: secrets.token_urlsafe(48))


def write_durably(path: Path, text: str) -> None:
    """All or nothing, also through a power cut: a half-written secret would lock the data away."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_ports(path: Path, count: int, usable: Callable[[int], bool]) -> tuple[int, ...]:
    """The ports of the last start where all are still free, else new ones, kept for the next."""
    try:
        kept = read_ports(path)
    except (FileNotFoundError, ValueError):
        kept = ()
    if len(kept) == count and all(map(usable, kept)):
        return kept
    chosen = choose_ports(count, usable)
    write_durably(path, " ".join(map(str, chosen)))
    return chosen


def read_ports(path: Path) -> tuple[int, ...]:
    """Raises FileNotFoundError, ValueError."""
    return tuple(int(word) for word in path.read_text(encoding="ascii").split())


def choose_ports(count: int, usable: Callable[[int], bool]) -> tuple[int, ...]:
    """`count` different usable ports, drawn at random so that neighbours seldom meet."""
    chosen: list[int] = []
    for port in _shuffled(_PORTS):
        if len(chosen) == count:
            break
        if usable(port):
            chosen.append(port)
    return tuple(chosen)


def _shuffled(ports: Sequence[int]) -> list[int]:
    return random.SystemRandom().sample(ports, len(ports))


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now; a connection in TIME_WAIT does not count."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError:
        return False
    return True
