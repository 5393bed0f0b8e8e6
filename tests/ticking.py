"""The event loop's own clock, moved on by hand: what waits for a minute needs none here."""

import asyncio
from weakref import WeakKeyDictionary

_ahead: "WeakKeyDictionary[asyncio.AbstractEventLoop, float]" = WeakKeyDictionary()


async def let_pass(seconds: float) -> None:
    """So much later for every timeout of this loop; in steps, so that things happen in order.

    It never goes back: what was planned meanwhile would be due too late.
    """
    loop = asyncio.get_running_loop()
    if loop not in _ahead:
        _ahead[loop] = 0.0
        real = loop.time
        loop.time = lambda: real() + _ahead[loop]  # type: ignore[method-assign]  # the one way in
    while seconds > 0:
        step = min(seconds, 1.0)
        _ahead[loop] += step
        seconds -= step
        await asyncio.sleep(0.001)
