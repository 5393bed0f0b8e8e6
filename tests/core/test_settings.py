"""Settings: read from the environment and from files, refused early, frozen."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from app.core.settings import DatabaseSettings, Settings

KEY = "a-secret-key-with-more-than-32-characters"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No .env of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ETONG_SECRET_KEY", "short"),
        ("ETONG_TIMEZONE", "Asia/Atlantis"),
        ("ETONG_PORT", "65536"),
        ("ETONG_LOG_LEVEL", "loud"),
        ("ETONG_DATABASE__POOL_SIZE", "0"),
        ("ETONG_DATABASE__SURPRISE", "1"),
        ("ETONG_TOKENS__ACCESS_S", "901"),
        ("ETONG_STORE__ADDRESSING", "sideways"),
        ("ETONG_WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8,nonsense"),
        ("ETONG_WEBHOOKS__ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("ETONG_TERMINALS__BINDING", "whatever"),
    ],
)
def test_a_wrong_setting_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


def test_a_secret_file_that_is_missing_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ETONG_SECRET_KEY_FILE", str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError):
        Settings()


def test_settings_can_not_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]  # the point
    with pytest.raises(ValidationError):
        settings.database.pool_size = 1  # type: ignore[misc]  # the point


def test_groups_are_reached_by_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETONG_DATABASE__URL", "postgresql+psycopg://e@db/e")
    monkeypatch.setenv("ETONG_DATABASE__POOL_SIZE", "7")
    monkeypatch.setenv("ETONG_DATABASE__PREPARE_THRESHOLD", "none")
    monkeypatch.setenv("ETONG_STORE__ENDPOINT_URL", "http://store:9000")
    settings = Settings()
    assert settings.database.url.get_secret_value() == "postgresql+psycopg://e@db/e"
    assert (settings.database.pool_size, settings.store.endpoint_url) == (7, "http://store:9000")
    assert settings.database.prepare_threshold is None


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETONG_TRUSTED_PROXIES", "10.0.0.1, 10.0.0.2,")
    monkeypatch.setenv("ETONG_CORS_ORIGINS", "")
    monkeypatch.setenv("ETONG_WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8, 10.0.0.0/8 ,fd00::/8")
    settings = Settings()
    assert settings.trusted_proxies == ("10.0.0.1", "10.0.0.2")
    assert settings.cors_origins == ()
    assert settings.webhooks.allowed_networks == (
        ip_network("127.0.0.0/8"),
        ip_network("10.0.0.0/8"),
        ip_network("fd00::/8"),
    )


def test_the_env_file_is_read_and_the_environment_goes_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = f"ETONG_SECRET_KEY={KEY}\nETONG_PORT=8001\nETONG_DATABASE__POOL_SIZE=9\nOTHER=1\n"
    (tmp_path / ".env").write_text(lines, encoding="utf-8")
    monkeypatch.setenv("ETONG_PORT", "8002")
    settings = Settings()
    assert settings.secret_key.get_secret_value() == KEY
    assert (settings.port, settings.database.pool_size) == (8002, 9)


def test_secrets_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = {
        "ETONG_SECRET_KEY": KEY,
        "ETONG_DATABASE__URL": "postgresql+psycopg://e:p@db/e",
        "ETONG_STORE__SECRET_KEY": "s3cret",
    }
    for name, value in secrets.items():
        path = tmp_path / name.lower()
        path.write_text(value + "\n", encoding="utf-8")
        monkeypatch.setenv(f"{name}_FILE", str(path))
    settings = Settings()
    assert settings.secret_key.get_secret_value() == KEY
    assert settings.database.url.get_secret_value() == "postgresql+psycopg://e:p@db/e"
    assert settings.store.secret_key.get_secret_value() == "s3cret"


def test_what_is_said_itself_goes_before_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "url"
    path.write_text("postgresql+psycopg://from-a-file/e", encoding="utf-8")
    monkeypatch.setenv("ETONG_DATABASE__URL_FILE", str(path))
    monkeypatch.setenv("ETONG_DATABASE__URL", "postgresql+psycopg://said/e")
    assert Settings().database.url.get_secret_value() == "postgresql+psycopg://said/e"
    given = DatabaseSettings(url=SecretStr("postgresql+psycopg://given/e"))
    assert Settings(database=given).database == given


def test_secrets_are_not_printed() -> None:
    settings = Settings(
        secret_key=SecretStr(KEY), database=DatabaseSettings(url=SecretStr("x://u:geheim@h/d"))
    )
    for shown in (repr(settings), str(settings), str(settings.model_dump())):
        assert KEY not in shown
        assert "geheim" not in shown


def test_the_defaults_are_those_of_one_machine() -> None:
    settings = Settings(_env_file=None)
    assert (settings.host, settings.port, settings.timezone) == ("127.0.0.1", 8000, "Asia/Shanghai")
    assert settings.zone.key == "Asia/Shanghai"
    assert settings.embedded is False
    assert settings.terminals.binding == "open"
    assert settings.webhooks.allowed_networks == ()
