-- ---------------------------------------------------------------------------
-- Enqueue
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.wf_enqueue(
	name text,
	payload jsonb DEFAULT '{}',
	key text DEFAULT NULL,
	run_at timestamptz DEFAULT NULL,
	priority integer DEFAULT NULL,
	key_ttl interval DEFAULT NULL,
	on_conflict text DEFAULT 'return')
RETURNS uuid
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_enqueue';
COMMENT ON FUNCTION @extschema@.wf_enqueue(text, jsonb, text, timestamptz, integer, interval, text) IS
'find or create the run of a workflow and idempotency key, in the caller''s transaction';

CREATE FUNCTION @extschema@.wf_submit(
	name text,
	payload jsonb DEFAULT '{}',
	key text DEFAULT NULL,
	run_at timestamptz DEFAULT NULL,
	priority integer DEFAULT NULL,
	key_ttl interval DEFAULT NULL,
	on_conflict text DEFAULT 'return',
	OUT run_id uuid,
	OUT created boolean,
	OUT state text,
	OUT attempt integer,
	OUT result jsonb,
	OUT error text)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1
AS 'MODULE_PATHNAME', 'wf_submit';
COMMENT ON FUNCTION @extschema@.wf_submit(text, jsonb, text, timestamptz, integer, interval, text) IS
'like wf_enqueue, and tell whether the run is new, its state, and its result';

CREATE FUNCTION @extschema@.wf_enqueue_many(
	name text,
	payloads jsonb[],
	keys text[] DEFAULT NULL,
	run_at timestamptz DEFAULT NULL,
	priority integer DEFAULT NULL,
	key_ttl interval DEFAULT NULL,
	on_conflict text DEFAULT 'return',
	OUT ordinal integer,
	OUT run_id uuid,
	OUT created boolean)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100
AS 'MODULE_PATHNAME', 'wf_enqueue_many';
COMMENT ON FUNCTION @extschema@.wf_enqueue_many(text, jsonb[], text[], timestamptz, integer, interval, text) IS
'enqueue many runs of a workflow in one call; one row for each, in order';
