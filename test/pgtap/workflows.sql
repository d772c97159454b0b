-- Workflows: every argument of their functions, every refusal with its
-- SQLSTATE, who may do what, handlers, and that nothing is left of a change
-- that is rolled back.
BEGIN;
SELECT no_plan();

CREATE SCHEMA helper;
GRANT USAGE ON SCHEMA helper TO PUBLIC;

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

-- the whole text of an error
CREATE FUNCTION helper.error_text(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'none';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' ', SQLSTATE, SQLERRM, detail, hint);
END
$$;

CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE carol LOGIN;
CREATE ROLE workers NOLOGIN;
CREATE ROLE keeper LOGIN;
SELECT wf_grant_usage(r::regrole) FROM unnest('{alice,bob,carol,workers,keeper}'::text[]) r;
GRANT EXECUTE ON FUNCTION wf_adopt() TO keeper;
CREATE SCHEMA h;
GRANT ALL ON SCHEMA h TO PUBLIC;

-- ---------------------------------------------------------------------------
-- the defaults of the contract
-- ---------------------------------------------------------------------------
SET LOCAL ROLE alice;
SELECT wf_create_workflow('plain');
RESET ROLE;
SELECT is(
	(SELECT ROW(owner, handler, max_attempts, retry_delay, retry_factor, retry_max_delay, retry_jitter, timeout, key_ttl,
				key_anchor, on_failed, on_mismatch, max_running, priority, batch, retention, max_queued, paused)::text
	   FROM wf.workflows WHERE name = 'plain'),
	'(alice,,3,00:00:01,2,01:00:00,0.1,00:00:00,24:00:00,completion,new,error,0,0,1,"7 days",0,f)',
	'a workflow has the defaults of the contract, and belongs to its creator');
SELECT is(
	(SELECT pg_get_function_arguments(p.oid) FROM pg_proc p WHERE proname = 'wf_create_workflow'),
	'name text, handler regprocedure DEFAULT NULL::regprocedure, max_attempts integer DEFAULT 3, '
	'retry_delay interval DEFAULT ''00:00:01''::interval, retry_factor double precision DEFAULT 2, '
	'retry_max_delay interval DEFAULT ''01:00:00''::interval, retry_jitter double precision DEFAULT 0.1, '
	'timeout interval DEFAULT ''00:00:00''::interval, key_ttl interval DEFAULT ''24:00:00''::interval, '
	'key_anchor text DEFAULT ''completion''::text, on_failed text DEFAULT ''new''::text, '
	'on_mismatch text DEFAULT ''error''::text, max_running integer DEFAULT 0, priority integer DEFAULT 0, '
	'batch integer DEFAULT 1, retention interval DEFAULT ''7 days''::interval, max_queued integer DEFAULT 0, '
	'on_exists text DEFAULT ''error''::text',
	'arguments of wf_create_workflow');
SELECT is(
	(SELECT proargnames FROM pg_proc WHERE proname = 'wf_alter_workflow'),
	(SELECT proargnames[1:17] || '{owner}' FROM pg_proc WHERE proname = 'wf_create_workflow'),
	'wf_alter_workflow has the same arguments, and owner last');

-- ---------------------------------------------------------------------------
-- every argument that is refused
-- ---------------------------------------------------------------------------
CREATE TEMP TABLE bad (argument text, value text);
INSERT INTO bad VALUES
	('max_attempts', '0'), ('max_attempts', '-1'),
	('retry_delay', $$'-1 second'$$), ('retry_delay', $$'1000 years'$$), ('retry_delay', $$'1 month -31 days'$$),
	('retry_factor', '0.5'), ('retry_factor', '-2'), ('retry_factor', $$'NaN'$$), ('retry_factor', $$'Infinity'$$),
	('retry_max_delay', $$'-1 second'$$), ('retry_max_delay', $$'2000 years'$$),
	('retry_jitter', '-0.1'), ('retry_jitter', '1.1'), ('retry_jitter', $$'NaN'$$),
	('timeout', $$'-1 ms'$$), ('timeout', $$'1000 years'$$),
	('key_ttl', $$'-1 day'$$), ('retention', $$'-1 day'$$),
	('key_anchor', $$'completed'$$), ('key_anchor', $$''$$), ('key_anchor', $$'Enqueue'$$),
	('on_failed', $$'error'$$), ('on_mismatch', $$'new'$$), ('on_mismatch', $$'error return'$$),
	('max_running', '-1'), ('max_queued', '-1'), ('batch', '0'), ('batch', '10001');
SELECT is(helper.error(format('SELECT wf_create_workflow(%L, %I => %s)', 'refused', argument, value)),
		  '22023 detail hint', format('create: %s => %s is refused', argument, value)) FROM bad;
