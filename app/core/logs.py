"""JSON lines on stderr: ours and every library's through one handler.

A line holds an event's fixed name, codes, counts and ids. What people wrote or are called never
gets in: exceptions are shown by type and place, without their message (a database quotes the row,
Pydantic the input), and keys that could only hold such text are withheld.
"""

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any, TextIO

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter

Line = MutableMapping[str, Any]

_WITHHELD = frozenset(
    {
        "address",
        "authorization",
        "body",
        "filename",
        "name",
        "outcome",
        "password",
        "phone",
        "reason",
        "secret",
        "text",
        "title",
        "token",
        "url",
        "username",
    }
)
_LONGEST = 200
_FRAMES = 20
_DEEPEST = 3
_LIBRARIES = "site-packages"
_CHAIN = 5
_CHATTY = ("boto3", "botocore", "httpcore", "httpx", "s3transfer", "urllib3", "PIL")
"""They log addresses, some with keys in them."""


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (stderr) as JSON; call it once at start.

    `level`: debug, info, warning, error. uvicorn must run with `log_config=None` and
    `access_log=False`; RequestContext writes the line per request.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    logging.captureWarnings(capture=True)
    _tame_libraries()


def _formatter() -> ProcessorFormatter:
    return ProcessorFormatter(
        foreign_pre_chain=[structlog.contextvars.merge_contextvars, _first_line],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _show_exception,
            _withhold,
            structlog.processors.JSONRenderer(serializer=_dump),
        ],
    )


def _tame_libraries() -> None:
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = name != "uvicorn.access"
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _first_line(_logger: object, _method: str, line: Line) -> Line:
    """Libraries (asyncio) put the reason, with its text, from the second line on."""
    line["event"] = next(iter(str(line["event"]).splitlines()), "")[:_LONGEST]
    record = line.get("_record")
    line["logger"] = record.name if record is not None else ""
    return line


def _show_exception(_logger: object, _method: str, line: Line) -> Line:
    given = line.pop("exc_info", None)
    if given is True or isinstance(given, tuple):
        given = (given if isinstance(given, tuple) else sys.exc_info())[1]
    if isinstance(given, BaseException):
        line["exception"] = [_shown(error) for error in _chain(given)]
    return line


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_CHAIN):
        if error is None:
            return
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _shown(error: BaseException) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "at": _places(traceback.extract_tb(error.__traceback__)),
    }
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate is not None:
        shown["sqlstate"] = str(sqlstate)
    return shown


def _places(frames: Sequence[traceback.FrameSummary]) -> list[str]:
    """Our own frames, and where in a library it ended."""
    own = [frame for frame in frames if _LIBRARIES not in frame.filename][-_FRAMES:]
    deepest = [frame for frame in frames[-_DEEPEST:] if _LIBRARIES in frame.filename]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in (*own, *deepest)]


def _withhold(_logger: object, _method: str, line: Line) -> Line:
    for key, value in line.items():
        if key.lower() in _WITHHELD:
            line[key] = "withheld"
        elif isinstance(value, str):
            line[key] = value[:_LONGEST]
    return line


def _dump(line: Line, **_: object) -> str:
    return orjson.dumps(line, default=str).decode()
