"""(f) files by tus: a photo, 5 MB, a video of 200 MB, 32 at once; and everybody else meanwhile.

The reports that wait for the files are sent beforehand; what is measured is the file's way alone,
in one request (creation with upload). The textbook is one form, `upload_fileobj` and a row.
"""

import http.client
import random
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from statistics import quantiles

from tests.load.client import HOST, Load, Outcome, Request, encoded, send
from tests.load.machine import forget_peaks, memory_mib, peak_mib, with_children
from tests.load.measuring import Comparison, Contender, Pids, compare
from tests.load.presigned import puts
from tests.load.reports import BOUNDARY, Meta, Photo, Worker, metas, text_request
from tests.load.servers import PRODUCT, TEXTBOOK, House, Served, served, workers

_JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
_MP4 = b"\0\0\0\x18ftypmp42\0\0\2\0mp42mp41"
_MB = 1_000_000
_ASKED_EVERY_S = 0.02
_QUIET_S = 3.0
_ROUNDS = 3
Saying = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    title: str
    size: int
    at_once: int
    count: int
    kind: str = "photo"


CASES = (
    Case("photos of 300 kB, 32 clients", 300_000, 32, 320),
    Case("files of 5 MB, 8 clients", 5 * _MB, 8, 48),
    Case("a video of 200 MB, one client", 200 * _MB, 1, 2, "video"),
    Case("files of 20 MB, 32 at once", 20 * _MB, 32, 32),
)


def compared(house: House, scale: float, say: Saying) -> list[Comparison]:
    with ExitStack() as last_first:
        textbook = last_first.enter_context(served(house, TEXTBOOK))
        product = last_first.enter_context(served(house, PRODUCT))
        people = workers(house, product.ports[0])
        return [_case(house, textbook, product, people, case, scale, say) for case in CASES]


def _case(
    house: House,
    textbook: Served,
    product: Served,
    people: list[Worker],
    case: Case,
    scale: float,
    say: Saying,
) -> Comparison:
    head = _MP4 if case.kind == "video" else _JPEG
    noise = random.Random(1).randbytes(case.size - len(head))  # noqa: S311 - a file, not a secret
    photo = Photo(head + noise, case.kind)
    count = case.count if case.at_once == case.count else max(int(case.count * scale), 2)
    warm = min(count, 4)
    waiting = iter(_reported(product, people, photo, (count + 1) * (_ROUNDS + 1)))
    watched = Watched(product, people[0])
    beside = Watched(textbook, people[0])

    def upload(count: int) -> Outcome:
        load = puts(house.settings.store, photo, count)
        return send(Load(load.requests, load.status, case.at_once))

    def form(count: int) -> Outcome:
        sent = [_form(worker, photo) for worker, _ in zip(cycle(people), range(count))]
        with beside.peaks():
            return send(_load(textbook, sent, case.at_once))

    def tus(count: int) -> Outcome:
        sent = [_creation(next(waiting), photo) for _ in range(count)]
        with watched.peaks(), watched.others():
            return send(_load(product, sent, case.at_once))

    comparison = compare(
        f"(f) {case.title}",
        [
            Contender("presigned PUT", count, upload, {"store": lambda: [house.store.pid]}),
            Contender("textbook", count, form, _parts(house, textbook)),
            Contender("product", count, tus, _parts(house, product)),
        ],
        _ROUNDS,
        say,
        warm,
    )
    comparison.notes = {
        "MB a second, product": round(comparison.per_s("product") * case.size / _MB, 1),
        "peak MiB above idle, product": round(watched.above, 1),
        "peak MiB above idle, textbook": round(beside.above, 1),
        "others' p95 ms, quiet": round(watched.quiet_ms, 1),
        "others' p95 ms, meanwhile": round(_p95_ms(watched.waits), 1),
    }
    return comparison


@dataclass
class Watched:
    """What servers hold at most above what they held at rest, and how long others wait."""

    servers: Served
    worker: Worker
    above: float = 0.0
    waits: list[float] = field(default_factory=list)
    quiet_ms: float = 0.0

    def __post_init__(self) -> None:
        self._idle = memory_mib(list(self.servers.pids))

    @contextmanager
    def peaks(self) -> Iterator[None]:
        pids = list(self.servers.pids)
        forget_peaks(pids)
        yield
        self.above = max(self.above, peak_mib(pids) - self._idle)

    @contextmanager
    def others(self) -> Iterator[None]:
        """Somebody who asks for a list, over and over: first alone, then while files come."""
        if not self.quiet_ms:
            alone: list[float] = []
            ended = threading.Event()
            threading.Timer(_QUIET_S, ended.set).start()
            self._ask(alone, ended)
            self.quiet_ms = _p95_ms(alone)
        ended = threading.Event()
        asking = threading.Thread(target=self._ask, args=(self.waits, ended))
        asking.start()
        try:
            yield
        finally:
            ended.set()
            asking.join()

    def _ask(self, waits: list[float], ended: threading.Event) -> None:
        links = [http.client.HTTPConnection(HOST, port) for port in self.servers.ports]
        headers = {"Authorization": f"Bearer {self.worker.token}"}
        for link in cycle(links):
            began = time.perf_counter()
            link.request("GET", "/v1/incidents?limit=5", headers=headers)
            answer = link.getresponse()
            assert (answer.status, len(answer.read()) > 0) == (200, True)
            waits.append(time.perf_counter() - began)
            if ended.wait(_ASKED_EVERY_S):
                break
        for link in links:
            link.close()


def _p95_ms(waits: list[float]) -> float:
    return 1000 * quantiles(waits, n=20)[18] if len(waits) > 1 else 0.0


def _reported(product: Served, people: list[Worker], photo: Photo, count: int) -> list[Meta]:
    """Reports that wait for this file."""
    sent = metas(people, count, photo)
    send(_load(product, [text_request(meta, 0) for meta in sent], 32))
    return sent


def _load(servers: Served, requests: list[Request], at_once: int) -> Load:
    """Dealt out to the processes; to one, if only one is sent at a time."""
    ports = servers.ports[:at_once]
    dealt = {port: requests[turn :: len(ports)] for turn, port in enumerate(ports)}
    return Load(dealt, 201, at_once)


def _creation(meta: Meta, photo: Photo) -> Request:
    told = {
        "incident_id": str(meta.id),
        "attachment_id": str(meta.attachment_id),
        "filename": "现场照片.jpg",
    }
    headers = {
        "Authorization": f"Bearer {meta.worker.token}",
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(photo.body)),
        "Upload-Metadata": ",".join(
            f"{k} {b64encode(v.encode()).decode()}" for k, v in told.items()
        ),
        "Content-Type": "application/offset+octet-stream",
    }
    return encoded("POST", "/v1/uploads", HOST, headers, [photo.body])


def _form(worker: Worker, photo: Photo) -> Request:
    lead = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode()
    headers = {
        "Authorization": f"Bearer {worker.token}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }
    body = [lead, photo.body, f"\r\n--{BOUNDARY}--\r\n".encode()]
    return encoded("POST", "/files", HOST, headers, body)


def _parts(house: House, servers: Served) -> dict[str, Pids]:
    return {
        "server": lambda: list(servers.pids),
        "database": lambda: with_children(house.database.pid),
        "store": lambda: [house.store.pid],
    }
