#!/usr/bin/env python3
"""A worker in Python for the workflow of worker.sql.

    worker.py DSN URL

Claims runs, posts each mail to URL, and notes in the database that it was sent.
The run's id goes along as Idempotency-Key, so that a receiver which honours it
sends each mail once however often we try.  SIGTERM and SIGINT end it: what is
being sent is finished, what is not begun goes back to the queue.
"""
import json
import os
import signal
import sys
import threading
import time
import urllib.request

import psycopg2

WORKFLOWS = ["example-mail"]
LEASE_SECONDS = 30
BATCH = 10
NAME = f"python-{os.getpid()}"

stopping = threading.Event()


class Stale(Exception):
    """The run has been taken over, cancelled or finished: drop the attempt."""


def connect(dsn):
    """Connect, again and again if need be, with a growing pause."""
    pause = 0.1
    while True:
        try:
            connection = psycopg2.connect(dsn, application_name=NAME)
            connection.autocommit = True  # transactions are begun where they are wanted
            return connection
        except psycopg2.OperationalError:
            if stopping.wait(pause):
                sys.exit(0)
            pause = min(pause * 2, 10)


def send(url, run_id, mail):
    """The effect outside the database."""
    request = urllib.request.Request(
        url,
        data=json.dumps(mail).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": str(run_id)},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status


class Heart(threading.Thread):
    """Renews the leases of the runs in hand, on a connection of its own."""

    def __init__(self, dsn):
        super().__init__(daemon=True)
        self.dsn, self.lock, self.in_hand = dsn, threading.Lock(), {}

    def run(self):
        connection = connect(self.dsn)
        while True:
            time.sleep(LEASE_SECONDS / 3)
            with self.lock:
                runs = list(self.in_hand.items())
            for run_id, attempt in runs:
                try:
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT wf_heartbeat(%s, %s)", (run_id, attempt))
                except psycopg2.OperationalError:
                    connection = connect(self.dsn)
                except psycopg2.Error:  # WF004: whoever works on it will see, too
                    self.drop(run_id)

    def take(self, run_id, attempt):
        with self.lock:
            self.in_hand[run_id] = attempt

    def drop(self, run_id):
        with self.lock:
            self.in_hand.pop(run_id, None)

    def drop_all(self):
        with self.lock:
            self.in_hand.clear()


def report(connection, statement, *arguments):
    """A statement of its own about a run; Stale if that is somebody else's."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, arguments)
    except psycopg2.Error as error:
        if error.pgcode == "WF004":
            raise Stale from error
        raise


def work(connection, url, run_id, payload, attempt):
    """Send one mail, and note it together with the run's completion."""
    try:
        status = send(url, run_id, payload)
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(
                "INSERT INTO example_mail.sent (run_id, recipient, worker) VALUES (%s, %s, %s)",
                (run_id, payload["to"], NAME),
            )
            cursor.execute(
                "SELECT wf_complete(%s, %s, %s)", (run_id, attempt, json.dumps({"status": status}))
            )
            cursor.execute("COMMIT")
    except Exception as error:
        if connection.closed:
            raise  # the lease will end, or the commit has happened
        report(connection, "ROLLBACK")
        if getattr(error, "pgcode", None) == "WF004":
            raise Stale from error
        report(connection, "SELECT wf_fail(%s, %s, %s)", run_id, attempt, str(error))


def wait_for_work(connection):
    """True: there is some.  The server wakes us; the time-out is for signals."""
    with connection.cursor() as cursor:
        cursor.execute("CALL wf_wait_for_work(%s, '1 second')", (WORKFLOWS,))
        return cursor.fetchone()[0]


def serve(dsn, url, heart):
    """Wait, claim, work, until told to stop or the connection breaks."""
    connection = connect(dsn)
    while not stopping.is_set():
        if not wait_for_work(connection):
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT run_id, payload, attempt FROM wf_claim(%s, %s, %s, %s)",
                (WORKFLOWS, BATCH, f"{LEASE_SECONDS} seconds", NAME),
            )
            runs = cursor.fetchall()
        for run_id, _, attempt in runs:
            heart.take(run_id, attempt)
        for run_id, payload, attempt in runs:
            try:
                if stopping.is_set():
                    report(connection, "SELECT wf_release(%s, %s)", run_id, attempt)
                else:
                    work(connection, url, run_id, payload, attempt)
            except Stale:
                print(f"{NAME}: run {run_id} is somebody else's now", file=sys.stderr)
            finally:
                heart.drop(run_id)


def main():
    dsn, url = sys.argv[1:3]
    # a signal only says so: what is being sent is finished first
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    heart = Heart(dsn)
    heart.start()
    while not stopping.is_set():
        try:
            serve(dsn, url, heart)
        except psycopg2.Error as error:
            heart.drop_all()  # nobody works on them any more: let their leases end
            print(f"{NAME}: {error}".strip(), file=sys.stderr)
            stopping.wait(0.1)


if __name__ == "__main__":
    main()
