"""
Other packages that do such things with PostgreSQL, beside ours: PgQ, graphile-worker,
pg-boss, DBOS, openworkflow.

Those in JavaScript are called as their documentation tells their users to, each by a
process of node; ours and hand-written SQL by the same loop with named statements of
the driver "pg".  So a figure has a driver and a library in it.  Functions of SQL that
a package offers are called by pgbench, too.

What a key means differs.  graphile-worker's job_key replaces the job that is there,
and is free again when that has been done; pg-boss' singletonKey holds for a slot of
time; DBOS' workflow id for ever; openworkflow's idempotencyKey for a day.
"""

import json

from p01_new_key import OURS as OURS_SQL, PAYLOAD, SETUP as TABLES, UPSERT as UPSERT_SQL
from p07_claims import SETUP as JOBS
from peers import Peer, install, versions
from report import Row, figure, median, quantile
from server import Failed

TITLE = "Peers"
LONG = True
KEPT = 1000                                        # keys that duplicates are of

UPSERT = "INSERT ON CONFLICT DO NOTHING RETURNING"
OURS = "wf_enqueue"
BY_KEY = "SELECT by primary key"
HAND = "SKIP LOCKED, batches of 500"
EXTERNAL = "wf_claim, wf_complete"
HANDLER = "a handler in SQL"
NOTIFY = "NOTIFY, to a session that listens"
PGQ = "PgQ (an event, no key)"

# the files in bench/peers
LIBRARIES = {"graphile-worker": "graphile_worker", "pg-boss": "pg_boss", "DBOS": "dbos", "openworkflow": "openworkflow"}
NEW_KEY = {UPSERT: "by_hand", OURS: "ours", PGQ: "pgq", **LIBRARIES}
DUPLICATE = {BY_KEY: "primary_key", OURS: "ours", UPSERT: "by_hand", **LIBRARIES}
DRAIN = {HAND: "by_hand", EXTERNAL: "ours", HANDLER: "handler", **LIBRARIES}
LATENCY = {NOTIFY: "notify", EXTERNAL: "ours", HANDLER: "handler", **LIBRARIES}
OWN = {UPSERT, OURS, BY_KEY, HAND, EXTERNAL, HANDLER, NOTIFY}

KEY = "\\set key random(1, 9000000000000000000)\n"
PGQ_SETUP = "CREATE EXTENSION pgq; SELECT pgq.create_queue('order')"
PGQ_SQL = "SELECT pgq.insert_event('order', 'order', :payload);\n"
GRAPHILE_SQL = KEY + "SELECT graphile_worker.add_job('order', :payload, job_key => :key);\n"
ANY_KEPT = f"\\set n random(0, {KEPT - 1})\n"
KEPT_SQL = {
    BY_KEY: ANY_KEPT + "SELECT run_id, state FROM lookup WHERE key = 'kept-' || :n::text;\n",
    OURS: ANY_KEPT + "SELECT wf_enqueue('order', :payload, 'kept-' || :n::text);\n",
    "graphile_worker.add_job, which replaces it":
        ANY_KEPT + "SELECT graphile_worker.add_job('order', :payload, job_key => 'kept-' || :n::text);\n",
    "graphile_worker.add_job, unsafe_dedupe":
        ANY_KEPT + "SELECT graphile_worker.add_job('order', :payload, job_key => 'kept-' || :n::text, job_key_mode => 'unsafe_dedupe');\n",
}


