"""
P7: external claim and complete in batches of 100, results kept, against the
same with SKIP LOCKED, claim by UPDATE, complete by UPDATE.
"""

from report import Row

TITLE = "P7: external workers, batches of 100"
OURS = "wf_claim, wf_complete"
HAND = "SKIP LOCKED, UPDATE, UPDATE"
RUNS_FOR_MANY = 1_024_000

SETUP = """
SELECT wf_create_workflow('job');
CREATE TABLE job (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), state text NOT NULL DEFAULT 'queued', priority integer NOT NULL DEFAULT 0,
    run_at timestamptz NOT NULL DEFAULT clock_timestamp(), enqueued_at timestamptz NOT NULL DEFAULT now(), attempt integer NOT NULL DEFAULT 0,
    payload jsonb, lease_until timestamptz, worker text, result jsonb, finished_at timestamptz);
CREATE INDEX ON job (priority, run_at, id) WHERE state = 'queued';
CREATE INDEX ON job (lease_until) WHERE state = 'running';
"""
PAYLOAD = "jsonb_build_object('id', i, 'pad', repeat('x', 180))"

# two round trips, two transactions, as a worker has them
CONTENDERS = {
    HAND: """
WITH c AS (UPDATE job SET state = 'running', attempt = attempt + 1, lease_until = clock_timestamp() + interval '5 minutes', worker = 'w'
            WHERE id IN (SELECT id FROM job WHERE state = 'queued' AND run_at <= clock_timestamp() ORDER BY priority, run_at, id LIMIT 100 FOR UPDATE SKIP LOCKED)
        RETURNING id, payload, attempt)
SELECT coalesce(array_agg(id), '{}') AS ids, count(payload) AS n FROM c \\gset
UPDATE job SET state = 'completed', result = '{"ok": true}', finished_at = clock_timestamp(), lease_until = NULL WHERE id = ANY (:ids::uuid[]) AND state = 'running';
""",
    OURS: """
SELECT coalesce(array_agg(run_id), '{}') AS ids, coalesce(array_agg(attempt), '{}') AS attempts, count(payload) AS n FROM wf_claim('{job}', 100, '5 minutes', 'w') \\gset
SELECT count(wf_complete(i, a, '{"ok": true}')) FROM unnest(:ids::uuid[], :attempts::integer[]) AS u (i, a);
""",
}


def fill(bench, n):
    """The same work for both."""
    bench.server.sql(f"INSERT INTO job (payload) SELECT {PAYLOAD} FROM generate_series(1, {n}) i; VACUUM ANALYZE job")
    fill_ours(bench, n)


def fill_ours(bench, n):
    """Work for ours."""
    bench.server.sql(f"SELECT count(*) FROM wf_enqueue_many('job', (SELECT array_agg({PAYLOAD}) FROM generate_series(1, {n}) i))")
    bench.server.sql("CHECKPOINT")


def run(bench):
    """Drain the same number in turns, with few and with many claimers."""
    server = bench.server
    server.sql(SETUP)
    rows = []
    for clients in (2, 16, 64) if not bench.quick else (2, 16):
        each = 5 if bench.quick else max(2000 // clients, 40)   # so that the first calls of a session weigh little
        values = {name: [] for name in CONTENDERS}
        for _ in range(bench.repeats):
            fill(bench, each * clients * 100)
            for name, script in CONTENDERS.items():
                values[name].append(100 * server.pgbench(script, clients=clients, transactions=each))
        ratios = [a / b for a, b in zip(values[OURS], values[HAND])]
        setting = f"{clients} claimers, synchronous_commit on"
        bench.report.bar("P7", "claim and complete against SKIP LOCKED", setting, ratios, 1.5)
        rows += [Row(HAND, setting, "runs/s", values[HAND]), Row(OURS, setting, "runs/s", values[OURS], ratios)]
    if not bench.quick:
        rows += many_claimers(bench)
    bench.report.section(TITLE, "Each claim and each completion of 100 is a statement and a transaction. The table of the "
                         "hand-written version is vacuumed before each measurement.", rows)


def many_claimers(bench):
    """
    Ours with 16 and with 64 in turns, each with the same number of runs, so that
    neither has more of a growing table; sessions are new, and their first calls
    fill their caches.
    """
    values = {16: [], 64: []}
    for repetition in range(bench.repeats):
        for clients in sorted(values, reverse=repetition % 2 == 1):
            fill_ours(bench, RUNS_FOR_MANY)
            values[clients].append(100 * bench.server.pgbench(CONTENDERS[OURS], clients=clients,
                                                              transactions=RUNS_FOR_MANY // 100 // clients))
    ratios = [a / b for a, b in zip(values[64], values[16])]
    bench.report.bar("P7", "64 claimers against 16", "synchronous_commit on", ratios, 0.9,
                     note=f"{RUNS_FOR_MANY:,} runs each, in turns")
    return [Row(f"{OURS}, {RUNS_FOR_MANY:,} runs", f"{clients} claimers, synchronous_commit on", "runs/s", found,
                ratios if clients == 64 else []) for clients, found in values.items()]
