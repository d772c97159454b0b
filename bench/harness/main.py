"""Run scenarios against a server of our own and write the report."""

import argparse
import importlib.util
import os
import re
import signal
import sys
import time
from pathlib import Path

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"
sys.path[:0] = [str(Path(__file__).resolve().parent), str(SCENARIOS)]

import chart                                       # noqa: E402
from p01_new_key import PAYLOAD                    # noqa: E402
from report import Report, Row, figure, machine, median    # noqa: E402
from server import Failed, Server                  # noqa: E402


class Bench:
    """What a scenario is given."""

    def __init__(self, options):
        self.quick = options.quick
        self.scale = options.scale
        self.many = 10_000_000 if options.full else 100_000 if self.quick else 1_000_000   # keys, runs of P10 to P13
        self.seconds = options.seconds or (1 if self.quick else 5)
        self.repeats = options.repeats or (3 if self.quick else 7)
        self.server = Server(options.work, os.environ["PG_CONFIG"], huge_pages=options.huge_pages)
        self.report = Report()
        self.charts = Path(options.work) / "charts"
        self.charts.mkdir(exist_ok=True)

    def settings(self):
        """(clients, synchronous_commit) to measure; the bar's own first."""
        if self.quick:
            return [(2, "off")]
        return [(clients, sync) for sync in ("off", "on") for clients in (1, 2, 8)]

    def interleave(self, contenders, clients, sync, unit="calls/s", per_call=1, variables=None):
        """
        Measure contenders {name: script} in turns; the first one's values are
        what the others' ratios refer to.  A Row each, by name.
        """
        setting = f"{clients} client{'s' if clients > 1 else ''}, synchronous_commit {sync}"
        self.server.setting("synchronous_commit", sync)
        values = {name: [] for name in contenders}
        for name, script in contenders.items():        # caches, plans
            self.server.pgbench(script, clients=clients, transactions=20, variables=variables)
        for _ in range(self.repeats):
            for name, script in contenders.items():
                rate = self.server.pgbench(script, clients=clients, seconds=self.seconds, variables=variables)
                values[name].append(rate * per_call)
        first = next(iter(values.values()))
        rows = {name: Row(name, setting, unit, found, [a / b for a, b in zip(found, first)])
                for name, found in values.items()}
        for row in rows.values():
            print(f"   {row.contender:40} {setting}: {figure(median(row.values))} {unit}, "
                  f"ratio {figure(median(row.ratios))}", flush=True)
        return rows

    def ratios(self, rows, ours, baseline):
        """Ratios of one contender to another, of each repetition."""
        return [a / b for a, b in zip(rows[ours].values, rows[baseline].values)]

    def wal_per_call(self, script, transactions=2000, variables=None):
        """Bytes of WAL of a call, without images of whole pages."""
        self.server.setting("full_page_writes", "off")
        self.server.pgbench(script, transactions=100, variables=variables)
        begin = self.server.wal_position()
        self.server.pgbench(script, transactions=transactions, variables=variables)
        used = self.server.wal_position() - begin
        self.server.setting("full_page_writes", "on")
        return used / transactions

    def chart(self, file, title, text):
        """Keep a chart."""
        (self.charts / file).write_text(text, encoding="utf-8")
        self.report.charts.append((file, title))

    def chart_by_clients(self, file, title, unit, rows):
        """A chart of rates by clients; rows: [(clients, Row)]."""
        clients = sorted({c for c, _ in rows})
        names = list(dict.fromkeys(r.contender for _, r in rows))
        series = {name: [median(r.values) for c in clients for cc, r in rows
                         if cc == c and r.contender == name] for name in names}
        self.chart(file, title, chart.groups(title, "clients", unit, series, [str(c) for c in clients]))


def load(names):
    """The scenarios chosen, as modules, in order."""
    found = []
    for path in sorted(SCENARIOS.glob("p*.py")):
        if names and not any(path.name.startswith(n.lower()) for n in names):
            continue
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module)
    return found


