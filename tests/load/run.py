"""`python -m tests.load.run [a] [b] … [--scale 0.1]`: the product next to its yardsticks.

a: reports of text against the bare transaction. b: reports with a photo of 300 kB against presigned
uploads and against the textbook. c: from an event's commit to the screens of its person, with 50,
1,000 and 5,000 streams open. d: the relay with three reactions an event. e: webhooks. f: files
by tus, from 300 kB to 200 MB, against presigned uploads and the textbook. g: lists over a million
incidents (runs for minutes, only when named). h: dry runs of a rule set over 100,000 past matters.
Yardstick and product take turns in the same run, on the same database and store, so that a ratio
survives what the machine does meanwhile. Nothing is asserted about time: the figures are printed
and written to `--out` as JSON and Markdown.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

import orjson

from app.core import logs
from app.core.db import Json
from app.core.resources import Resources
from app.incidents.preparing import prepare
from app.incidents.reporting import Report, parameters
from app.incidents.schemas import NewIncident
from app.opening import opened
from app.webhooks.claiming import LANES
from tests.load import uploads
from tests.load.bare import insert
from tests.load.client import Load, Outcome, Request, send
from tests.load.delivering import HEALTHY, bare, neighbours, pumped, receivers
from tests.load.dry_running import dry_run, multiply, read
from tests.load.lists import Lists
from tests.load.lists import measure as lists
from tests.load.machine import Machine, describe, with_children
from tests.load.measuring import Comparison, Contender, Pids, compare
from tests.load.notifying import PER_S, notified
from tests.load.presigned import puts
from tests.load.relaying import MATTERS, relayed, settle, subscribe
from tests.load.relaying import bare as written
from tests.load.reports import (
    PHOTO_BYTES,
    Meta,
    Photo,
    Worker,
    metas,
    photo_request,
    text_request,
    textbook_request,
)
from tests.load.servers import (
    PRODUCT,
    TEXTBOOK,
    House,
    Served,
    caller_of,
    housed,
    served,
    workers,
)
from tests.load.streams import audience

ROUNDS = 3
BARE, TEXTS = 5000, 2000
PUTS, FORMS, PHOTOS = 900, 300, 400
SENDS = 4000
AUDIENCES = (50, 1000, 5000)
HEARD = 1000
RELAYED = 10_000
PAST = 100_000
_JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"


def main() -> None:
    options = _options()
    logs.configure("warning")
    with housed() as house:
        machine = describe(house.settings.database.url.get_secret_value(), house.home)
        _say(_described(machine))
        parts: dict[str, Callable[[House, float], Iterable[Comparison | Lists]]] = {
            "a": _texts,
            "b": _photos,
            "c": _streams,
            "d": _relay,
            "e": _webhooks,
            "f": _files,
            "h": _dry_runs,
        }
        # minutes long, and the district is full afterwards: only when named, and last
        named = [part for part in options.parts or parts if part != "g"]
        if "g" in options.parts:
            parts["g"] = partial(_lists, options.out)
            named.append("g")
        found: list[Comparison | Lists] = []
        for part in named:
            for measured in parts[part](house, options.scale):
                _say("\n" + measured.as_markdown())
                # what was measured stays, whatever becomes of the next
                found.append(measured)
                _write(options.out, machine, found)


def _texts(house: House, scale: float) -> list[Comparison]:
    url = house.settings.database.url.get_secret_value()
    with served(house, PRODUCT) as product:
        people = workers(house, product.ports[0])
        base = {"database": _base(house)}

        def bare(count: int) -> Outcome:
            return insert(url, asyncio.run(_parameters(house, people, count)))

        def alone(count: int) -> Outcome:
            return insert(url, asyncio.run(_parameters(house, people, count)), framed=False)

        def report(count: int) -> Outcome:
            return send(_load(product, [text_request(meta, 0) for meta in metas(people, count)]))

        comparison = compare(
            "(a) text reports, 32 clients, 21 townships",
            [
                Contender("bare transaction", int(BARE * scale), bare, base),
                Contender("bare, without BEGIN", int(BARE * scale), alone, base),
                Contender("product", int(TEXTS * scale), report, _parts(house, product)),
            ],
            ROUNDS,
            _say,
        )
    return [comparison]


def _photos(house: House, scale: float) -> list[Comparison]:
    # JPEG by its first bytes, then noise: nothing on the way can save by compressing it
    noise = random.Random(1).randbytes(PHOTO_BYTES - len(_JPEG))  # noqa: S311 - a picture, not a secret
    photo = Photo(_JPEG + noise)
    with ExitStack() as last_first:
        textbook = last_first.enter_context(served(house, TEXTBOOK))
        product = last_first.enter_context(served(house, PRODUCT))
        people = workers(house, product.ports[0])

        def upload(count: int) -> Outcome:
            return send(puts(house.settings.store, photo, count))

        def write(count: int) -> Outcome:
            sent = metas(people, count, photo)
            return send(_load(textbook, [textbook_request(meta, 0, photo) for meta in sent]))

        def report(count: int) -> Outcome:
            sent = metas(people, count, photo)
            return send(_load(product, [photo_request(meta, 0, photo) for meta in sent]))

        comparison = compare(
            "(b) reports with one photo of 300 kB, 32 clients, 21 townships",
            [
                Contender("presigned PUT", int(PUTS * scale), upload, {"store": _store(house)}),
                Contender("textbook", int(FORMS * scale), write, _parts(house, textbook)),
                Contender("product", int(PHOTOS * scale), report, _parts(house, product)),
            ],
            ROUNDS,
            _say,
        )
    return [comparison]


def _streams(house: House, scale: float) -> Iterator[Comparison]:
    """A comparison for each number of streams; the share of it that `--scale` names."""
    return (_heard(house, max(int(count * scale), 10), scale) for count in AUDIENCES)


def _heard(house: House, streams: int, scale: float) -> Comparison:
    url = house.settings.database.url.get_secret_value()
    with audience(house, streams) as heard:
        watched = {"server": lambda: list(heard.pids), "database": _base(house)}
        comparison = compare(
            f"(c) commit to screen, {streams} streams, one process, {PER_S:.0f} events a second",
            [
                Contender("NOTIFY alone", int(HEARD * scale), partial(notified, url), {}),
                Contender("product", int(HEARD * scale), heard.run, watched),
            ],
            ROUNDS,
            _say,
        )
        comparison.notes = {"KiB a stream": round(heard.kib_per_stream, 1)}
    return comparison


def _relay(house: House, scale: float) -> list[Comparison]:
    count = int(RELAYED * scale)
    with served(house, PRODUCT) as product:
        people = workers(house, product.ports[0])
        send(_load(product, [text_request(meta, 0) for meta in metas(people, MATTERS)]))
    endpoint, matters = subscribe(house), settle(house)
    comparison = compare(
        "(d) events through the relay, three reactions each, one relay",
        [
            Contender(
                "the same rows, set-based", count, partial(written, house, matters, endpoint), {}
            ),
            Contender(
                "product", count, partial(relayed, house, matters), {"database": _base(house)}
            ),
        ],
        ROUNDS,
        _say,
    )
    return [comparison]


def _webhooks(house: House, scale: float) -> list[Comparison]:
    # every lane of every receiver gets as many
    sends = max(1, int(SENDS * scale) // (HEALTHY * LANES)) * HEALTHY * LANES
    with receivers() as found:

        def plain(count: int) -> Outcome:
            return bare(found.healthy, count)

        def pump(count: int) -> Outcome:
            return pumped(house, found.healthy, count)

        comparison = compare(
            "(e) webhook attempts, 8 receivers, one pump",
            [
                Contender("sign and send only", sends, plain, {}),
                Contender("product", sends, pump, {"database": _base(house)}),
            ],
            ROUNDS,
            _say,
        )
        beside = neighbours(house, found, sends)
    for name, value in beside.items():
        _say(f"  {name:<20} {value:8.1f}")
    comparison.notes = {name: round(value, 1) for name, value in beside.items()}
    return [comparison]


def _files(house: House, scale: float) -> list[Comparison]:
    return uploads.compared(house, scale, _say)


def _dry_runs(house: House, scale: float) -> list[Comparison]:
    with served(house, PRODUCT) as product:
        people = workers(house, product.ports[0])
        send(_load(product, [text_request(meta, 0) for meta in metas(people, MATTERS)]))
    count = int(PAST * scale)
    multiply(house, count)
    comparison = compare(
        f"(h) dry run of a rule set over {count} past matters",
        [
            Contender("reading the rows", count, partial(read, house), {"database": _base(house)}),
            Contender("product", count, partial(dry_run, house), {"database": _base(house)}),
        ],
        ROUNDS,
        _say,
    )
    comparison.notes = {"seconds a run": round(count / comparison.per_s("product"), 2)}
    return [comparison]


def _load(servers: Served, requests: list[Request]) -> Load:
    """The requests dealt out to the processes."""
    ports = servers.ports
    dealt = {port: requests[turn :: len(ports)] for turn, port in enumerate(ports)}
    return Load(dealt, status=201)


async def _parameters(house: House, people: list[Worker], count: int) -> list[Json]:
    """What the product would hand its statement for these reports."""
    async with opened(house.settings) as resources:
        return [await _parameters_of(resources, meta) for meta in metas(people, count)]


async def _parameters_of(resources: Resources, meta: Meta) -> Json:
    caller = await caller_of(resources, meta.worker)
    prepared = await prepare(resources, caller, NewIncident.model_validate_json(meta.body))
    report = Report(
        new=prepared.new,
        placed=prepared.placed,
        root=prepared.root,
        sealed=prepared.sealed,
        reporter_id=prepared.reporter_id,
        received={},
        at=resources.clock.now(),
        client_offset_s=None,
    )
    return parameters(caller, report, keys=resources.keys, zone=resources.settings.zone)


def _parts(house: House, servers: Served) -> dict[str, Pids]:
    return {
        "server": lambda: list(servers.pids),
        "database": _base(house),
        "store": _store(house),
    }


def _base(house: House) -> Pids:
    return lambda: with_children(house.database.pid)


def _store(house: House) -> Pids:
    return lambda: [house.store.pid]


def _described(machine: Machine) -> str:
    load = " ".join(f"{value:.2f}" for value in machine.load_before)
    packages = ", ".join(f"{name} {found}" for name, found in machine.packages.items())
    return (
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib} GiB, {machine.filesystem}\n"
        f"{machine.system}, Python {machine.python}, PostgreSQL {machine.postgres}\n"
        f"{packages}\nload before {load}"
    )


def _lists(out: Path, house: House, scale: float) -> list[Lists]:
    return [lists(house, scale, out, _say)]


def _write(folder: Path, machine: Machine, found: Sequence[Comparison | Lists]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"machine": asdict(machine), "comparisons": [each.as_json() for each in found]}
    (folder / "bench.json").write_bytes(orjson.dumps(whole, option=orjson.OPT_INDENT_2))
    pages = [_described(machine).replace("\n", "  \n"), *(each.as_markdown() for each in found)]
    (folder / "bench.md").write_text("\n\n".join(pages), encoding="utf-8")
    _say(f"written to {folder}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load.run")
    parser.add_argument("parts", nargs="*", choices=[*"abcdefg"], help="default: all but g")
    parser.add_argument("--scale", type=float, default=1.0, help="of the counts, to try it out")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