SELECT is(helper.error(format('SELECT wf_alter_workflow(%L, %I => %s)', 'plain', argument, value)),
		  '22023 detail hint', format('alter: %s => %s is refused', argument, value)) FROM bad;
SELECT is(helper.error(format('SELECT wf_create_workflow(%L, %I => NULL)', 'refused', argument)),
		  '22023 detail hint', format('create: %s => NULL is refused', argument))
  FROM (SELECT DISTINCT argument FROM bad UNION VALUES ('priority'), ('on_exists')) b;
SELECT is(helper.error('SELECT wf_create_workflow(NULL)'), '22023 detail hint', 'no name');
SELECT is(helper.error($$SELECT wf_create_workflow('')$$), '22023 detail hint', 'an empty name');
SELECT is(helper.error($$SELECT wf_create_workflow(repeat('x', 201))$$), '22023 detail hint', 'a name that is too long');
SELECT is(helper.error($$SELECT wf_create_workflow('refused', on_exists => 'replace')$$), '22023 detail hint', 'unknown on_exists');
SELECT is(helper.error('SELECT wf_alter_workflow(NULL)'), '22023 detail hint', 'alter without a name');
SELECT is(helper.error('SELECT wf_drop_workflow(NULL)'), '22023 detail hint', 'drop without a name');
SELECT is(helper.error($$SELECT wf_drop_workflow('plain', NULL)$$), '22023 detail hint', 'drop with force NULL');
SELECT is(helper.error('SELECT wf_pause(NULL)'), '22023 detail hint', 'pause without a name');
SELECT is(helper.error('SELECT wf_resume(NULL)'), '22023 detail hint', 'resume without a name');
SELECT is(helper.error(format('SELECT %s', call)), '42704 detail hint', 'unknown workflow: ' || call)
  FROM unnest(ARRAY[$$wf_alter_workflow('nix')$$, $$wf_drop_workflow('nix')$$, $$wf_drop_workflow('nix', true)$$,
					$$wf_pause('nix')$$, $$wf_resume('nix')$$, $$wf_pause('')$$, $$wf_pause(repeat('x', 5000))$$,
					$$wf_grant('nix', 'bob')$$, $$wf_revoke('nix', 'bob')$$]) call;
SELECT is(count(*), 1::bigint, 'bad input leaves nothing behind') FROM wf.workflow;

-- what is just within the bounds
SELECT lives_ok(format('SELECT wf_create_workflow(%L, %I => %s)', 'within ' || n, argument, value), format('%s => %s', argument, value))
  FROM (VALUES (1, 'max_attempts', '1'), (2, 'max_attempts', '2147483647'), (3, 'retry_delay', $$'0'$$), (4, 'retry_factor', '1'),
			   (5, 'retry_jitter', '1'), (6, 'key_ttl', $$'0'$$), (7, 'key_ttl', $$'5000 years'$$), (8, 'retention', $$'1000 years'$$),
			   (9, 'batch', '10000'), (10, 'priority', '-2147483648'), (11, 'handler', $$'-'$$)) v(n, argument, value);
SELECT lives_ok($$SELECT wf_create_workflow(repeat('ä', 100))$$, 'a name of 200 bytes');
SELECT is(helper.error($$SELECT wf_create_workflow(repeat('ä', 100) || 'x')$$), '22023 detail hint', 'of 201 bytes');

-- ---------------------------------------------------------------------------
-- alter changes what is given, and only that
-- ---------------------------------------------------------------------------
SELECT wf_alter_workflow('plain', max_attempts => 9, retry_delay => '2 s', retry_factor => 3, retry_max_delay => '3 s',
	retry_jitter => 0.5, timeout => '4 s', key_ttl => '5 s', key_anchor => 'enqueue', on_failed => 'resume',
	on_mismatch => 'return', max_running => 6, priority => 7, batch => 8, retention => '9 s', max_queued => 10);
CREATE VIEW helper.settings AS
SELECT max_attempts, retry_delay, retry_factor, retry_max_delay, retry_jitter, timeout, key_ttl, key_anchor, on_failed,
	   on_mismatch, max_running, priority, batch, retention, max_queued
  FROM wf.workflow WHERE name = 'plain';
SELECT is((SELECT s::text FROM helper.settings s),
	'(9,00:00:02,3,00:00:03,0.5,00:00:04,00:00:05,enqueue,resume,return,6,7,8,00:00:09,10)', 'alter with all arguments');
