"""Two years of a district: as many incidents as asked for, spread as they would be.

Rows are made by the database itself, in the order of time, triggers and secondary indexes away
meanwhile, and look like what the product writes: a matter has its steps, the sights they give, its
words; nearly all are closed, what is open is young. Histories and files are left out: lists do not
read them.
"""

from collections.abc import Callable
from datetime import datetime

import psycopg

TABLES = ("incidents", "steps", "sights", "incident_words")
OPEN_DAYS = 12
"""Older matters are over."""

_PREPARE = """
CREATE TEMP TABLE g AS
SELECT row_number() OVER (ORDER BY md5(grid.code)) AS n, grid.id AS area_id, grid.code AS grid,
  village.code AS village, township.code AS township, township.parent_code AS district,
  coalesce(grid.lon, village.lon, 106.68) AS lon, coalesce(grid.lat, village.lat, 35.54) AS lat,
  village.name AS place, centre.id AS village_unit, above.id AS township_unit,
  (SELECT u.id FROM units u WHERE u.parent_id = above.id AND u.kind = 'department'
    ORDER BY u.code = township.code || '-police' DESC, u.code LIMIT 1) AS member,
  (SELECT u.id FROM units u WHERE u.code = township.parent_code) AS district_unit,
  gen_random_uuid() AS worker
FROM areas grid
JOIN areas village ON village.code = grid.parent_code AND village.valid_to IS NULL
JOIN areas township ON township.code = village.parent_code AND township.valid_to IS NULL
JOIN units centre ON centre.code = village.code
JOIN units above ON above.code = township.code
WHERE grid.level = 'grid' AND grid.valid_to IS NULL;
INSERT INTO people
SELECT (jsonb_populate_record(p, jsonb_build_object(
  'id', g.worker, 'username', 'worker-' || g.grid, 'name', '网格员' || g.n))).*
FROM g, people p WHERE p.username = 'worker-yonghong';
UPDATE g SET worker = p.person_id FROM person_grids p WHERE p.grid_code = g.grid;
CREATE TEMP TABLE c AS
SELECT row_number() OVER (ORDER BY md5(code)) AS n, code, split_part(root, '/', 1) AS root,
  split_part(root, '/', 2)::boolean AS sealed, name
FROM (
  SELECT l.code, l.name, (WITH RECURSIVE up AS (
      SELECT code, parent_code, sealed FROM categories WHERE code = l.code
      UNION ALL SELECT k.code, k.parent_code, k.sealed OR up.sealed
      FROM categories k JOIN up ON k.code = up.parent_code)
    SELECT code || '/' || sealed FROM up WHERE parent_code IS NULL) AS root
  FROM categories l
  WHERE NOT EXISTS (SELECT FROM categories b WHERE b.parent_code = l.code)
) leaves;
CREATE TEMP TABLE w (n int, said text);
INSERT INTO w SELECT row_number() OVER () - 1, s FROM unnest(ARRAY[
  '楼道堆放杂物，堵塞消防通道', '邻里因噪音发生纠纷，需要调解', '路灯损坏，夜间行走不便',
  '井盖缺失，存在安全隐患', '拖欠工资，多名工人反映', '电线老化裸露，有漏电危险',
  '垃圾未及时清运，气味难闻', '婚姻家庭矛盾，双方情绪激动', '土地边界纠纷，双方各执一词',
  '燃气管道有异味，已通知停用', '车辆占用盲道', '下水道堵塞，污水外溢', '墙体开裂，疑似危房',
  '独居老人需要帮扶', '山体滑坡迹象，已拉警戒线', '自来水停水两天', '占道经营，影响通行',
  '宠物伤人引发争执', '物业费争议', '外来人员登记核查']) AS s;
"""

