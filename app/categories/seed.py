"""The categories a district starts with. Idempotent: what the district changed stays."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.categories.models import Category

ROOTS: tuple[tuple[str, str], ...] = (
    ("01", "矛盾纠纷"),
    ("02", "安全隐患"),
    ("03", "治安与违法犯罪线索"),
    ("04", "市容环境"),
    ("05", "公共设施"),
    ("06", "民生服务"),
    ("07", "社情民意"),
    ("08", "突发事件"),
    ("09", "政策法规咨询"),
    ("99", "其他"),
)
BELOW: dict[str, tuple[tuple[str, str], ...]] = {
    "01": (
        ("01", "婚恋家庭"),
        ("02", "邻里"),
        ("03", "人格权"),
        ("04", "物权"),
        ("05", "侵权"),
        ("06", "合同"),
        ("07", "劳动人事"),
        ("08", "金融借贷"),
        ("09", "土地及资源权属"),
        ("10", "其他民商事"),
        ("11", "城乡建设发展"),
        ("12", "涉民政"),
        ("13", "其他行政执法"),
        ("14", "涉法涉诉"),
        ("15", "涉组织涉纪检"),
        ("99", "其他"),
    ),
    "02": (
        ("01", "消防"),
        ("02", "用电"),
        ("03", "燃气"),
        ("04", "道路交通"),
        ("05", "建筑施工"),
        ("06", "危房"),
        ("07", "食品药品"),
        ("08", "危化品"),
        ("09", "地质灾害与汛情"),
        ("10", "校园周边"),
        ("11", "特种设备"),
        ("12", "森林草原防火"),
        ("13", "水域"),
        ("99", "其他"),
    ),
    "03": (
        ("01", "盗窃"),
        ("02", "抢夺抢劫"),
        ("03", "诈骗"),
        ("04", "赌博"),
        ("05", "涉毒"),
        ("06", "打架斗殴"),
        ("07", "传销与非法集资"),
        ("08", "可疑物品"),
        ("99", "其他"),
    ),
}
SEALED = frozenset({"03"})
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "01": {"scale": ["individual", "group", "large_group"]},
    "02": {"hazard_grade": ["general", "major"]},
    "06": {"appointment": True},
}
"""Asked of every matter below these roots."""


async def seed(session: AsyncSession) -> None:
    """Insert what is missing; never overwrites a row."""
    await session.execute(insert(Category).on_conflict_do_nothing(), list(_rows()))


def _rows() -> Iterator[dict[str, Any]]:
    for position, (root, name) in enumerate(ROOTS):
        yield _row(root, None, name, position)
        for below, (tail, child) in enumerate(BELOW.get(root, ())):
            yield _row(root + tail, root, child, below)


def _row(code: str, parent: str | None, name: str, position: int) -> dict[str, Any]:
    return {
        "code": code,
        "parent_code": parent,
        "name": name,
        "sealed": (parent or code) in SEALED,
        "attributes": ATTRIBUTES.get(code, {}),
        "position": position,
    }
