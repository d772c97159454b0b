-- ---------------------------------------------------------------------------
-- Read and operate
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.wf_handle(
	INOUT run_id uuid,
	OUT workflow text,
	OUT key text,
	OUT state text,
	OUT attempt integer,
	OUT result jsonb,
	OUT error text,
	OUT enqueued_at timestamptz,
	OUT started_at timestamptz,
	OUT finished_at timestamptz)
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_handle';
COMMENT ON FUNCTION @extschema@.wf_handle(uuid) IS 'where a run is';

CREATE FUNCTION @extschema@.wf_find(name text, key text)
RETURNS uuid
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_find';
COMMENT ON FUNCTION @extschema@.wf_find(text, text) IS
'the run that a live idempotency key is bound to, or NULL';

CREATE FUNCTION @extschema@.wf_result(run_id uuid)
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_result';
COMMENT ON FUNCTION @extschema@.wf_result(uuid) IS
'the result of a completed run, NULL before; raises the stored error of a failed one';

CREATE PROCEDURE @extschema@.wf_wait(
	run_id uuid,
	timeout interval DEFAULT NULL,
	INOUT state text DEFAULT NULL,
	INOUT result jsonb DEFAULT NULL)
LANGUAGE C
AS 'MODULE_PATHNAME', 'wf_wait';
COMMENT ON PROCEDURE @extschema@.wf_wait(uuid, interval, text, jsonb) IS
'wait until a run has ended, at most for the timeout; its state, and its result if it has completed';

CREATE FUNCTION @extschema@.wf_cancel(run_id uuid, reason text DEFAULT NULL)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_cancel';
COMMENT ON FUNCTION @extschema@.wf_cancel(uuid, text) IS
'cancel a run that has not ended; false if it has';

CREATE FUNCTION @extschema@.wf_retry(run_id uuid)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_retry';
COMMENT ON FUNCTION @extschema@.wf_retry(uuid) IS
'queue a failed or cancelled run again; false if it is neither';

CREATE FUNCTION @extschema@.wf_reschedule(
	run_id uuid,
	run_at timestamptz DEFAULT NULL,
	priority integer DEFAULT NULL)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_reschedule';
COMMENT ON FUNCTION @extschema@.wf_reschedule(uuid, timestamptz, integer) IS
'give a queued run another time or priority; false if it is not queued';

CREATE FUNCTION @extschema@.wf_forget(
	name text,
	key text,
	expected_run uuid DEFAULT NULL,
	force boolean DEFAULT false)
RETURNS uuid
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_forget';
COMMENT ON FUNCTION @extschema@.wf_forget(text, text, uuid, boolean) IS
'free an idempotency key and return the run it was bound to, or NULL';

CREATE FUNCTION @extschema@.wf_cancel_all(workflow text)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_cancel_all';
COMMENT ON FUNCTION @extschema@.wf_cancel_all(text) IS
'cancel every run of a workflow that has not ended, and return how many';

CREATE FUNCTION @extschema@.wf_retry_all(workflow text)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_retry_all';
COMMENT ON FUNCTION @extschema@.wf_retry_all(text) IS
'queue every failed or cancelled run of a workflow again, but for those whose key a newer run has, and return how many';

CREATE FUNCTION @extschema@.wf_erase(run_id uuid)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_erase';
COMMENT ON FUNCTION @extschema@.wf_erase(uuid) IS
'remove payload, result and errors of a run that has ended; its key keeps holding';

CREATE FUNCTION @extschema@.wf_explain_key(
	name text,
	key text,
	OUT verdict text,
	OUT run_id uuid,
	OUT state text,
	OUT expires_at timestamptz,
	OUT detail text)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1
AS 'MODULE_PATHNAME', 'wf_explain_key';
COMMENT ON FUNCTION @extschema@.wf_explain_key(text, text) IS
'what enqueueing with a key would do now: create, return, resume, new (a new run takes the key over) or wait';

CREATE FUNCTION @extschema@.wf_why(run_id uuid)
RETURNS SETOF text
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 2
AS 'MODULE_PATHNAME', 'wf_why';
COMMENT ON FUNCTION @extschema@.wf_why(uuid) IS
'each reason why a run is not running, with what would change it';

CREATE FUNCTION @extschema@.wf_current_run()
RETURNS uuid
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'wf_current_run';
COMMENT ON FUNCTION @extschema@.wf_current_run() IS
'the run that this handler is executing, NULL elsewhere';

CREATE FUNCTION @extschema@.wf_current_attempt()
RETURNS integer
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'wf_current_attempt';
COMMENT ON FUNCTION @extschema@.wf_current_attempt() IS
'number of the attempt that this handler is, 0 elsewhere';

CREATE FUNCTION @extschema@.wf_current_key()
RETURNS text
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'wf_current_key';
COMMENT ON FUNCTION @extschema@.wf_current_key() IS
'idempotency key of the run that this handler is executing, NULL elsewhere';

CREATE FUNCTION @extschema@.wf_expire(max_rows integer DEFAULT 10000)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_expire';
COMMENT ON FUNCTION @extschema@.wf_expire(integer) IS
'remove runs, keys and tasks that are over, until about max_rows have been removed, and return how many were';

CREATE FUNCTION @extschema@.wf_version()
RETURNS text
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'wf_version';
COMMENT ON FUNCTION @extschema@.wf_version() IS 'version of the library';
