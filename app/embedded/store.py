import json
import secrets
import signal
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.embedded.binaries import weed_program
from app.embedded.children import (
    Ladder,
    Program,
    end,
    end_process,
    is_ours,
    last_line,
    log_end,
    log_size,
)
from app.embedded.keepsakes import LOOPBACK, is_free, keep_ports, write_durably
from app.embedded.ownership import EmbeddedError, FolderLock, open_folder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LADDER: Ladder = ((signal.SIGTERM, 3.0),)
_START_S = 30.0
_TICK_S = 0.03
# Every port is passed: a missing one is chosen by the program, and moves silently when taken.
_PORTS = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
_OPTIONS = (
    f"-ip={LOOPBACK}",
    f"-ip.bind={LOOPBACK}",
    "-volume.id=etong",  # else volumes are known by their port, which may change between starts
    "-volume.preStopSeconds=0",  # nobody else has to learn that the only server leaves
    "-filer.localSocket=filer.sock",  # relative: a socket's path may have 107 bytes
    "-s3.localSocket=s3.sock",
    "-s3.localFilerSocket=filer.sock",
    "-s3.config=../s3.json",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.iam=false",
    "-s3.autoCreateBucket=false",
    "-admin.ui=false",
    "-webdav=false",
    "-master.telemetry=false",
    # With its state resumed, one start in four finds no leader at its first heartbeat and sleeps
    # five seconds. The state is no more than what the only volume server reports anyway.
    "-master.resumeState=false",
)
# The parts behind the S3 door listen on loopback too, where every account of the machine could
# read media without them; they sign for one another with keys that live as long as the process.
_INNER_KEYS = (
    "WEED_JWT_SIGNING_KEY",
    "WEED_JWT_SIGNING_READ_KEY",
    "WEED_JWT_FILER_SIGNING_KEY",
    "WEED_JWT_FILER_SIGNING_READ_KEY",
)
_SOCKETS = ("s3", "master", "volume", "filer", "admin")


class EmbeddedStore:
    """SeaweedFS from the wheel, data under `home`/store, S3 on loopback with kept keys."""

    name = "object store"

    def __init__(self, home: Path) -> None:
        self._folder = home.resolve() / "store"
        self._data = self._folder / "data"
        self._log = self._folder / "weed.log"
        self._note = self._folder / "weed.pid"
        self._lock = FolderLock(self._folder / "lock")
        self._process: Popen[bytes] | None = None
        self._ports: tuple[int, ...] = ()
        self._keys = ("", "")

    @property
    def endpoint_url(self) -> str:
        """Valid from `start` on, also over restarts."""
        return f"http://{LOOPBACK}:{self._ports[0] if self._ports else 0}"

    @property
    def access_key(self) -> str:
        return self._keys[0]

    @property
    def secret_key(self) -> str:
        return self._keys[1]

    @property
    def pid(self) -> int:
        """0 before `start`."""
        return self._process.pid if self._process else 0

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Blocks until a signed request is answered. Again after it died: same ports and keys.

        Call it from a thread that lives as long as the owner (`Program.death_signal`).
        Raises AlreadyRunning when another owner holds the folder, EmbeddedError when it fails.
        """
        open_folder(self._folder.parent)
        open_folder(self._folder)
        self._lock.take()
        try:
            self._settle_previous()
            open_folder(self._data)
            self._keys = _keep_keys(self._folder / "s3.json")
            self._launch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Blocks until it is gone; without effect where none runs."""
        if self._process is not None:
            end(self._process, _LADDER)
            self._process = None
            self._note.unlink(missing_ok=True)
            _remove_sockets(self._ports)
        self._lock.release()

    def _settle_previous(self) -> None:
        """Ends the program of a killed owner."""
        with suppress(FileNotFoundError, ValueError):
            pid = int(self._note.read_text(encoding="ascii"))
            if is_ours(pid, "weed", self._data):
                end_process(pid, _LADDER)
            self._note.unlink()

    def _launch(self) -> None:
        """Starts it, again while what a killed one left is still being let go."""
        fixed = bool(self._ports)
        deadline = time.monotonic() + _START_S
        while True:
            if not fixed:
                self._ports = keep_ports(self._folder / "ports", len(_PORTS), _is_usable)
            _remove_sockets(self._ports)
            said = self._try_launch(deadline)
            if said is None:
                return
            if time.monotonic() > deadline - _START_S / 2:
                reason = f"{last_line(said)} / 对象存储无法启动，详见 {self._log}"
                raise EmbeddedError(f"the object store does not start: {reason}")
            time.sleep(0.2)

    def _try_launch(self, deadline: float) -> str | None:
        """None once signed requests are answered, else what it said before it died."""
        start = log_size(self._log)
        self._process = self._spawn()
        write_durably(self._note, str(self._process.pid))
        client = self._client()
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return log_end(self._log, start)
            if _answers(client) and _knows_volumes(self._ports[_PORTS.index("master.port")]):
                return None
            time.sleep(_TICK_S)
        raise EmbeddedError(
            f"the object store is not ready after {_START_S:.0f} s / 对象存储启动超时"
        )

    def _spawn(self) -> Popen[bytes]:
        ports = [f"-{name}={port}" for name, port in zip(_PORTS, self._ports, strict=True)]
        command = [str(weed_program()), "mini", f"-dir={self._data}", *_OPTIONS, *ports]
        environment = {name: secrets.token_urlsafe(32) for name in _INNER_KEYS}
        environment |= {"GOMEMLIMIT": "512MiB", "HOME": str(self._folder)}
        program = Program(command, self._data, self._log, signal.SIGTERM, environment=environment)
        return program.spawn()

    def _client(self) -> "S3Client":
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(
                signature_version="s3v4",
                connect_timeout=1,
                read_timeout=2,
                retries={"total_max_attempts": 1},
                proxies={},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


def _keep_keys(path: Path) -> tuple[str, str]:
    """Access and secret key from the program's own configuration file, made at the first start."""
    if not path.exists():
        write_durably(path, _identities(secrets.token_hex(10), secrets.token_urlsafe(30)))
    return read_keys(path)


def read_keys(path: Path) -> tuple[str, str]:
    """Access and secret key. Raises FileNotFoundError."""
    keys = json.loads(path.read_text(encoding="utf-8"))["identities"][0]["credentials"][0]
    return keys["accessKey"], keys["secretKey"]


def _identities(access_key: str, secret_key: str) -> str:
    identity = {
        "name": "etong",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return json.dumps({"identities": [identity]}, indent=2)


def _answers(client: "S3Client") -> bool:
    try:
        client.list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True


def _knows_volumes(port: int) -> bool:
    """Whether the master has heard of the volumes; until then S3 answers, but reads no object."""
    connection = HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/dir/status")
        topology = json.loads(connection.getresponse().read())["Topology"]
    except (OSError, HTTPException, ValueError, KeyError):
        return False
    finally:
        connection.close()
    racks = [rack for center in topology["DataCenters"] or () for rack in center["Racks"] or ()]
    return any(rack["DataNodes"] for rack in racks)


def _sockets(port: int) -> list[Path]:
    """Where the program puts a socket beside each of its gRPC ports, whatever it is told."""
    return [Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock") for part in _SOCKETS]  # noqa: S108 - not ours to choose


def _is_usable(port: int) -> bool:
    """Free, and no socket in the way that another account left behind."""
    if not is_free(port):
        return False
    try:
        _remove_sockets((port,))
    except OSError:
        return False
    return True


def _remove_sockets(ports: tuple[int, ...]) -> None:
    for port in ports:
        for socket in _sockets(port):
            socket.unlink(missing_ok=True)
