"""
P5: a duplicate call, against a prepared SELECT by primary key.

The SELECT looks a text key up in a table of as many rows and is sent the key
alone; the duplicate is sent its payload too, which has to be compared.
"""

from p01_new_key import PAYLOAD, SETUP as TABLES

TITLE = "P5: a duplicate"
KEYS = 100000

# all keys: a server that has just started remembers none
WARM = f"""
SELECT count(*) FROM wf_enqueue_many('order',
    array(SELECT :'payload'::jsonb FROM generate_series(1, {KEYS})),
    array(SELECT i::text FROM generate_series(1, {KEYS}) i));
SELECT count(*) FROM wf_enqueue_many('small',
    array(SELECT '{{}}'::jsonb FROM generate_series(1, {KEYS})),
    array(SELECT i::text FROM generate_series(1, {KEYS}) i));
"""

SETUP = TABLES + f"""
CREATE TABLE lookup (key text COLLATE "C" PRIMARY KEY, run_id uuid NOT NULL, state text NOT NULL, payload jsonb);
INSERT INTO lookup SELECT i, gen_random_uuid(), 'queued', :'payload' FROM generate_series(1, {KEYS}) i;
INSERT INTO baseline (workflow, payload, key) SELECT 'order', :'payload', i FROM generate_series(1, {KEYS}) i;
SELECT wf_create_workflow('small', NULL);
""" + WARM

KEY = f"\\set key random(1, {KEYS})\n"
CONTENDERS = {
    "SELECT by primary key": KEY + "SELECT run_id, state FROM lookup WHERE key = :key::text;\n",
    "wf_enqueue, duplicate": KEY + "SELECT wf_enqueue('order', :payload, :key);\n",
    "wf_enqueue, duplicate, payload {}": KEY + "SELECT wf_enqueue('small', '{}', :key);\n",
    "INSERT ON CONFLICT DO NOTHING, duplicate": KEY + (
        "INSERT INTO baseline (workflow, payload, key) VALUES ('order', :payload, :key) "
        "ON CONFLICT (workflow, key) DO NOTHING RETURNING run_id;\n"),
    "plpgsql with an advisory lock, duplicate": KEY + "SELECT enqueue_by_hand('order', :payload, :key);\n",
}


def run(bench):
    """Measure rates, and that nothing is written."""
    bench.server.sql(f"\\set payload '{PAYLOAD}'\n" + SETUP)
    bench.server.sql("VACUUM ANALYZE")
    rows = []
    by_clients = []
    for clients, sync in bench.settings():
        if sync == "on":
            continue                               # nothing is written
        found = bench.interleave(CONTENDERS, clients, sync, variables={"payload": PAYLOAD})
        bench.report.bar("P5", "duplicate against a SELECT by primary key", found["wf_enqueue, duplicate"].setting,
                         bench.ratios(found, "wf_enqueue, duplicate", "SELECT by primary key"), 0.9)
        rows += found.values()
        by_clients += [(clients, row) for row in found.values()]
    # nothing but the calls may write while this is looked at
    bench.server.sql("ALTER SYSTEM SET pg_workflow.audit = 'count'")
    wal = bench.wal_per_call(CONTENDERS["wf_enqueue, duplicate"], variables={"payload": PAYLOAD})
    before = bench.server.value("SELECT pg_snapshot_xmax(pg_current_snapshot())")
    bench.server.pgbench(CONTENDERS["wf_enqueue, duplicate"], transactions=1000, variables={"payload": PAYLOAD})
    after = bench.server.value("SELECT pg_snapshot_xmax(pg_current_snapshot())")
    bench.report.section(TITLE, f"{KEYS:,} keys. WAL of a duplicate: {wal:.1f} bytes; transaction ids used by 1,000 "
                         f"duplicates: {int(after) - int(before)}.", rows)
    bench.chart_by_clients("duplicate.svg", "A duplicate", "calls/s", by_clients)
