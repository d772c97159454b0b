"""
P6: no-op SQL handlers, drained: each run in a transaction with its result, and
in batches; against plpgsql procedures that claim with SKIP LOCKED.
"""

from report import Row

TITLE = "P6: no-op handlers, drained"
N = 20000
ONE = "handlers, one run per transaction"
BATCH = "handlers, batch => 100"
HAND = "two procedures, claim 100, commit job by job"
SETS = "one transaction per 1,000 jobs, a savepoint each"

SETUP = """
CREATE FUNCTION nothing(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RETURN '{"ok": true}'; END$$;
SELECT wf_create_workflow('one', 'nothing(jsonb)');
SELECT wf_create_workflow('batch', 'nothing(jsonb)', batch => 100);
SELECT wf_pause('one'), wf_pause('batch');
CREATE TABLE job (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state text NOT NULL DEFAULT 'queued', run_at timestamptz NOT NULL DEFAULT now(),
    attempt integer NOT NULL DEFAULT 0, payload jsonb, result jsonb, finished_at timestamptz);
CREATE INDEX ON job (run_at, id) WHERE state = 'queued';

CREATE PROCEDURE by_hand() LANGUAGE plpgsql AS $$
DECLARE
    claimed bigint[];
    i bigint;
BEGIN
    LOOP
        WITH c AS (UPDATE job SET state = 'running', attempt = attempt + 1 WHERE id IN
                   (SELECT id FROM job WHERE state = 'queued' AND run_at <= now() ORDER BY run_at, id LIMIT 100 FOR UPDATE SKIP LOCKED) RETURNING id)
        SELECT array_agg(id) INTO claimed FROM c;
        COMMIT;
        EXIT WHEN claimed IS NULL;
        FOREACH i IN ARRAY claimed LOOP
            UPDATE job SET state = 'completed', result = nothing(payload), finished_at = clock_timestamp() WHERE id = i;
            COMMIT;
        END LOOP;
    END LOOP;
END $$;

CREATE PROCEDURE in_sets() LANGUAGE plpgsql AS $$
DECLARE
    j record;
    n integer;
BEGIN
    LOOP
        n := 0;
        FOR j IN SELECT id, payload FROM job WHERE state = 'queued' AND run_at <= now() ORDER BY run_at, id LIMIT 1000 FOR UPDATE SKIP LOCKED LOOP
            n := n + 1;
            BEGIN
                UPDATE job SET state = 'completed', attempt = attempt + 1, result = nothing(j.payload), finished_at = clock_timestamp() WHERE id = j.id;
            EXCEPTION WHEN OTHERS THEN
                UPDATE job SET state = 'failed' WHERE id = j.id;
            END;
        END LOOP;
        COMMIT;
        EXIT WHEN n = 0;
    END LOOP;
END $$;
"""


def drain_by_hand(bench, procedure, clients, n):
    """Jobs a second of procedures that run until nothing is left."""
    bench.server.sql(f"TRUNCATE job; INSERT INTO job (payload) SELECT '{{}}' FROM generate_series(1, {n}); VACUUM ANALYZE job; CHECKPOINT")
    rate = bench.server.pgbench(f"CALL {procedure}();\n", clients=clients, transactions=1)
    return rate / clients * n


def drain_ours(bench, workflow, n):
    """Runs a second of a workflow, from wf_resume until the last has ended."""
    server = bench.server
    server.sql(f"SELECT count(*) FROM wf_enqueue_many('{workflow}', (SELECT array_agg('{{}}'::jsonb) FROM generate_series(1, {n})))")
    server.sql("CHECKPOINT")
    row = server.sql(f"""
        SELECT clock_timestamp() AS begin \\gset
        SELECT wf_resume('{workflow}');
        DO $$ BEGIN
            WHILE EXISTS (SELECT FROM wf.stats WHERE workflow = '{workflow}' AND enqueued > completed) LOOP PERFORM pg_sleep(0.02); END LOOP;
        END $$;
        SELECT {n} / extract(epoch FROM max(finished_at) - min(started_at)) FROM wf.runs WHERE workflow = '{workflow}' AND finished_at >= :'begin';
    """)
    server.sql(f"SELECT wf_pause('{workflow}')")
    return float(row[-1][0])


def run(bench):
    """Drain in turns."""
    server = bench.server
    server.sql(SETUP)
    n = 5000 if bench.quick else N
    values = {ONE: [], HAND: [], BATCH: [], SETS: []}
    for _ in range(bench.repeats + 1):                 # the first is to warm up
        values[ONE].append(drain_ours(bench, "one", n))
        values[HAND].append(drain_by_hand(bench, "by_hand", 2, n))
        values[BATCH].append(drain_ours(bench, "batch", n))
        values[SETS].append(drain_by_hand(bench, "in_sets", 1, n))
    values = {name: found[1:] for name, found in values.items()}
    one = [a / b for a, b in zip(values[ONE], values[HAND])]
    batch = [a / b for a, b in zip(values[BATCH], values[SETS])]
    setting = f"{n:,} runs, synchronous_commit on"
    bench.report.bar("P6", "one run per transaction, against job by job", setting, one, 1.5)
    bench.report.bar("P6", "batch => 100, against 1,000 per transaction", setting, batch, 0.6)
    bench.report.section(TITLE, "All results are stored. Ours: up to four executors, as by default.",
                         [Row(ONE, setting, "runs/s", values[ONE], one), Row(HAND, setting, "jobs/s", values[HAND]),
                          Row(BATCH, setting, "runs/s", values[BATCH], batch), Row(SETS, setting, "jobs/s", values[SETS])])
