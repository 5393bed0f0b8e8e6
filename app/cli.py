"""`etong …`: the operator's commands."""

import argparse
import asyncio
import getpass
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from pydantic import ValidationError

from app.accounts.enrolment import create_admin
from app.accounts.permissions import SEPARATED, Role
from app.accounts.queries import unit_by_ref
from app.checking import add_command as add_check
from app.core import logs
from app.core.errors import Problem
from app.core.object_store import StoreUnavailable
from app.core.settings import ALL_ROLES, Settings
from app.core.settings import Role as ProcessRole
from app.embedded.given import prepare_given
from app.embedded.ownership import EmbeddedError
from app.embedded.run import DRAIN_S, Announce
from app.embedded.run import run as run_embedded
from app.embedded.seeding import prepare
from app.flagged import add_command as add_events
from app.keeping import add_command as add_keeping
from app.opening import opened
from app.proving import add_command as add_proving
from app.schema import migrate
from app.serving import run_fast, serve
from app.showing import add_command as add_showing
from app.simulation.commands import add_command as add_simulate
from app.webhook_commands import add_command as add_webhooks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 refused, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as invalid:
        for error in invalid.errors():
            name = "ETONG_" + "__".join(str(part) for part in error["loc"]).upper()
            print(f"etong: {name}: {error['msg']}", file=sys.stderr)
        return 2
    logs.configure(settings.log_level)
    status: int = options.run(settings, options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="etong", description="综治E通 server")
    commands = parser.add_subparsers(required=True, metavar="command")
    run = commands.add_parser("run", help="database, store and all roles on this machine")
    run.set_defaults(run=_run)
    serving = commands.add_parser("serve", help="roles against the given database and store")
    serving.add_argument("--roles", default=",".join(ALL_ROLES), help="comma-separated")
    serving.set_defaults(run=_serve)
    migrating = commands.add_parser("migrate", help="bring the database's schema to this version")
    migrating.set_defaults(run=_migrate)
    preparing = commands.add_parser(
        "prepare", help="make the given database and store ready: schema, bucket, catalogues"
    )
    preparing.add_argument("--areas", type=Path, help="folder with areas.csv and its polygons")
    preparing.set_defaults(run=_prepare)
    _add_accounts(commands.add_parser("accounts", help="people"))
    showing = commands.add_parser("demo", help="walk one report through a running server")
    showing.add_argument("files", nargs="*", type=Path, help="photos and videos to send instead")
    showing.add_argument("--url", default=os.environ.get("ETONG_URL") or "http://127.0.0.1:8000")
    showing.set_defaults(run=_demo)
    media = commands.add_parser("media", help="the stored files").add_subparsers(
        required=True, metavar="command"
    )
    incident = commands.add_parser("incident", help="one matter").add_subparsers(
        required=True, metavar="command"
    )
    add_check(commands, media)
    add_keeping(commands, media)
    add_events(commands)
    add_proving(incident)
    add_showing(incident)
    add_simulate(commands)
    add_webhooks(commands)
    return parser


def _add_accounts(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="command")
    admin = commands.add_parser(
        "create-admin", help="the first administrator, security officer or auditor"
    )
    admin.add_argument("username")
    admin.add_argument("--name", required=True)
    admin.add_argument("--unit", required=True, help="id or code of the unit, e.g. the district's")
    admin.add_argument(
        "--role",
        default=Role.ADMINISTRATOR.value,
        choices=sorted(role.value for role in SEPARATED),
    )
    admin.set_defaults(run=_create_admin)


def _run(settings: Settings, _: argparse.Namespace) -> int:
    async def serve_all(given: Settings, stop: asyncio.Event, announce: Announce) -> None:
        await serve(given, ALL_ROLES, stop, announce, grace_s=int(DRAIN_S) - 1)

    return run_fast(run_embedded(settings, prepare, serve_all))


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    roles = {role.strip() for role in options.roles.split(",")}
    unknown = roles - set(get_args(ProcessRole))
    if unknown:
        print(f"etong: unknown roles {sorted(unknown)}", file=sys.stderr)
    if unknown or _lacks_services(settings):
        return 2
    return run_fast(_serve_until_signal(settings, frozenset(roles)))


def _lacks_services(settings: Settings) -> bool:
    """Whether a setting without which nothing can be served is missing; says which."""
    needed = {
        "ETONG_DATABASE__URL": settings.database.url.get_secret_value(),
        "ETONG_STORE__ENDPOINT_URL": settings.store.endpoint_url,
        "ETONG_SECRET_KEY": settings.secret_key.get_secret_value(),
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        print(f"etong: not set: {', '.join(missing)}", file=sys.stderr)
    return bool(missing)


async def _serve_until_signal(settings: Settings, roles: frozenset[str]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    chosen = cast("frozenset[ProcessRole]", roles)
    await serve(settings, chosen, stop, lambda port: print(f"ready {port}", flush=True))
    return 0


def _migrate(settings: Settings, _: argparse.Namespace) -> int:
    asyncio.run(migrate(settings.database))
    print("schema at head")
    return 0


def _prepare(settings: Settings, options: argparse.Namespace) -> int:
    if _lacks_services(settings):
        return 2
    try:
        districts = asyncio.run(prepare_given(settings, options.areas))
    except (EmbeddedError, StoreUnavailable) as refusal:
        print(f"etong: {refusal or 'the object store does not answer'}", file=sys.stderr)
        return 1
    print(f"ready to serve; units of districts: {', '.join(districts) or 'none yet'}")
    return 0


def _demo(settings: Settings, options: argparse.Namespace) -> int:
    from app.embedded.demo import demo  # noqa: PLC0415 - a video encoder no start should wait for

    password = settings.demo_password.get_secret_value()
    return asyncio.run(demo(options.url.rstrip("/"), password, options.files))


def _create_admin(settings: Settings, options: argparse.Namespace) -> int:
    password = (
        getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    )
    try:
        asyncio.run(_admin(settings, options, password))
    except Problem as refusal:
        print(f"etong: {refusal.detail('en')} / {refusal.detail('zh-CN')}", file=sys.stderr)
        return 1
    print(f"created {options.username}; the password must be changed at the first sign-in")
    return 0


async def _admin(settings: Settings, options: argparse.Namespace, password: str) -> None:
    async with opened(settings) as resources, resources.sessions.begin() as session:
        unit = await unit_by_ref(session, options.unit)
        if unit is None:
            raise SystemExit(f"etong: no unit {options.unit}")
        await create_admin(
            session,
            at=resources.clock.now(),
            username=options.username,
            name=options.name,
            password=password,
            role=Role(options.role),
            unit_id=unit.id,
        )
