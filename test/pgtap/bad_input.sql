-- Every function of the extension, as the catalogue lists them, with NULL and
-- extreme values in each argument, as a superuser, an owner and a stranger, in
-- transactions that may and may not write: an answer, or an error that has a
-- code of its own; never an internal error, never a crash.  Each call is undone.
BEGIN;
SELECT no_plan();

CREATE ROLE bad_owner LOGIN;
CREATE ROLE bad_stranger LOGIN;
SELECT wf_grant_usage('bad_owner');
CREATE SCHEMA bad;
GRANT ALL ON SCHEMA bad TO bad_owner;
SET LOCAL ROLE bad_owner;
CREATE FUNCTION bad.handler(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
SELECT wf_create_workflow('w');
SELECT wf_enqueue('w', '{"a": [1, {"b": 2}]}', 'k') AS run \gset
SELECT run_id FROM wf_claim('{w}');
SELECT wf_enqueue('w', '1', 'queued');
RESET ROLE;

-- values of each type, as SQL; the first is what the other arguments get
CREATE TABLE bad.value (type regtype, n integer, value text);
INSERT INTO bad.value
SELECT t::regtype, n, v
  FROM (VALUES
	('text', ARRAY['''w''', 'NULL', '''''', '''k''', 'repeat(''x'', 513)', 'repeat(''é'', 100000)', 'E''\\x01\\x7f''', '''-''', '''queued''']),
	('text[]', ARRAY['''{w}''', 'NULL', '''{}''', '''{NULL}''', '''{{w},{w}}''', '''{w,w,none}''', 'array_fill(''w''::text, ARRAY[1000])', '''[5:6]={w,w}''']),
	('integer', ARRAY['1', 'NULL', '0', '-1', '2147483647', '-2147483648']),
	('bigint', ARRAY['1', 'NULL', '-1', '9223372036854775807']),
	('boolean', ARRAY['false', 'NULL', 'true']),
	('double precision', ARRAY['1', 'NULL', '''NaN''', '''Infinity''', '''-Infinity''', '-1', '1e308']),
	('uuid', ARRAY[quote_literal(:'run'), 'NULL', '''00000000-0000-0000-0000-000000000000''', '''ffffffff-ffff-ffff-ffff-ffffffffffff''']),
	('jsonb', ARRAY['''{}''', 'NULL', '''null''', '''1e131071''', '''[1, "\\ud834\\udd1e", {"": []}]''', '(repeat(''['', 3000) || repeat('']'', 3000))::jsonb',
					'to_jsonb(repeat(''x'', 1000000))', '''-1e-16000''']),
	('jsonb[]', ARRAY['''{1,2}''', 'NULL', '''{}''', '''{NULL}''', '''{{1},{2}}''', '''{1}''']),
	('interval', ARRAY['''1 s''', 'NULL', '''0''', '''-1 s''', '''178000000 years''', '''-178000000 years''', '''1 us''', '''1 day -1 month''']),
	('timestamp with time zone', ARRAY['now()', 'NULL', '''infinity''', '''-infinity''', '''4713-01-01 BC''', '''294276-12-31''']),
	('regprocedure', ARRAY['''bad.handler(jsonb)''', 'NULL', '0', '4294967295', '''pg_catalog.now()''', '''-''']),
	('regrole', ARRAY['''bad_owner''', 'NULL', '0', '4294967295', '''-''', '''pg_monitor''']),
	('"any"', ARRAY['''w''::text', 'NULL', '1e131071::numeric', '''NaN''::float8', '''infinity''::timestamptz', 'ARRAY[[1,2],[3,NULL]]', '''\x00''::bytea', 'row(1)', '''(1,1)''::point', 'repeat(''x'', 100000)'])
	) v(t, vs)
 CROSS JOIN unnest(vs) WITH ORDINALITY u(v, n);

-- a call with one value in each place, and one with NULL in all of them
CREATE VIEW bad.call AS
WITH argument AS (
	SELECT p.oid, p.oid::regproc AS name, p.prokind, a.type, a.place
	  FROM pg_depend d
	  JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'pg_workflow'
	  JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid AND p.prorettype <> 'trigger'::regtype
	 CROSS JOIN LATERAL unnest(p.proargtypes::oid[]) WITH ORDINALITY a(type, place)
	 WHERE d.deptype = 'e')
SELECT a.oid, format('%s %s(%s)', CASE a.prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT * FROM' END, a.name,
			  (SELECT string_agg(CASE WHEN b.place = a.place THEN v.value WHEN all_null THEN 'NULL' ELSE (SELECT f.value FROM bad.value f WHERE f.type = b.type AND f.n = 1) END
								 || CASE WHEN b.type <> '"any"'::regtype THEN '::' || b.type::regtype ELSE '' END, ', ' ORDER BY b.place)
				 FROM argument b WHERE b.oid = a.oid)) AS call
  FROM argument a
  JOIN bad.value v ON v.type = a.type
 CROSS JOIN (VALUES (false), (true)) n(all_null)
 WHERE NOT all_null OR (a.place = 1 AND v.value = 'NULL');

SELECT is_empty(
	$$SELECT p.oid::regprocedure, t::regtype FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_workflow'
		JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid CROSS JOIN unnest(p.proargtypes::oid[]) t
	   WHERE d.deptype = 'e' AND t NOT IN (SELECT type FROM bad.value)$$, 'there are values of every type');

CREATE FUNCTION bad.outcome(call text, role text, read_only boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF role IS NOT NULL THEN
		EXECUTE format('SET LOCAL ROLE %I', role);
	END IF;
	IF read_only THEN
		SET LOCAL transaction_read_only = on;
	END IF;
	EXECUTE call;
	RAISE EXCEPTION SQLSTATE 'ZZUND';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || CASE WHEN SQLSTATE ~ '^(XX|58)' THEN ' ' || SQLERRM ELSE '' END;
END $$;

CREATE TABLE bad.found AS
SELECT c.call, r.role, w.read_only, bad.outcome(c.call, r.role, w.read_only) AS outcome
  FROM bad.call c
 CROSS JOIN (VALUES (NULL), ('bad_owner'), ('bad_stranger')) r(role)
 CROSS JOIN (VALUES (false), (true)) w(read_only);

SELECT cmp_ok((SELECT count(*) FROM bad.found), '>', 3000::bigint, 'there were calls');
SELECT is_empty($$SELECT outcome, call, role, read_only FROM bad.found WHERE outcome ~ '^(XX|58|53)' ORDER BY 1, 2$$, 'none has an internal error');
SELECT is_empty($$SELECT outcome, count(*), min(call) FROM bad.found
				   WHERE outcome !~ '^(ZZUND|WF00[1-5]|22023|22003|22000|42704|42501|42710|42883|42P13|25006|25001|54000|54001|55000|55006|22P02|22P05|22008|22015|2201[0-9A-Z]|0A000|42602|42804|40001)'
				   GROUP BY 1 ORDER BY 1$$, 'and each error is one that the contract knows');
SELECT is_empty($$SELECT call FROM bad.found WHERE role = 'bad_stranger' AND outcome = 'ZZUND'
				   AND call !~ ' (wf_key|wf_hash_key|wf_canonical_json|wf_version|wf_current_\w+)\('$$, 'a stranger gets no answer but from what is everybody''s');
SELECT is((SELECT state FROM wf_handle(:'run')), 'running', 'and all is as it was');

SELECT * FROM finish();
ROLLBACK;
