"""
P12: memory of every process while many runs are queued: what is a process's
own, and what the extension takes of shared memory.
"""

import time
from collections import defaultdict

from p10_many_keys import enqueue_keys
from report import Row

TITLE = "P12: memory with many queued runs"
LONG = True

SETUP = """
CREATE FUNCTION nothing(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RETURN '{"ok": true}'; END$$;
SELECT wf_create_workflow('handled', 'nothing(jsonb)');
SELECT wf_create_workflow('claimed');
SELECT wf_pause('handled');
"""
WORK = """
SELECT wf_enqueue('claimed', '{}', gen_random_uuid()::text);
SELECT count(wf_complete(run_id, attempt, '{"ok": true}')) FROM wf_claim('{claimed}', 20, '5 minutes');
"""


def own_memory(pid):
    """Megabytes that are a process's own; 0 of one that has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("RssAnon:")), 0) / 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0


def run(bench):
    """Queue, then look at all processes while runs are dispatched and claimed."""
    server = bench.server
    n = bench.many
    server.sql(SETUP)
    for workflow in ("handled", "claimed"):
        enqueue_keys(server, workflow, 0, n // 2)
    server.sql("CHECKPOINT")
    shared = float(server.value("SELECT sum(allocated_size) / 1e6 FROM pg_shmem_allocations WHERE name LIKE 'pg_workflow%'"))

    server.sql("SELECT wf_resume('handled')")
    clients = server.pgbench_start(WORK, clients=4, seconds=max(2 * bench.seconds, 8))
    most = defaultdict(float)
    while clients.poll() is None:
        time.sleep(0.5)
        for pid, kind in server.processes():
            most[kind] = max(most[kind], own_memory(pid))
    server.finish(clients)
    server.sql("SELECT wf_pause('handled')")
    left = int(server.value("SELECT sum(enqueued - completed) FROM wf.stats"))

    kinds = sorted(kind for kind in most if kind.startswith("pg_workflow") or kind == "client backend")
    setting = f"{n:,} runs queued"
    bench.report.bar("P12", "MB of the largest process, with the extension's shared memory", setting,
                     [max(most[kind] for kind in kinds) + shared], 64, at_least=False,
                     note="" if n >= 10_000_000 else "the bar's own number is 10,000,000")
    bench.report.section(TITLE, f"Anonymous memory of a process at its largest while executors and claimers are at work; {left:,} runs "
                         "were still queued at the end. Shared buffers, code and mapped files are not a process's own.",
                         [Row(kind, setting, "MB", [most[kind]]) for kind in kinds]
                         + [Row("shared memory of pg_workflow", setting, "MB", [shared])])
