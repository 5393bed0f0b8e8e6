"""The organisation of a district: a 综治中心 for every area, member departments (pure)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from app.areas.locate import AreaMap, AreaNode
from app.core.db import new_id

_LEVELS = ("district", "township", "village")
_TOWNSHIP_MEMBERS = (
    ("police", "派出所"),
    ("justice", "司法所"),
    ("emergency", "应急管理办公室"),
    ("enforcement", "综合行政执法队"),
    ("market", "市场监督管理所"),
    ("civil", "社会事务办公室"),
    ("housing", "村镇建设办公室"),
    ("land", "自然资源所"),
)
_DISTRICT_MEMBERS = (
    ("police", "公安分局"),
    ("justice", "司法局"),
    ("emergency", "应急管理局"),
    ("fire", "消防救援大队"),
    ("housing", "住房和城乡建设局"),
    ("enforcement", "综合行政执法局"),
    ("market", "市场监督管理局"),
    ("civil", "民政局"),
    ("labour", "人力资源和社会保障局"),
    ("land", "自然资源局"),
    ("traffic", "交通运输局"),
    ("health", "卫生健康局"),
)
_SUFFIXES = {
    "village": ("村委会", "居委会"),
    "township": ("街道", "镇", "乡"),
    "district": ("区", "县", "市"),
}


@dataclass(frozen=True, slots=True)
class NewUnit:
    id: UUID
    code: str
    name: str
    level: str
    kind: str
    area_code: str
    parent_id: UUID | None


def organisation(areas: AreaMap, district: str) -> list[NewUnit]:
    """Centres first, parents before children, then the member departments."""
    centres: dict[str, NewUnit] = {}
    for node in _downward(areas, district):
        above = centres.get(node.parent_code or "")
        centres[node.code] = _centre(node, above.id if above else None)
    members = [member for centre in centres.values() for member in _members(centre, areas)]
    return [*centres.values(), *members]


def short_name(node: AreaNode) -> str:
    """柳湖镇 → 柳湖, 永红村委会 → 永红村, 民馨家园社区居委会 → 民馨家园社区."""
    for suffix in _SUFFIXES.get(node.level, ()):
        if node.name.endswith(suffix):
            kept = node.name.removesuffix(suffix)
            return kept + "村" if suffix == "村委会" and not kept.endswith("村") else kept
    return node.name


def _downward(areas: AreaMap, root: str) -> Iterator[AreaNode]:
    waiting = [root]
    while waiting:
        node = areas.get(waiting.pop(0))
        if node is not None and node.level in _LEVELS:
            yield node
            waiting += [child.code for child in areas.children(node.code)]


def _centre(node: AreaNode, parent_id: UUID | None) -> NewUnit:
    name = short_name(node) if node.level == "village" else node.name
    return NewUnit(
        new_id(), node.code, f"{name}综治中心", node.level, "centre", node.code, parent_id
    )


def _members(centre: NewUnit, areas: AreaMap) -> Iterable[NewUnit]:
    kinds = {"township": _TOWNSHIP_MEMBERS, "district": _DISTRICT_MEMBERS}.get(centre.level, ())
    node = areas.get(centre.area_code)
    name = short_name(node) if node else ""
    for code, title in kinds:
        yield NewUnit(
            new_id(),
            f"{centre.code}-{code}",
            f"{name}{title}",
            centre.level,
            "department",
            centre.area_code,
            centre.id,
        )
