"""How something was done or came about, in words of a closed list (pure).

The list is closed on purpose: a name, a phone or a plate can never become the reason of a link.
"""

from collections.abc import Iterable, Mapping

from app.incidents.likeness import bare

_SAYINGS: Mapping[str, tuple[str, ...]] = {
    # hazards
    "飞线充电": ("飞线充电", "飞线", "拉线充电"),
    "电动车入户": ("电动车上楼", "电动车进楼", "电瓶车上楼", "推车上楼", "电动车入户"),
    "堵塞通道": ("堵塞消防通道", "占用消防通道", "堵塞通道", "堵住通道", "占用通道"),
    "堆放杂物": ("堆放杂物", "乱堆乱放", "堆满杂物", "杂物堆"),
    "私拉电线": ("私拉电线", "私拉乱接", "乱接电线", "电线裸露"),
    "燃气泄漏": ("燃气泄漏", "煤气泄漏", "漏气", "燃气味", "煤气味"),
    "违规动火": ("违规动火", "焚烧秸秆", "烧荒", "燃放烟花", "焚烧垃圾"),
    "私搭乱建": ("私搭乱建", "违章建筑", "违建", "私自加盖"),
    "墙体开裂": ("墙体开裂", "裂缝", "墙皮脱落", "倾斜"),
    "井盖缺失": ("井盖缺失", "井盖丢失", "井盖破损", "没有井盖"),
    "高空抛物": ("高空抛物", "高空坠物", "从楼上扔"),
    "渗水漏水": ("漏水", "渗水", "水管爆裂", "爆管"),
    "超速超载": ("超速", "超载", "逆行", "闯红灯"),
    # disputes
    "拖欠工资": ("拖欠工资", "欠薪", "不发工资", "讨薪"),
    "拖欠货款": ("拖欠货款", "欠款不还", "借钱不还", "拖欠租金"),
    "噪声扰民": ("噪声扰民", "噪音扰民", "噪音", "夜间施工", "广场舞"),
    "争占地界": ("地界", "宅基地", "占用耕地", "越界"),
    "争水争路": ("争水", "争路", "挡路", "堵路", "断水"),
    "停车争位": ("抢车位", "占车位", "乱停车", "车辆堵门"),
    "油烟异味": ("油烟", "异味", "恶臭"),
    "犬只扰民": ("不拴绳", "犬吠", "流浪狗", "狗咬"),
    "群体聚集": ("聚集", "围堵", "拉横幅"),
    # wrongdoing that was not reported as a sealed tip
    "撬锁": ("撬锁", "撬门", "撬开", "技术开锁"),
    "翻墙入户": ("翻墙", "翻窗", "爬窗", "入户"),
    "砸窗": ("砸窗", "砸车窗", "砸玻璃"),
    "剪断线缆": ("剪断电缆", "偷电缆", "割断电线", "盗割"),
    "冒充": ("冒充", "自称公安", "自称客服", "假扮"),
    "刷单": ("刷单", "返利", "高额回报", "兼职诈骗"),
    "诱导转账": ("转账", "汇款", "验证码", "陌生链接", "屏幕共享"),
    "上门推销": ("上门推销", "免费体检", "免费领", "保健品", "送鸡蛋"),
    "张贴小广告": ("小广告", "涂鸦", "贴广告"),
    # when
    "夜间": ("夜间", "深夜", "凌晨", "半夜"),
}


def method_words(text: str) -> frozenset[str]:
    """The words whose sayings stand in the text."""
    words = bare(text)
    return frozenset(
        word for word, sayings in _SAYINGS.items() if any(saying in words for saying in sayings)
    )


def telling(words: Iterable[str]) -> frozenset[str]:
    """Without those that say nothing alone: half of everything happens at night."""
    return frozenset(words) - {"夜间"}
