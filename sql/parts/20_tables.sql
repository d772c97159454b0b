-- ---------------------------------------------------------------------------
-- Tables
--
-- Nobody but the extension's owner may read or write them; the views show
-- what each role may see.  src/README.md tells how they work together.
-- ---------------------------------------------------------------------------

-- Which database this is.  Where it differs from the server's own answer, the
-- database is a copy: keys are honoured, nothing is dispatched until wf_adopt().
-- The first workflow or task makes the row, not this script: while a dump is
-- restored, in whatever order, there is none, and nothing is swept or dispatched.
CREATE TABLE wf.installation (
	system_identifier bigint NOT NULL,
	database_oid oid NOT NULL,
	adopted_at timestamptz NOT NULL
);
COMMENT ON TABLE wf.installation IS
'the server and database that this copy of the queue belongs to; no row: nothing has been made here';

CREATE SEQUENCE wf.workflow_id_seq AS integer;
COMMENT ON SEQUENCE wf.workflow_id_seq IS
'numbers of workflows; a number is never used twice, so a new workflow inherits no keys from a dropped one of the same name';

-- A workflow's definition.  Changed by wf_alter_workflow and its kin only;
-- every change sends a relcache invalidation of this table, which is what
-- makes backends drop the definitions they keep.
CREATE TABLE wf.workflow (
	id integer NOT NULL,
	name text COLLATE "C" NOT NULL,
	owner_oid oid NOT NULL,
	owner_name name NOT NULL,
	handler_schema name,
	handler_name name,
	max_attempts integer NOT NULL,
	retry_delay interval NOT NULL,
	retry_factor float8 NOT NULL,
	retry_max_delay interval NOT NULL,
	retry_jitter float8 NOT NULL,
	timeout interval NOT NULL,
	key_ttl interval NOT NULL,
	key_anchor text NOT NULL,
	on_failed text NOT NULL,
	on_mismatch text NOT NULL,
	max_running integer NOT NULL,
	priority integer NOT NULL,
	batch integer NOT NULL,
	retention interval NOT NULL,
	max_queued integer NOT NULL,
	paused boolean NOT NULL DEFAULT false,
	dropped_at timestamptz,
	CONSTRAINT workflow_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX workflow_name ON wf.workflow (name) WHERE dropped_at IS NULL;
COMMENT ON TABLE wf.workflow IS 'definitions of workflows';
COMMENT ON COLUMN wf.workflow.owner_oid IS 'role that handlers run as; counts while owner_name is still its name';
COMMENT ON COLUMN wf.workflow.owner_name IS 'name of that role, by which wf_adopt() finds it in another cluster';
COMMENT ON COLUMN wf.workflow.handler_name IS 'function (jsonb) in handler_schema; NULL: external workers claim the runs';
COMMENT ON COLUMN wf.workflow.dropped_at IS 'when wf_drop_workflow was called; the row stays while runs of it are stored';

-- Who else may do what on a workflow.
CREATE TABLE wf.workflow_grant (
	workflow_id integer NOT NULL,
	role_oid oid NOT NULL,
	role_name name NOT NULL,
	privileges text[] NOT NULL,
	CONSTRAINT workflow_grant_pkey PRIMARY KEY (workflow_id, role_oid)
);
COMMENT ON TABLE wf.workflow_grant IS 'privileges on workflows, beside the owner''s';
COMMENT ON COLUMN wf.workflow_grant.role_oid IS 'the role, 0 for PUBLIC';

-- The ring of slices.  Runs and their events are written to the current
-- slice; a slice whose runs are all purged is truncated and used again.
CREATE TABLE wf.slice (
	slice integer NOT NULL,
	state text NOT NULL,
	opened_at timestamptz,
	sealed_at timestamptz,
	CONSTRAINT slice_pkey PRIMARY KEY (slice),
	CONSTRAINT slice_state CHECK (state IN ('empty', 'current', 'sealed'))
);
COMMENT ON TABLE wf.slice IS 'state of each slice of wf.run and wf.event; without a row: empty, or, while there is none with ''current'', slice 0 is current';

-- One row: a clock that is set back while the server is down does not revive
-- what had expired before.  Not dumped: it is about this server's clock.
CREATE TABLE wf.clock (
	seen timestamptz NOT NULL
) WITH (fillfactor = 20);
COMMENT ON TABLE wf.clock IS 'the latest time seen, as of the last sweep that had something to store';
INSERT INTO wf.clock VALUES (clock_timestamp());

-- Positions of readers, each made of the elements of the same number.  Not
-- dumped: a hint for the next start of this server.
CREATE TABLE wf.queue_position (
	workflow_id integer NOT NULL,
	streams integer[] NOT NULL,
	opened_at timestamptz[] NOT NULL,
	priorities integer[] NOT NULL,
	run_at timestamptz[] NOT NULL,
	run_ids uuid[] NOT NULL,
	CONSTRAINT queue_position_pkey PRIMARY KEY (workflow_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE wf.queue_position IS 'how far the queues of each workflow had been taken, as of the last sweep that found them further';
COMMENT ON COLUMN wf.queue_position.streams IS 'numbers of slices, and of slices plus 8 for what was queued again';
COMMENT ON COLUMN wf.queue_position.opened_at IS 'since when the slice was written to; a position of an earlier time does not count';
COMMENT ON COLUMN wf.queue_position.priorities IS 'of the entries; each priority of a slice has a position of its own';

-- A run as it was enqueued.  Immutable but for three rare acts: a key that
-- moves on to another run (key_digest becomes NULL), on_conflict => 'replace',
-- and wf_erase.  The state of a run is that of its last event.
CREATE TABLE wf.run (
	run_id uuid NOT NULL,
	run_at timestamptz NOT NULL,
	enqueued_at timestamptz NOT NULL,
	workflow_id integer NOT NULL,
	priority integer NOT NULL,
	fingerprint bytea NOT NULL,
	payload jsonb,
	key_digest uuid,
	key text COLLATE "C",
	key_anchor "char",
	key_ttl interval,
	replaces uuid,
	CONSTRAINT run_is_sliced CHECK (false) NO INHERIT
);
COMMENT ON TABLE wf.run IS 'runs as they were enqueued; the rows are in the slices run_0 to run_7';
COMMENT ON COLUMN wf.run.key_digest IS 'first 16 bytes of SHA-256 of workflow number and key; NULL: no key, or the key has moved on';
COMMENT ON COLUMN wf.run.fingerprint IS 'SHA-256 of the payload''s value';
COMMENT ON COLUMN wf.run.payload IS 'NULL: purged or erased';
COMMENT ON COLUMN wf.run.replaces IS 'the run that had the key before';

-- What has happened to runs, one row each time.  (run_id, seq) is unique:
-- of two transactions that would move the same run, one waits for the other.
CREATE TABLE wf.event (
	run_id uuid NOT NULL,
	at timestamptz NOT NULL,
	seq integer NOT NULL,
	attempt integer NOT NULL,
	workflow_id integer NOT NULL,
	priority integer NOT NULL,
	tries smallint NOT NULL,
	crashes smallint NOT NULL,
	kind "char" NOT NULL,
	run_at timestamptz,
	lease_until timestamptz,
	started_at timestamptz,
	result jsonb,
	worker text,
	sqlstate text,
	error text,
	detail text,
	context text,
	lease_us bigint,
	CONSTRAINT event_is_sliced CHECK (false) NO INHERIT
);
COMMENT ON TABLE wf.event IS 'what happened to runs; the rows are in the slices event_0 to event_7';
COMMENT ON COLUMN wf.event.kind IS
's started, h heartbeat, c completed, f failed, x cancelled, r to be retried, l lease lost, b released, k ended by a server crash, q queued again, d rescheduled, m moved to another slice';
COMMENT ON COLUMN wf.event.tries IS 'attempts that count against max_attempts, this one included';
COMMENT ON COLUMN wf.event.crashes IS 'attempts that a crash of the server has ended';
COMMENT ON COLUMN wf.event.run_at IS 'not NULL: the run is queued again, due at this time';
COMMENT ON COLUMN wf.event.lease_until IS 'not NULL: the run is held by an external worker until this time';
COMMENT ON COLUMN wf.event.lease_us IS 'microseconds of the lease that the run was claimed with';

-- The slices: a fixed number, so that a dump knows them all.  Rows that were only
-- inserted need no vacuum, which would be in the way when a slice is truncated.
DO $slices$
DECLARE
	s integer;
	relation text;
BEGIN
	FOR s IN 0 .. 7 LOOP
		EXECUTE pg_catalog.format($ddl$
			CREATE TABLE wf.run_%1$s () INHERITS (wf.run)
				WITH (autovacuum_vacuum_insert_threshold = -1, toast.autovacuum_vacuum_insert_threshold = -1);
			CREATE UNIQUE INDEX run_%1$s_id ON wf.run_%1$s (run_id);
			CREATE UNIQUE INDEX run_%1$s_key ON wf.run_%1$s (key_digest) WHERE key_digest IS NOT NULL;
			CREATE INDEX run_%1$s_queue ON wf.run_%1$s (workflow_id, priority, run_at, run_id);
			CREATE TABLE wf.event_%1$s () INHERITS (wf.event)
				WITH (autovacuum_vacuum_insert_threshold = -1, toast.autovacuum_vacuum_insert_threshold = -1);
			CREATE UNIQUE INDEX event_%1$s_id ON wf.event_%1$s (run_id, seq);
			CREATE INDEX event_%1$s_queue ON wf.event_%1$s (workflow_id, priority, run_at, run_id) WHERE run_at IS NOT NULL;
			CREATE INDEX event_%1$s_lease ON wf.event_%1$s (lease_until) WHERE lease_until IS NOT NULL;
			CREATE INDEX event_%1$s_failed ON wf.event_%1$s (workflow_id, at) WHERE kind IN ('f', 'x');
			COMMENT ON TABLE wf.run_%1$s IS 'slice %1$s of wf.run';
			COMMENT ON TABLE wf.event_%1$s IS 'slice %1$s of wf.event';
			SELECT pg_catalog.pg_extension_config_dump('wf.run_%1$s', '');
			SELECT pg_catalog.pg_extension_config_dump('wf.event_%1$s', '');
			$ddl$, s);
	END LOOP;
END
$slices$;

-- Runs handed to an executor, one row for a batch, written and flushed before
-- the first of them starts.  What is found here after a crash was under way.
CREATE TABLE wf.reservation (
	reserved_at timestamptz NOT NULL,
	executor integer NOT NULL,
	run_ids uuid[] NOT NULL,
	seqs integer[] NOT NULL
) WITH (toast_tuple_target = 8160);
COMMENT ON TABLE wf.reservation IS 'runs handed to executors and not finished yet';
COMMENT ON COLUMN wf.reservation.seqs IS 'number of each run''s last event when it was handed over';

-- Duplicate calls, written by the dispatcher from shared memory.  There may be
-- tens of thousands a second: those of one caller that come together are one
-- row, which fits into a page.
CREATE TABLE wf.duplicate (
	last_at timestamptz NOT NULL,
	workflow_id integer NOT NULL,
	role_name name,
	application_name text,
	client_addr inet,
	times timestamptz[] NOT NULL,
	run_ids uuid[] NOT NULL,
	outcomes "char"[] NOT NULL,
	keys text[] NOT NULL
) WITH (toast_tuple_target = 8160);
CREATE INDEX duplicate_last_at ON wf.duplicate (workflow_id, last_at);
COMMENT ON TABLE wf.duplicate IS 'calls that found their idempotency key taken; the arrays have an element for each';
COMMENT ON COLUMN wf.duplicate.last_at IS 'the latest of the times';
COMMENT ON COLUMN wf.duplicate.times IS 'of each call';
COMMENT ON COLUMN wf.duplicate.run_ids IS 'the run that each call''s key was bound to; of a task its digest';
COMMENT ON COLUMN wf.duplicate.keys IS 'of each call; NULL where it is not stored any more';
COMMENT ON COLUMN wf.duplicate.outcomes IS
'what each call got: r the run, s nothing (skip), a the run queued again (resume), p the run replaced, e an error, m an error for another payload';

-- Counters of workflows, written by the dispatcher from shared memory.
CREATE TABLE wf.counter (
	workflow_id integer NOT NULL,
	enqueued bigint NOT NULL,
	duplicates bigint NOT NULL,
	mismatches bigint NOT NULL,
	waits bigint NOT NULL,
	completed bigint NOT NULL,
	failed bigint NOT NULL,
	cancelled bigint NOT NULL,
	lost_audit bigint NOT NULL,
	CONSTRAINT counter_pkey PRIMARY KEY (workflow_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE wf.counter IS 'what was counted of each workflow, as far as it has been written';

SELECT pg_catalog.pg_extension_config_dump('wf.installation', '');
SELECT pg_catalog.pg_extension_config_dump('wf.workflow_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('wf.workflow', '');
SELECT pg_catalog.pg_extension_config_dump('wf.workflow_grant', '');
SELECT pg_catalog.pg_extension_config_dump('wf.slice', '');
SELECT pg_catalog.pg_extension_config_dump('wf.duplicate', '');
SELECT pg_catalog.pg_extension_config_dump('wf.counter', '');
