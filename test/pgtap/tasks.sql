-- Tasks: every argument that is refused, with its SQLSTATE, detail and hint;
-- limits; and that keys are compared byte by byte.
BEGIN;
SELECT no_plan();

CREATE SCHEMA helper;

-- what a statement fails with: SQLSTATE, and whether there are detail and hint
CREATE FUNCTION helper.error(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'none';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' ', SQLSTATE, CASE WHEN detail <> '' THEN 'detail' END, CASE WHEN hint <> '' THEN 'hint' END);
END
$$;

CREATE FUNCTION helper.handler(payload jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT payload';
CREATE FUNCTION helper.text(payload jsonb) RETURNS text LANGUAGE sql AS 'SELECT payload::text';
CREATE FUNCTION helper.two(payload jsonb, other int DEFAULT 1) RETURNS jsonb LANGUAGE sql AS 'SELECT payload';
CREATE FUNCTION helper.set(payload jsonb) RETURNS SETOF jsonb LANGUAGE sql AS 'SELECT payload';
CREATE PROCEDURE helper.procedure(payload jsonb) LANGUAGE sql AS 'SELECT payload';
CREATE FUNCTION helper.big(payload jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(repeat('x', (payload)::int)) $$;
CREATE FUNCTION helper.nothing(payload jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';

SELECT is(helper.error(statement), error, statement)
  FROM (VALUES
	-- keys
	($$SELECT wf_task_begin(NULL)$$, '22023 detail hint'),
	($$SELECT wf_task_begin('')$$, '22023 detail hint'),
	($$SELECT wf_task_begin(repeat('x', 513))$$, '22023 detail hint'),
	($$SELECT wf_task_begin(repeat('é', 257))$$, '22023 detail hint'),
	($$SELECT wf_task_begin(repeat('é', 256))$$, 'none'),
	($$SELECT wf_task_complete(NULL, 1)$$, '22023 detail hint'),
	($$SELECT wf_task_complete('', 1)$$, '22023 detail hint'),
	($$SELECT wf_task_fail(NULL, 1, 'x')$$, '22023 detail hint'),
	($$SELECT wf_task_get(NULL)$$, '22023 detail hint'),
	($$SELECT wf_task_get(repeat('x', 513))$$, '22023 detail hint'),
	($$SELECT wf_task_put(NULL, '1')$$, '22023 detail hint'),
	($$SELECT wf_task_forget(NULL)$$, '22023 detail hint'),
	-- leases
	($$SELECT wf_task_begin('a', NULL)$$, '22023 detail hint'),
	($$SELECT wf_task_begin('a', '0')$$, '22023 detail hint'),
	($$SELECT wf_task_begin('a', '-1 second')$$, '22023 detail hint'),
	($$SELECT wf_task_begin('a', '1 day 1 microsecond')$$, '22023 detail hint'),
	($$SELECT wf_task_begin('a', '178000000 years')$$, '22023 detail hint'),
	($$SELECT wf_task_begin('a', '1 day')$$, 'none'),
	-- attempts
	($$SELECT wf_task_complete('a', NULL)$$, '22023 detail hint'),
	($$SELECT wf_task_complete('a', 0)$$, 'WF004 detail hint'),
	($$SELECT wf_task_complete('a', -1)$$, 'WF004 detail hint'),
	($$SELECT wf_task_complete('a', 2147483647)$$, 'WF004 detail hint'),
	($$SELECT wf_task_complete('never begun', 1)$$, 'WF004 detail hint'),
	($$SELECT wf_task_fail('a', 2, 'x')$$, 'WF004 detail hint'),
	($$SELECT wf_task_fail('a', NULL, 'x')$$, '22023 detail hint'),
	($$SELECT wf_task_fail('a', 1, NULL)$$, '22023 detail hint'),
	-- lifetimes
	($$SELECT wf_task_complete('a', 1, '1', NULL)$$, '22023 detail hint'),
	($$SELECT wf_task_complete('a', 1, '1', '-1 second')$$, '22023 detail hint'),
	($$SELECT wf_task_complete('a', 1, '1', '1 day -25 hours')$$, '22023 detail hint'),
	($$SELECT wf_task_put('b', '1', '-1 second')$$, '22023 detail hint'),
	($$SELECT wf_task_put('b', '1', NULL)$$, '22023 detail hint'),
	($$SELECT wf_task_put('b', '1', '178000000 years')$$, 'none'),
	-- sizes
	($$SELECT wf_task_begin('c', payload => to_jsonb(repeat('x', 2000)))$$, '54000 detail hint'),
	($$SELECT wf_task_complete('a', 1, to_jsonb(repeat('x', 2000)))$$, '54000 detail hint'),
	($$SELECT wf_task_put('c', to_jsonb(repeat('x', 2000)))$$, '54000 detail hint'),
	($$SELECT wf_task_run('helper.big(jsonb)', '2000', 'c')$$, '54000 detail hint'),
	($$SELECT wf_task_run('helper.big(jsonb)', '900', 'c')$$, 'none'),
	-- functions
	($$SELECT wf_task_run(NULL, '1')$$, '22023 detail hint'),
	($$SELECT wf_task_run('-', '1')$$, '42883 detail hint'),
	($$SELECT wf_task_run(4294967295::oid::regprocedure, '1')$$, '42883 detail hint'),
	($$SELECT wf_task_run('helper.handler(jsonb)', NULL)$$, '22023 detail hint'),
	($$SELECT wf_task_run('helper.handler(jsonb)', '1', '')$$, '22023 detail hint'),
	($$SELECT wf_task_run('helper.handler(jsonb)', '1', 'd', '-1 second')$$, '22023 detail hint'),
	($$SELECT wf_task_run('helper.text(jsonb)', '1')$$, '22023 detail hint'),
	($$SELECT wf_task_run('helper.two(jsonb, int)', '1')$$, '22023 detail hint'),
	($$SELECT wf_task_run('helper.set(jsonb)', '1')$$, '22023 detail hint'),
	($$SELECT wf_task_run('helper.procedure(jsonb)', '1')$$, '22023 detail hint'),
	($$SELECT wf_task_run('pg_catalog.jsonb_agg(anyelement)', '1')$$, '22023 detail hint'),
	-- and nothing of it has hurt what was begun
	($$SELECT wf_task_complete('a', 1, '1')$$, 'none')
  ) cases (statement, error),
  LATERAL (SELECT set_config('pg_workflow.max_payload', '1', true)) limited;
SELECT set_config('pg_workflow.max_payload', '16MB', true);

SELECT is(wf_task_run('helper.nothing(jsonb)', '1', 'nothing'), 'null', 'a NULL result is stored as JSON null');
SELECT is((SELECT count(*)::int FROM wf.tasks WHERE key IN ('b', 'c')), 2, 'what was refused is not stored');

-- what is kept of an error
SELECT status FROM wf_task_begin('error');
SELECT wf_task_fail('error', 1, repeat('é', 10000));
SELECT is(octet_length(error), 8192, 'an error text is cut to 8 kB') FROM wf.tasks WHERE key = 'error';
SELECT lives_ok($$SELECT wf_task_fail('error', 1, repeat('é', 10000))$$, 'and is the same when it is told again');

-- keys
SELECT is(count(DISTINCT wf_task_put(key, to_jsonb(key)))::int, 6, 'keys are compared byte by byte')
  FROM unnest(ARRAY['key', 'Key', ' key', 'key ', U&'\00E9', U&'e\0301']) key;

-- lifetimes are added in UTC: a day has 24 hours, whatever the time zone
SET LOCAL timezone = 'America/New_York';
SELECT wf_task_put('utc', '1', '200 days');
SELECT ok(expires_at BETWEEN clock_timestamp() + '4799 hours' AND clock_timestamp() + '4800 hours', 'a day has 24 hours')
  FROM wf.tasks WHERE key = 'utc';

-- large results come back whole, and outlive their task
CREATE TEMP TABLE kept AS SELECT wf_task_put('large', (SELECT jsonb_agg(md5(n::text)) FROM generate_series(1, 5000) n)) AS result;
SELECT is(wf_task_get('large'), result, 'a large result') FROM kept;
SELECT is(jsonb_array_length(r.result), 5000, 'told at the next begin') FROM wf_task_begin('large') r;

-- the defaults of the contract
SELECT is(pg_get_function_arguments(p.oid), arguments, 'arguments of ' || p.proname)
  FROM (VALUES
	('wf_task_begin', 'key text, lease interval DEFAULT ''00:05:00''::interval, payload jsonb DEFAULT NULL::jsonb'),
	('wf_task_complete', 'key text, attempt integer, result jsonb DEFAULT NULL::jsonb, ttl interval DEFAULT ''24:00:00''::interval'),
	('wf_task_fail', 'key text, attempt integer, error text'),
	('wf_task_get', 'key text'),
	('wf_task_put', 'key text, result jsonb, ttl interval DEFAULT ''24:00:00''::interval'),
	('wf_task_run', 'handler regprocedure, payload jsonb, key text DEFAULT NULL::text, ttl interval DEFAULT ''24:00:00''::interval'),
	('wf_task_forget', 'key text')) contract (name, arguments)
  JOIN pg_proc p ON p.proname = contract.name;
SELECT is((SELECT array_agg(attname ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'wf.tasks'::regclass AND attnum > 0),
		  '{key,status,attempt,result,error,lease_until,expires_at}'::name[], 'columns of wf.tasks');

SELECT * FROM finish();
ROLLBACK;