SELECT lives_ok($$SELECT wf_alter_workflow('plain')$$, 'alter with none');
SELECT wf_alter_workflow('plain', priority => -1);
SELECT is((SELECT s::text FROM helper.settings s),
	'(9,00:00:02,3,00:00:03,0.5,00:00:04,00:00:05,enqueue,resume,return,6,-1,8,00:00:09,10)', 'alter with one argument');
SELECT is(owner::text, 'alice', 'whoever alters, the owner stays') FROM wf.workflows WHERE name = 'plain';

-- ---------------------------------------------------------------------------
-- names that exist
-- ---------------------------------------------------------------------------
SELECT is(helper.error($$SELECT wf_create_workflow('plain')$$), '42710 detail hint', 'the name exists');
SET LOCAL ROLE bob;
SELECT is(helper.error($$SELECT wf_create_workflow('plain')$$), '42710 detail hint', 'also if one may not know of it');
SELECT is(helper.error($$SELECT wf_create_workflow('plain', on_exists => 'alter')$$), '42710 detail hint', 'which on_exists does not change');
RESET ROLE;
SELECT wf_grant('plain', 'bob', '{operate}');
SET LOCAL ROLE bob;
SELECT is(helper.error($$SELECT wf_create_workflow('plain', on_exists => 'alter')$$), '42501 detail hint', 'known, but not owned');
SET LOCAL ROLE alice;
SELECT lives_ok($$SELECT wf_create_workflow('plain', max_attempts => 5, on_exists => 'alter')$$, 'the owner may alter by creating');
RESET ROLE;
SELECT is((SELECT s::text FROM helper.settings s),
	'(5,00:00:01,2,01:00:00,0.1,00:00:00,24:00:00,completion,new,error,0,0,1,"7 days",0)', 'and gets what the call would have created');
SELECT lives_ok($$SELECT wf_create_workflow('fresh', max_attempts => 5, on_exists => 'alter')$$, 'on_exists => alter creates, too');
SELECT wf_revoke('plain', 'bob');

