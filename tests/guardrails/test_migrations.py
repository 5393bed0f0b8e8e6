"""One head, numbered without gaps, and the models are what the migrations make."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from app.core.settings import DatabaseSettings
from app.schema import configuration
from app.tables import TABLES, metadata


def test_the_migrations_are_one_numbered_line() -> None:
    script = ScriptDirectory.from_config(configuration(DatabaseSettings()))
    assert len(script.get_heads()) == 1
    line = [revision.revision for revision in script.walk_revisions()][::-1]
    assert line == [f"{number:04}" for number in range(1, len(line) + 1)]


def test_every_migration_file_begins_with_its_number() -> None:
    script = ScriptDirectory.from_config(configuration(DatabaseSettings()))
    for revision in script.walk_revisions():
        assert revision.path.rsplit("/", 1)[1].startswith(f"{revision.revision}_")


def _is_ours(name: str | None, kind: str, _: object) -> bool:
    """The tables of jobs are their library's, and no model describes them."""
    return kind != "table" or not (name or "").startswith("procrastinate_")


def test_the_models_are_what_the_migrations_make(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": _is_ours,
            },
        )
        different = compare_metadata(context, metadata)
    engine.dispose()
    assert different == []


def test_every_table_is_listed() -> None:
    listed = {table.__tablename__ for table in TABLES}
    assert listed == set(metadata.tables)
