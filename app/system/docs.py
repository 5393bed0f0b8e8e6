"""The API's description and its pages, all from our own origin. Mounted at the root."""

import asyncio
import html
from string import Template
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response

from app.core.errors import NotFound, Problem
from app.core.http import TheResources
from app.core.resources import Resources
from app.system.bundles import Asset, Assets, of_bytes

FOR_EVER = "public, max-age=31536000, immutable"
CHECK_FIRST = "no-cache"
_HTML = "text/html; charset=utf-8"
_CLOSED = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
)
_SWAGGER_POLICY = _CLOSED + "style-src 'self'"
# Redoc puts its rules into <style> elements that are empty (the first hash), and its scrollbar's
# sheet into one of its own (the second); its search runs in a worker made of a blob
_REDOC_POLICY = _CLOSED + (
    "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' "
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; worker-src blob:"
)
_PAGE_POLICY = _CLOSED + "style-src 'self'"

_SWAGGER = Template("""<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>综治E通 · 接口文档</title>
<link rel="icon" href="$icon"><link rel="stylesheet" href="$style"></head>
<body><div id="swagger-ui"></div><script src="$bundle"></script><script src="$start"></script>
</body></html>
""")
_REDOC = Template("""<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>综治E通 · 接口文档</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="$icon"><link rel="stylesheet" href="$style"></head>
<body><div id="redoc"></div><script src="$bundle"></script>
<script src="$start"></script></body></html>
""")
_PAGE = Template("""<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="$icon"><link rel="stylesheet" href="$style"></head>
<body><main>$main</main></body></html>
""")

docs_router = APIRouter(include_in_schema=False)


class PublishedDescription:
    """The OpenAPI document as bytes, made once for each document the application gives."""

    def __init__(self, _resources: Resources) -> None:
        self._document: dict[str, Any] | None = None
        self._asset = of_bytes(b"{}", "application/json")

    def of(self, app: FastAPI) -> Asset:
        """Takes a moment the first time: call it in a thread."""
        document = app.openapi()
        if document is not self._document:
            self._asset = of_bytes(orjson.dumps(document), "application/json")
            self._document = document
        return self._asset


@docs_router.get("/")
async def show_landing() -> dict[str, str]:
    return {
        "name": "综治E通",
        "docs": "/docs",
        "redoc": "/redoc",
        "openapi": "/openapi.json",
        "problems": "/problems",
        "ready": "/health/ready",
    }


@docs_router.get("/openapi.json")
async def show_openapi(request: Request, resources: TheResources) -> Response:
    asset = await asyncio.to_thread(resources.the(PublishedDescription).of, request.app)
    return _served(request, asset, CHECK_FIRST)


@docs_router.get("/docs")
async def show_docs(resources: TheResources) -> Response:
    address = (await _assets(resources)).address
    page = _SWAGGER.substitute(
        icon=address("swagger-ui/favicon-32x32.png"),
        style=address("swagger-ui/swagger-ui.css"),
        bundle=address("swagger-ui/swagger-ui-bundle.js"),
        start=address("pages/swagger-start.js"),
    )
    return _page(page, _SWAGGER_POLICY)


@docs_router.get("/redoc")
async def show_redoc(resources: TheResources) -> Response:
    address = (await _assets(resources)).address
    page = _REDOC.substitute(
        icon=address("swagger-ui/favicon-32x32.png"),
        style=address("pages/pages.css"),
        bundle=address("redoc/redoc.standalone.js"),
        start=address("pages/redoc-start.js"),
    )
    return _page(page, _REDOC_POLICY)


@docs_router.get("/docs/assets/{folder}/{name}")
async def show_asset(folder: str, name: str, request: Request, resources: TheResources) -> Response:
    asset = (await _assets(resources)).by_name.get(f"{folder}/{name}")
    if asset is None:
        raise NotFound
    return _served(request, asset, FOR_EVER)


@docs_router.get("/problems")
async def list_problems(request: Request, resources: TheResources) -> Response:
    """Every refusal this version knows."""
    kinds = [Problem.registry[code] for code in sorted(Problem.registry)]
    if not _wants_html(request):
        return _json({"items": [_described(kind) for kind in kinds], "next": None})
    rows = "".join(
        f'<tr><td><a href="/problems/{kind.code}"><code>{kind.code}</code></a></td>'
        f"<td>{kind.status}</td><td>{html.escape(kind.zh)}</td></tr>"
        for kind in kinds
    )
    return await _plain_page(resources, "错误代码", f"<h1>错误代码</h1><table>{rows}</table>")


@docs_router.get("/problems/{code}")
async def show_problem(code: str, request: Request, resources: TheResources) -> Response:
    """What a problem's `type` points to."""
    kind = Problem.registry.get(code)
    if kind is None:
        raise NotFound
    if not _wants_html(request):
        return _json(_described(kind))
    main = (
        f"<h1><code>{kind.code}</code></h1><p>HTTP {kind.status}</p>"
        f'<p>{html.escape(kind.zh)}</p><p lang="en">{html.escape(kind.en)}</p>'
        '<p><a href="/problems">全部错误代码</a></p>'
    )
    return await _plain_page(resources, kind.code, main)


def _described(kind: type[Problem]) -> dict[str, Any]:
    return {
        "type": f"/problems/{kind.code}",
        "code": kind.code,
        "status": kind.status,
        "detail": {"zh-CN": kind.zh, "en": kind.en},
    }


async def _assets(resources: Resources) -> Assets:
    return await asyncio.to_thread(resources.the, Assets)


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _json(document: dict[str, Any]) -> Response:
    headers = {"Cache-Control": CHECK_FIRST, "Vary": "Accept"}
    return Response(orjson.dumps(document), media_type="application/json", headers=headers)


async def _plain_page(resources: Resources, title: str, main: str) -> Response:
    address = (await _assets(resources)).address
    page = _PAGE.substitute(
        title=title,
        icon=address("swagger-ui/favicon-32x32.png"),
        style=address("pages/pages.css"),
        main=main,
    )
    return _page(page, _PAGE_POLICY)


def _page(page: str, policy: str) -> Response:
    headers = {
        "Content-Type": _HTML,
        "Content-Security-Policy": policy,
        "Cache-Control": CHECK_FIRST,
        "Vary": "Accept",
    }
    return Response(page, headers=headers)


def _served(request: Request, asset: Asset, caching: str) -> Response:
    """The asset, packed where the client can unpack, or 304 when it has this very form."""
    packed = asset.gzipped is not None and "gzip" in request.headers.get("accept-encoding", "")
    tag = f'"{asset.digest}{"-gzip" if packed else ""}"'
    headers = {"ETag": tag, "Cache-Control": caching, "Vary": "Accept-Encoding"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    headers["Content-Type"] = asset.content_type
    if packed:
        headers["Content-Encoding"] = "gzip"
    body = asset.gzipped if packed and asset.gzipped is not None else asset.body
    return Response(body, headers=headers)
