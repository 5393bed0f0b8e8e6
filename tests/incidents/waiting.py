"""What became of a matter by itself, and who was told of it."""

import asyncio

from app.accounts.models import Unit
from app.routing.escalation import Clocks
from tests.district import District
from tests.incidents.paths import Rows, rows_of, signed_in


def happened(rows: Rows) -> list[str]:
    """What the system did by itself, with the card's colour."""
    return [
        f"{entry.action} {entry.facts['level']}" if "level" in entry.facts else entry.action
        for entry in rows.history
        if entry.actor_id is None and entry.action != "route"
    ]


async def unit_of(district: District, incident: str) -> str:
    rows = await rows_of(district, incident)
    async with district.resources.sessions.read() as session:
        return (await session.get_one(Unit, rows.incident.owner_unit_id)).code


async def titles(district: District, who: str, incident: str) -> list[str]:
    client = await signed_in(district, who)
    inbox = (await client.get("/v1/inbox", params={"limit": 200})).json()["items"]
    return [item["title"] for item in inbox if item["incident_id"] == incident]


async def workers(district: District, count: int = 4) -> None:
    await asyncio.gather(*(Clocks(district.resources).work() for _ in range(count)))
