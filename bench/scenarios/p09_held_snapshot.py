"""
P9: produce and consume at full speed while a REPEATABLE READ snapshot is held
open: the last part against the first; beside a SKIP LOCKED + DELETE queue.
"""

import subprocess
import time

import chart
from p07_claims import PAYLOAD
from report import Row, median

TITLE = "P9: under a held snapshot"

SETUP = """
SELECT wf_create_workflow('job', retention => '1 minute');
CREATE TABLE queue (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload jsonb);
"""

PRODUCE_AND_CONSUME = {
    "wf_enqueue_many, wf_claim, wf_complete": f"""
SELECT count(*) FROM wf_enqueue_many('job', (SELECT array_agg({PAYLOAD}) FROM generate_series(1, 20) i));
SELECT count(wf_complete(run_id, attempt, '{{"ok": true}}')) FROM wf_claim('{{job}}', 20, '5 minutes');
""",
    "SKIP LOCKED + DELETE": f"""
INSERT INTO queue (payload) SELECT {PAYLOAD} FROM generate_series(1, 20) i;
DELETE FROM queue WHERE id IN (SELECT id FROM queue ORDER BY id LIMIT 20 FOR UPDATE SKIP LOCKED);
""",
}
SIZES = """SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
            WHERE c.relkind = 'r' AND (c.relnamespace = 'wf'::regnamespace OR c.relname = 'queue')"""
# of one moment, though counting takes a while: meanwhile no slice is truncated
BYTES_FOR_EACH_LIVE = f"""
BEGIN;
LOCK TABLE wf.run, wf.event IN ACCESS SHARE MODE;
SELECT ({SIZES}) / greatest((SELECT count(*) FROM wf.run)
                            - (SELECT count(*) FROM wf.event WHERE kind = 'c' AND at <= now() - interval '1 minute'), 1);
COMMIT;
"""
PACK = """SELECT format('VACUUM FULL %s', c.oid::regclass) FROM pg_class c
           WHERE c.relkind = 'r' AND c.relnamespace = 'wf'::regnamespace AND c.relname ~ '^(run|event)_[0-9]$'"""


def bytes_when_packed(server):
    """Of all our relations for each run that is stored, with tables and indexes written anew."""
    for (command,) in server.sql(PACK):
        server.sql(command)
    return int(server.value(SIZES)) / max(int(server.value("SELECT count(*) FROM wf.run")), 1)


def over_time(bench, script, seconds, at_end):
    """[(second, runs a second)] with a snapshot held open; at_end is called while it still is."""
    server = bench.server
    holder = subprocess.Popen([server.bin / "psql", "-X", "-q", "-h", server.work, "-d", server.database],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM pg_class;\n\\echo held\n")
    holder.stdin.flush()
    while "held" not in holder.stdout.readline():
        pass
    points = []
    step = max(seconds / 12, 1)
    begin = time.monotonic()
    for _ in range(12):
        rate = server.pgbench(script, clients=2, seconds=round(step))
        points.append((time.monotonic() - begin, 20 * rate))
    at_end()
    holder.stdin.write("COMMIT;\n\\q\n")
    holder.stdin.close()
    holder.wait()
    return points


def run(bench):
    """Both, one after the other; the chart has both."""
    bench.server.sql(SETUP)
    seconds = 24 if bench.quick else max(60, 600 * min(bench.scale * 10, 1))
    series, rows, taken = {}, [], []
    for name, script in PRODUCE_AND_CONSUME.items():
        bench.server.pgbench(script, clients=2, transactions=200)
        ours = name.startswith("wf_")
        series[name] = over_time(bench, script, seconds,
                                 lambda: taken.append(int(bench.server.value(BYTES_FOR_EACH_LIVE))))
        rates = [rate for _, rate in series[name]]
        kept = median(rates[-3:]) / median(rates[:3])
        rows.append(Row(name, f"{seconds:.0f} s, 2 clients", "runs/s", rates, [kept]))
        if ours:
            bench.report.bar("P9", "the last quarter's rate against the first's", f"{seconds:.0f} s, 2 clients", [kept], 0.95,
                             note="the bar's own length is 600 s" if seconds < 600 else "")
            packed = bytes_when_packed(bench.server)
            bench.report.bar("P9", "all relations against live runs that are packed", f"{seconds:.0f} s, 2 clients",
                             [taken[0] / packed], 1.2, at_least=False,
                             note=f"{taken[0]:,.0f} bytes for each run that is not over, {packed:,.0f} in tables and indexes written anew")
    size = int(bench.server.value(SIZES)) / 1e6
    bench.report.section(TITLE, "Each transaction pair enqueues 20 and consumes 20. The ratio is that of the last quarter to the first. "
                         f"All relations together afterwards: {size:,.0f} MB.", rows)
    bench.chart("held_snapshot.svg", "Produce and consume under a held snapshot",
                chart.lines("Produce and consume under a held snapshot", "seconds", "runs/s", series))
