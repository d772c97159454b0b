"""
P10: a new key with many live keys in the ledger, against an empty ledger.

The keys are spread over all slices, as they are after some days of use, so
that a new key has to be looked for in each.  Beside it, what a plain unique
index makes of it.
"""

from p01_new_key import KEY, OURS, SETUP as TABLES
from report import Row

TITLE = "P10: a new key beside many"
LONG = True
EMPTY = "wf_enqueue, empty ledger"
FULL = "wf_enqueue, {n:,} live keys"
INSERT_EMPTY = "plain INSERT, empty table"
INSERT_FULL = "plain INSERT, {n:,} rows"
INSERT = KEY + "INSERT INTO baseline (workflow, payload, key) VALUES ('order', :payload, :key);\n"
PAYLOAD = '{"id": 7312, "source": "web-checkout-1"}'
SLICES = 8


def enqueue_keys(server, workflow, first, last, step=100_000):
    """Runs with the keys first .. last - 1, some in each transaction."""
    while first < last:
        end = min(first + step, last)
        server.sql(f"""SELECT count(*) FROM wf_enqueue_many('{workflow}',
            array(SELECT '{PAYLOAD}'::jsonb FROM generate_series({first}, {end - 1})),
            array(SELECT 'live-' || i FROM generate_series({first}, {end - 1}) i))""")
        first = end


def turn(server):
    """Have the ring turn to its next slice: the current one is made to look old, and every session told."""
    server.wait_until("SELECT count(*) = 1 FROM wf.slice WHERE state = 'current'")
    before = server.value("SELECT slice FROM wf.slice WHERE state = 'current'")
    if server.value(f"SELECT pg_relation_size('wf.run_{before}') = 0") == "t":
        return                                     # it has just turned by itself, as the last one was full
    server.sql("UPDATE wf.slice SET opened_at = '2001-01-01' WHERE state = 'current'; "
               "ALTER TABLE wf.slice SET (autovacuum_enabled = false)")
    server.wait_until(f"SELECT slice <> {before} FROM wf.slice WHERE state = 'current'")


def spread_keys(server, workflow, n):
    """n live keys, in equal parts in all slices."""
    for part in range(SLICES):
        enqueue_keys(server, workflow, n * part // SLICES, n * (part + 1) // SLICES)
        if int(server.value("SELECT count(*) FROM wf.slice WHERE state <> 'empty'")) < SLICES:
            turn(server)


def run(bench):
    """Two databases, in turns."""
    server = bench.server
    n = bench.many
    server.setting("pg_workflow.sweep_interval", "200ms")
    for name in ("p10_empty", "p10_full"):
        server.database = name
        server.fresh_database()
        server.sql(TABLES)
    spread_keys(server, "order", n)
    server.sql(f"INSERT INTO baseline (workflow, payload, key) SELECT 'order', '{PAYLOAD}', i FROM generate_series(1, {n}) i")
    server.sql("VACUUM ANALYZE")
    server.setting("pg_workflow.sweep_interval", "10s")
    server.sql("CHECKPOINT")
    used = server.value("SELECT count(*) FROM wf.slice WHERE state <> 'empty'")

    turns = [("p10_empty", EMPTY, OURS), ("p10_full", FULL.format(n=n), OURS),
             ("p10_empty", INSERT_EMPTY, INSERT), ("p10_full", INSERT_FULL.format(n=n), INSERT)]
    rows = []
    values = {name: [] for _, name, _ in turns}
    server.setting("synchronous_commit", "off")
    for repeat in range(bench.repeats + 1):            # the first is to warm up
        for server.database, name, script in turns:
            rate = server.pgbench(script, clients=2, seconds=min(bench.seconds, 2), variables={"payload": PAYLOAD})
            if repeat > 0:
                values[name].append(rate)
    setting = "2 clients, synchronous_commit off"
    ours, plain = ([a / b for a, b in zip(values[full], values[empty])]
                   for (_, empty, _), (_, full, _) in (turns[0:2], turns[2:4]))
    for (_, name, _), ratios in zip(turns, ([], ours, [], plain)):
        rows.append(Row(name, setting, "calls/s", values[name], ratios))
    bench.report.bar("P10", f"new key beside {n:,} live keys, against an empty ledger", setting, ours, 0.9,
                     note="" if n >= 10_000_000 else "the bar's own number is 10,000,000")
    bench.report.section(TITLE, f"The keys are in {used} slices of {SLICES}. Ratios are to the same statement in an empty "
                         "database of the same server.", rows)
