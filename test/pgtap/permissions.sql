-- Who may do what, as whole lists.  A function or view that is added, or a
-- right that changes, makes a list differ: look at it, then change the list.
BEGIN;
SELECT no_plan();

CREATE ROLE stranger LOGIN;
CREATE ROLE tenant LOGIN;		-- the owner
CREATE ROLE other LOGIN;		-- usage, but no privilege
CREATE ROLE p_enqueue LOGIN;
CREATE ROLE p_work LOGIN;
CREATE ROLE p_read LOGIN;
CREATE ROLE p_operate LOGIN;
CREATE ROLE member LOGIN;
CREATE ROLE keeper LOGIN;
GRANT tenant TO member;
SELECT wf_grant_usage(r::regrole) FROM unnest('{tenant,other,p_enqueue,p_work,p_read,p_operate,member,keeper}'::text[]) r;
GRANT EXECUTE ON FUNCTION wf_adopt() TO keeper;

CREATE SCHEMA helper;
GRANT USAGE ON SCHEMA helper TO PUBLIC;
CREATE VIEW helper.members AS
SELECT d.classid, d.objid
  FROM pg_depend d
  JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
 WHERE e.extname = 'pg_workflow' AND d.deptype = 'e';
GRANT SELECT ON helper.members TO PUBLIC;

-- ---------------------------------------------------------------------------
-- Functions: who may EXECUTE each
-- ---------------------------------------------------------------------------
SELECT set_eq(
	$$SELECT CASE WHEN has_function_privilege('stranger', objid, 'EXECUTE') THEN 'everybody'
				  WHEN has_function_privilege('other', objid, 'EXECUTE') THEN 'usage'
				  ELSE 'nobody' END || ': ' || objid::regproc
		FROM helper.members WHERE classid = 'pg_proc'::regclass$$,
	$$VALUES
	('everybody: wf_canonical_json'), ('everybody: wf_current_attempt'), ('everybody: wf_current_key'),
	('everybody: wf_current_run'), ('everybody: wf_hash_key'), ('everybody: wf_key'), ('everybody: wf_version'),
	('nobody: wf_adopt'), ('nobody: wf_expire'), ('nobody: wf_grant_usage'), ('nobody: wf_revoke_usage'),
	('nobody: wf.definitions_changed'),
	('usage: wf_alter_workflow'), ('usage: wf_cancel'), ('usage: wf_cancel_all'), ('usage: wf_claim'), ('usage: wf_complete'), ('usage: wf_create_workflow'),
	('usage: wf_drop_workflow'), ('usage: wf_erase'), ('usage: wf_retry_all'), ('usage: wf_enqueue'), ('usage: wf_enqueue_many'), ('usage: wf_explain_key'), ('usage: wf_fail'),
	('usage: wf_find'), ('usage: wf_forget'), ('usage: wf_grant'), ('usage: wf_handle'), ('usage: wf_heartbeat'), ('usage: wf_pause'),
	('usage: wf_release'), ('usage: wf_reschedule'), ('usage: wf_result'), ('usage: wf_resume'), ('usage: wf_retry'), ('usage: wf_revoke'),
	('usage: wf_submit'), ('usage: wf_task_begin'), ('usage: wf_task_complete'), ('usage: wf_task_fail'), ('usage: wf_task_forget'),
	('usage: wf_task_get'), ('usage: wf_task_put'), ('usage: wf_task_run'), ('usage: wf.my_tasks'), ('usage: wf_wait'), ('usage: wf_wait_for_work'), ('usage: wf_why'),
	('usage: wf.executing_attempt'), ('usage: wf.is_past'), ('usage: wf.readable_workflows'), ('usage: wf.time_add'),
	('usage: wf.unwritten_counters'), ('usage: wf.unwritten_duplicates'), ('usage: wf.visible_workflows'),
	('usage: wf.workers_list')$$,
	'who may execute what');

