"""How the files of incidents look from outside: links for minutes, and what was found in them."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.areas.datum import Datum, distance_m, from_wgs84
from app.core.crypto import Keys
from app.core.db import one_of
from app.incidents.attachment_schemas import AttachmentView, TakenView
from app.incidents.models import IncidentMedia
from app.incidents.queries import attachments_of
from app.media.models import Derivative, Examination, MediaFile
from app.media.viewing import Variant, link

Spot = tuple[float | None, float | None]
"""Longitude and latitude, WGS-84."""


@dataclass(frozen=True, slots=True)
class Looking:
    """Who looks, when, in which datum, and the keys that sign file links."""

    caller: Caller
    now: datetime
    keys: Keys
    link_s: int
    datum: Datum = "wgs84"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A place in a report, the file in it, and what is known of that."""

    link: IncidentMedia
    file: MediaFile | None
    state: str
    examination: Examination | None
    variants: frozenset[str]


async def gathered(
    session: AsyncSession, incident_ids: Collection[UUID]
) -> dict[UUID, list[Attachment]]:
    """By incident, in the order of the report; three queries however many they are."""
    listed = await attachments_of(session, incident_ids)
    ids = [each.file.id for each in listed if each.file is not None]
    examined = await session.scalars(select(Examination).where(one_of(Examination.file_id, ids)))
    by_file = {each.file_id: each for each in examined}
    variants: defaultdict[UUID, set[str]] = defaultdict(set)
    for row in await session.execute(
        select(Derivative.file_id, Derivative.variant).where(one_of(Derivative.file_id, ids))
    ):
        variants[row.file_id].add(row.variant)
    found: defaultdict[UUID, list[Attachment]] = defaultdict(list)
    for item, file, state in listed:
        known = by_file.get(file.id) if file else None
        made = frozenset(variants[file.id]) if file else frozenset()
        found[item.incident_id].append(Attachment(item, file, state, known, made))
    return found


@dataclass(frozen=True, slots=True)
class Sight:
    """What who looks may see of one matter's files."""

    spot: Spot
    knows_reporter: bool
    withheld: bool
    """They have not said why they have to see what it holds."""
    mark: str = ""
    """Drawn over the pictures of a sealed one."""


def mark_of(looking: Looking) -> str:
    """Who and when, in letters that every font has."""
    return f"{looking.caller.id} {looking.now:%Y-%m-%d %H:%MZ}"


def shown(attachment: Attachment, looking: Looking, sight: Sight) -> AttachmentView:
    item, file, found = attachment.link, attachment.file, attachment.examination
    links = _Links(attachment, looking, sight)
    told = found if sight.knows_reporter and not sight.withheld else None
    digest = file.sha256 if file else item.sha256
    return AttachmentView(
        id=item.attachment_id,
        kind=item.kind,
        name=item.name,
        size=file.size if file else item.size,
        sha256=digest.hex() if digest else None,
        content_type=file.content_type if file else None,
        state="erased" if file is not None and file.state == "erased" else attachment.state,
        url=links.to("original"),
        view_url=links.to("view"),
        preview_url=links.to("preview"),
        thumbnail_url=links.to("thumbnail"),
        expires_at=links.expires_at,
        derivatives=found.state if found else None,
        derivatives_code=found.code if found else None,
        width=found.width if found else None,
        height=found.height if found else None,
        duration_s=found.duration_s if found else None,
        taken=taken_view(told, sight.spot, looking.datum) if told else None,
    )


class _Links:
    """Links to a stored file and to what is made of it, all good for the same time."""

    def __init__(self, attachment: Attachment, looking: Looking, sight: Sight) -> None:
        self._looking = looking
        self._mark = sight.mark
        file = attachment.file
        seen = file is not None and file.state == "stored" and not sight.withheld
        self._file = file if seen else None
        # a camera writes its model, its number and where it was: that would tell who is hidden
        telling = not sight.knows_reporter and attachment.link.kind == "photo"
        self._variants = attachment.variants | (set() if telling else {"original"})
        self.expires_at: datetime | None = None

    def to(self, variant: Variant) -> str | None:
        if self._file is None or variant not in self._variants:
            return None
        looking = self._looking
        made = link(looking.keys, self._file.id, variant, looking.now, looking.link_s, self._mark)
        self.expires_at = made.expires_at
        return made.url


def taken_view(found: Examination, spot: Spot, datum: Datum) -> TakenView | None:
    """None where the file says nothing."""
    lon, lat = found.taken_lon, found.taken_lat
    if found.taken_at is None and lon is None:
        return None
    away = None
    if lon is not None and lat is not None:
        if spot[0] is not None and spot[1] is not None:
            away = round(distance_m(lon, lat, spot[0], spot[1]))
        lon, lat = from_wgs84(lon, lat, datum)
    return TakenView(at=found.taken_at, lon=lon, lat=lat, datum=datum, distance_m=away)
