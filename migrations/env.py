"""Runs migrations online, under timeouts: a migration waits for nobody while traffic flows."""

import os

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.tables import metadata

LOCK_KEY = 0x6D696772  # "migr": two migrating processes take turns

url = context.config.attributes.get("url") or os.environ["ETONG_DATABASE__URL"]
engine = create_engine(url, poolclass=NullPool)
with engine.connect() as connection:
    connection.execute(text(f"SELECT pg_advisory_lock({LOCK_KEY})"))
    connection.execute(text("SET lock_timeout = '2s'"))
    connection.execute(text("SET statement_timeout = '10min'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=True,
    )
    context.run_migrations()
    connection.commit()
    connection.execute(text(f"SELECT pg_advisory_unlock({LOCK_KEY})"))
    connection.commit()
engine.dispose()