-- ---------------------------------------------------------------------------
-- Relations and schemas
-- ---------------------------------------------------------------------------
SELECT set_eq(
	$$SELECT r || ': ' || privilege || ' on ' || objid::regclass
		FROM helper.members
		JOIN pg_class c ON c.oid = objid AND relkind NOT IN ('i', 'S')
		CROSS JOIN unnest('{stranger,other,p_read,tenant,keeper}'::text[]) r
		CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) privilege
	   WHERE classid = 'pg_class'::regclass AND has_table_privilege(r, objid, privilege)$$,
	$$SELECT format('%s: SELECT on wf.%s', r, v)
		FROM unnest('{other,p_read,tenant,keeper}'::text[]) r,
			 unnest('{attempts,duplicates,keys,runs,stats,tasks,workers,workflows}'::text[]) v$$,
	'who may do what with tables and views');
SELECT is_empty(
	$$SELECT r, objid::regclass
		FROM helper.members
		JOIN pg_class c ON c.oid = objid AND relkind = 'S'
		CROSS JOIN unnest('{stranger,other,keeper}'::text[]) r
	   WHERE classid = 'pg_class'::regclass AND has_sequence_privilege(r, objid, 'SELECT,USAGE,UPDATE')$$,
	'nobody has sequences');
SELECT set_eq(
	$$SELECT r || ' ' || p FROM unnest('{stranger,other,keeper}'::text[]) r, unnest('{USAGE,CREATE}'::text[]) p
	   WHERE has_schema_privilege(r, 'wf', p)$$,
	$$VALUES ('other USAGE'), ('keeper USAGE')$$, 'who may do what in the schema wf');
SELECT is_empty(
	$$SELECT objid::regclass FROM helper.members
		JOIN pg_class c ON c.oid = objid
	   WHERE classid = 'pg_class'::regclass AND relkind = 'v' AND has_table_privilege('other', objid, 'SELECT')
		 AND NOT coalesce('security_barrier=true' = ANY (reloptions) OR 'security_barrier' = ANY (reloptions), false)$$,
	'every view that a user may read is a security barrier');