-- ---------------------------------------------------------------------------
-- handlers
-- ---------------------------------------------------------------------------
SET LOCAL ROLE alice;
CREATE FUNCTION h.good(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION h.quiet(jsonb) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION h."Odd name"(p jsonb, OUT r jsonb) LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION h.two(jsonb, integer DEFAULT 1) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION h.none() RETURNS jsonb LANGUAGE sql AS $$SELECT '1'::jsonb$$;
CREATE FUNCTION h.any_element(anyelement) RETURNS jsonb LANGUAGE sql AS $$SELECT '1'::jsonb$$;
CREATE FUNCTION h.plain_json(json) RETURNS jsonb LANGUAGE sql AS 'SELECT $1::jsonb';
CREATE FUNCTION h.several(VARIADIC jsonb[]) RETURNS jsonb LANGUAGE sql AS 'SELECT $1[1]';
CREATE FUNCTION h.set_of(jsonb) RETURNS SETOF jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION h.number(jsonb) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION h.row(jsonb, OUT a jsonb, OUT b jsonb) LANGUAGE sql AS 'SELECT $1, $1';
CREATE PROCEDURE h.procedure(jsonb) LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION h.closed(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
REVOKE EXECUTE ON FUNCTION h.closed(jsonb) FROM PUBLIC, alice;
CREATE AGGREGATE h.aggregate(jsonb) (sfunc = jsonb_concat, stype = jsonb);
SET LOCAL ROLE bob;
CREATE FUNCTION h.bobs(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION h.shared(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
RESET ROLE;
GRANT workers TO alice;
GRANT ALL ON SCHEMA h TO workers;
ALTER FUNCTION h.shared(jsonb) OWNER TO workers;
CREATE FUNCTION h.internal(jsonb) RETURNS jsonb LANGUAGE internal AS 'jsonb_concat';
CREATE FUNCTION h.roots(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
SELECT lives_ok(format('SELECT wf_alter_workflow(%L, handler => %L)', 'plain', fn), fn || ' may be a handler of alice')
  FROM unnest('{h.quiet(jsonb),"h.\"Odd name\"(jsonb)",h.shared(jsonb),h.roots(jsonb),h.good(jsonb)}'::text[]) fn;
SELECT is(handler, 'h.good(jsonb)', 'the view shows the handler') FROM wf.workflows WHERE name = 'plain';
SELECT wf_alter_workflow('plain', handler => 'h."Odd name"(jsonb)');
SELECT is(handler, 'h."Odd name"(jsonb)', 'quoted where it has to be') FROM wf.workflows WHERE name = 'plain';
SELECT is(helper.error(format('SELECT wf_alter_workflow(%L, handler => %L)', 'plain', fn)), state || ' detail hint', fn || ' is refused')
  FROM (VALUES ('h.two(jsonb,integer)', '22023'), ('h.none()', '22023'), ('h.any_element(anyelement)', '22023'),
			   ('h.plain_json(json)', '22023'), ('h.several(jsonb[])', '22023'), ('h.set_of(jsonb)', '22023'),
			   ('h.number(jsonb)', '22023'), ('h.row(jsonb)', '22023'), ('h.procedure(jsonb)', '22023'),
			   ('h.aggregate(jsonb)', '22023'), ('h.internal(jsonb)', '22023'),
			   ('h.closed(jsonb)', '42501'), ('h.bobs(jsonb)', '42501'), ('4294967294', '42883')) v(fn, state);
SET LOCAL ROLE alice;
CREATE FUNCTION pg_temp.temporary(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
SELECT is(helper.error($$SELECT wf_alter_workflow('plain', handler => 'pg_temp.temporary(jsonb)')$$), '22023 detail hint', 'a temporary function is refused');
SELECT is(helper.error($$SELECT wf_create_workflow('refused', 'h.number(jsonb)')$$), '22023 detail hint', 'create checks the handler');
SELECT is(helper.error($$SELECT wf_create_workflow('refused', 'h.bobs(jsonb)')$$), '42501 detail hint', 'and whose it is');
SELECT lives_ok($$SELECT wf_create_workflow('handled', 'h.good(jsonb)')$$, 'create with a handler');
SELECT lives_ok($$SELECT wf_create_workflow('handled', 'h.quiet(jsonb)', on_exists => 'alter')$$, 'and again, with another');
SELECT is(handler, 'h.quiet(jsonb)', 'which it then has') FROM wf.workflows WHERE name = 'handled';
SELECT lives_ok($$SELECT wf_alter_workflow('handled', handler => '-')$$, 'a minus removes the handler');
SELECT is(handler, NULL, 'so that there is none') FROM wf.workflows WHERE name = 'handled';
RESET ROLE;
SELECT set_config('pg_workflow.handler_languages', 'sql', true);
SELECT is(helper.error($$SELECT wf_alter_workflow('plain', handler => 'h.quiet(jsonb)')$$), '22023 detail hint', 'a language that is not listed');
SELECT set_config('pg_workflow.handler_languages', '"SQL", "plpgsql", internal', true);
SELECT lives_ok($$SELECT wf_alter_workflow('plain', handler => 'h.quiet(jsonb)')$$, 'a language that is');
SELECT lives_ok($$SELECT wf_alter_workflow('plain', handler => 'h.internal(jsonb)')$$, 'which internal may be, too');
SELECT is(helper.error($$SET LOCAL pg_workflow.handler_languages = 'a,,b'$$), '22023 detail', 'a list that is none');
SELECT set_config('pg_workflow.handler_languages', 'sql, plpgsql', true);

-- of superusers
SELECT lives_ok($$SELECT wf_create_workflow('root', 'h.roots(jsonb)')$$, 'a superuser''s workflow and function');
SELECT is(helper.error($$SELECT wf_alter_workflow('root', handler => 'h.good(jsonb)')$$), '42501 detail hint', 'but not alice''s function');
SET LOCAL pg_workflow.allow_superuser_workflows = off;
SELECT is(helper.error($$SELECT wf_create_workflow('root2', 'h.roots(jsonb)')$$), '42501 detail hint', 'nor any where the setting says no');
SELECT lives_ok($$SELECT wf_create_workflow('root2')$$, 'without a handler there is nothing to execute');
SET LOCAL pg_workflow.allow_superuser_workflows = on;

-- of roles that may not log in
SET LOCAL ROLE workers;
CREATE FUNCTION h.workers_own(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
SELECT is(helper.error($$SELECT wf_create_workflow('of workers', 'h.workers_own(jsonb)')$$),
	CASE WHEN current_setting('server_version_num')::int < 170000 THEN '55000 detail hint' ELSE 'none' END,
	'whoever may not log in can have a handler from 17 on');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- who may do what
-- ---------------------------------------------------------------------------
CREATE FUNCTION helper.may() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	call text;
	state text;
	answers text[] = '{}';
BEGIN
	FOREACH call IN ARRAY ARRAY[$c$wf_enqueue('plain')$c$, $c$wf_pause('plain')$c$, $c$wf_resume('plain')$c$,
			$c$wf_alter_workflow('plain')$c$, $c$wf_grant('plain', 'carol', '{read}')$c$, $c$wf_revoke('plain', 'carol')$c$] LOOP
		state = substr(helper.error('SELECT ' || call), 1, 5);
		answers = answers || CASE state WHEN 'none' THEN 'yes' WHEN '42501' THEN 'no' ELSE state END;
	END LOOP;
	RETURN array_to_string(answers, ' ');
END
$$;
SET LOCAL ROLE alice;
SELECT is(helper.may(), 'yes yes yes yes yes yes', 'the owner may do everything');
SET LOCAL ROLE bob;
SELECT is(helper.may(), '42704 42704 42704 42704 42704 42704', 'to others there is no such workflow');
SELECT is(helper.error_text($$SELECT wf_pause('plain')$$), replace(helper.error_text($$SELECT wf_pause('nix')$$), 'nix', 'plain'),
	'which they are told in the same words');
RESET ROLE;
SELECT wf_grant('plain', 'bob');
SET LOCAL ROLE bob;
SELECT is(helper.may(), 'yes no no no no no', 'wf_grant grants enqueue, if not told otherwise');
RESET ROLE;
SELECT wf_grant('plain', 'bob', '{operate}');
SET LOCAL ROLE bob;
SELECT is(helper.may(), 'yes yes yes no no no', 'and adds to what is granted');
RESET ROLE;
SELECT wf_revoke('plain', 'bob', '{enqueue}');
SET LOCAL ROLE bob;
SELECT is(helper.may(), 'no yes yes no no no', 'wf_revoke takes away what it is told');
RESET ROLE;
SELECT is((SELECT privileges FROM wf.workflow_grant), '{operate}', 'what is stored');
SELECT wf_revoke('plain', 'bob');
SET LOCAL ROLE bob;
SELECT is(helper.may(), '42704 42704 42704 42704 42704 42704', 'or else everything');
RESET ROLE;
SELECT is((SELECT count(*) FROM wf.workflow_grant), 0::bigint, 'so that nothing is stored');
SELECT lives_ok($$SELECT wf_revoke('plain', 'bob')$$, 'once more is no error');
SELECT wf_grant('plain', '-', '{read}');
SET LOCAL ROLE bob;
SELECT is(helper.may(), 'no no no no no no', 'a minus is PUBLIC: who may only read is told that the rest is not his');
RESET ROLE;
SELECT wf_revoke('plain', '-');
SELECT wf_grant('plain', 'workers', '{enqueue,operate}');
GRANT workers TO bob;
SET LOCAL ROLE bob;
SELECT is(helper.may(), 'yes yes yes no no no', 'a grant to a group is its members''');
RESET ROLE;
REVOKE workers FROM bob;
SET LOCAL ROLE bob;
SELECT is(helper.may(), '42704 42704 42704 42704 42704 42704', 'while they are members');
RESET ROLE;
GRANT alice TO bob;
SET LOCAL ROLE bob;
SELECT is(helper.may(), 'yes yes yes yes yes yes', 'members of the owner may do everything');
RESET ROLE;
REVOKE alice FROM bob;
SET LOCAL ROLE keeper;
SELECT is(helper.may(), 'yes yes yes yes yes yes', 'so may administrators');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION wf_adopt() FROM keeper;
SET LOCAL ROLE keeper;
SELECT is(helper.may(), '42704 42704 42704 42704 42704 42704', 'as long as they are');
RESET ROLE;
GRANT EXECUTE ON FUNCTION wf_adopt() TO keeper;

-- arguments of wf_grant and wf_revoke
SELECT is(helper.error(format('SELECT %s(%L, %L, %s)', fn, 'plain', 'bob', list)), '22023 detail hint', fn || ' of ' || list)
  FROM unnest('{wf_grant,wf_revoke}'::text[]) fn,
	   unnest(ARRAY[$$'{}'$$, $$'{enqueue,NULL}'$$, $$'{{enqueue},{work}}'$$, $$'{own}'$$, $$'{Enqueue}'$$, $$'{""}'$$, 'NULL']) list;
SELECT is(helper.error(format('SELECT %s(%L, NULL)', fn, 'plain')), '22023 detail hint', fn || ' to NULL')
  FROM unnest('{wf_grant,wf_revoke}'::text[]) fn;
SELECT is(helper.error(format('SELECT %s(NULL, %L)', fn, 'bob')), '22023 detail hint', fn || ' on NULL')
  FROM unnest('{wf_grant,wf_revoke}'::text[]) fn;
SELECT is(helper.error($$SELECT wf_grant('plain', '4294967294')$$), '42704 detail hint', 'a role that is not there');
SELECT lives_ok($$SELECT wf_revoke('plain', '4294967294')$$, 'may still be revoked from');

-- handing over
SET LOCAL ROLE alice;
SELECT is(helper.error($$SELECT wf_alter_workflow('handled', owner => 'bob')$$), '42501 detail hint', 'the owner can''t hand it over');
SET LOCAL ROLE keeper;
SELECT is(helper.error($$SELECT wf_alter_workflow('handled', owner => '-')$$), '22023 detail hint', 'not to PUBLIC');
SELECT is(helper.error($$SELECT wf_alter_workflow('handled', owner => '4294967294')$$), '42704 detail hint', 'not to nobody');
SELECT lives_ok($$SELECT wf_alter_workflow('handled', owner => 'bob')$$, 'an administrator can');
RESET ROLE;
SELECT is(owner::text, 'bob', 'it is bob''s now') FROM wf.workflows WHERE name = 'handled';
SELECT wf_alter_workflow('handled', owner => 'alice', handler => 'h.good(jsonb)');
SELECT is(helper.error($$SELECT wf_alter_workflow('handled', owner => 'bob')$$), '42501 detail hint', 'not with a handler that is not the new owner''s');
SELECT lives_ok($$SELECT wf_alter_workflow('handled', owner => 'bob', handler => 'h.bobs(jsonb)')$$, 'with his own it is');
SELECT wf_alter_workflow('handled', owner => 'alice', handler => '-');

-- using pg_workflow at all
SELECT is(helper.error(format('SELECT %s(%s)', fn, role)), state || ' detail hint', format('%s(%s)', fn, role))
  FROM unnest('{wf_grant_usage,wf_revoke_usage}'::text[]) fn,
	   (VALUES ('NULL', '22023'), ($$'-'$$, '22023'), ($$'4294967294'$$, '42704')) v(role, state);
CREATE ROLE dora LOGIN;
SET LOCAL ROLE dora;
SELECT is(helper.error($$SELECT wf_enqueue('plain')$$), '42501', 'not before wf_grant_usage');
SELECT is(helper.error($$SELECT * FROM wf.workflows$$), '42501', 'views neither');
SELECT lives_ok('SELECT wf_version(), wf_current_run(), wf_current_attempt(), wf_current_key()', 'but what everybody may');
RESET ROLE;
GRANT EXECUTE ON FUNCTION wf_grant_usage(regrole), wf_revoke_usage(regrole) TO bob, keeper;
SET LOCAL ROLE bob;
SELECT is(helper.error($$SELECT wf_grant_usage('dora')$$), '42501 detail hint', 'who is no administrator grants no usage');
SET LOCAL ROLE keeper;
SELECT lives_ok($$SELECT wf_grant_usage('dora')$$, 'an administrator does');
SET LOCAL ROLE dora;
SELECT is(helper.error($$SELECT wf_enqueue('plain')$$), '42704 detail hint', 'dora may ask');
SELECT is((SELECT count(*) FROM wf.workflows) + (SELECT count(*) FROM wf.runs), 0::bigint, 'and look');
SELECT is(helper.error('SELECT wf_adopt()'), '42501', 'not what is administrative');
SELECT is(helper.error('SELECT wf_expire()'), '42501', 'nor that');
SELECT is(helper.error($$SELECT wf_grant_usage('dora')$$), '42501', 'nor this');
SELECT is(helper.error('SELECT * FROM wf.workflow'), '42501', 'no table');
SELECT is(helper.error('SELECT * FROM wf.run_state'), '42501', 'no inner view');
SELECT is(helper.error($$SELECT nextval('wf.workflow_id_seq')$$), '42501', 'no sequence');
SET LOCAL ROLE keeper;
SELECT lives_ok($$SELECT wf_revoke_usage('dora')$$, 'all of it is taken back');
RESET ROLE;
SELECT is((SELECT count(*) FROM pg_shdepend WHERE refobjid = 'dora'::regrole), 0::bigint, 'and nothing is left of it');
SELECT lives_ok('DROP ROLE dora', 'so that the role can be dropped');

-- ---------------------------------------------------------------------------
-- what everybody keeps of a workflow goes with the change
-- ---------------------------------------------------------------------------
SET LOCAL ROLE alice;
SAVEPOINT s;
SELECT wf_create_workflow('short');
SELECT lives_ok($$SELECT wf_enqueue('short')$$, 'created and enqueued in one transaction');
ROLLBACK TO s;
SELECT is(helper.error($$SELECT wf_enqueue('short')$$), '42704 detail hint', 'rolled back to a savepoint, it is gone');
SELECT is(helper.error($$SELECT wf_enqueue('later')$$), '42704 detail hint', 'that there is none of a name is kept');
SELECT wf_create_workflow('later');
SELECT lives_ok($$SELECT wf_enqueue('later', '1', 'k')$$, 'until there is one');
SAVEPOINT s;
SELECT wf_alter_workflow('later', on_mismatch => 'return');
SELECT lives_ok($$SELECT wf_enqueue('later', '2', 'k')$$, 'a setting is in force at once');
ROLLBACK TO s;
SELECT is(substr(helper.error($$SELECT wf_enqueue('later', '2', 'k')$$), 1, 5), 'WF001', 'and not after it was rolled back');
SAVEPOINT s;
SELECT wf_drop_workflow('later', true);
SELECT is(helper.error($$SELECT wf_enqueue('later')$$), '42704 detail hint', 'dropped');
ROLLBACK TO s;
SELECT lives_ok($$SELECT wf_enqueue('later')$$, 'and back');
SAVEPOINT s;
SELECT lives_ok($$DO 'BEGIN PERFORM wf_create_workflow(''caught''); PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN PERFORM 1; END'$$, 'an exception block');
SELECT is(helper.error($$SELECT wf_enqueue('caught')$$), '42704 detail hint', 'leaves nothing');
SELECT lives_ok($$DO 'BEGIN PERFORM wf_create_workflow(''one''), wf_enqueue(''one''); END'$$, 'created and enqueued in one statement');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- drop
-- ---------------------------------------------------------------------------
SELECT is(helper.error($$SELECT wf_drop_workflow('later')$$), '55006 detail hint', 'refused while it has unfinished runs');
SELECT lives_ok($$SELECT wf_drop_workflow('later', force => true)$$, 'unless forced');
SELECT is((SELECT count(*) FROM wf.workflows WHERE name = 'later'), 0::bigint, 'it is not shown any more');
SELECT lives_ok($$SELECT wf_create_workflow('later')$$, 'its name is free');
SELECT isnt((SELECT id FROM wf.workflow WHERE name = 'later' AND dropped_at IS NULL),
	(SELECT id FROM wf.workflow WHERE name = 'later' AND dropped_at IS NOT NULL), 'for a workflow of another number');
SELECT lives_ok($$SELECT wf_drop_workflow('later')$$, 'one without runs is dropped as it is');

-- ---------------------------------------------------------------------------
-- roles that are renamed, dropped
-- ---------------------------------------------------------------------------
SELECT wf_grant('plain', 'bob');
ALTER ROLE alice RENAME TO alicia;
ALTER ROLE bob RENAME TO robert;
CREATE ROLE alice LOGIN;
SELECT wf_grant_usage('alice');
SET LOCAL ROLE alicia;
SELECT is(helper.may(), 'yes yes yes yes yes yes', 'an owner that is renamed stays the owner');
SET LOCAL ROLE robert;
SELECT is(helper.may(), 'yes no no no no no', 'a grant follows its role');
SET LOCAL ROLE alice;
SELECT is(helper.may(), '42704 42704 42704 42704 42704 42704', 'and another role of the old name has nothing');
RESET ROLE;
SELECT is(owner_name, 'alicia', 'the next change stores the new name') FROM wf.workflow WHERE name = 'plain';
SELECT is(owner::text, 'alicia', 'the view shows it anyway') FROM wf.workflows WHERE name = 'handled';
SET LOCAL ROLE alicia;
SELECT wf_create_workflow('orphan', max_attempts => 2);
RESET ROLE;
REASSIGN OWNED BY alicia TO robert;
DROP OWNED BY alicia;
DROP ROLE alicia;
SELECT is(owner::text, 'alicia', 'a workflow outlives its owner') FROM wf.workflows WHERE name = 'orphan';
SELECT lives_ok($$SELECT wf_enqueue('orphan')$$, 'an administrator goes on using it');
SELECT is(helper.error($$SELECT wf_alter_workflow('orphan', handler => 'h.roots(jsonb)')$$), '55000 detail hint', 'a handler needs an owner');
SELECT is(helper.error($$SELECT wf_create_workflow('orphan', on_exists => 'alter')$$), '55000 detail hint', 'so does on_exists');
SELECT lives_ok($$SELECT wf_alter_workflow('orphan', max_attempts => 3)$$, 'other settings do not');
SELECT lives_ok($$SELECT wf_alter_workflow('orphan', owner => 'robert', handler => 'h.bobs(jsonb)')$$, 'it can be handed over');

-- ---------------------------------------------------------------------------
-- copies of the database
-- ---------------------------------------------------------------------------
SELECT wf_grant('orphan', 'carol', '{enqueue}');
INSERT INTO wf.installation VALUES (1, 1, now());
SET LOCAL ROLE robert;
SELECT is(helper.error($$SELECT wf_enqueue('orphan')$$), '42704 detail hint', 'on another server an OID is nobody''s');
SELECT is(helper.error($$SELECT wf_create_workflow('new')$$), '55000 detail hint', 'and none is stored');
RESET ROLE;
SELECT is(helper.error($$SELECT wf_grant('orphan', 'carol')$$), '55000 detail hint', 'also not as a grant');
SELECT is(helper.error($$SELECT wf_alter_workflow('orphan', owner => 'carol')$$), '55000 detail hint', 'nor as an owner');
SELECT lives_ok($$SELECT wf_enqueue('orphan')$$, 'administrators go on');
-- there, carol and robert have each other's OIDs
UPDATE wf.workflow SET owner_oid = 'carol'::regrole WHERE owner_name = 'robert';
UPDATE wf.workflow_grant SET role_oid = 'robert'::regrole WHERE role_name = 'carol';
INSERT INTO wf.workflow_grant SELECT id, 'carol'::regrole, 'robert', '{read}' FROM wf.workflow WHERE name = 'orphan';
INSERT INTO wf.workflow_grant SELECT id, 0, 'public', '{read}' FROM wf.workflow WHERE name = 'orphan';
INSERT INTO wf.workflow_grant SELECT id, 77777777, 'nobody here', '{read}' FROM wf.workflow WHERE name = 'orphan';
SET LOCAL ROLE robert;
SELECT is(helper.error('SELECT wf_adopt()'), '42501', 'who may adopt is an administrator');
RESET ROLE;
SET LOCAL client_min_messages = error;
SELECT lives_ok('SELECT wf_adopt()', 'adopted');
SET LOCAL client_min_messages = warning;
SELECT results_eq('SELECT (SELECT system_identifier FROM pg_control_system()), oid FROM pg_database WHERE datname = current_database()',
	'SELECT system_identifier, database_oid FROM wf.installation', 'it is this server''s and database''s');
SELECT is(owner_oid, 'robert'::regrole::oid, 'owners are found by name') FROM wf.workflow WHERE name = 'orphan';
SELECT is((SELECT string_agg(role_oid::regrole || ' ' || role_name, ', ' ORDER BY role_name) FROM wf.workflow_grant g JOIN wf.workflow w ON w.id = workflow_id AND name = 'orphan'),
	'carol carol, - public, robert robert', 'grants too, those to nobody are gone');
SET LOCAL ROLE carol;
SELECT lives_ok($$SELECT wf_enqueue('orphan')$$, 'and count again');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- settings
-- ---------------------------------------------------------------------------
SELECT is((SELECT string_agg(concat_ws(' ', substr(name, 13), setting, unit, context), '; ' ORDER BY name COLLATE "C") FROM pg_settings WHERE name LIKE 'pg\_workflow.%'),
	'allow_superuser_workflows on superuser; audit log superuser; crash_isolation_time 60000 ms sighup; dispatch on superuser; executor_idle_timeout 60000 ms sighup; '
	'executor_memory_limit 0 kB sighup; handler_languages sql, plpgsql superuser; key_cache_memory 8192 kB postmaster; key_filter_memory 16384 kB postmaster; key_wait -1 ms user; max_executors 4 sighup; '
	'max_payload 16384 kB superuser; max_running_per_role 0 sighup; notify_channel  superuser; sweep_interval 10000 ms sighup; '
	'synchronous_commit off superuser',
	'settings, their defaults and who may set them');
SELECT throws_ok('SET pg_workflow.no_such = 1', '42602', NULL, 'the prefix is reserved');
SET LOCAL ROLE carol;
SELECT is(helper.error(format('SET LOCAL pg_workflow.%s = %s', name, value)), '42501', name || ' is not a user''s to set')
  FROM (VALUES ('audit', 'off'), ('dispatch', 'off'), ('handler_languages', 'c'), ('max_payload', '1'), ('synchronous_commit', 'on'),
			   ('allow_superuser_workflows', 'on'), ('notify_channel', 'x')) v(name, value);
SELECT lives_ok('SET LOCAL pg_workflow.key_wait = 0', 'key_wait is');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- read-only
-- ---------------------------------------------------------------------------
SET LOCAL transaction_read_only = on;
SELECT is(substr(helper.error('SELECT ' || call), 1, 5), '25006', 'read-only: ' || call)
  FROM unnest(ARRAY[$$wf_create_workflow('x')$$, $$wf_alter_workflow('plain')$$, $$wf_drop_workflow('plain')$$, $$wf_pause('plain')$$,
					$$wf_resume('plain')$$, $$wf_grant('plain', 'carol')$$, $$wf_revoke('plain', 'carol')$$, $$wf_grant_usage('carol')$$,
					$$wf_revoke_usage('carol')$$, 'wf_adopt()']) call;
SELECT lives_ok($$SELECT wf_find('plain', 'k')$$, 'definitions are read');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