_FILL = """
CREATE TEMP TABLE m AS
SELECT gen_random_uuid() AS id, gen_random_uuid() AS step_id, gen_random_uuid() AS second_id,
  i, %(now)s::timestamptz - make_interval(secs => (%(count)s - i) * (63072000.0 / %(count)s)) AS at,
  1 + floor(power(random(), 1.6) * (SELECT count(*) FROM g))::int AS gn,
  1 + floor(power(random(), 2.2) * (SELECT count(*) FROM c))::int AS cn,
  floor(random() * 20)::int AS wn, random() AS how, random() AS end_, random() AS lot
FROM generate_series(1, %(count)s) i;
CREATE TEMP TABLE d AS
SELECT m.*, g.area_id, g.grid, g.village, g.township, g.district, g.lon, g.lat, g.place,
  g.village_unit, g.township_unit, g.member, g.district_unit, g.worker, w.said, c.code, c.root,
  c.sealed, c.name,
  CASE WHEN m.how < 0.02 THEN 'critical' WHEN m.how < 0.12 THEN 'urgent'
    WHEN m.how < 0.16 THEN 'complex' ELSE 'routine' END AS urgency,
  m.how < 0.12 OR m.how > 0.90 AS to_township, m.how < 0.06 OR m.how > 0.96 AS to_member,
  m.how BETWEEN 0.900 AND 0.904 AS to_district,
  CASE WHEN m.at < %(now)s::timestamptz - make_interval(days => %(open_days)s)
      OR random() < 0.4 THEN
    CASE WHEN m.end_ < 0.95 THEN 'closed' WHEN m.end_ < 0.98 THEN 'rejected' ELSE 'voided' END
  ELSE (ARRAY['submitted', 'submitted', 'accepted', 'dispatched', 'in_progress', 'in_progress',
    'in_progress', 'handled', 'returned'])[1 + floor(m.end_ * 9)::int] END AS state
FROM m JOIN g ON g.n = m.gn JOIN c ON c.n = m.cn JOIN w ON w.n = m.wn;
INSERT INTO incidents (id, number, fingerprint, district_code, township_code, village_code,
  grid_code, area_code, area_id, category, root, urgency, sealed, text, source, state, revision,
  history_seq, history_head, reporter_id, entered_by, received_at, lon, lat, place, grid_uncertain,
  grid_candidates, parties, owner_unit_id, current_step_id, outcome, completed_by, self_handled,
  rework_count, closed_at)
SELECT id, township || '-' || to_char(at, 'YYYYMMDD') || '-' || lpad(i::text, 7, '0'), '\\x00',
  district, township, village, grid, grid, area_id, code, root, urgency, sealed,
  place || said || '（' || name || '）' || CASE WHEN lot < 0.0005 THEN '，涉及文物保护' ELSE '' END,
  'patrol', state, 3, 3, '\\x00', worker, worker, at,
  lon + (random() - 0.5) * 0.01, lat + (random() - 0.5) * 0.008,
  jsonb_build_object('address', place || (1 + floor(lot * 40))::int || '号楼'), false, '[]', '[]',
  CASE WHEN to_member THEN member WHEN to_district THEN district_unit
    WHEN to_township THEN township_unit ELSE village_unit END,
  CASE WHEN state IN ('rejected', 'voided') THEN NULL ELSE step_id END,
  CASE WHEN state IN ('closed', 'handled') THEN '已处理' END, NULL, false, 0,
  CASE WHEN state = 'closed' THEN at + interval '2 days' END
FROM d ORDER BY i;
INSERT INTO steps (id, incident_id, unit_id, opened_by, state, opened_at, ended_at, stage,
  clock_started_at, due_at, yellow_at, supervision)
SELECT step_id, id,
  CASE WHEN to_member THEN member WHEN to_district THEN district_unit
    WHEN to_township THEN township_unit ELSE village_unit END,
  CASE WHEN to_district THEN district_unit WHEN to_township OR to_member THEN township_unit
    ELSE village_unit END,
  state, at, CASE WHEN state IN ('rejected', 'voided') THEN at + interval '1 day' END,
  stage, CASE WHEN stage IS NOT NULL THEN at END,
  CASE WHEN stage IS NOT NULL THEN at + interval '9 days' END,
  CASE WHEN stage IS NOT NULL THEN at + interval '7 days' END,
  CASE WHEN lot < 0.01 THEN 'yellow' WHEN lot > 0.998 THEN 'red' ELSE 'normal' END
FROM (SELECT d.*, CASE state WHEN 'submitted' THEN 'accept' WHEN 'accepted' THEN 'dispatch'
    WHEN 'dispatched' THEN 'sign' WHEN 'in_progress' THEN 'handle' WHEN 'handled' THEN 'verify'
    END AS stage FROM d) d ORDER BY i;
INSERT INTO steps (id, incident_id, unit_id, opened_by, state, opened_at, ended_at, supervision)
SELECT second_id, id, village_unit, village_unit, 'accepted', at, at + interval '1 hour', 'normal'
FROM d WHERE to_township ORDER BY i;
INSERT INTO sights (incident_id, unit_id, received_at, alone)
SELECT DISTINCT ON (i.id, s.unit_id) i.id, s.unit_id, i.received_at,
  NOT coalesce(u.kind = 'centre' AND NOT i.sealed AND u.area_code = CASE u.level
    WHEN 'village' THEN i.village_code WHEN 'township' THEN i.township_code
    WHEN 'district' THEN i.district_code END, false)
FROM incidents i JOIN (SELECT incident_id, unit_id FROM steps
  UNION SELECT incident_id, opened_by FROM steps) s ON s.incident_id = i.id
JOIN units u ON u.id = s.unit_id;
INSERT INTO incident_words SELECT id, words_of(text, number, place->>'address')
FROM incidents WHERE NOT sealed;
"""


def fill(url: str, count: int, now: datetime, say: Callable[[str], None]) -> None:
    """Into a seeded district without incidents; analysed afterwards."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        run = connection.execute
        run("SET session_replication_role = replica")
        run("SET maintenance_work_mem = '512MB'")
        run("SET work_mem = '128MB'")
        run("SET synchronous_commit = off")
        indexes = run(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s)"
            " AND indexname NOT LIKE 'pk_%%'",
            [list(TABLES)],
        ).fetchall()
        kept = [(name, definition) for name, definition in indexes if "uq_incidents" not in name]
        for name, _ in kept:
            run(f'DROP INDEX "{name}"')
        run(_PREPARE)
        given = {"now": now, "count": count, "open_days": OPEN_DAYS}
        for statement in _FILL.strip().split(";\n"):
            cursor = psycopg.ClientCursor(connection)
            cursor.execute(statement.encode(), given)
            say(f"  {statement.split('(')[0].strip()[:40]}: {cursor.rowcount} rows")
        for _, definition in kept:
            run(definition)
        say("  indexes")
        run("VACUUM ANALYZE")