SELECT is_empty(
	$$SELECT objid::regproc FROM helper.members JOIN pg_proc p ON p.oid = objid
	   WHERE classid = 'pg_proc'::regclass AND (prosecdef OR proleakproof OR prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c'))$$,
	'every function is C, runs as its caller, and none is leakproof');
SELECT is_empty(
	$$SELECT objid::regclass FROM helper.members JOIN pg_class c ON c.oid = objid
	   WHERE classid = 'pg_class'::regclass AND relowner <> (SELECT extowner FROM pg_extension WHERE extname = 'pg_workflow')$$,
	'all of it belongs to the extension''s owner');

-- ---------------------------------------------------------------------------
-- On a workflow: what each privilege lets through
-- ---------------------------------------------------------------------------
GRANT CREATE ON DATABASE :DBNAME TO tenant;
SET LOCAL ROLE tenant;
CREATE SCHEMA h;
GRANT USAGE ON SCHEMA h TO PUBLIC;
CREATE FUNCTION h.fine(jsonb) RETURNS void LANGUAGE sql AS '';
SELECT wf_create_workflow('w');
SELECT wf_grant('w', 'p_enqueue', '{enqueue}'), wf_grant('w', 'p_work', '{work}'),
	   wf_grant('w', 'p_read', '{read}'), wf_grant('w', 'p_operate', '{operate}');
SELECT wf_enqueue('w', '{"secret": 1}', 'k') AS run \gset
SELECT wf_enqueue('w', '{"secret": 1}', 'c') AS cancelled \gset
SELECT wf_cancel(:'cancelled', 'for a reason');
SELECT wf_enqueue('w', '{"secret": 1}', priority => -1) AS held \gset
SELECT run_id FROM wf_claim('{w}');
RESET ROLE;

-- what a call ends with, as each role; whatever it does is undone
CREATE FUNCTION helper.outcome(role text, call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	EXECUTE call;
	RAISE EXCEPTION SQLSTATE 'XXUND';
EXCEPTION
	WHEN SQLSTATE 'XXUND' THEN RETURN 'ok';
	WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
CREATE FUNCTION helper.outcomes(call text) RETURNS text LANGUAGE sql AS $$
SELECT string_agg(helper.outcome(r, call), ' ' ORDER BY o)
  FROM unnest('{stranger,other,p_enqueue,p_work,p_read,p_operate,tenant,member,keeper}'::text[]) WITH ORDINALITY u(r, o)
$$;

CREATE TABLE helper.matrix (call text, expected text);
INSERT INTO helper.matrix VALUES
	--												stranger other enqueue work read operate owner member administrator
	($$wf_enqueue('w')$$,							'42501 42704 ok 42501 42501 42501 ok ok ok'),
	($$wf_submit('w')$$,							'42501 42704 ok 42501 42501 42501 ok ok ok'),
	($$wf_enqueue_many('w', '{1}')$$,				'42501 42704 ok 42501 42501 42501 ok ok ok'),
	($$wf_find('w', 'k')$$,							'42501 42704 ok 42501 ok 42501 ok ok ok'),
	($$wf_handle('RUN')$$,							'42501 42704 ok ok ok 42501 ok ok ok'),
	($$wf_result('RUN')$$,							'42501 42704 ok ok ok 42501 ok ok ok'),
	($$CALL wf_wait('RUN', '0')$$,					'42501 42704 55000 55000 55000 42501 55000 55000 55000'),
	($$wf_claim('{w}')$$,							'42501 42704 42501 ok 42501 42501 ok ok ok'),
	($$wf_claim(NULL)$$,							'42501 ok ok ok ok ok ok ok ok'),
	($$wf_heartbeat('HELD', 1)$$,					'42501 42704 42501 ok 42501 42501 ok ok ok'),
	($$wf_complete('HELD', 1)$$,					'42501 42704 42501 ok 42501 42501 ok ok ok'),
	($$wf_fail('HELD', 1, 'e')$$,					'42501 42704 42501 ok 42501 42501 ok ok ok'),
	($$wf_release('HELD', 1)$$,						'42501 42704 42501 ok 42501 42501 ok ok ok'),
	($$CALL wf_wait_for_work('{w}', '0')$$,			'42501 42704 42501 25001 42501 42501 25001 25001 25001'),
	($$wf_explain_key('w', 'k')$$,					'42501 42704 42501 42501 ok 42501 ok ok ok'),
	($$wf_why('RUN')$$,								'42501 42704 42501 42501 ok 42501 ok ok ok'),
	($$wf_cancel('RUN')$$,							'42501 42704 42501 42501 42501 ok ok ok ok'),
	($$wf_cancel_all('w')$$,						'42501 42704 42501 42501 42501 ok ok ok ok'),
	($$wf_retry('CANCELLED')$$,						'42501 42704 42501 42501 42501 ok ok ok ok'),
	($$wf_retry_all('w')$$,							'42501 42704 42501 42501 42501 ok ok ok ok'),
	($$wf_erase('CANCELLED')$$,						'42501 42704 42501 42501 42501 ok ok ok ok'),
	($$wf_reschedule('RUN', priority => 1)$$,		'42501 42704 42501 42501 42501 ok ok ok ok'),
	($$wf_forget('w', 'c')$$,						'42501 42704 42501 42501 42501 ok ok ok ok'),
	($$wf_pause('w')$$,								'42501 42704 42501 42501 42501 ok ok ok ok'),
	($$wf_resume('w')$$,							'42501 42704 42501 42501 42501 ok ok ok ok'),
	($$wf_create_workflow('x', 'h.fine(jsonb)')$$,	'42501 42501 42501 42501 42501 42501 ok ok 42501'),
	($$wf_create_workflow('w', on_exists => 'alter')$$, '42501 42710 42501 42501 42501 42501 ok ok ok'),
	($$wf_alter_workflow('w', priority => 1)$$,		'42501 42704 42501 42501 42501 42501 ok ok ok'),
	($$wf_alter_workflow('w', owner => 'other')$$,	'42501 42704 42501 42501 42501 42501 42501 42501 ok'),
	($$wf_alter_workflow('w', owner => 'SUPER')$$,	'42501 42704 42501 42501 42501 42501 42501 42501 42501'),
	($$wf_drop_workflow('w', true)$$,				'42501 42704 42501 42501 42501 42501 ok ok ok'),
	($$wf_grant('w', 'other')$$,					'42501 42704 42501 42501 42501 42501 ok ok ok'),
	($$wf_revoke('w', 'p_read')$$,					'42501 42704 42501 42501 42501 42501 ok ok ok'),
	($$wf_adopt()$$,								'42501 42501 42501 42501 42501 42501 42501 42501 ok'),
	($$wf_expire()$$,								'42501 42501 42501 42501 42501 42501 42501 42501 42501'),
	($$wf_grant_usage('other')$$,					'42501 42501 42501 42501 42501 42501 42501 42501 42501'),
	($$wf_revoke_usage('other')$$,					'42501 42501 42501 42501 42501 42501 42501 42501 42501'),
	($$wf_task_begin('t')$$,						'42501 ok ok ok ok ok ok ok ok'),
	($$wf_task_complete('t', 1)$$,				'42501 WF004 WF004 WF004 WF004 WF004 WF004 WF004 WF004'),
	($$wf_task_fail('t', 1, 'e')$$,				'42501 WF004 WF004 WF004 WF004 WF004 WF004 WF004 WF004'),
	($$wf_task_get('t')$$,						'42501 ok ok ok ok ok ok ok ok'),
	($$wf_task_put('t', '1')$$,					'42501 ok ok ok ok ok ok ok ok'),
	($$wf_task_run('h.fine(jsonb)', '{}')$$,		'42501 ok ok ok ok ok ok ok ok'),
	($$wf_task_forget('t')$$,						'42501 ok ok ok ok ok ok ok ok'),
	($$wf_version()$$,								'ok ok ok ok ok ok ok ok ok'),
	($$wf_current_run()$$,							'ok ok ok ok ok ok ok ok ok'),
	($$wf_current_key()$$,							'ok ok ok ok ok ok ok ok ok'),
	($$wf_current_attempt()$$,						'ok ok ok ok ok ok ok ok ok'),
	($$wf_key(1)$$,									'ok ok ok ok ok ok ok ok ok'),
	($$wf_hash_key('1')$$,							'ok ok ok ok ok ok ok ok ok'),
	($$wf_canonical_json('1')$$,					'ok ok ok ok ok ok ok ok ok');
SELECT is(helper.outcomes(CASE WHEN call LIKE 'CALL %' THEN '' ELSE 'SELECT ' END ||
						  replace(replace(replace(replace(call, 'RUN', :'run'), 'CANCELLED', :'cancelled'), 'SUPER', current_user), 'HELD', :'held')),
		  expected, call)
  FROM helper.matrix;
SELECT is_empty(
	$$SELECT objid::regproc FROM helper.members JOIN pg_proc p ON p.oid = objid
	   WHERE classid = 'pg_proc'::regclass AND pronamespace <> 'wf'::regnamespace
		 AND NOT EXISTS (SELECT FROM helper.matrix WHERE call ~ ('\m' || proname || '\('))$$,
	'every function is in this list');

-- rows of each view, for each role: only who may read sees any
CREATE FUNCTION helper.visible() RETURNS text LANGUAGE sql AS $$
SELECT format('%s %s %s %s %s %s', (SELECT count(*) FROM wf.runs), (SELECT count(*) FROM wf.keys), (SELECT count(*) FROM wf.attempts),
			  (SELECT count(*) FROM wf.duplicates), (SELECT count(*) FROM wf.stats), (SELECT count(*) FROM wf.workflows))
$$;
SELECT is(helper.visible(), '3 2 0 0 1 1', 'what there is to see');
SET LOCAL ROLE other;
SELECT is(helper.visible(), '0 0 0 0 0 0', 'without a privilege nothing');
SELECT is(wf.readable_workflows(), '{}', 'also by the views'' own functions');
SELECT is(wf.visible_workflows(), '{}', 'none of them');
SET LOCAL ROLE p_enqueue;
SELECT is(helper.visible(), '0 0 0 0 0 1', 'with enqueue, that there is a workflow');
SET LOCAL ROLE p_work;
SELECT is(helper.visible(), '0 0 0 0 0 1', 'with work, the same');
SET LOCAL ROLE p_operate;
SELECT is(helper.visible(), '0 0 0 0 0 1', 'with operate, the same');
SET LOCAL ROLE p_read;
SELECT is(helper.visible(), '3 2 0 0 1 1', 'with read, all of it');
SET LOCAL ROLE member;
SELECT is(helper.visible(), '3 2 0 0 1 1', 'a member of the owner, too');
SET LOCAL ROLE keeper;
SELECT is(helper.visible(), '3 2 0 0 1 1', 'and an administrator');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- What enqueue alone tells: state and SQLSTATE, neither key nor text
-- ---------------------------------------------------------------------------
SET LOCAL ROLE p_enqueue;
SELECT is((SELECT concat_ws('|', state, key, error) FROM wf_handle(:'run')), 'queued', 'wf_handle without the key');
SELECT throws_ok($$SELECT wf_enqueue('w', '{"secret": 2}', 'k')$$, 'WF001', NULL, 'another payload');
CREATE FUNCTION pg_temp.detail(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	d text;
	h text;
BEGIN
	EXECUTE statement;
	RETURN 'none';
EXCEPTION WHEN OTHERS OR query_canceled THEN
	GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
	RETURN SQLERRM || ' ' || d || ' ' || h;
END $$;
SELECT is(trim(pg_temp.detail(format('SELECT wf_result(%L)', :'cancelled'))), 'run was cancelled', 'a cancelled run, without the reason');
SELECT unalike(pg_temp.detail($$SELECT wf_enqueue('w', '{"secret": 2}', 'k')$$), '%secret%', 'tells nothing of the stored one');
SELECT is(pg_temp.detail($$SELECT wf_enqueue('w', '{"other": 2}', 'k')$$), pg_temp.detail($$SELECT wf_enqueue('w', '{"secret": 1, "more": 2}', 'k')$$),
		  'the same for every other payload');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- What does not exist and what is not allowed look the same
-- ---------------------------------------------------------------------------
SET LOCAL ROLE other;
SELECT is(replace(pg_temp.detail(replace(call, 'NAME', 'w')), '"w"', '"W"'),
		  replace(pg_temp.detail(replace(call, 'NAME', 'nix')), '"nix"', '"W"'), 'the same words: ' || call)
  FROM unnest(ARRAY['SELECT wf_enqueue(''NAME'', ''{}'', ''k'')', 'SELECT wf_find(''NAME'', ''k'')', 'SELECT wf_explain_key(''NAME'', ''k'')',
					'SELECT wf_forget(''NAME'', ''k'')', 'SELECT wf_pause(''NAME'')', 'SELECT wf_cancel_all(''NAME'')', 'SELECT wf_drop_workflow(''NAME'')',
					'SELECT wf_alter_workflow(''NAME'')', 'SELECT wf_grant(''NAME'', ''other'')', 'SELECT wf_submit(''NAME'')',
					'SELECT wf_enqueue_many(''NAME'', ''{1}'', ''{k}'')',
					'SELECT wf_claim(''{NAME}'')', 'CALL wf_wait_for_work(''{NAME}'', ''0'')']) call;
SELECT is(replace(pg_temp.detail(format(call, :'run')), :'run', 'X'),
		  replace(pg_temp.detail(format(call, '01900000-0000-7000-8000-000000000000')), '01900000-0000-7000-8000-000000000000', 'X'), 'the same words: ' || call)
  FROM unnest('{SELECT wf_handle(%L),SELECT wf_result(%L),SELECT wf_why(%L),SELECT wf_cancel(%L),SELECT wf_retry(%L),SELECT wf_reschedule(%L),"SELECT wf_heartbeat(%L, 1)","SELECT wf_complete(%L, 1)","SELECT wf_fail(%L, 1, NULL)","SELECT wf_fail(%L, 1, ''e'')","SELECT wf_release(%L, 1)","CALL wf_wait(%L, ''0'')"}'::text[]) call;
SELECT is(wf.executing_attempt(:'run'), NULL, 'no run of others is seen in shared memory');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- Nothing can be locked or got around
-- ---------------------------------------------------------------------------
SET LOCAL ROLE p_read;
SELECT throws_ok(format('LOCK TABLE %s IN %s MODE', t, m), '42501', NULL, format('LOCK TABLE %s IN %s MODE', t, m))
  FROM unnest('{wf.runs,wf.keys}'::text[]) t, unnest('{ACCESS EXCLUSIVE,SHARE ROW EXCLUSIVE,SHARE,ROW EXCLUSIVE}'::text[]) m;
SELECT throws_ok('LOCK TABLE wf.run IN ACCESS SHARE MODE', '42501', NULL, 'no lock on a table');
SELECT throws_ok('SELECT * FROM wf.runs FOR UPDATE', '42501', NULL, 'no row lock through a view');
SELECT throws_ok('SELECT * FROM wf.runs FOR KEY SHARE', '42501', NULL, 'not even a weak one');
SELECT throws_ok('CREATE RULE r AS ON SELECT TO wf.runs DO INSTEAD SELECT 1', '42501', NULL, 'no rule');
SELECT throws_ok('CREATE TRIGGER t INSTEAD OF INSERT ON wf.runs FOR EACH ROW EXECUTE FUNCTION wf.definitions_changed()', '42501', NULL, 'no trigger');
SELECT throws_ok('CREATE TABLE wf.mine (x integer)', '42501', NULL, 'no table beside them');
SELECT throws_ok('CREATE FUNCTION wf.mine() RETURNS integer LANGUAGE sql AS ''SELECT 1''', '42501', NULL, 'no function');
SELECT throws_ok('ALTER VIEW wf.runs SET (security_barrier = false)', '42501', NULL, 'no option');
SELECT throws_ok('REFRESH MATERIALIZED VIEW wf.runs', '42809', NULL, 'no refresh');
RESET ROLE;

-- a function of the reader's, however cheap, sees no row that he may not see
SET LOCAL ROLE other;
CREATE FUNCTION pg_temp.leak(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
	$$BEGIN RAISE NOTICE 'leaked %', $1; RAISE EXCEPTION SQLSTATE 'XXLEA'; END$$;
CREATE FUNCTION pg_temp.leak(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
	$$BEGIN RAISE EXCEPTION SQLSTATE 'XXLEA'; END$$;
CREATE OPERATOR pg_temp.<<< (PROCEDURE = pg_temp.leak, LEFTARG = text, RIGHTARG = text);
SELECT lives_ok(format('SELECT count(*) FROM %s v WHERE pg_temp.leak(v::text)', objid::regclass), format('no leak through %s', objid::regclass))
  FROM helper.members JOIN pg_class c ON c.oid = objid
 WHERE classid = 'pg_class'::regclass AND relkind = 'v' AND has_table_privilege('other', objid, 'SELECT') AND relname <> 'workers';
SELECT lives_ok(format('SELECT count(*) FROM %s v WHERE %I::text OPERATOR(pg_temp.<<<) ''x''', objid::regclass, attname), format('nor %s.%I', objid::regclass, attname))
  FROM helper.members JOIN pg_class c ON c.oid = objid JOIN pg_attribute a ON a.attrelid = objid AND attnum > 0
 WHERE classid = 'pg_class'::regclass AND relkind = 'v' AND has_table_privilege('other', objid, 'SELECT') AND relname <> 'workers';
RESET ROLE;

-- ---------------------------------------------------------------------------
-- Privileges that others have by default are not handed on
-- ---------------------------------------------------------------------------
DROP EXTENSION pg_workflow;
CREATE ROLE reporting;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reporting;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO reporting;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO reporting;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO reporting;
CREATE EXTENSION pg_workflow;
SELECT is_empty(
	$$SELECT objid::regclass FROM helper.members WHERE classid = 'pg_class'::regclass
		 AND has_table_privilege('reporting', objid, 'SELECT')$$, 'default privileges give no table');
SELECT is_empty(
	$$SELECT objid::regproc FROM helper.members WHERE classid = 'pg_proc'::regclass
		 AND has_function_privilege('reporting', objid, 'EXECUTE') AND NOT has_function_privilege('stranger', objid, 'EXECUTE')$$,
	'no function');
SELECT ok(NOT has_schema_privilege('reporting', 'wf', 'USAGE'), 'no schema');
SELECT is_empty($$SELECT FROM pg_shdepend WHERE refobjid = 'reporting'::regrole AND classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_namespace'::regclass) AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())$$,
	'and nothing that would keep the role from being dropped');

SELECT * FROM finish();
ROLLBACK;
