import asyncio
import gc
import io
import json
import logging
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.fields import Command, Line
from app.core.logs import configure

CANARY = "张三丰13800001111"
_NAMES = ("", "uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "botocore", "py.warnings")


class Complaint(Command):
    title: Line


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """The process's logging, as configured, and put back afterwards."""
    before = structlog.get_config()
    loggers = [logging.getLogger(name) for name in _NAMES]
    kept = [(log, log.level, log.handlers, log.propagate) for log in loggers]
    stream = io.StringIO()
    configure("info", stream)
    yield stream
    structlog.configure(**before)
    for log, level, handlers, propagate in kept:
        log.setLevel(level)
        log.handlers, log.propagate = handlers, propagate
    logging.captureWarnings(capture=False)


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def _raised(act: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any will do
        act()
    return caught.value


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(KeyError):
        configure("loud")


def test_a_line_is_one_json_object(stream: io.StringIO) -> None:
    number = uuid.uuid4()
    structlog.get_logger().info("stored", incident_id=number, files=3, code="not\nfound")
    [line] = _lines(stream)
    assert line.pop("at").endswith("Z")
    assert line == {
        "event": "stored",
        "level": "info",
        "logger": "tests.core.test_logs",
        "incident_id": str(number),
        "files": 3,
        "code": "not\nfound",
    }


def test_below_the_level_nothing_is_written(stream: io.StringIO) -> None:
    structlog.get_logger().debug("whisper")
    logging.getLogger("library").debug("whisper")
    assert _lines(stream) == []


def test_libraries_speak_the_same_json(stream: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="q"):
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("uvicorn").info("Started server process [%d]", 7)
    first, second = _lines(stream)
    assert first["event"] == "Invalid HTTP request received."
    assert first["level"] == "warning"
    assert first["logger"] == "uvicorn.error"
    assert first["request_id"] == "q"
    assert second["event"] == "Started server process [7]"


def test_the_access_log_and_chatty_clients_are_silent(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.access").info("GET /?name=%s", CANARY)
    logging.getLogger("httpx").info("HTTP Request: POST http://t/?token=%s", CANARY)
    logging.getLogger("botocore.auth").info("signing %s", CANARY)
    assert stream.getvalue() == ""


def test_warnings_are_lines_too(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)  # pytest records them itself unless taken again
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    assert "old ways" in _lines(stream)[0]["event"]


@pytest.mark.parametrize("key", ["text", "name", "phone", "password", "Authorization", "reason"])
def test_canary_keys_for_peoples_words_are_withheld(stream: io.StringIO, key: str) -> None:
    structlog.get_logger().info("stored", **{key: CANARY})
    assert CANARY not in stream.getvalue()
    assert _lines(stream)[0][key] == "withheld"


def test_a_long_value_is_cut(stream: io.StringIO) -> None:
    structlog.get_logger().info("stored", code="x" * 10_000)
    assert len(stream.getvalue()) < 500


async def test_canary_a_refusing_database_quotes_nothing(
    stream: io.StringIO, session: AsyncSession
) -> None:
    await session.execute(text("CREATE TEMPORARY TABLE canary (phone text PRIMARY KEY)"))
    insert = text("INSERT INTO canary VALUES (:phone)")
    await session.execute(insert, {"phone": CANARY})
    with pytest.raises(IntegrityError) as caught:
        await session.execute(insert, {"phone": CANARY})
    assert CANARY in str(caught.value)  # the driver does quote it
    structlog.get_logger().error("bug", exc_info=caught.value)
    logging.getLogger("library").error("failed", exc_info=caught.value)
    assert CANARY not in stream.getvalue()
    for line in _lines(stream):
        kinds = [each["type"] for each in line["exception"]]
        assert kinds == ["sqlalchemy.exc.IntegrityError", "psycopg.errors.UniqueViolation"]
        assert line["exception"][1]["sqlstate"] == "23505"
        assert any("test_logs.py" in place for place in line["exception"][0]["at"])


def test_canary_a_failed_validation_quotes_nothing(stream: io.StringIO) -> None:
    bug = _raised(lambda: Complaint.model_validate({"title": [CANARY], CANARY: 1}))
    assert CANARY in str(bug)
    structlog.get_logger().error("bug", exc_info=bug)
    assert CANARY not in stream.getvalue()


def test_canary_inside_except_blocks(stream: io.StringIO) -> None:
    try:
        {"known": 1}[CANARY]
    except KeyError:
        structlog.get_logger().exception("bug")
        logging.getLogger("library").exception("bug")
    structlog.get_logger().error("calm", exc_info=True)
    assert CANARY not in stream.getvalue()
    first, second, third = _lines(stream)
    assert first["exception"][0]["type"] == second["exception"][0]["type"] == "builtins.KeyError"
    assert "exception" not in third


async def test_canary_a_forgotten_task_quotes_nothing(stream: io.StringIO) -> None:
    async def fall_over() -> None:
        raise ValueError(CANARY)

    task = asyncio.create_task(fall_over())
    await asyncio.wait([task])
    del task
    gc.collect()
    [line] = _lines(stream)
    assert line["event"] == "Task exception was never retrieved"
    assert line["exception"][0]["type"] == "builtins.ValueError"
    assert CANARY not in stream.getvalue()


def test_a_chain_of_errors_ends(stream: io.StringIO) -> None:
    error: Exception = ValueError("0")
    for number in range(20):
        later = psycopg.OperationalError(str(number))
        later.__cause__ = error
        error = later
    structlog.get_logger().error("bug", exc_info=error)
    assert len(_lines(stream)[0]["exception"]) == 5
