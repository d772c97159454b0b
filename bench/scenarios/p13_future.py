"""
P13: dispatch beside many runs that are due in the future, against without:
how fast a queue is drained, and how long a run waits for its start.
"""

from p06_handlers import SETUP
from report import Row

TITLE = "P13: dispatch beside runs due in the future"
LONG = True
PLAIN = "no others"
BESIDE = "beside {n:,} due in the future"
ENQUEUE = "SELECT wf_enqueue('light', '{}');\n"


# straight from the tables, by the index: ids are in the order of time
ENDED = """SELECT {what} FROM wf.run r JOIN wf.event e ON e.run_id = r.run_id AND e.kind = 'c'
            WHERE r.run_id > '{after}' AND e.run_id > '{after}'"""


def wait_for(server, workflow, completed):
    """Until so many runs of a workflow have completed."""
    server.wait_until(f"SELECT completed >= {completed} FROM wf.stats WHERE workflow = '{workflow}'", limit=120)


def completed_so_far(server, workflow):
    """Runs of a workflow that have completed."""
    return int(server.value(f"SELECT completed FROM wf.stats WHERE workflow = '{workflow}'"))


def drain(server, n):
    """Runs a second, from wf_resume until the last of n has ended."""
    before = completed_so_far(server, "one")
    after = server.value("SELECT wf_enqueue('one', '{}', run_at => now() + '10 days')")
    server.sql(f"SELECT count(*) FROM wf_enqueue_many('one', (SELECT array_agg('{{}}'::jsonb) FROM generate_series(1, {n})))")
    server.sql("CHECKPOINT")
    server.sql("SELECT wf_resume('one')")
    wait_for(server, "one", before + n)
    server.sql("SELECT wf_pause('one')")
    return float(server.value(ENDED.format(what=f"{n} / extract(epoch FROM max(e.at) - min(e.started_at))", after=after)))


def latency(server, seconds):
    """Milliseconds until the start, median, at 100 runs a second."""
    before = completed_so_far(server, "light")
    after = server.value("SELECT wf_enqueue('light', '{}')")
    server.pgbench(ENQUEUE, transactions=100 * seconds, rate=100)
    wait_for(server, "light", before + 1 + 100 * seconds)
    return float(server.value(ENDED.format(
        what="1000 * extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY e.started_at - r.enqueued_at))", after=after)))


def run(bench):
    """Two databases, in turns."""
    server = bench.server
    n = bench.many
    drained = 5000 if bench.quick else 20000
    places = {"p13_plain": PLAIN, "p13_beside": BESIDE.format(n=n)}
    for server.database in places:
        server.fresh_database()
        server.sql(SETUP)
        server.sql("SELECT wf_create_workflow('light', 'nothing(jsonb)')")
    for workflow in ("one", "light"):
        for at in range(0, n // 2, 100_000):
            server.sql(f"SELECT count(*) FROM wf_enqueue_many('{workflow}', array(SELECT '{{}}'::jsonb FROM "
                       f"generate_series(1, {min(100_000, n // 2 - at)})), run_at => now() + '10 days')")
    for server.database in places:                     # what autovacuum would do in the midst of the measurements
        server.sql("VACUUM ANALYZE")
    server.sql("CHECKPOINT")

    rates = {name: [] for name in places.values()}
    waits = {name: [] for name in places.values()}
    repeats = bench.repeats if bench.quick else max(bench.repeats, 9)   # medians of a few differ by more than the bar
    for repeat in range(repeats + 1):                  # the first is to warm up
        for server.database, name in sorted(places.items(), reverse=repeat % 2 == 0):
            rate = drain(server, drained)
            wait = latency(server, 4)
            if repeat > 0:
                rates[name].append(rate)
                waits[name].append(wait)
    plain, beside = places.values()
    faster = [a / b for a, b in zip(rates[beside], rates[plain])]
    longer = [a / b for a, b in zip(waits[beside], waits[plain])]
    setting = "synchronous_commit on"
    bench.report.bar("P13", f"rate of handlers beside {n:,} runs due later, against without", setting, faster, 0.95)
    bench.report.bar("P13", f"median start latency beside {n:,} runs due later, against without", setting, longer, 1.05, at_least=False)
    bench.report.section(TITLE, "Half of them are of the very workflow that is measured.",
                         [Row(plain, setting, "runs/s", rates[plain]), Row(beside, setting, "runs/s", rates[beside], faster),
                          Row(plain, setting, "ms to the start", waits[plain]), Row(beside, setting, "ms to the start", waits[beside], longer)])
