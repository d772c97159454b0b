"""P3: a run without a key, against a plain INSERT with a uuid primary key."""

from p01_new_key import PAYLOAD

TITLE = "P3: enqueue without a key"

SETUP = """
SELECT wf_create_workflow('order', NULL);
CREATE TABLE plain (
    run_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    run_at timestamptz NOT NULL DEFAULT now(),
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    workflow text COLLATE "C" NOT NULL,
    priority integer NOT NULL DEFAULT 0,
    payload jsonb NOT NULL
);
"""

CONTENDERS = {
    "plain INSERT": "INSERT INTO plain (workflow, payload) VALUES ('order', :payload) RETURNING run_id;\n",
    "wf_enqueue": "SELECT wf_enqueue('order', :payload);\n",
}


def run(bench):
    """Measure rates."""
    bench.server.sql(SETUP)
    rows = []
    for clients, sync in bench.settings():
        found = bench.interleave(CONTENDERS, clients, sync, variables={"payload": PAYLOAD})
        bench.report.bar("P3", "no key against a plain INSERT", found["wf_enqueue"].setting,
                         bench.ratios(found, "wf_enqueue", "plain INSERT"), 0.9)
        rows += found.values()
    bench.report.section(TITLE, "The same payload; the table has a uuid primary key and no other index.", rows)
