"""P8: how long a run waits for its start at 20 runs a second, and what an idle server does."""

import time

from report import Row, quantile

TITLE = "P8: start latency, and idle"

SETUP = """
CREATE FUNCTION nothing(payload jsonb) RETURNS void LANGUAGE sql AS '';
SELECT wf_create_workflow('light', 'nothing(jsonb)');
"""


def run(bench):
    """Enqueue at a slow pace, ask when each began; then count transactions while nothing happens."""
    server = bench.server
    server.sql(SETUP)
    server.pgbench("SELECT wf_enqueue('light', '{}');\n", transactions=50)
    p50, p99 = [], []
    for _ in range(bench.repeats):
        begin = server.value("SELECT clock_timestamp()")
        server.pgbench("SELECT wf_enqueue('light', '{}');\n", seconds=max(bench.seconds * 2, 5), rate=20)
        server.wait_until("SELECT NOT EXISTS (SELECT FROM wf.runs WHERE state NOT IN ('completed'))")
        waits = [float(w) for (w,) in server.sql(
            f"SELECT 1000 * extract(epoch FROM started_at - enqueued_at) FROM wf.runs WHERE enqueued_at >= '{begin}'")]
        p50.append(quantile(waits, 0.5))
        p99.append(quantile(waits, 0.99))
    setting = "20 runs/s, synchronous_commit on"
    bench.report.bar("P8", "start latency, median, ms", setting, p50, 1.0, at_least=False)
    bench.report.bar("P8", "start latency, p99, ms", setting, p99, 5.0, at_least=False)

    # seen from another database, once the statistics of what was before have come in
    commits = f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{server.database}'"
    database, server.database = server.database, "postgres"
    time.sleep(25)
    before = int(server.value(commits))
    time.sleep(25)
    idle = int(server.value(commits)) - before
    server.database = database
    bench.report.bar("P8", "transactions in 25 s of idleness", "idle", [idle], 0, at_least=False) if idle else None
    bench.report.section(TITLE, "From the call of wf_enqueue to the start of the handler, commit included. "
                         f"Transactions of the dispatcher in 25 s without anything to do: {idle}.",
                         [Row("median", setting, "ms", p50), Row("p99", setting, "ms", p99)])
