"""
P11: a tenth of the keys and runs expires while clients enqueue: their 99th
percentile during that, against without; and the space afterwards.  Beside it
the same tenth removed from a plain table by one DELETE.
"""

import time

from p01_new_key import KEY, OURS, SETUP as TABLES
from p10_many_keys import PAYLOAD, enqueue_keys, turn
from report import Row, quantile

TITLE = "P11: expiry while clients enqueue"
LONG = True
CALM = "wf_enqueue, nothing expires"
BUSY = "wf_enqueue, a tenth expires"
HAND_CALM = "INSERT, nothing is deleted"
HAND_BUSY = "INSERT, one DELETE of a tenth"
INSERT = KEY + "INSERT INTO baseline (workflow, payload, key) VALUES ('order', :payload, :key);\n"
RATE = 1000
CALM_SECONDS = 10


def p99(bench, script, most, meanwhile):
    """
    Milliseconds that 99 of 100 calls stay below, at a fixed rate: for CALM_SECONDS
    in which nothing else happens, and then while meanwhile() runs, for `most` seconds of
    that; what it answers.
    """
    server = bench.server
    calls = server.pgbench_start(script, clients=4, seconds=1 + CALM_SECONDS + most, rate=RATE, log=str(server.work / "p11"),
                                 variables={"payload": PAYLOAD})
    time.sleep(1)
    marks = [time.time()]
    time.sleep(CALM_SECONDS)
    marks.append(time.time())
    answer = meanwhile()
    marks.append(time.time())
    server.finish(calls)
    found = server.latencies("p11")
    calm, busy = (quantile([ms for at, ms in found if begin <= at < end], 0.99) for begin, end in zip(marks, marks[1:]))
    return calm, busy, answer


def expire(server):
    """What is over goes; the seconds until the space of its slice is there again."""
    server.sql("SELECT wf_alter_workflow('old', retention => '0')")
    return server.wait_until("SELECT pg_relation_size('wf.run_' || slice) = 0 FROM over", limit=900, every=1)


def fill(server, n):
    """A slice full of runs that have ended, and a new one for those to come."""
    server.sql("SELECT wf_alter_workflow('old', retention => '7 days')")
    turn(server)                                   # a slice of its own
    enqueue_keys(server, "old", 0, n)
    server.sql("SELECT wf_cancel_all('old')")
    server.sql("CREATE TABLE IF NOT EXISTS over (slice integer); TRUNCATE over; "
               "INSERT INTO over SELECT slice FROM wf.slice WHERE state = 'current'")
    turn(server)
    server.sql("CHECKPOINT")


def run(bench):
    """Ours and by hand, in turns."""
    server = bench.server
    n = bench.many
    server.sql(TABLES)
    server.sql("SELECT wf_create_workflow('old', key_ttl => '0')")
    server.setting("pg_workflow.sweep_interval", "1s")
    server.setting("synchronous_commit", "off")
    enqueue_keys(server, "order", 0, n - n // 10)
    server.sql(f"INSERT INTO baseline (workflow, payload, key) SELECT 'order', '{PAYLOAD}', 'live-' || i FROM generate_series(1, {n}) i")
    server.sql("VACUUM ANALYZE")

    names = (CALM, BUSY, HAND_CALM, HAND_BUSY)
    values = {name: [] for name in names}
    took = []
    most = 2 if bench.quick or n >= 10_000_000 else 3   # with so many the ring has room for no more
    for repeat in range(min(bench.repeats, most)):
        fill(server, n // 10)
        tenth = f"DELETE FROM baseline WHERE key LIKE 'live-%' AND key LIKE '%{repeat}'"
        calm, busy, until = p99(bench, OURS, 20 + 60 * n // 1_000_000, lambda: expire(server))   # it is in no hurry
        values[CALM].append(calm)
        values[BUSY].append(busy)
        took.append(until)
        server.sql("CHECKPOINT")
        calm, busy, _ = p99(bench, INSERT, 20 + 5 * n // 1_000_000, lambda: server.sql(tenth))   # noqa: B023
        values[HAND_CALM].append(calm)
        values[HAND_BUSY].append(busy)
    server.setting("pg_workflow.sweep_interval", "10s")

    setting = f"{n:,} keys, {RATE:,} calls/s by 4 clients"
    ours = [a / b for a, b in zip(values[BUSY], values[CALM])]
    hand = [a / b for a, b in zip(values[HAND_BUSY], values[HAND_CALM])]
    bench.report.bar("P11", f"p99 of enqueueing while {n // 10:,} of {n:,} expire, against without", setting, ours, 1.5,
                     at_least=False, note="" if n >= 10_000_000 else "the bar's own number is 10,000,000")
    bench.report.section(TITLE, f"The p99 of calls at a steady rate, synchronous_commit off, for {CALM_SECONDS} s before, and from then on "
                         "until the space was there. The space of what had expired, keys and all, "
                         f"was there again after {max(took):.1f} s at the latest; a deleted row's is there again after a vacuum.",
                         [Row(CALM, setting, "ms", values[CALM]), Row(BUSY, setting, "ms", values[BUSY], ours),
                          Row(HAND_CALM, setting, "ms", values[HAND_CALM]), Row(HAND_BUSY, setting, "ms", values[HAND_BUSY], hand)])
