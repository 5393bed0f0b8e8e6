"""Ids of deleted incidents are kept: an id is used once, for ever (I8)."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "deleted_incidents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "deleted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_incidents")),
    )
    op.execute(
        """
        CREATE FUNCTION deleted_incident_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          INSERT INTO deleted_incidents (id) VALUES (old.id) ON CONFLICT DO NOTHING;
          RETURN old;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER incidents_deleted BEFORE DELETE ON incidents"
        " FOR EACH ROW EXECUTE FUNCTION deleted_incident_is_kept()"
    )
    # whoever may pass over the history's trigger must not pass over this one with it
    op.execute("ALTER TABLE incidents ENABLE ALWAYS TRIGGER incidents_deleted")


def downgrade() -> None:
    op.execute("DROP TRIGGER incidents_deleted ON incidents")
    op.execute("DROP FUNCTION deleted_incident_is_kept()")
    op.drop_table("deleted_incidents")
