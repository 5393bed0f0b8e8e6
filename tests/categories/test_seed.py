"""What a district starts with."""

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.categories import queries, seed
from app.categories.models import Category

ROOTS = (
    "矛盾纠纷 安全隐患 治安与违法犯罪线索 市容环境 公共设施 民生服务 社情民意 突发事件 "
    "政策法规咨询 其他"
)
DISPUTES = (
    "婚恋家庭 邻里 人格权 物权 侵权 合同 劳动人事 金融借贷 土地及资源权属 其他民商事 城乡建设发展 "
    "涉民政 其他行政执法 涉法涉诉 涉组织涉纪检 其他"
)
HAZARDS = (
    "消防 用电 燃气 道路交通 建筑施工 危房 食品药品 危化品 地质灾害与汛情 校园周边 特种设备 "
    "森林草原防火 水域 其他"
)
TIPS = "盗窃 抢夺抢劫 诈骗 赌博 涉毒 打架斗殴 传销与非法集资 可疑物品 其他"


def _codes(prefix: str, count: int) -> list[str]:
    """Numbered from 01, the last one is 99."""
    return [f"{prefix}{number:02}" for number in range(1, count)] + [f"{prefix}99"]


async def test_seed_is_exactly_the_tree_of_the_domain(session: AsyncSession) -> None:
    await seed.seed(session)
    tree = await queries.load(session)
    expected = {
        None: dict(zip(_codes("", 10), ROOTS.split(), strict=True)),
        "01": dict(zip(_codes("01", 16), DISPUTES.split(), strict=True)),
        "02": dict(zip(_codes("02", 14), HAZARDS.split(), strict=True)),
        "03": dict(zip(_codes("03", 9), TIPS.split(), strict=True)),
    }
    found = {
        parent: {node.code: node.name for node in tree.children(parent)} for parent in expected
    }
    assert found == expected
    assert [list(level) for level in found.values()] == [list(level) for level in expected.values()]
    assert len(list(tree.in_order())) == 10 + 16 + 14 + 9


async def test_every_code_under_03_is_sealed_and_no_other(session: AsyncSession) -> None:
    await seed.seed(session)
    tree = await queries.load(session)
    sealed = {node.code for node in tree.in_order() if tree.is_sealed(node.code)}
    assert sealed == {"03", *_codes("03", 9)}
    stored = await session.scalars(select(Category.code).where(Category.sealed))
    assert set(stored) == sealed


async def test_livelihood_matters_ask_for_an_appointment(session: AsyncSession) -> None:
    await seed.seed(session)
    tree = await queries.load(session)
    assert tree.attributes_of("06") == {"appointment": True}
    assert tree.attributes_of("0203") == {"hazard_grade": ["general", "major"]}
    assert tree.attributes_of("0101") == {"scale": ["individual", "group", "large_group"]}


async def test_seeding_again_keeps_what_the_district_changed(session: AsyncSession) -> None:
    await seed.seed(session)
    await session.execute(update(Category).where(Category.code == "0201").values(name="消防通道"))
    await seed.seed(session)
    assert await session.scalar(select(func.count()).select_from(Category)) == 49
    node = (await queries.load(session)).get("0201")
    assert node is not None
    assert node.name == "消防通道"
