"""A PostgreSQL server of our own, with psql and pgbench against it."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{work}'
shared_preload_libraries = 'pg_workflow'
shared_buffers = '{shared_buffers}'
huge_pages = {huge_pages}
max_wal_size = '8GB'
checkpoint_timeout = '30min'
max_connections = 200
max_worker_processes = 32
jit = off
log_min_messages = warning
log_checkpoints = off
"""


class Failed(Exception):
    """A program that the benchmarks need has failed."""


class Server:
    """A server in work/data that listens on a socket in work."""

    def __init__(self, work, pg_config, shared_buffers="512MB", huge_pages=False):
        self.work = Path(work)
        self.data = self.work / "data"
        self.bin = Path(subprocess.run([pg_config, "--bindir"], check=True, text=True,
                                       capture_output=True).stdout.strip())
        self.version = subprocess.run([pg_config, "--version"], check=True, text=True,
                                      capture_output=True).stdout.strip()
        self.shared_buffers = shared_buffers
        self.huge_pages = huge_pages
        self.database = "bench"
        self.process = None

    def program(self, name, *args, **kwargs):
        """Run one of the server's programs; its output, or Failed."""
        done = subprocess.run([self.bin / name, *map(str, args)], text=True,
                              capture_output=True, cwd=self.work, **kwargs)
        if done.returncode != 0:
            raise Failed(f"{name} {' '.join(map(str, args))}\n{done.stderr.strip()}")
        return done.stdout

    def start(self):
        """Make the server at the first call; start it."""
        if not self.data.exists():
            self.program("initdb", "-D", self.data, "--auth=trust", "--no-sync",
                         "--encoding=UTF8", "--locale=C")
            with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
                conf.write(SETTINGS.format(work=self.work, shared_buffers=self.shared_buffers,
                                           huge_pages="on" if self.huge_pages else "off"))
        subprocess.run([self.bin / "pg_ctl", "-D", self.data, "-l", self.work / "server.log",
                        "-w", "-t", "60", "start"], check=True, stdout=subprocess.DEVNULL)

    def start_counting(self):
        """Start it under callgrind, to count instructions, with nothing in the background."""
        with open(self.work / "server.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["valgrind", "-q", "--tool=callgrind", "--callgrind-out-file=" + str(self.work / "calls.%p"),
                 str(self.bin / "postgres"), "-D", str(self.data), "-c", "autovacuum=off",
                 "-c", "pg_workflow.dispatch=off", "-c", "fsync=off", "-c", "synchronous_commit=off"],
                stdout=log, stderr=log, cwd=self.work)
        for _ in range(600):
            if subprocess.run([self.bin / "pg_isready", "-q", "-h", self.work], check=False).returncode == 0:
                break
            time.sleep(0.1)
        else:
            raise Failed("the server did not start under valgrind")
        seen = None                                # let its own processes come up
        while seen != self.children():
            seen = self.children()
            time.sleep(3)

    def instructions(self, script, n, label, variables=None):
        """
        Instructions of one call of a script: the difference between n and 2 n
        calls, by n.  The files stay as work/callgrind.LABEL.n and .2n.
        """
        counts = []
        for calls in (n, 2 * n):
            lasting = self.children()
            before = set(self.work.glob("calls.*"))
            self.pgbench(script, transactions=calls, variables=variables)
            self.wait_for_backends(lasting)
            counts.append(max((self.total(path), path) for path in set(self.work.glob("calls.*")) - before))
            counts[-1][1].rename(self.work / f"callgrind.{label}.{calls // n}n")
        return (counts[1][0] - counts[0][0]) / n

    def wait_for_backends(self, lasting):
        """Until there are no children but these: backends write their counts when they end."""
        while self.children() - lasting:
            time.sleep(0.05)

    def children(self):
        """Processes of the server that runs under callgrind."""
        pid = self.process.pid
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())

    @staticmethod
    def total(path):
        """The instructions that a file of callgrind tells of, 0 if it is not whole yet."""
        found = re.findall(r"^totals: (\d+)", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        return sum(map(int, found))

    def stop(self):
        """Stop it, if it runs."""
        if (self.data / "postmaster.pid").exists():
            subprocess.run([self.bin / "pg_ctl", "-D", self.data, "-m", "fast", "-w", "-t", "60",
                            "stop"], check=False, stdout=subprocess.DEVNULL)

    def restart(self):
        """Stop and start: shared memory is empty, the cache of files is not."""
        self.stop()
        self.start()

    def setting(self, name, value):
        """Change a setting for the sessions that start from now on."""
        self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.sql("SELECT pg_reload_conf()")

    def sql(self, text, database=None):
        """Run SQL; the rows of the last query, as lists of text."""
        out = self.program("psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1",
                           "-h", self.work, "-d", database or self.database, "-f", "-", input=text)
        return [line.split("\t") for line in out.splitlines() if line]

    def value(self, text):
        """The only value of a query."""
        rows = self.sql(text)
        return rows[-1][0] if rows else None

    def fresh_database(self):
        """An empty database with the extension."""
        self.sql(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)", "postgres")
        self.sql(f"CREATE DATABASE {self.database} TEMPLATE template0", "postgres")
        self.sql("CREATE EXTENSION pg_workflow")
        self.sql("CHECKPOINT")

    def pgbench_command(self, script, clients=1, seconds=None, transactions=None, rate=None,
                        variables=None, log=None, mode="prepared"):
        """The command line of pgbench for a script (text), and its threads."""
        path = self.work / f"script-{abs(hash(script))}.sql"
        path.write_text(script, encoding="utf-8")
        command = [str(self.bin / "pgbench"), "-n", "-M", mode, "-f", str(path), "-h", str(self.work),
                   "-c", str(clients), "-j", str(min(clients, os.cpu_count() or 1))]
        command += ["-T", str(seconds)] if seconds else ["-t", str(transactions)]
        if rate:
            command += ["-R", str(rate)]
        if log:
            command += ["-l", f"--log-prefix={log}"]
        for name, value in (variables or {}).items():
            command += ["-D", f"{name}={value}"]
        return command + [self.database]

    def pgbench(self, script, **options):
        """Run pgbench; the transactions a second without the time to connect."""
        return pgbench_rate(self.finish(self.pgbench_start(script, **options)))

    def pgbench_start(self, script, **options):
        """Start pgbench in the background."""
        return subprocess.Popen(self.pgbench_command(script, **options), text=True, cwd=self.work,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    @staticmethod
    def finish(process, end=False):
        """Wait for a pgbench, or end it; its output."""
        if end:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        if not end and (process.returncode != 0 or "aborted" in err):
            raise Failed(f"pgbench: {err.strip()[-2000:]}")
        return out

    def latencies(self, prefix):
        """When each transaction in the logs of a run of pgbench ended, in seconds, and the milliseconds it took."""
        found = []
        for path in sorted(self.work.glob(f"{prefix}.*")):
            with open(path, encoding="ascii") as log:
                fields = [line.split() for line in log]
            found += [(int(f[4]) + int(f[5]) / 1e6, int(f[2]) / 1000.0) for f in fields]
            path.unlink()
        return found

    def wait_until(self, query, limit=60.0, every=0.05):
        """Wait until a query gives true; the seconds it took."""
        begin = time.monotonic()
        while self.value(query) != "t":
            if time.monotonic() - begin > limit:
                raise Failed(f"after {limit} s not true: {query}")
            time.sleep(every)
        return time.monotonic() - begin

    def wal_position(self):
        """Bytes of WAL written so far."""
        return int(self.value("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"))

    def processes(self):
        """The server's processes: (pid, type)."""
        return [(int(pid), kind) for pid, kind in
                self.sql("SELECT pid, backend_type FROM pg_stat_activity WHERE pid <> pg_backend_pid()")]

    def postmaster(self):
        """The server's first process."""
        return int((self.data / "postmaster.pid").read_text(encoding="ascii").split()[0])


def pgbench_rate(output):
    """Transactions a second, from what pgbench prints."""
    found = re.search(r"^tps = ([0-9.]+)", output, re.MULTILINE)
    if not found:
        raise Failed(f"no rate in pgbench's output: {output}")
    return float(found.group(1))