class Measured:
    """Contenders in turns; those that can't be measured are left out, with the reason."""

    def __init__(self, bench):
        self.bench = bench
        self.seconds = min(bench.seconds, 2)
        self.repeats = min(bench.repeats, 4)       # of calls
        self.few = 2 if bench.quick else min(bench.repeats, 3)      # of work
        self.peers = {}                            # {file: Peer}
        self.left_out = {}                         # {contender: reason}

    def open(self, contenders):
        """Start a process for each contender that has none."""
        for contender, file in contenders.items():
            if file not in self.peers and contender not in self.left_out:
                self.attempt(contender, lambda name=file: self.peers.update({name: Peer(self.bench.server, name)}))

    def attempt(self, contender, what):
        """Do something for a contender, or leave it out; what it gave."""
        try:
            return what()
        except Failed as problem:
            if contender in OWN:
                raise
            lines = str(problem).strip().splitlines()
            self.left_out[contender] = next((line for line in lines if "ERROR: " in line), lines[0])[:200]
            print(f"   left out: {contender}: {self.left_out[contender]}", flush=True)
            return None

    def close(self):
        """End the processes."""
        for peer in self.peers.values():
            peer.close()
        self.peers = {}

    def each(self, contenders, ask):
        """[(contender, what ask gave for its process)], of those that are not left out."""
        found = []
        for contender, file in contenders.items():
            if contender not in self.left_out:
                answer = self.attempt(contender, lambda peer=self.peers[file], name=contender: ask(peer, name))
                if contender not in self.left_out:
                    found.append((contender, answer))
        return found

    def in_turns(self, contenders, repeats, ask):
        """{contender: values}, of those that were measured every time."""
        values = {contender: [] for contender in contenders}
        for _ in range(repeats):
            for contender, value in self.each(contenders, ask):
                values[contender].append(value)
        return {contender: found for contender, found in values.items() if contender not in self.left_out}

    @staticmethod
    def rows(values, setting, unit):
        """Rows, with ratios to the first."""
        first = next(iter(values.values()))
        rows = [Row(contender, setting, unit, found, [a / b for a, b in zip(found, first)]) for contender, found in values.items()]
        for row in rows:
            print(f"   {row.contender:42} {setting}: {figure(median(row.values))} {unit}, ratio {figure(median(row.ratios))}", flush=True)
        return rows

    def notes(self, contenders, repeats):
        """Of the repetitions, and of who is missing."""
        missing = "; ".join(f"{name}: `{reason}`" for name, reason in self.left_out.items() if name in contenders)
        return f"{repeats} repetitions." + (f" Left out: {missing}." if missing else "")


def quickest(rows, ours):
    """In words: ours against the peer with the highest median."""
    others = [row for row in rows if row.contender in LIBRARIES]
    own = next((row for row in rows if row.contender == ours), None)
    if not others or not own:
        return ""
    best = max(others, key=lambda row: median(row.values))
    return f"{ours} against the quickest of the libraries, {best.contender}, {own.setting}: " \
           f"{figure(median([a / b for a, b in zip(own.values, best.values)]))}. "


def calls(bench, measured):
    """A new key and a duplicate, through drivers and libraries."""
    payload = json.loads(PAYLOAD)
    server = bench.server
    server.setting("synchronous_commit", "off")
    measured.open({**NEW_KEY, **DUPLICATE})
    rows, by_clients, text = [], [], ""
    measured.each(NEW_KEY, lambda peer, _: peer.ask("new key", clients=2, seconds=1, payload=payload))   # compiled code, caches
    server.sql("VACUUM ANALYZE")                   # as autovacuum would soon: plans for empty tables don't do for full ones
    for clients in (1, 2) if not bench.quick else (2,):
        values = measured.in_turns(NEW_KEY, measured.repeats, lambda peer, _, n=clients: peer.ask(
            "new key", clients=n, seconds=measured.seconds, payload=payload))
        found = measured.rows(values, f"{clients} call{'s' if clients > 1 else ''} at once, synchronous_commit off", "calls/s")
        rows += found
        by_clients += [(clients, row) for row in found]
        text += quickest(found, OURS)
    bench.report.section(
        f"{TITLE}: a new key, through their libraries", "Each by a process of node that makes so many calls at once, "
        f"each with a payload of 200 bytes and a random key; {measured.seconds} s each. {text}{versions()}. " + measured.notes(NEW_KEY, measured.repeats), rows)
    bench.chart_by_clients("peers_new_key.svg", "A new key, through libraries of JavaScript", "calls/s", by_clients)

    measured.each(DUPLICATE, lambda peer, _: peer.ask("keep", keys=KEPT, payload=payload))
    measured.each(DUPLICATE, lambda peer, _: peer.ask("duplicate", clients=2, seconds=1, keys=KEPT, payload=payload))
    server.sql("VACUUM ANALYZE")
    values = measured.in_turns(DUPLICATE, measured.repeats, lambda peer, _: peer.ask(
        "duplicate", clients=2, seconds=measured.seconds, keys=KEPT, payload=payload))
    rows = measured.rows(values, "2 calls at once, synchronous_commit off", "calls/s")
    bench.report.section(
        f"{TITLE}: a duplicate, through their libraries", f"As above, of {KEPT:,} keys whose jobs nobody has begun. "
        f"graphile-worker replaces the job each time. {quickest(rows, OURS)}" + measured.notes(DUPLICATE, measured.repeats), rows)