def count_instructions(bench, modules):
    """Instructions of a call of each contender of the scenarios that have them."""
    server = bench.server
    modules = [m for m in modules if hasattr(m, "CONTENDERS")]

    def few(text):
        """With few keys: it takes long to make them while instructions are counted."""
        return text.replace(f"{100000}", "5000")

    def prepare(text):
        server.sql(f"\\set payload '{PAYLOAD}'\n" + few(text))

    for module in modules:
        server.database = module.__name__
        server.fresh_database()
        prepare(module.SETUP)
        server.sql("VACUUM ANALYZE")
    server.stop()
    server.start_counting()

    rows = []
    for module in modules:
        print(f"bench: instructions of {module.TITLE}", flush=True)
        server.database = module.__name__
        if hasattr(module, "WARM"):
            lasting = server.children()
            prepare(module.WARM)
            server.wait_for_backends(lasting)
        first = None
        for name, script in module.CONTENDERS.items():
            n = 10 if module.__name__.startswith("p04") else 300
            label = re.sub("[^a-zA-Z0-9_]+", "-", f"{module.__name__[:3]} {name}")
            count = server.instructions(few(script), n, label,
                                        variables={"payload": PAYLOAD})
            first = first or count
            rows.append(Row(name, module.TITLE, "instructions", [count], [first / count]))
            print(f"   {name:40} {count:,.0f} instructions, {first / count:.2f} of the first's speed", flush=True)
    server.process.send_signal(signal.SIGINT)
    server.process.wait()
    bench.report.section(
        "Instructions of a call", "Of the backend alone in user space, counted by callgrind: parse, bind, execute and "
        "commit, without system calls; from two runs of different length. Ratio: the baseline's count by this one's. "
        "The figure does not depend on what else the machine does.", rows)


def conditions(bench, options, begin):
    """Lines for the head of the report."""
    load_now = os.getloadavg()
    return [
        ("when", f"{bench.report.started}, {time.monotonic() - begin:.0f} s in all"),
        ("pg_workflow", os.environ.get("WF_COMMIT") or "unknown commit"),
        ("server", f"{bench.server.version}, shared_buffers {bench.server.shared_buffers}{' in huge pages' if options.huge_pages else ''}, "
                   "max_wal_size 8GB, autovacuum as by default, fsync on"),
        ("machine", machine()),
        ("load average", f"{options.load:.1f} before, {load_now[0]:.1f} at the end (clients and server share the machine)"),
        ("each measurement", f"{bench.seconds} s, {bench.repeats} repetitions, pgbench -M prepared over a Unix socket"),
        ("scale of the large scenarios", f"{bench.scale:g} of their bars'; {bench.many:,} keys or runs in P10 to P13"),
        ("run", "bench/run " + " ".join(options.arguments)),
    ]


def main():
    """Read the command line, run, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--huge-pages", action="store_true")
    parser.add_argument("--scale", type=float, default=0.01)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    options.arguments = sys.argv[3:]
    options.load = os.getloadavg()[0]
    if options.seconds:
        options.seconds = max(1, round(options.seconds))

    bench = Bench(options)
    begin = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        bench.server.start()
        scenarios = load(options.names)
        if options.quick and not options.names:
            scenarios = [s for s in scenarios if not getattr(s, "LONG", False)]
        if options.instructions:
            count_instructions(bench, scenarios)
            scenarios = []
        for scenario in scenarios:
            print(f"bench: {scenario.TITLE} ({time.monotonic() - begin:.0f} s)", flush=True)
            bench.server.database = scenario.__name__
            bench.server.fresh_database()
            try:
                scenario.run(bench)
            except Failed as problem:
                print(f"bench: {scenario.TITLE} failed: {problem}", file=sys.stderr, flush=True)
                bench.report.section(scenario.TITLE, f"Failed: `{str(problem).splitlines()[0][:200]}`", [])
    finally:
        bench.server.stop()
    text = bench.report.text(conditions(bench, options, begin))
    (Path(options.work) / "RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
