"""
P5: beginning a task that has completed, against a prepared SELECT by primary
key of a table that remembers results.
"""

TITLE = "P5: a completed task"
KEYS = 100000

SETUP = f"""
CREATE TABLE memo (key text COLLATE "C" PRIMARY KEY, result jsonb NOT NULL, expires_at timestamptz NOT NULL);
INSERT INTO memo SELECT i, '{{"ok": true}}', now() + '1 day' FROM generate_series(1, {KEYS}) i;
SELECT count(wf_task_put(i::text, '{{"ok": true}}')) FROM generate_series(1, {KEYS}) i;
"""

KEY = f"\\set key random(1, {KEYS})\n"
CONTENDERS = {
    "SELECT by primary key, not expired": KEY + (
        "SELECT result FROM memo WHERE key = :key::text AND expires_at > now();\n"),
    "wf_task_begin, completed": KEY + "SELECT status, result FROM wf_task_begin(:key);\n",
    "wf_task_get": KEY + "SELECT wf_task_get(:key);\n",
}


def run(bench):
    """Measure rates.  The dispatcher writes the audit meanwhile, as it would elsewhere."""
    bench.server.sql(SETUP)
    bench.server.sql("VACUUM ANALYZE")
    rows = []
    for clients, sync in bench.settings():
        if sync == "on":
            continue                               # nothing is written
        found = bench.interleave(CONTENDERS, clients, sync)
        rows += found.values()
    bench.report.section(TITLE, f"{KEYS:,} keys.", rows)
