import asyncio
import json
import os
import shutil
import tempfile
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Form, Header, Request

from app.accounts.caller import Caller
from app.accounts.dependencies import CurrentCaller, identify
from app.core.clock import FakeClock
from app.core.db import Sessions
from app.core.errors import NotFound, Problem
from app.core.fields import Command, Line, View
from app.core.http import Transaction, install_errors, problems
from app.core.memory_store import MemoryStore
from app.core.middleware import RequestContext
from app.core.resources import Resources
from app.core.settings import Settings
from app.core.wakeups import MemoryWakeups
from app.system.docs import docs_router
from app.system.openapi import enrich
from app.system.router import router as system_router

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class NotABook(Problem, status=422, code="not-a-book", zh="这不是书", en="This is no book"): ...


class NewBook(Command):
    title: Line


class BookView(View):
    id: int
    title: Line


books = APIRouter(prefix="/v1", tags=["books"])


@books.post("/token")
async def issue_token(
    request: Request,
    grant_type: Annotated[str, Form(max_length=30)],
    username: Annotated[str, Form(max_length=30)],
    password: Annotated[str, Form(max_length=30)],
) -> dict[str, str]:
    credentials = request.headers.get("authorization")
    request.app.state.signed_in = (grant_type, username, password, credentials)
    return {"access_token": "opaque", "token_type": "bearer"}


@books.get("/books/{number}", responses=problems(NotFound))
async def show_book(number: int, caller: CurrentCaller) -> BookView:
    return BookView(id=number, title=caller.name)


@books.post("/books", status_code=201)
async def add_book(book: NewBook, caller: CurrentCaller) -> BookView:
    return BookView(id=len(caller.name), title=book.title)


@books.put("/books/{number}", responses=problems(NotABook))
async def change_book(
    number: int, book: NewBook, caller: CurrentCaller, session: Transaction
) -> BookView:
    del caller, session
    return BookView(id=number, title=book.title)


@books.get("/shelves", openapi_extra={"security": []})
async def list_shelves(
    caller: CurrentCaller,
    if_none_match: Annotated[str | None, Header(max_length=100)] = None,
) -> dict[str, str]:
    del if_none_match
    return {"declared": caller.name}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def resources(
    settings: Settings, sessions: Sessions, store: MemoryStore, clock: FakeClock
) -> Resources:
    return Resources(settings, sessions, store, MemoryWakeups(), clock)


@pytest.fixture
def app(resources: Resources) -> FastAPI:
    app = FastAPI(
        version="1.2.3",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.resources = resources
    for each in (books, system_router, docs_router):
        app.include_router(each)
    install_errors(app)
    enrich(app)
    app.add_middleware(RequestContext)
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        yield client


@pytest.fixture
def as_caller(app: FastAPI, clock: FakeClock) -> None:
    app.dependency_overrides[identify] = lambda: Caller(
        id=uuid4(),
        name="值班员",
        kind="person",
        session_id=uuid4(),
        terminal_id=None,
        holdings=(),
        grid_codes=frozenset(),
        expires_at=clock.now() + timedelta(minutes=15),
    )


@pytest.fixture
async def origin(app: FastAPI) -> AsyncIterator[str]:
    """The application on a port of its own."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield "http://{}:{}".format(*server.servers[0].sockets[0].getsockname())
    server.should_exit = True
    await task


@dataclass
class Page:
    """What one page did: its requests, the console's complaints, the security policy's too."""

    browser: "Browser"
    session: str
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = await self.browser.call("Runtime.evaluate", asked, self.session)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not await self.ask(expression):  # noqa: ASYNC110 - the page has no event for us
                await asyncio.sleep(0.1)

    async def save(self, file: Path) -> None:
        answer = await self.browser.call("Page.captureScreenshot", {}, self.session)
        await asyncio.to_thread(file.write_bytes, b64decode(answer["data"]))

    def note(self, method: str, facts: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requested.append(facts["request"]["url"])
        elif method == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.complaints.append(facts["entry"]["text"])
        elif method == "Audits.issueAdded" and "ContentSecurity" in facts["issue"]["code"]:
            self.complaints.append(json.dumps(facts["issue"]["details"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(facts["exceptionDetails"]))


class Browser:
    """Chromium over its debugging pipe: JSON messages that end with NUL, file descriptors 3, 4."""

    def __init__(self, reader: asyncio.StreamReader, writer: Any) -> None:
        self._reader, self._writer = reader, writer
        self._number = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self.listening = asyncio.create_task(self._listen())

    async def call(
        self, method: str, facts: dict[str, Any], session: str | None = None
    ) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": facts}
        if session is not None:
            message["sessionId"] = session
        self._waiting[self._number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(message).encode() + b"\0")
        answer = await asyncio.wait_for(self._waiting[self._number], 30)
        assert "error" not in answer, answer
        return dict(answer["result"])

    async def open(self, address: str) -> Page:
        target = await self.call("Target.createTarget", {"url": "about:blank"})
        attach = {"targetId": target["targetId"], "flatten": True}
        session = (await self.call("Target.attachToTarget", attach))["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Network", "Log", "Runtime", "Audits", "Page"):
            await self.call(f"{domain}.enable", {}, session)
        size = {"width": 1200, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", size, session)
        await self.call("Page.navigate", {"url": address}, session)
        return page

    async def _listen(self) -> None:
        while True:
            message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            if "id" in message:
                self._waiting.pop(message["id"]).set_result(message)
            elif message.get("sessionId") in self._pages:
                self._pages[message["sessionId"]].note(message["method"], message["params"])


async def _start(profile: str) -> tuple[asyncio.subprocess.Process, Browser]:
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # a shell puts the pipe's ends at the two numbers Chromium looks at
    script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script,
        "bash",
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}",
        "--remote-debugging-pipe",
        pass_fds=(theirs_in, theirs_out),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours_in, "rb")
    )
    writer, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(ours_out, "wb"))
    return process, Browser(reader, writer)


Opener = Callable[[str], Awaitable[Page]]


@pytest.fixture
async def open_page() -> AsyncIterator[Opener]:
    """Opens an address in a real browser that can reach nothing but this machine."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process, browser = await _start(profile)
        yield browser.open
        await browser.call("Browser.close", {})
        with suppress(asyncio.IncompleteReadError):
            await browser.listening
        await process.wait()
