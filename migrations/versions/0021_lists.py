"""Lists: what a unit sees by its steps, the words of a search, indexes of filters, exports."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WORDS_OF = r"""
CREATE FUNCTION words_of(VARIADIC texts text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  WITH runs AS (
    SELECT row_number() OVER () AS run, m[1] AS latin, m[2] AS other
    FROM unnest(texts) AS t(words),
      regexp_matches(lower(normalize(words, NFKC)),
        '([a-z0-9]+)|([^\u0001-\u007f\u2010-\u2027\u3000-\u3020]+)', 'g') AS m
  ), characters AS (
    SELECT run, c, lead(c) OVER (PARTITION BY run ORDER BY n) AS following
    FROM runs, unnest(string_to_array(other, NULL)) WITH ORDINALITY AS l(c, n)
  )
  SELECT coalesce(array_agg(word), '{}') FROM (
    SELECT latin AS word FROM runs WHERE latin IS NOT NULL
    UNION SELECT c FROM characters
    UNION SELECT c || following FROM characters WHERE following IS NOT NULL
  ) words
$$
"""
"""Letters and digits as whole words; of other scripts each character and each pair."""

_SEES_BY_PLACE = """
CREATE FUNCTION sees_by_place(seeing uuid, seen uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce(u.kind = 'centre' AND NOT i.sealed AND u.area_code = CASE u.level
    WHEN 'village' THEN i.village_code WHEN 'township' THEN i.township_code
    WHEN 'district' THEN i.district_code END, false)
  FROM units u, incidents i WHERE u.id = seeing AND i.id = seen
$$
"""

_STEP_GIVES_SIGHT = """
CREATE FUNCTION step_gives_sight() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO sights (incident_id, unit_id, received_at, alone, informed)
  SELECT i.id, u.unit_id, i.received_at, NOT sees_by_place(u.unit_id, i.id), false
  FROM incidents i, (SELECT new.unit_id UNION SELECT new.opened_by) u(unit_id)
  WHERE i.id = new.incident_id
  ON CONFLICT (incident_id, unit_id) DO UPDATE SET informed = false WHERE sights.informed;
  RETURN NULL;
END $$
"""

_INFORMING_GIVES_SIGHT = """
CREATE FUNCTION informing_gives_sight() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO sights (incident_id, unit_id, received_at, alone, informed)
  SELECT i.id, new.unit_id, i.received_at, NOT sees_by_place(new.unit_id, i.id), true
  FROM incidents i WHERE i.id = new.incident_id
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$
"""

_SIGHTS_FOLLOW_PLACE = """
CREATE FUNCTION sights_follow_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE sights s SET alone = NOT sees_by_place(s.unit_id, s.incident_id)
  WHERE s.incident_id = new.id;
  IF new.sealed THEN
    DELETE FROM incident_words w WHERE w.incident_id = new.id;
  END IF;
  RETURN NULL;
END $$
"""

_SIGHTS_FOLLOW_UNIT = """
CREATE FUNCTION sights_follow_unit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE sights s SET alone = NOT sees_by_place(s.unit_id, s.incident_id)
  WHERE s.unit_id = new.id;
  RETURN NULL;
END $$
"""

_FUNCTIONS = (
    _SEES_BY_PLACE,
    _STEP_GIVES_SIGHT,
    _INFORMING_GIVES_SIGHT,
    _SIGHTS_FOLLOW_PLACE,
    _SIGHTS_FOLLOW_UNIT,
)
_TRIGGERS = (
    """
    CREATE TRIGGER steps_give_sight AFTER INSERT ON steps
    FOR EACH ROW EXECUTE FUNCTION step_gives_sight()
    """,
    """
    CREATE TRIGGER informed_units_give_sight AFTER INSERT ON informed_units
    FOR EACH ROW EXECUTE FUNCTION informing_gives_sight()
    """,
    """
    CREATE TRIGGER sights_follow_place
    AFTER UPDATE OF sealed, district_code, township_code, village_code ON incidents FOR EACH ROW
    WHEN ((new.sealed, new.district_code, new.township_code, new.village_code) IS DISTINCT FROM
      (old.sealed, old.district_code, old.township_code, old.village_code))
    EXECUTE FUNCTION sights_follow_place()
    """,
    """
    CREATE TRIGGER sights_follow_unit AFTER UPDATE OF kind, level, area_code ON units FOR EACH ROW
    WHEN ((new.kind, new.level, new.area_code) IS DISTINCT FROM
      (old.kind, old.level, old.area_code))
    EXECUTE FUNCTION sights_follow_unit()
    """,
)
_INDEXES = (
    ("ix_incidents_district", "incidents", ["district_code", "received_at", "id"], None),
    ("ix_incidents_category", "incidents", ["category", "received_at", "id"], None),
    ("ix_incidents_state", "incidents", ["state", "received_at", "id"], None),
    (
        "ix_incidents_pressing",
        "incidents",
        ["urgency", "received_at", "id"],
        "urgency <> 'routine'",
    ),
    ("ix_incidents_point", "incidents", ["lat", "lon"], None),
    (
        "ix_incidents_entered_by",
        "incidents",
        ["entered_by", "received_at", "id"],
        "entered_by <> reporter_id",
    ),
    (
        "ix_incidents_sealed_handled",
        "incidents",
        ["received_at", "id"],
        "sealed AND state = 'handled'",
    ),
    (
        "ix_steps_assisting",
        "steps",
        ["unit_id", "incident_id"],
        "ended_at IS NULL AND assists IS NOT NULL",
    ),
    ("ix_steps_open_unit", "steps", ["unit_id", "due_at"], "due_at IS NOT NULL"),
    ("ix_steps_open_opened_by", "steps", ["opened_by", "due_at"], "due_at IS NOT NULL"),
    (
        "ix_steps_supervised",
        "steps",
        ["supervision"],
        "ended_at IS NULL AND supervision <> 'normal'",
    ),
    ("ix_clearances_broke_glass", "clearances", ["person_id"], "broke_glass"),
)


def upgrade() -> None:
    _search()
    _sights()
    op.drop_index("ix_incidents_received", table_name="incidents")
    for name, table, columns, condition in _INDEXES:
        where = sa.text(condition) if condition else None
        op.create_index(name, table, columns, unique=False, postgresql_where=where)
    _exports()


def _search() -> None:
    op.execute(_WORDS_OF)
    op.create_table(
        "incident_words",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("words", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"],
            ["incidents.id"],
            name=op.f("fk_incident_words_incident_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_incident_words")),
    )
    op.execute("ALTER TABLE incident_words ALTER COLUMN words SET STATISTICS 1000")
    op.execute(
        "INSERT INTO incident_words SELECT id, words_of(text, number, place->>'address')"
        " FROM incidents WHERE NOT sealed"
    )
    # what waits to be sorted in is read whole by every search: little may wait
    op.execute(
        "CREATE INDEX ix_incident_words_words ON incident_words USING gin (words)"
        " WITH (gin_pending_list_limit = 256)"
    )


def _sights() -> None:
    op.create_table(
        "sights",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("alone", sa.Boolean(), nullable=False),
        sa.Column("informed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"],
            ["incidents.id"],
            name=op.f("fk_sights_incident_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name=op.f("fk_sights_unit_id")),
        sa.PrimaryKeyConstraint("incident_id", "unit_id", name=op.f("pk_sights")),
    )
    for function in _FUNCTIONS:
        op.execute(function)
    op.execute(
        """
        INSERT INTO sights (incident_id, unit_id, received_at, alone, informed)
        SELECT i.id, s.unit_id, i.received_at, NOT sees_by_place(s.unit_id, i.id), s.informed
        FROM incidents i JOIN (
          SELECT incident_id, unit_id, bool_and(informed) AS informed FROM (
            SELECT incident_id, unit_id, false AS informed FROM steps
            UNION SELECT incident_id, opened_by, false FROM steps
            UNION SELECT incident_id, unit_id, true FROM informed_units
          ) each_of_them GROUP BY incident_id, unit_id
        ) s ON s.incident_id = i.id
        """
    )
    columns = ["unit_id", "received_at", "incident_id"]
    op.create_index("ix_sights_unit_id", "sights", columns, unique=False)
    op.create_index(
        "ix_sights_alone", "sights", columns, unique=False, postgresql_where=sa.text("alone")
    )
    for trigger in _TRIGGERS:
        op.execute(trigger)


def _exports() -> None:
    op.create_table(
        "incident_exports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("filters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("tries", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued','running','done','failed')",
            name=op.f("ck_incident_exports_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_exports")),
    )
    op.create_index("ix_incident_exports_due_at", "incident_exports", ["due_at"], unique=False)
    op.create_index(
        "ix_incident_exports_person_id", "incident_exports", ["person_id"], unique=False
    )


def downgrade() -> None:
    op.drop_table("incident_exports")
    op.create_index("ix_incidents_received", "incidents", ["received_at", "id"], unique=False)
    for name, table, _, _ in _INDEXES:
        op.drop_index(name, table_name=table)
    op.execute("DROP TRIGGER sights_follow_unit ON units")
    op.execute("DROP TRIGGER sights_follow_place ON incidents")
    op.execute("DROP TRIGGER informed_units_give_sight ON informed_units")
    op.execute("DROP TRIGGER steps_give_sight ON steps")
    for function in (
        "sights_follow_unit()",
        "sights_follow_place()",
        "informing_gives_sight()",
        "step_gives_sight()",
    ):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("sights")
    op.execute("DROP FUNCTION sees_by_place(uuid, uuid)")
    op.drop_table("incident_words")
    op.execute("DROP FUNCTION words_of(text[])")
