-- ---------------------------------------------------------------------------
-- Tasks: tables
--
-- Rows are only appended, to the current slice; a task is what its last row
-- says, the one with the highest seq.  src/README.md tells how.
-- ---------------------------------------------------------------------------

-- Whose tasks are whose.  The first task of a role writes its row here.
CREATE TABLE wf.task_owner (
	owner uuid NOT NULL,
	number integer NOT NULL,
	role_oid oid NOT NULL,
	role_name name NOT NULL,
	since timestamptz NOT NULL
);
COMMENT ON TABLE wf.task_owner IS 'roles that have tasks; a role may have several rows that say the same, the newest counts';
COMMENT ON COLUMN wf.task_owner.owner IS 'what the role''s tasks are stored under, for ever: server, database and OID in which it first had one';
COMMENT ON COLUMN wf.task_owner.number IS 'stands for the workflow in counters and duplicates; negative';
COMMENT ON COLUMN wf.task_owner.role_oid IS 'the role, 0: dropped; as the owner of a workflow it counts within this server';
COMMENT ON COLUMN wf.task_owner.role_name IS 'name of that role, by which it is found in another server';

CREATE TABLE wf.task_slice (
	slice integer NOT NULL,
	state text NOT NULL,
	opened_at timestamptz,
	sealed_at timestamptz,
	CONSTRAINT task_slice_pkey PRIMARY KEY (slice),
	CONSTRAINT task_slice_state CHECK (state IN ('empty', 'current', 'sealed'))
);
COMMENT ON TABLE wf.task_slice IS 'state of each slice of wf.task, as wf.slice has it of wf.run';

-- (task, seq) is unique: of two transactions that would both move a task, one
-- waits for the other.
CREATE TABLE wf.task (
	task uuid NOT NULL,
	owner uuid NOT NULL,
	at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	lease_until timestamptz,
	seq integer NOT NULL,
	attempt integer NOT NULL,
	kind "char" NOT NULL,
	fingerprint bytea,
	key text COLLATE "C" NOT NULL,
	result jsonb,
	error text,
	CONSTRAINT task_is_sliced CHECK (false) NO INHERIT
);
COMMENT ON TABLE wf.task IS 'what happened to tasks; the rows are in the slices task_0 to task_7';
COMMENT ON COLUMN wf.task.task IS 'first 16 bytes of SHA-256 of owner and key';
COMMENT ON COLUMN wf.task.owner IS 'whose it is, see wf.task_owner';
COMMENT ON COLUMN wf.task.expires_at IS 'from when on nothing is known of the task, if this is its last row';
COMMENT ON COLUMN wf.task.seq IS 'number of the row, from 1 for each task';
COMMENT ON COLUMN wf.task.kind IS 's begun, c completed, f failed, d forgotten';
COMMENT ON COLUMN wf.task.fingerprint IS 'SHA-256 of the payload''s value; NULL: begun without';
COMMENT ON COLUMN wf.task.result IS 'of kind c; never NULL there';

DO $slices$
DECLARE
	s integer;
BEGIN
	FOR s IN 0 .. 7 LOOP
		EXECUTE pg_catalog.format($ddl$
			CREATE TABLE wf.task_%1$s () INHERITS (wf.task)
				WITH (autovacuum_vacuum_insert_threshold = -1, toast.autovacuum_vacuum_insert_threshold = -1);
			CREATE UNIQUE INDEX task_%1$s_id ON wf.task_%1$s (task, seq);
			COMMENT ON TABLE wf.task_%1$s IS 'slice %1$s of wf.task';
			SELECT pg_catalog.pg_extension_config_dump('wf.task_%1$s', '');
			$ddl$, s);
	END LOOP;
END
$slices$;

SELECT pg_catalog.pg_extension_config_dump('wf.task_owner', '');
SELECT pg_catalog.pg_extension_config_dump('wf.task_slice', '');

CREATE TRIGGER definitions_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wf.task_owner
FOR EACH STATEMENT EXECUTE FUNCTION wf.definitions_changed();
CREATE TRIGGER definitions_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wf.task_slice
FOR EACH STATEMENT EXECUTE FUNCTION wf.definitions_changed();

-- ---------------------------------------------------------------------------
-- Tasks: functions
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.wf_task_begin(
	key text,
	lease interval DEFAULT '5 minutes',
	payload jsonb DEFAULT NULL)
RETURNS TABLE(
	status text,
	attempt integer,
	result jsonb,
	lease_until timestamptz)
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1
AS 'MODULE_PATHNAME', 'wf_task_begin';
COMMENT ON FUNCTION @extschema@.wf_task_begin(text, interval, jsonb) IS
'begin a task of the caller''s: execute it, take the result of a completed one, or leave one that is in progress';

CREATE FUNCTION @extschema@.wf_task_complete(
	key text,
	attempt integer,
	result jsonb DEFAULT NULL,
	ttl interval DEFAULT '24 hours')
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_task_complete';
COMMENT ON FUNCTION @extschema@.wf_task_complete(text, integer, jsonb, interval) IS
'store the result of a task that was begun, and return what is stored';

CREATE FUNCTION @extschema@.wf_task_fail(key text, attempt integer, error text)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_task_fail';
COMMENT ON FUNCTION @extschema@.wf_task_fail(text, integer, text) IS
'record that an attempt at a task has failed; the next one to begin it executes it';

CREATE FUNCTION @extschema@.wf_task_get(key text)
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_task_get';
COMMENT ON FUNCTION @extschema@.wf_task_get(text) IS
'stored result of a completed task; NULL: none, or expired';

CREATE FUNCTION @extschema@.wf_task_put(
	key text,
	result jsonb,
	ttl interval DEFAULT '24 hours')
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_task_put';
COMMENT ON FUNCTION @extschema@.wf_task_put(text, jsonb, interval) IS
'store a result without beginning a task, and return what is stored: the first one, while it lives';

CREATE FUNCTION @extschema@.wf_task_run(
	handler regprocedure,
	payload jsonb,
	key text DEFAULT NULL,
	ttl interval DEFAULT '24 hours')
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_task_run';
COMMENT ON FUNCTION @extschema@.wf_task_run(regprocedure, jsonb, text, interval) IS
'call a function (jsonb) once for a key and remember its result; without a key once for each handler in a run, and always elsewhere';

CREATE FUNCTION @extschema@.wf_task_forget(key text)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_task_forget';
COMMENT ON FUNCTION @extschema@.wf_task_forget(text) IS
'forget a task, whatever its state; false if there was none';

CREATE FUNCTION wf.my_tasks(OUT owner uuid, OUT number integer)
RETURNS record
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'wf_my_tasks';
COMMENT ON FUNCTION wf.my_tasks() IS 'for the views: what the caller''s tasks are stored under; NULL: he has none';
