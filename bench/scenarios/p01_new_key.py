"""
P1, P2: a run with a new key, against one row in one table.

The table has the columns of wf.run that a call fills, a primary key and the
unique key.  Keys are random: a key is a hash in our index, and comes from
outside (an order, a webhook) in any case.
"""

TITLE = "P1, P2: enqueue with a new key"

PAYLOAD = ('{"order": 7312, "customer": "c-204917", "currency": "EUR", "lines": [{"sku": "A-1", "n": 2}, '
           '{"sku": "B-77", "n": 1}], "total": 118.45, "note": "leave at the door, ring twice", '
           '"source": "web-checkout-1"}')

SETUP = """
SELECT wf_create_workflow('order', NULL);
CREATE TABLE baseline (
    run_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    run_at timestamptz NOT NULL DEFAULT now(),
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    workflow text COLLATE "C" NOT NULL,
    priority integer NOT NULL DEFAULT 0,
    payload jsonb NOT NULL,
    key text COLLATE "C" NOT NULL,
    key_ttl interval NOT NULL DEFAULT '24 hours',
    UNIQUE (workflow, key)
);
CREATE FUNCTION enqueue_by_hand(w text, p jsonb, k text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    found uuid;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(k, 0));
    SELECT run_id INTO found FROM baseline WHERE workflow = w AND key = k;
    IF found IS NULL THEN
        INSERT INTO baseline (workflow, payload, key) VALUES (w, p, k) RETURNING run_id INTO found;
    END IF;
    RETURN found;
END $$;
"""

KEY = "\\set key random(1, 9000000000000000000)\n"
OURS = KEY + "SELECT wf_enqueue('order', :payload, :key);\n"
UPSERT = KEY + ("INSERT INTO baseline (workflow, payload, key) VALUES ('order', :payload, :key) "
                "ON CONFLICT (workflow, key) DO NOTHING RETURNING run_id;\n")
INSERT = KEY + "INSERT INTO baseline (workflow, payload, key) VALUES ('order', :payload, :key);\n"
BY_HAND = KEY + "SELECT enqueue_by_hand('order', :payload, :key);\n"

CONTENDERS = {
    "INSERT ON CONFLICT DO NOTHING RETURNING": UPSERT,
    "wf_enqueue": OURS,
    "plain INSERT": INSERT,
    "plpgsql with an advisory lock": BY_HAND,
}


def run(bench):
    """Measure rates by clients, and WAL."""
    bench.server.sql(SETUP)
    rows = []
    by_clients = []
    for clients, sync in bench.settings():
        found = bench.interleave(CONTENDERS, clients, sync, variables={"payload": PAYLOAD})
        setting = found["wf_enqueue"].setting
        bench.report.bar("P1", "new key against ON CONFLICT DO NOTHING", setting,
                         bench.ratios(found, "wf_enqueue", "INSERT ON CONFLICT DO NOTHING RETURNING"), 1.0)
        bench.report.bar("P2", "new key against a plain INSERT", setting,
                         bench.ratios(found, "wf_enqueue", "plain INSERT"), 0.85)
        rows += found.values()
        if sync == "off":
            by_clients += [(clients, row) for row in found.values()]
    wal = {name: bench.wal_per_call(script, variables={"payload": PAYLOAD})
           for name, script in CONTENDERS.items()}
    bench.report.bar("P2", "WAL of a new key against a plain INSERT's", "1 client, no full pages",
                     [wal["wf_enqueue"] / wal["plain INSERT"]], 1.3, at_least=False)
    text = ("Payload of 200 bytes, sent as text with each call; random keys. WAL of a call, in bytes: "
            + ", ".join(f"{name} {size:.0f}" for name, size in wal.items()) + ".")
    bench.report.section(TITLE, text, rows)
    bench.chart_by_clients("new_key.svg", "A new key (synchronous_commit off)", "calls/s", by_clients)
