"""
P8: how long a run waits for its start at 20 runs a second, and what an idle
server does.  In the chart beside a worker that looks with SKIP LOCKED ten times
a second.
"""

import time

import chart
from report import Row, quantile

TITLE = "P8: start latency, and idle"

SETUP = """
CREATE FUNCTION nothing(payload jsonb) RETURNS void LANGUAGE sql AS '';
SELECT wf_create_workflow('light', 'nothing(jsonb)');
"""
POLLED_TABLES = """
CREATE TABLE queue (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, enqueued_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE started (waited interval NOT NULL);
"""
IDLE = 70                                          # seconds, longer than the dispatcher rests
OURS = "wf_enqueue, a handler"
POLLED = "SKIP LOCKED every 100 ms"
WORKER = """
WITH taken AS (DELETE FROM queue WHERE id IN (SELECT id FROM queue ORDER BY id LIMIT 20 FOR UPDATE SKIP LOCKED) RETURNING enqueued_at)
INSERT INTO started SELECT clock_timestamp() - enqueued_at FROM taken;
\\sleep 100 ms
"""


def polled(server, seconds):
    """Milliseconds that the jobs of a polling worker waited."""
    server.sql(POLLED_TABLES)
    worker = server.pgbench_start(WORKER, seconds=seconds + 1)
    server.pgbench("INSERT INTO queue DEFAULT VALUES;\n", seconds=seconds, rate=20)
    server.finish(worker)
    return [float(wait) for (wait,) in server.sql("SELECT 1000 * extract(epoch FROM waited) FROM started")]


def idle(server, seconds):
    """
    Statements and transactions in the scenario's database while nothing is to be done,
    for longer than the dispatcher rests.  Seen from another database, without
    autovacuum, once the executors have gone and the statistics of what was before
    have come in.
    """
    server.sql("ALTER SYSTEM SET shared_preload_libraries = pg_workflow, pg_stat_statements")
    server.restart()
    server.setting("pg_stat_statements.track", "all")
    server.setting("autovacuum", "off")
    database, server.database = server.database, "postgres"
    server.sql("CREATE EXTENSION pg_stat_statements")
    server.wait_until("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type IN ('pg_workflow executor', 'autovacuum worker'))",
                      limit=120)
    time.sleep(25)
    query = (f"SELECT (SELECT coalesce(sum(calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE datname = '{database}'),"
             f" (SELECT xact_commit FROM pg_stat_database WHERE datname = '{database}')")
    before = server.sql(query)[0]
    time.sleep(seconds)
    after = server.sql(query)[0]
    server.database = database
    server.sql("ALTER SYSTEM RESET pg_stat_statements.track")
    server.setting("autovacuum", "on")
    server.sql("ALTER SYSTEM SET shared_preload_libraries = pg_workflow")
    server.restart()
    return [int(b) - int(a) for a, b in zip(before, after)]


def distribution(waits):
    """[(ms, percent of the waits that were no longer)]."""
    ordered = sorted(waits)
    return [(0.0, 0.0)] + [(wait, 100 * (i + 1) / len(ordered)) for i, wait in enumerate(ordered)]


def run(bench):
    """Enqueue at a slow pace, ask when each began; then count transactions while nothing happens."""
    server = bench.server
    server.sql(SETUP)
    server.pgbench("SELECT wf_enqueue('light', '{}');\n", transactions=50)
    p50, p99, everything = [], [], []
    for _ in range(bench.repeats):
        begin = server.value("SELECT clock_timestamp()")
        server.pgbench("SELECT wf_enqueue('light', '{}');\n", seconds=max(bench.seconds * 2, 5), rate=20)
        server.wait_until("SELECT NOT EXISTS (SELECT FROM wf.runs WHERE state NOT IN ('completed'))")
        waits = [float(w) for (w,) in server.sql(
            f"SELECT 1000 * extract(epoch FROM started_at - enqueued_at) FROM wf.runs WHERE enqueued_at >= '{begin}'")]
        everything += waits
        p50.append(quantile(waits, 0.5))
        p99.append(quantile(waits, 0.99))
    setting = "20 runs/s, synchronous_commit on"
    bench.report.bar("P8", "start latency, median, ms", setting, p50, 1.0, at_least=False)
    bench.report.bar("P8", "start latency, p99, ms", setting, p99, 5.0, at_least=False)

    statements, transactions = idle(server, IDLE)
    bench.report.bar("P8", f"statements in {IDLE} s of idleness", "idle", [statements], 0, at_least=False)
    by_hand = polled(server, 10)
    bench.chart("latency.svg", "Start latency at 20 runs a second", chart.lines(
        "Start latency at 20 runs a second", "ms", "% that had started", {OURS: distribution(everything), POLLED: distribution(by_hand)}))

    bench.report.section(TITLE, "From the call of wf_enqueue to the start of the handler, commit included. "
                         f"In {IDLE} s without anything to do: {statements} statements, {transactions} transactions without one.",
                         [Row("median", setting, "ms", p50), Row("p99", setting, "ms", p99),
                          Row(f"median, {POLLED}", setting, "ms", [quantile(by_hand, 0.5)]),
                          Row(f"p99, {POLLED}", setting, "ms", [quantile(by_hand, 0.99)])])
