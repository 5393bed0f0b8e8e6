"""Where simulated phones may go: nowhere but this machine."""

from ipaddress import ip_address

import httpx


class NotLoopback(ValueError):  # noqa: N818 - refusals are named after the fact
    """The target is another machine; simulated load is only for one's own."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{url}: simulated phones only call http://127.0.0.1:port / 模拟手机只能访问本机地址"
        )


def loopback(url: str) -> httpx.URL:
    """The target with a literal loopback address. Raises NotLoopback.

    Names are not resolved, `localhost` apart: what a name means may change after it was looked at.
    """
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL as unreadable:
        raise NotLoopback(url) from unreadable
    host = "127.0.0.1" if target.host == "localhost" else target.host
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local or target.scheme != "http" or target.userinfo:
        raise NotLoopback(url)
    return target.copy_with(host=host)
