-- ---------------------------------------------------------------------------
-- External workers
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.wf_claim(
	workflows text[],
	max_runs integer DEFAULT 1,
	lease interval DEFAULT '30 seconds',
	worker text DEFAULT NULL,
	OUT run_id uuid,
	OUT workflow text,
	OUT payload jsonb,
	OUT key text,
	OUT attempt integer,
	OUT lease_until timestamptz)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'wf_claim';
COMMENT ON FUNCTION @extschema@.wf_claim(text[], integer, interval, text) IS
'claim up to max_runs due runs of workflows without a handler, NULL for all one may work for, until the lease ends';

CREATE PROCEDURE @extschema@.wf_wait_for_work(
	workflows text[],
	timeout interval DEFAULT '30 seconds',
	INOUT ready boolean DEFAULT NULL)
LANGUAGE C
AS 'MODULE_PATHNAME', 'wf_wait_for_work';
COMMENT ON PROCEDURE @extschema@.wf_wait_for_work(text[], interval, boolean) IS
'wait until there is a run to claim, at most for the timeout; whether there is';

CREATE FUNCTION @extschema@.wf_heartbeat(
	run_id uuid,
	attempt integer,
	lease interval DEFAULT NULL)
RETURNS timestamptz
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_heartbeat';
COMMENT ON FUNCTION @extschema@.wf_heartbeat(uuid, integer, interval) IS
'renew the lease of a claimed run, NULL for as long as it was claimed for; until when';

CREATE FUNCTION @extschema@.wf_complete(
	run_id uuid,
	attempt integer,
	result jsonb DEFAULT NULL)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_complete';
COMMENT ON FUNCTION @extschema@.wf_complete(uuid, integer, jsonb) IS
'complete a claimed run with a result, in the caller''s transaction';

CREATE FUNCTION @extschema@.wf_fail(
	run_id uuid,
	attempt integer,
	error text,
	retry_in interval DEFAULT NULL,
	terminal boolean DEFAULT false)
RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_fail';
COMMENT ON FUNCTION @extschema@.wf_fail(uuid, integer, text, interval, boolean) IS
'fail an attempt of a claimed run, to be retried unless it was the last or is terminal; the new state';

CREATE FUNCTION @extschema@.wf_release(
	run_id uuid,
	attempt integer)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_release';
COMMENT ON FUNCTION @extschema@.wf_release(uuid, integer) IS
'give a claimed run back to the queue; the attempt does not count';
