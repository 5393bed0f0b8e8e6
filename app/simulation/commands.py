"""`etong simulate phone`: phones for a server on this machine."""

import argparse
import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.settings import Settings

if TYPE_CHECKING:
    from app.simulation.fleet import Fleet, Summary

_WORKERS = ("worker-yonghong", "worker-minxin")
_DONE, _UNFINISHED, _WRONG_USAGE = 0, 1, 2


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`etong simulate …`."""
    simulate = commands.add_parser("simulate", help="synthetic terminals, for this machine only")
    kinds = simulate.add_subparsers(required=True, metavar="kind")
    _add_receiver(kinds)
    phone = kinds.add_parser(
        "phone", help="phones that report, repeat and hear back, and keep a ledger of it"
    )
    phone.add_argument("--url", required=True, help="http://127.0.0.1:8000")
    phone.add_argument("--phones", type=int, default=1)
    phone.add_argument("--reports", type=int, default=1, help="of each phone")
    phone.add_argument("--photos", type=int, default=0, help="of each report")
    phone.add_argument("--seconds", type=float, default=60.0, help="stop then, whatever is left")
    phone.add_argument("--ledger", type=Path, required=True, metavar="FILE", help="for etong check")
    phone.add_argument("--as", dest="people", action="append", metavar="USERNAME")
    phone.add_argument(
        "--proxy-faults", type=float, default=0.0, help="share of connections that are hurt, 0 to 1"
    )
    phone.set_defaults(run=_simulate_phones)


def _add_receiver(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    receiver = kinds.add_parser(
        "receiver", help="a platform that receives webhooks, well or badly, and keeps a ledger"
    )
    receiver.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0: any free one")
    receiver.add_argument("--secret", required=True, metavar="whsec_…")
    receiver.add_argument(
        "--mode",
        default="ok",
        choices=("ok", "500", "slow", "hang", "big", "redirect", "reset", "lies"),
    )
    receiver.add_argument("--seconds", type=float, default=3600.0, help="stop then")
    receiver.add_argument("--ledger", type=Path, metavar="FILE", help="for etong check")
    receiver.set_defaults(run=_simulate_receiver)


def _simulate_receiver(_: Settings, options: argparse.Namespace) -> int:
    from app.simulation.ledger import LedgerFile  # noqa: PLC0415 - as below
    from app.simulation.receiver import Heard, Receiver  # noqa: PLC0415 - as below

    def tell(heard: Heard) -> None:
        print(heard.webhook_id, heard.message["type"], heard.message["data"].get("number", ""))

    async def receive(ledger: LedgerFile | None) -> int:
        receiver = Receiver(options.mode, ledger, tell)
        async with receiver.listening(options.port):
            receiver.expect(options.secret)
            print(f"ready http://127.0.0.1:{receiver.port}/", flush=True)
            await asyncio.sleep(options.seconds)
        return len(receiver.heard)

    try:
        with LedgerFile(options.ledger) if options.ledger else nullcontext() as ledger:
            verified = asyncio.run(receive(ledger))
    except KeyboardInterrupt:
        return _DONE
    print(f"{verified} messages verified / 已核验 {verified} 条")
    return _DONE


def _simulate_phones(settings: Settings, options: argparse.Namespace) -> int:
    # deferred: cameras and clients that no other command should wait for
    from app.simulation.fleet import drive  # noqa: PLC0415 - said above
    from app.simulation.ledger import LedgerFile  # noqa: PLC0415 - said above

    try:
        fleet = _fleet(settings, options)
        ledger = LedgerFile(options.ledger)
    except (OSError, ValueError) as refusal:
        print(f"etong: {refusal}", file=sys.stderr)
        return _WRONG_USAGE
    with ledger:
        summary = asyncio.run(drive(fleet, ledger, print))
    print(_told(summary))
    return _DONE if summary.in_time and summary.acknowledged == summary.made else _UNFINISHED


def _fleet(settings: Settings, options: argparse.Namespace) -> "Fleet":
    """Raises ValueError beyond the bounds of a simulation."""
    from app.simulation.fleet import Fleet  # noqa: PLC0415 - as above
    from app.simulation.reports import phone_camera  # noqa: PLC0415 - as above

    password = settings.demo_password.get_secret_value()
    return Fleet(
        url=options.url,
        people=[(name, password) for name in options.people or _WORKERS],
        phones=options.phones,
        reports=options.reports,
        photos=options.photos,
        seconds=options.seconds,
        faults=options.proxy_faults,
        camera=phone_camera,
    )


def _told(summary: "Summary") -> str:
    lost = sum(count for name, count in summary.counts.items() if name.startswith("lost:"))
    others = ", ".join(f"{name} {count}" for name, count in sorted(summary.counts.items()))
    return (
        f"{summary.acknowledged} of {summary.made} reports acknowledged, {lost} answers lost,"
        f" {summary.counts['replayed']} repeats recognised, {summary.notices} notices,"
        f" {summary.cuts} cuts\n"
        f"上报 {summary.made} 件，已确认 {summary.acknowledged} 件\n({others})"
    )
