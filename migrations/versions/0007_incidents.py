"""Incidents: matters, steps, append-only history, attachments."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "incident_serials",
        sa.Column("area_code", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("area_code", "day", name=op.f("pk_incident_serials")),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("district_code", sa.Text(), nullable=False),
        sa.Column("township_code", sa.Text(), nullable=True),
        sa.Column("village_code", sa.Text(), nullable=True),
        sa.Column("grid_code", sa.Text(), nullable=True),
        sa.Column("area_code", sa.Text(), nullable=False),
        sa.Column("area_id", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("history_seq", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("history_head", sa.LargeBinary(), nullable=False),
        sa.Column("reporter_id", sa.Uuid(), nullable=False),
        sa.Column("entered_by", sa.Uuid(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("client_offset_s", sa.BigInteger(), nullable=True),
        sa.Column("lon", sa.Double(), nullable=True),
        sa.Column("lat", sa.Double(), nullable=True),
        sa.Column("place", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("grid_uncertain", sa.Boolean(), nullable=False),
        sa.Column("grid_candidates", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("raiser", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("parties", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("appointment_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("owner_unit_id", sa.Uuid(), nullable=False),
        sa.Column("current_step_id", sa.Uuid(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("completed_by", sa.Uuid(), nullable=True),
        sa.Column("self_handled", sa.Boolean(), nullable=False),
        sa.Column("rework_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("merged_into", sa.Uuid(), nullable=True),
        sa.Column("score", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name=op.f("fk_incidents_area_id")),
        sa.ForeignKeyConstraint(
            ["category"], ["categories.code"], name=op.f("fk_incidents_category")
        ),
        sa.ForeignKeyConstraint(
            ["owner_unit_id"], ["units.id"], name=op.f("fk_incidents_owner_unit_id")
        ),
        sa.ForeignKeyConstraint(
            ["reporter_id"], ["people.id"], name=op.f("fk_incidents_reporter_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sa.UniqueConstraint("number", name=op.f("uq_incidents_number")),
    )
    op.create_index(
        "ix_incidents_grid", "incidents", ["grid_code", "received_at", "id"], unique=False
    )
    op.create_index(
        "ix_incidents_owner",
        "incidents",
        ["owner_unit_id", "state", "received_at", "id"],
        unique=False,
    )
    op.create_index("ix_incidents_received", "incidents", ["received_at", "id"], unique=False)
    op.create_index(
        "ix_incidents_reporter", "incidents", ["reporter_id", "received_at", "id"], unique=False
    )
    op.create_index(
        "ix_incidents_township", "incidents", ["township_code", "received_at", "id"], unique=False
    )
    op.create_index(
        "ix_incidents_village", "incidents", ["village_code", "received_at", "id"], unique=False
    )
    op.create_table(
        "history_entries",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("step_id", sa.Uuid(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("texts_digest", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_history_entries_incident_id")
        ),
        sa.PrimaryKeyConstraint("incident_id", "seq", name=op.f("pk_history_entries")),
    )
    op.create_table(
        "incident_media",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("attachment_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=True),
        sa.Column("added_by", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_incident_media_incident_id")
        ),
        sa.ForeignKeyConstraint(
            ["media_id"], ["media_files.id"], name=op.f("fk_incident_media_media_id")
        ),
        sa.PrimaryKeyConstraint("incident_id", "attachment_id", name=op.f("pk_incident_media")),
        sa.UniqueConstraint("media_id", name=op.f("uq_incident_media_media_id")),
    )
    op.create_table(
        "steps",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("opened_by", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("clock_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("yellow_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("supervision", sa.Text(), server_default=sa.text("'normal'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_steps_incident_id")
        ),
        sa.ForeignKeyConstraint(["opened_by"], ["units.id"], name=op.f("fk_steps_opened_by")),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name=op.f("fk_steps_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_steps")),
    )
    op.create_index(
        "ix_steps_due_at",
        "steps",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_steps_incident_id", "steps", ["incident_id"], unique=False)
    op.create_index("ix_steps_opened_by", "steps", ["opened_by", "incident_id"], unique=False)
    op.create_index("ix_steps_unit_id", "steps", ["unit_id", "incident_id"], unique=False)
    op.create_index(
        "uq_steps_current",
        "steps",
        ["incident_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "supplements",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("added_by", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_supplements_incident_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supplements")),
    )
    op.create_index("ix_supplements_incident_id", "supplements", ["incident_id"], unique=False)
    op.execute(
        """
        CREATE FUNCTION history_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF TG_OP = 'UPDATE'
            AND to_jsonb(new) - 'reason' - 'text' = to_jsonb(old) - 'reason' - 'text'
            AND (new.reason IS NULL OR new.reason = old.reason)
            AND (new.text IS NULL OR new.text = old.text) THEN
            RETURN new;  -- texts may be erased, never changed
          END IF;
          RAISE EXCEPTION 'the history is append-only';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER history_entries_append_only BEFORE UPDATE OR DELETE ON history_entries"
        " FOR EACH ROW EXECUTE FUNCTION history_is_append_only()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER history_entries_append_only ON history_entries")
    op.execute("DROP FUNCTION history_is_append_only()")
    op.drop_index("ix_supplements_incident_id", table_name="supplements")
    op.drop_table("supplements")
    op.drop_index(
        "uq_steps_current", table_name="steps", postgresql_where=sa.text("ended_at IS NULL")
    )
    op.drop_index("ix_steps_unit_id", table_name="steps")
    op.drop_index("ix_steps_opened_by", table_name="steps")
    op.drop_index("ix_steps_incident_id", table_name="steps")
    op.drop_index(
        "ix_steps_due_at", table_name="steps", postgresql_where=sa.text("ended_at IS NULL")
    )
    op.drop_table("steps")
    op.drop_table("incident_media")
    op.drop_table("history_entries")
    op.drop_index("ix_incidents_village", table_name="incidents")
    op.drop_index("ix_incidents_township", table_name="incidents")
    op.drop_index("ix_incidents_reporter", table_name="incidents")
    op.drop_index("ix_incidents_received", table_name="incidents")
    op.drop_index("ix_incidents_owner", table_name="incidents")
    op.drop_index("ix_incidents_grid", table_name="incidents")
    op.drop_table("incidents")
    op.drop_table("incident_serials")