def functions(bench, measured):
    """Functions that packages offer in SQL, called by pgbench."""
    seconds, repeats = bench.seconds, bench.repeats
    bench.seconds, bench.repeats = measured.seconds, measured.repeats
    contenders = {UPSERT: UPSERT_SQL, OURS: OURS_SQL}
    if PGQ not in measured.left_out:
        contenders["pgq.insert_event, no key"] = PGQ_SQL
    if "graphile_worker" in measured.peers:
        contenders["graphile_worker.add_job"] = GRAPHILE_SQL
    rows = []
    for clients in (1, 2) if not bench.quick else (2,):
        rows += bench.interleave(contenders, clients, "off", variables={"payload": PAYLOAD}).values()
    bench.report.section(f"{TITLE}: a new key, functions of SQL", "By pgbench, a payload of 200 bytes; without driver or library. " +
                         measured.notes({PGQ, "graphile-worker"}, measured.repeats), rows)
    if "graphile_worker" in measured.peers:
        rows = bench.interleave(KEPT_SQL, 2, "off", variables={"payload": PAYLOAD}).values()
        bench.report.section(f"{TITLE}: a duplicate, functions of SQL", f"By pgbench, of {KEPT:,} keys.", rows)
    bench.seconds, bench.repeats = seconds, repeats


def drains(bench, measured):
    """Jobs without anything to do, from the start of the first to the completion of the last."""
    measured.open(DRAIN)
    # as many as it takes some seconds to do; this also is for compiled code and caches
    jobs = {contender: max(200, min(20000, int(rate * measured.seconds)))
            for contender, rate in measured.each(DRAIN, lambda peer, _: peer.ask("drain", jobs=300))}
    values = measured.in_turns(DRAIN, measured.few, lambda peer, contender: peer.ask("drain", jobs=jobs[contender]))
    rows = measured.rows(values, "synchronous_commit on", "jobs/s")
    bench.report.section(
        f"{TITLE}: no-op jobs drained", "Ours and by hand: two loops in one process of node with batches of 500, or handlers in the server, a transaction for each. graphile-worker: "
        "24 at once, local queue of 500, completions batched. pg-boss: two workers with batches of 500 that look again at once after each. "
        "DBOS: 100 at once. openworkflow: 64 at once. "
        f"{quickest(rows, EXTERNAL)}" + measured.notes(DRAIN, measured.few), rows)


def latencies(bench, measured):
    """From the call to the start."""
    measured.open(LATENCY)
    seconds = 2 if bench.quick else 6
    values = measured.in_turns(LATENCY, measured.few, lambda peer, _: peer.ask("latency", seconds=seconds, rate=20))
    rows = []
    for what, share in (("median", 0.5), ("p99", 0.99)):
        rows += measured.rows({contender: [quantile(waits, share) for waits in found] for contender, found in values.items()},
                              f"{what}, synchronous_commit on", "ms")
    bench.report.section(
        f"{TITLE}: start latency at 20 jobs a second", "From the call that enqueues to the start of the job, at random times; "
        f"{seconds} s each. Caller and worker are one process of node, the handler in SQL is in the server. pg-boss polls, as often as it "
        "lets one, every 500 ms; DBOS is told to poll every 10 ms; openworkflow polls with a pause of its own. " + measured.notes(LATENCY, measured.few), rows)


def run(bench):
    """Calls in one database, work in a fresh one, where no jobs are left over."""
    server = bench.server
    measured = Measured(bench)
    try:
        server.sql(TABLES)
        measured.attempt(PGQ, lambda: server.sql(PGQ_SETUP))
        try:
            install()
        except Failed as problem:
            print(f"   left out: {', '.join(LIBRARIES)}: {problem}", flush=True)
            measured.left_out.update(dict.fromkeys(LIBRARIES, str(problem)))
            bench.report.section(f"{TITLE}: libraries", f"Left out, {', '.join(LIBRARIES)}: `{problem}`.", [])
            functions(bench, measured)
            return
        calls(bench, measured)
        functions(bench, measured)
        measured.close()
        server.fresh_database()
        server.sql(TABLES + JOBS)
        server.setting("synchronous_commit", "on")
        drains(bench, measured)
        latencies(bench, measured)
    finally:
        measured.close()
