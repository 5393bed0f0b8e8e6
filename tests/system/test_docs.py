import re
from pathlib import Path

import httpx
import pytest

import app.system
from app.core.errors import Problem

ASSETS = Path(app.system.__file__).parent / "assets"
OUTSIDE = re.compile(
    rb"""src["']?\s*[:=]\s*["'](?:https?:)?//|"""
    rb"""(?:@import|url\()\s*["']?(?:https?:)?//|"""
    rb"""(?:fetch|import|importScripts|Worker)\(\s*["'](?:https?:)?//"""
)
"""What a browser would load by itself; links that a person may follow are none of it."""


def _files() -> list[Path]:
    return sorted(file for file in ASSETS.rglob("*") if file.suffix in {".js", ".css"})


@pytest.mark.parametrize(
    "load",
    [
        b'<img src="https://cdn.example/x.svg">',
        b'createElement("img",{src:"//cdn.example/x.svg"})',
        b"@import 'https://fonts.example/a.css'",
        b"background:url(https://cdn.example/x.png)",
        b'fetch("https://validator.example/")',
        b'new Worker("https://cdn.example/w.js")',
    ],
)
def test_an_outside_load_in_a_bundle_would_be_seen(load: bytes) -> None:
    assert OUTSIDE.search(load)


@pytest.mark.parametrize("file", _files(), ids=lambda file: file.name)
def test_h18_bundles_load_nothing_from_outside(file: Path) -> None:
    body = file.read_bytes()
    assert OUTSIDE.findall(body) == []
    for host in (b"cdn.", b"validator.swagger.io", b"fonts.g"):
        assert host not in body
    assert not re.search(rb"sourceMappingURL=[^\"'\s]*\.map", body)


@pytest.mark.parametrize("folder", ["swagger-ui", "redoc"])
def test_bundles_carry_their_licences(folder: str) -> None:
    assert (ASSETS / folder / "LICENSE").read_text().strip()
    assert list((ASSETS / folder).glob("*.LICENSE.txt"))


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/problems", "/problems/not-found"])
async def test_h18_pages_are_closed(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "//" not in answer.text.replace("<!doctype html>", "")
    assert not re.search(r"<script(?![^>]*src=)", answer.text)
    assert not re.search(r"\son\w+=|style=", answer.text)
    for address in re.findall(r'(?:src|href)="(/docs/assets[^"]*)"', answer.text):
        assert (await client.get(address)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/docs/assets/redoc/LICENSE", "/docs/assets/nowhere/x.js", "/docs/assets/../docs.py"]
)
async def test_only_the_bundles_are_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui/swagger-ui.css", "text/css; charset=utf-8"),
        ("swagger-ui/favicon-32x32.png", "image/png"),
        ("redoc/redoc.standalone.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_assets_are_kept_by_the_reader(
    client: httpx.AsyncClient, name: str, kind: str
) -> None:
    address = f"/docs/assets/{name}"
    plain = await client.get(address, headers={"Accept-Encoding": "identity"})
    packed = await client.get(address, headers={"Accept-Encoding": "gzip"})
    assert plain.content == packed.content == (ASSETS / name).read_bytes()
    for answer in (plain, packed):
        assert answer.headers["content-type"] == kind
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["vary"] == "Accept-Encoding"
        again = await client.get(
            address,
            headers={
                "If-None-Match": answer.headers["etag"],
                "Accept-Encoding": answer.headers.get("content-encoding", "identity"),
            },
        )
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == answer.headers["etag"]
        assert again.headers["cache-control"] == answer.headers["cache-control"]
    if not name.endswith(".png"):
        assert packed.headers["content-encoding"] == "gzip"
        assert plain.headers["etag"] != packed.headers["etag"]


async def test_s9_the_description_has_an_etag(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.json()["openapi"] == "3.1.0"
    assert "综治E通".encode() in answer.content
    tags = {"If-None-Match": answer.headers["etag"], "Accept-Encoding": "identity"}
    assert (await client.get("/openapi.json", headers=tags)).status_code == 304


async def test_the_landing_names_the_doors(client: httpx.AsyncClient) -> None:
    doors = (await client.get("/")).json()
    for path in (doors["docs"], doors["redoc"], doors["openapi"], doors["ready"]):
        assert (await client.get(path)).status_code == 200


async def test_an_unknown_problem_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("/problems/never-heard-of", "/problems/%3Cscript%3E"):
        assert (await client.get(path)).status_code == 404


async def test_h1_every_problems_type_leads_somewhere(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/problems")).json()["items"]
    assert {each["code"] for each in listed} == set(Problem.registry)
    for each in listed:
        shown = (await client.get(each["type"])).json()
        assert shown == each
        page = await client.get(each["type"], headers={"Accept": "text/html"})
        assert f"HTTP {each['status']}" in page.text
