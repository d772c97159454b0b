"""Contenders in JavaScript: their packages, and a process for each."""

import json
import os
import pwd
import shutil
import subprocess
import threading
from pathlib import Path

from server import Failed

PEERS = Path(__file__).resolve().parent.parent / "peers"
LIMIT = 180                                        # seconds within which each command is answered


def install():
    """Install the packages below the bench's own directory, in the versions of package-lock.json; Failed where that can't be."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise Failed(f"there is no {program}")
    done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"], cwd=PEERS,
                          text=True, capture_output=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["npm ci failed"]
        raise Failed(next((line for line in lines if " code " in line), lines[0]))


def versions():
    """What is installed, in words."""
    packages = json.loads((PEERS / "package.json").read_text(encoding="utf-8"))["dependencies"]
    node = subprocess.run(["node", "--version"], check=True, text=True, capture_output=True).stdout.strip()
    return ", ".join(f"{name} {version}" for name, version in packages.items()) + f", node {node}"


class Peer:
    """A process of node that runs serve.mjs for a contender."""

    def __init__(self, server, name):
        self.name = name
        self.log = open(server.work / f"{name}.log", "a+", encoding="utf-8")
        self.process = subprocess.Popen(
            ["node", "serve.mjs", name], cwd=PEERS, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
            env={**os.environ, "PGHOST": str(server.work), "PGDATABASE": server.database, "PGUSER": pwd.getpwuid(os.getuid()).pw_name})
        try:
            self.answer()
        except Failed:
            self.close()
            raise

    def ask(self, do, **what):
        """Have it do something; its answer, or Failed."""
        try:
            self.process.stdin.write(json.dumps({"do": do, **what}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as problem:
            raise Failed(f"{self.name} has ended") from problem
        return self.answer()

    def answer(self):
        """What it says to the last command."""
        watch = threading.Timer(LIMIT, self.process.kill)
        watch.start()
        try:
            for line in self.process.stdout:
                if line.startswith("@"):
                    answer = json.loads(line[1:])
                    if "failed" in answer:
                        raise Failed(answer["failed"])
                    return answer["ok"]
        finally:
            watch.cancel()
        raise Failed(f"no answer within {LIMIT} s" if self.process.wait() < 0 else f"ended with status {self.process.returncode}")

    def close(self):
        """Let it end."""
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        self.log.close()
