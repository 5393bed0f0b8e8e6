from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI

if TYPE_CHECKING:
    from tests.system.conftest import Page

Opener = Callable[[str], Awaitable["Page"]]

OPERATIONS = """
  document.querySelectorAll('.opblock-summary-path, .opblock-summary-path__deprecated').length
"""
TYPE_INTO = """(selector, text) => {
  const field = document.querySelector(selector);
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, text);
  field.dispatchEvent(new Event('input', {bubbles: true}));
}"""


def _stayed_home(page: "Page", origin: str) -> None:
    outside = [u for u in page.requested if not u.startswith((origin, "data:", "blob:" + origin))]
    assert outside == []
    assert page.requested
    assert page.complaints == [], "\n".join(page.complaints)


async def test_h18_swagger_ui_renders_from_our_origin_alone(
    origin: str, open_page: Opener, tmp_path: Path
) -> None:
    page = await open_page(origin + "/docs")
    await page.until("document.querySelectorAll('.opblock').length >= 4")
    shown = await page.ask("document.body.innerText")
    assert "综治E通" in shown
    assert "/v1/books/{number}" in shown
    await page.ask("document.querySelector('.opblock-summary-control').click()")
    await page.until("document.querySelector('.opblock-body') !== null")
    await page.save(tmp_path / "docs.png")
    _stayed_home(page, origin)


async def test_h18_redoc_renders_from_our_origin_alone(
    origin: str, open_page: Opener, tmp_path: Path
) -> None:
    page = await open_page(origin + "/redoc")
    await page.until("document.querySelectorAll('h2').length > 3")
    shown = await page.ask("document.body.innerText")
    assert "综治E通" in shown
    assert "/v1/books/{number}" in shown
    menu = await page.ask("getComputedStyle(document.querySelector('.menu-content')).width")
    assert menu == "260px"  # its styles are in force
    await page.ask(f"({TYPE_INTO})('input[role=search], input[type=text]', 'book')")
    await page.until("document.querySelector('[data-role=\"search:results\"]') !== null")
    await page.save(tmp_path / "redoc.png")
    _stayed_home(page, origin)


async def test_h18_signing_in_from_the_page_works(
    app: FastAPI, origin: str, open_page: Opener
) -> None:
    page = await open_page(origin + "/docs")
    await page.until("document.querySelector('.btn.authorize') !== null")
    await page.ask("document.querySelector('.btn.authorize').click()")
    await page.until("document.querySelector('#oauth_username') !== null")
    await page.ask(f"({TYPE_INTO})('#oauth_username', 'desk-liuhu')")
    await page.ask(f"({TYPE_INTO})('#oauth_password', 'Etong-demo-1')")
    await page.ask("document.querySelector('.auth-btn-wrapper .authorize').click()")
    await page.until("document.body.innerText.includes('Logout')")
    used: list[Any] = [each for each in page.requested if each.endswith("/v1/token")]
    assert used == [origin + "/v1/token"]
    assert app.state.signed_in == ("password", "desk-liuhu", "Etong-demo-1", None)
    _stayed_home(page, origin)


async def test_an_outside_load_would_be_seen(origin: str, open_page: Opener) -> None:
    page = await open_page(origin + "/docs")
    await page.until("document.querySelector('.opblock') !== null")
    await page.ask(
        "document.head.append(Object.assign(document.createElement('script'),"
        " {src: 'https://cdn.example/x.js'}))"
    )
    await page.until("true")
    with pytest.raises(AssertionError):
        _stayed_home(page, origin)
