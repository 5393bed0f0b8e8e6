"""What a home keeps, for the operator's questions to a server that `etong run` keeps running."""

from pathlib import Path

from pydantic import SecretStr

from app.core.settings import Settings
from app.embedded.keepsakes import LOOPBACK, read_ports
from app.embedded.ownership import EmbeddedError
from app.embedded.postgres import DATABASE, ROLE
from app.embedded.store import read_keys


def with_kept(settings: Settings) -> Settings:
    """The settings with the addresses and secrets of the home, where they are not given.

    Reads only; whether anything runs there is for the caller to find out. Raises EmbeddedError
    where the home keeps none.
    """
    home = settings.home.resolve()
    update: dict[str, object] = {}
    try:
        if not settings.database.url.get_secret_value():
            url = SecretStr(_database_url(home))
            update["database"] = settings.database.model_copy(update={"url": url})
        if not settings.store.endpoint_url:
            update["store"] = settings.store.model_copy(update=_store(home))
        if not settings.secret_key.get_secret_value():
            update["secret_key"] = SecretStr(_text(home / "secret_key"))
    except (OSError, ValueError) as missing:
        raise EmbeddedError(
            f"{home} keeps no server: give ETONG_DATABASE__URL, or ETONG_HOME of an `etong run`"
            " / 该数据目录中没有内置服务"
        ) from missing
    return settings.model_copy(update=update)


def _database_url(home: Path) -> str:
    (port,) = read_ports(home / "postgres" / "port")
    password = _text(home / "postgres" / "password")
    return f"postgresql+psycopg://{ROLE}:{password}@{LOOPBACK}:{port}/{DATABASE}"


def _store(home: Path) -> dict[str, object]:
    port, *_ = read_ports(home / "store" / "ports")
    access_key, secret_key = read_keys(home / "store" / "s3.json")
    return {
        "endpoint_url": f"http://{LOOPBACK}:{port}",
        "access_key": SecretStr(access_key),
        "secret_key": SecretStr(secret_key),
    }


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
