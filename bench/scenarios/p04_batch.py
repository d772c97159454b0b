"""P4: a thousand runs with new keys in one call, against INSERT ... SELECT FROM unnest()."""

from p01_new_key import PAYLOAD, SETUP

TITLE = "P4: enqueue 1,000 at once"
N = 1000

ARRAYS = (f"(SELECT array_agg(:payload::jsonb) FROM generate_series(1, {N})), "
          f"(SELECT array_agg(:seed || '-' || i) FROM generate_series(1, {N}) i)")
SEED = "\\set seed random(1, 9000000000000000000)\n"

CONTENDERS = {
    "INSERT SELECT FROM unnest": SEED + (
        "INSERT INTO baseline (workflow, payload, key) "
        f"SELECT 'order', p, k FROM unnest({ARRAYS}) AS u (p, k);\n"),
    "wf_enqueue_many": SEED + f"SELECT count(*) FROM wf_enqueue_many('order', {ARRAYS});\n",
}


def run(bench):
    """Measure rates of runs."""
    bench.server.sql(SETUP)
    rows = []
    for clients, sync in bench.settings():
        found = bench.interleave(CONTENDERS, clients, sync, "runs/s", N, variables={"payload": PAYLOAD})
        bench.report.bar("P4", "1,000 at once against INSERT SELECT", found["wf_enqueue_many"].setting,
                         bench.ratios(found, "wf_enqueue_many", "INSERT SELECT FROM unnest"), 0.8)
        rows += found.values()
    bench.report.section(TITLE, "Both build the same arrays in the statement; one transaction a call.", rows)
