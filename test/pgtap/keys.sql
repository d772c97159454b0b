-- Fingerprints, paths of differences, canonical JSON, keys: what holds for
-- every value, and the published vectors of test/vectors/keys.json.
BEGIN;
SELECT no_plan();
SELECT setseed(0.25);

CREATE SCHEMA helper;
GRANT USAGE ON SCHEMA helper TO PUBLIC;
SELECT wf_create_workflow('w');

-- the fingerprint of a run, and that of a run with this payload
CREATE FUNCTION helper.fingerprint_of(id uuid) RETURNS bytea LANGUAGE plpgsql VOLATILE AS
	'BEGIN RETURN (SELECT fingerprint FROM wf.run WHERE run_id = id); END';
CREATE FUNCTION helper.fingerprint(payload jsonb) RETURNS bytea LANGUAGE plpgsql VOLATILE AS
	'BEGIN RETURN helper.fingerprint_of(wf_enqueue(''w'', payload)); END';

-- what a second payload for a taken key is told: SQLSTATE and path
CREATE FUNCTION helper.mismatch(first jsonb, second jsonb, OUT code text, OUT path text, OUT detail text)
LANGUAGE plpgsql AS $$
DECLARE
	k text := gen_random_uuid();
BEGIN
	PERFORM wf_enqueue('w', first, k);
	BEGIN
		PERFORM wf_enqueue('w', second, k);
		code := 'none';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
		code := SQLSTATE;
		path := substring(detail FROM ' The payloads differ at (.*)\.$');
	END;
END
$$;

CREATE FUNCTION helper.code(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'none';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;

-- ---------------------------------------------------------------------------
-- fingerprints
-- ---------------------------------------------------------------------------

-- a random JSON text: few names and scalars, so that equal values come up in
-- several spellings and orders; many of the numbers are neighbours
CREATE FUNCTION helper.scalar() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT a[1 + floor(random() * cardinality(a))]
	  FROM (SELECT ARRAY['0', '-0', '0.00', '0e5', '1', '1.0', '1e0', '10e-1', '0.1e1', '-1', '-1.00', '10', '1e1', '100', '1e2',
		'10000', '1e4', '1e8', '100000000', '0.0001', '1e-4', '0.00001', '1e-5', '0.1', '0.10', '1e-1', '1.5', '15e-1', '-1.5',
		'9007199254740992', '9007199254740993', '9007199254740993.0', '0.1000000000000000055511151231257827', '1e400', '1e131071',
		'10e131070', '1e-16383', '123456789.123456789', '1234567891.23456789e-1', 'null', 'true', 'false', '""', '"1"', '"a"',
		'"\u0061"', '"\u00e9"', '"é"', '"\\"', '"\/"', '"/"', '"\b\t\n\f\r\""', '"\u0008\u0009\u000a\u000c\u000d\u0022"', '"\u0001"',
		'"\ud83d\ude00"', '"😀"', '"null"', '[]', '{}', '[[]]', '[{}]'] AS a) s
$$;
CREATE FUNCTION helper.document(depth int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	kind float8 := random();
	n int := floor(random() * 4);
	parts text[] := '{}';
BEGIN
	IF depth = 0 OR kind < 0.3 THEN
		RETURN helper.scalar();
	END IF;
	FOR i IN 1 .. n LOOP
		parts := parts || CASE WHEN kind < 0.65 THEN helper.document(depth - 1)
			ELSE format('%s : %s', (ARRAY['"a"', '"b"', '"aa"', '"\u0061"', '""', '"é"'])[1 + floor(random() * 6)],
						helper.document(depth - 1)) END;
	END LOOP;
	RETURN CASE WHEN kind < 0.65 THEN '[' || array_to_string(parts, ' , ') || ']'
		ELSE '{' || array_to_string(parts, ',') || ' }' END;
END
$$;

CREATE TEMP TABLE value AS
SELECT v, helper.fingerprint(v) AS f
  FROM (SELECT helper.document(i % 4)::jsonb AS v FROM generate_series(1, 4000) i) s;
SELECT cmp_ok((SELECT count(DISTINCT v) FROM value), '>', 1000::bigint, 'there are many values');
SELECT cmp_ok((SELECT count(DISTINCT v) FROM value), '<', (SELECT count(DISTINCT v::text) FROM value),
	'and some in several spellings');
SELECT is_empty('SELECT v FROM value GROUP BY v HAVING count(DISTINCT f) > 1', 'equal values have one fingerprint');
SELECT is_empty('SELECT f FROM value GROUP BY f HAVING count(DISTINCT v) > 1', 'different values have different ones');
SELECT is((SELECT count(*) FROM value a JOIN value b USING (f) WHERE a.v <> b.v), 0::bigint,
	'as the server compares values');

-- one scalar changed anywhere is another payload, and the path leads there
CREATE TEMP TABLE changed AS
SELECT v, path, jsonb_set(v, path, '"changed"') AS w
  FROM (SELECT DISTINCT ON (v) v FROM value WHERE jsonb_typeof(v) IN ('array', 'object') ORDER BY v) s,
	   LATERAL (WITH RECURSIVE place(path, x) AS (
				SELECT '{}'::text[], v
				UNION ALL
				SELECT path || k, y
				  FROM place, LATERAL (
					SELECT key, value FROM jsonb_each(CASE WHEN jsonb_typeof(x) = 'object' THEN x ELSE '{}' END)
					UNION ALL
					SELECT (ordinality - 1)::text, value
					  FROM jsonb_array_elements(CASE WHEN jsonb_typeof(x) = 'array' THEN x ELSE '[]' END) WITH ORDINALITY) e(k, y))
				SELECT path FROM place WHERE path <> '{}' ORDER BY md5(path::text || v::text) LIMIT 1) p
 ORDER BY md5(v::text) LIMIT 400;
SELECT is((SELECT count(*) FROM changed), 400::bigint, 'there are values to change');
SELECT is_empty($$SELECT v, w FROM changed WHERE helper.fingerprint(v) = helper.fingerprint(w)$$,
	'one scalar changed is another fingerprint');
SELECT is_empty($$
	SELECT v, w, m.path
	  FROM changed, LATERAL helper.mismatch(v, w) m
	 WHERE m.code IS DISTINCT FROM 'WF001'
		OR jsonb_path_query_first(w, m.path::jsonpath) IS DISTINCT FROM '"changed"'$$,
	'the path in WF001 is an SQL/JSON path to what was changed');

-- a fingerprint does not depend on how the value is stored
CREATE TEMP TABLE stored (v jsonb);
ALTER TABLE stored ALTER v SET STORAGE EXTERNAL;
INSERT INTO stored SELECT jsonb_build_object('a', repeat('x', 10000), 'b', 1);
ALTER TABLE stored ALTER v SET STORAGE EXTENDED;
INSERT INTO stored SELECT jsonb_build_object('b', 1.0, 'a', repeat('x', 10000));
SELECT is(count(DISTINCT helper.fingerprint(v)), 1::bigint, 'compressed or not') FROM stored;
SELECT is(helper.fingerprint('{"a": 1}'),
	(SELECT helper.fingerprint_of(run_id) FROM wf_enqueue_many('w', '{"{\"a\": 1.0}"}')), 'in a batch or not');

-- as long as the value, not as its text: 10,000 numbers of 131,072 digits
SELECT is(helper.fingerprint(format('[%s1]', repeat('1e131071,', 10000))::jsonb),
	helper.fingerprint(format('[%s1]', repeat('10e131070,', 10000))::jsonb), 'huge numbers are not expanded');
SELECT isnt(helper.fingerprint('1e131071'), helper.fingerprint('1e131070'), 'and told apart');

-- deep nesting needs no stack: made with much of it, then used with little
SET LOCAL max_stack_depth = '6MB';
CREATE TEMP TABLE deep AS
SELECT (repeat('[', 4000) || '1' || repeat(']', 4000))::jsonb AS v, (repeat('{"a":', 4000) || '1' || repeat('}', 4000))::jsonb AS o,
	   (repeat('[', 4000) || '2' || repeat(']', 4000))::jsonb AS w;
SET LOCAL max_stack_depth = '100kB';
SELECT is(helper.code('SELECT helper.fingerprint(v), helper.fingerprint(o) FROM deep'), 'none', 'a deep payload has a fingerprint');
SELECT is((SELECT m.path FROM deep, helper.mismatch(v, w) m), '$' || repeat('[0]', 66) || '[...',
	'the path of a deep difference is cut off');
SELECT is(helper.code('SELECT wf_canonical_json(v) FROM deep'), '54001', 'canonical JSON too deep for the stack is a clean error');
SELECT is(helper.code('SELECT wf_canonical_json(o) FROM deep'), '54001', 'of objects, too');
SELECT is(helper.code('SELECT wf_hash_key(v) FROM deep'), '54001', 'and a hash key');
SELECT is(helper.code('SELECT wf_key(v) FROM deep'), '54001', 'and a key');
RESET max_stack_depth;

-- ---------------------------------------------------------------------------
-- paths
-- ---------------------------------------------------------------------------
SELECT is(m.path, expected, format('from %s to %s the first difference is at %s', a, b, expected))
  FROM (VALUES
	('{"a": 1}', '{"a": 2}', '$.a'),
	('{"a": 1}', '{"a": "1"}', '$.a'),
	('{"a": null}', '{"a": false}', '$.a'),
	('{"a": true}', '{"a": false}', '$.a'),
	('{"a": "x"}', '{"a": "y"}', '$.a'),
	('{"a": {}}', '{"a": []}', '$.a'),
	('{"a": {}}', '{"a": null}', '$.a'),
	('{"a": {"b": {"c": [1, 2, 3]}}}', '{"a": {"b": {"c": [1, 2, 4]}}}', '$.a.b.c[2]'),
	('{"items": [{"price": 1}, {"price": 2}]}', '{"items": [{"price": 1}, {"price": 3}]}', '$.items[1].price'),
	-- a member that only one has
	('{}', '{"a": 1}', '$.a'),
	('{"a": 1}', '{}', '$.a'),
	('{"a": 1, "b": 2}', '{"a": 1}', '$.b'),
	('{"a": 1}', '{"a": 1, "b": 2}', '$.b'),
	('{"a": 1, "c": 2}', '{"a": 1, "b": 2}', '$.b'),
	('{"a": 1, "b": 2}', '{"a": 1, "c": 2}', '$.b'),
	('{"a": {"x": 1}, "b": 2}', '{"a": {"x": 1}, "c": 2}', '$.b'),
	('{"a": 1, "bb": {"x": 1}}', '{"a": 1, "bb": {}}', '$.bb.x'),
	-- of several the first one as jsonb prints them: shorter names come first
	('{"a": 1, "b": 1}', '{"a": 2, "b": 2}', '$.a'),
	('{"aa": 1, "b": 1}', '{"aa": 2, "b": 2}', '$.b'),
	('{"a": [1, 2], "b": 1}', '{"a": [1, 2, 3], "b": 2}', '$.a[2]'),
	-- an element that only one has
	('[]', '[1]', '$[0]'),
	('[1, 2]', '[1]', '$[1]'),
	('[1, [2, 3]]', '[1, [2, 3, 4]]', '$[1][2]'),
	('[[1], [2], [3]]', '[[1], [2], [4]]', '$[2][0]'),
	('[{"a": 1}, {"a": 1}, 3]', '[{"a": 1}, {"a": 1}, 4]', '$[2]'),
	('[[], {}, []]', '[[], {}, {}]', '$[2]'),
	-- the payload itself
	('1', '2', '$'), ('1', '[1]', '$'), ('[]', '{}', '$'), ('null', '{}', '$'), ('"a"', '"b"', '$'),
	-- numbers that no double tells apart
	('{"n": [9007199254740992]}', '{"n": [9007199254740993]}', '$.n[0]'),
	-- names that are no words
	('{"a.b": 1}', '{"a.b": 2}', '$."a.b"'),
	('{"": 1}', '{"": 2}', '$.""'),
	('{"1": 1}', '{"1": 2}', '$."1"'),
	('{"a\"b": 1}', '{"a\"b": 2}', '$."a\"b"'),
	('{"unit price": {"é": 1}}', '{"unit price": {"é": 2}}', '$."unit price".é')
  ) AS t(a, b, expected), LATERAL helper.mismatch(a::jsonb, b::jsonb) m;

SELECT is(m.path, '$.a' || repeat('é', 98) || '...', 'a long name is cut off between characters')
  FROM helper.mismatch(jsonb_build_object('a' || repeat('é', 300), 1), '{}') m;
SELECT is(m.code, 'none', 'what only looks different is no mismatch')
  FROM helper.mismatch('{"a": [1, {"b": 0, "c": -0}]}', '{"a": [1.0, {"c": 0e5, "b": 0.0}]}') m;

-- in a batch, the item is named, too
SELECT is(helper.code($$SELECT wf_enqueue_many('w', '{"{\"a\": 1}", "{\"a\": 2}"}', '{k,k}')$$), 'WF001', 'a batch compares payloads');

-- whoever may enqueue but not read learns nothing of the payload
CREATE ROLE pgwf_enqueuer;
CREATE ROLE pgwf_reader;
SELECT wf_grant_usage('pgwf_enqueuer');
SELECT wf_grant_usage('pgwf_reader');
SELECT wf_grant('w', 'pgwf_enqueuer', '{enqueue}');
SELECT wf_grant('w', 'pgwf_reader', '{enqueue,read}');
SET LOCAL ROLE pgwf_enqueuer;
SELECT code AS enqueuer_code, path IS NULL AS enqueuer_path, detail ~ 'is bound to run [0-9a-f-]{36}\.$' AS enqueuer_detail
  FROM helper.mismatch('{"secret": 1}', '{"secret": 2}') \gset
SET LOCAL ROLE pgwf_reader;
SELECT path AS reader_path FROM helper.mismatch('{"secret": 1}', '{"secret": 2}') \gset
RESET ROLE;
SELECT is(:'enqueuer_code'::text, 'WF001', 'another payload is an error for one who may not read');
SELECT ok(:'enqueuer_path' AND :'enqueuer_detail', 'which names the run and no path');
SELECT is(:'reader_path'::text, '$.secret', 'one who may read is given the path');

-- ---------------------------------------------------------------------------
-- keys
-- ---------------------------------------------------------------------------

-- no two different lists of parts have one key: texts that imitate the syntax
CREATE TEMP TABLE part AS
SELECT ordinality AS n, x, CASE WHEN x IS NULL THEN 'NULL::text' ELSE quote_literal(x) || '::text' END AS spelled
  FROM unnest(ARRAY[NULL, '', 'a', 'b', 'a:b', ':', '''', '''''', 'a''', '''a', 'null', 'NULL', 'true', '1', '-1', '[1]', '[', ']', ',',
	'a,b', 'NaN', 'Infinity', 'json''1''', 'uuid', 'date', '\', E'\n', ' ', 'a ', 'é', '1e+22', '0.5', 'a:''b']) WITH ORDINALITY AS u(x);
INSERT INTO part VALUES (101, NULL, '1'), (102, NULL, '-1'), (103, NULL, '0.5'), (104, NULL, 'true'), (105, NULL, 'false'),
	(106, NULL, '''NaN''::float8'), (107, NULL, 'ARRAY[1]'), (108, NULL, 'ARRAY[NULL]::int[]'), (109, NULL, '''{}''::int[]'),
	(110, NULL, 'ARRAY[''a'',''b'']'), (111, NULL, 'ARRAY[''a,b'']'), (112, NULL, '''1''::jsonb'), (113, NULL, '''"1"''::jsonb'),
	(114, NULL, '''\x61''::bytea'), (115, NULL, '''2026-01-01''::date'), (116, NULL, '''2026-01-01''::timestamp'),
	(117, NULL, '''2026-01-01 00:00+00''::timestamptz'), (118, NULL, '''1 day''::interval'), (119, NULL, '''24:00''::interval'),
	(120, NULL, '''9007199254740992''::jsonb'), (121, NULL, '''9007199254740993''::jsonb'), (122, NULL, '9007199254740993'),
	(123, NULL, '9007199254740992'), (124, NULL, '''1e400''::jsonb'), (125, NULL, '67108872::float4'), (126, NULL, '67108870'),
	(127, NULL, '0.1::float4'), (128, NULL, '0.1'), (129, NULL, 'ARRAY[[1]]'), (130, NULL, '''null''::jsonb'),
	(131, NULL, '''\x''::bytea'), (132, NULL, '1e22'), (133, NULL, '''infinity''::timestamp'), (134, NULL, '''-infinity''::timestamp');
CREATE FUNCTION helper.key(parts text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	k text;
BEGIN
	EXECUTE format('SELECT wf_key(%s)', parts) INTO k;
	RETURN k;
END
$$;
CREATE TEMP TABLE key AS
SELECT spelled AS parts, helper.key(spelled) AS k FROM part
UNION ALL SELECT a.spelled || ', ' || b.spelled, helper.key(a.spelled || ', ' || b.spelled) FROM part a, part b
UNION ALL SELECT s, helper.key(s)
	FROM (SELECT concat_ws(', ', a.spelled, b.spelled, c.spelled) s FROM part a, part b, part c
		   WHERE a.n < 13 AND b.n < 13 AND c.n < 13) t;
SELECT is_empty('SELECT k, array_agg(parts) FROM key GROUP BY k HAVING count(*) > 1', 'different parts never have one key');
SELECT is(count(*), 0::bigint, 'no key is lost') FROM key WHERE k IS NULL;

-- two numbers have one key only if they are equal, whatever their types
CREATE TEMP TABLE number AS
SELECT format('%L::%s', x, t) AS spelled, x, t
  FROM unnest('{0,1,-1,7,0.5,-0.5,0.1,0.25,1.5,100,16777216,33554432,67108872,67108870,9007199254740992,9007199254740994,1e15,1e21,1e22,123456.75}'::text[]) x,
	   unnest('{int2,int4,int8,numeric,float4,float8}'::text[]) t
 WHERE helper.code(format('SELECT %L::%s', x, t)) = 'none';
CREATE FUNCTION helper.equal(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	r boolean;
BEGIN
	EXECUTE format('SELECT %s = %s', a, b) INTO r;
	RETURN r;
END
$$;
SELECT is_empty($$
	SELECT a.spelled, b.spelled FROM number a, number b
	 WHERE (helper.key(a.spelled) = helper.key(b.spelled)) <> helper.equal(a.spelled, b.spelled)$$,
	'numbers have one key if and only if they are equal');

-- no setting has a part in a key
CREATE TEMP TABLE before AS SELECT parts, k FROM key WHERE parts !~ ',';
SET LOCAL DateStyle = 'SQL, DMY';
SET LOCAL TimeZone = 'Asia/Tokyo';
SET LOCAL IntervalStyle = 'sql_standard';
SET LOCAL bytea_output = 'escape';
SET LOCAL extra_float_digits = -15;
SET LOCAL standard_conforming_strings = on;
SET LOCAL xmlbinary = 'hex';
SELECT is_empty('SELECT parts FROM before WHERE helper.key(parts) <> k', 'no setting changes a key');
RESET DateStyle;
RESET TimeZone;
RESET IntervalStyle;
RESET bytea_output;
RESET extra_float_digits;
SELECT is(helper.code('SELECT wf_key(VARIADIC ''{}''::text[])'), '22023', 'a key has a part');
SELECT is(helper.code('SELECT wf_key(point ''(1,2)'')'), '22023', 'of a type that is accepted');
SELECT is(wf_key(VARIADIC NULL::text[]), NULL::text, 'no list of parts is no key');
SELECT is((SELECT count(*) FROM pg_proc WHERE proname IN ('wf_key', 'wf_hash_key', 'wf_canonical_json')
			  AND provolatile = 'i' AND proparallel = 's'), 3::bigint, 'all three are immutable and parallel safe');

-- ---------------------------------------------------------------------------
-- canonical JSON
-- ---------------------------------------------------------------------------
SELECT is_empty($$
	SELECT v FROM value
	 WHERE CASE WHEN v::text !~ '10{250}' THEN wf_canonical_json(wf_canonical_json(v)::jsonb) <> wf_canonical_json(v) END$$,
	'canonical JSON of canonical JSON is itself');
-- U+1F600 is D83D DE00 in UTF-16 and so before U+E000 and U+FFFF, but after U+D7FF
SELECT is(wf_canonical_json(U&'{"\FFFF":1,"\E000":2,"\+01F600":3,"\D7FF":4,"\+10FFFF":5,"b":6,"":7,"aa":8}'::jsonb),
	U&'{"":7,"aa":8,"b":6,"\D7FF":4,"\+01F600":3,"\+10FFFF":5,"\E000":2,"\FFFF":1}',
	'names are in the order of UTF-16 code units');
SELECT is(wf_canonical_json(to_jsonb((SELECT string_agg(chr(i), '' ORDER BY i) FROM generate_series(1, 128) i))),
	'"\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017'
	'\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f !\"#$%&''()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`'
	|| 'abcdefghijklmnopqrstuvwxyz{|}~' || chr(127) || chr(128) || '"', 'every character below 129 is as short as it may be');
SELECT is(helper.code(format('SELECT wf_canonical_json(%L)', x)), code, format('%s: %s', x, code))
  FROM (VALUES ('1.7976931348623157e308', 'none'), ('1.797693134862315807e308', 'none'), ('1.797693134862315808e308', '22003'),
	('-1.797693134862315808e308', '22003'), ('1e309', '22003'), ('[{"a": 1e131071}]', '22003'), ('1e-400', 'none'), ('1e-16383', 'none')) AS t(x, code);
SELECT is(wf_canonical_json('[1e-400, -1e-400, 2.4703282292062327e-324, 2.4703282292062328e-324]'), '[0,0,0,5e-324]',
	'what is nearer to zero than to the least double is zero');

-- ---------------------------------------------------------------------------
-- the vectors for other languages
-- ---------------------------------------------------------------------------
\set vectors `cat "$WF_TREE/test/vectors/keys.json"`
CREATE TEMP TABLE vector AS SELECT :'vectors'::jsonb AS v;
SELECT is(wf_canonical_json((x ->> 'json')::jsonb), x ->> 'canonical', 'canonical JSON of ' || left(x ->> 'json', 60))
  FROM vector, jsonb_array_elements(v -> 'canonical_json') x;
SELECT is(helper.code(format('SELECT wf_canonical_json(%L)', x #>> '{}')), '22003', 'no canonical JSON of ' || (x #>> '{}'))
  FROM vector, jsonb_array_elements(v -> 'not_canonical_json') x;
SELECT is(wf_hash_key((x ->> 'json')::jsonb, x ->> 'operation'), x ->> 'key', 'hash key of ' || left(x::text, 60))
  FROM vector, jsonb_array_elements(v -> 'hash_key') x;
SELECT is(helper.key((SELECT string_agg(format('%L::%s', p ->> 'value', p ->> 'type'), ', ' ORDER BY n)
						FROM jsonb_array_elements(x -> 'parts') WITH ORDINALITY AS e(p, n))),
	x ->> 'key', 'key ' || (x ->> 'key'))
  FROM vector, jsonb_array_elements(v -> 'key') x;
CREATE TEMP TABLE class AS
SELECT n AS class, helper.fingerprint((j #>> '{}')::jsonb) AS f
  FROM vector, jsonb_array_elements(v -> 'equal_payloads') WITH ORDINALITY AS c(c, n), jsonb_array_elements(c) j;
SELECT is_empty('SELECT class FROM class GROUP BY class HAVING count(DISTINCT f) > 1', 'payloads of one class are equal');
SELECT is_empty('SELECT f FROM class GROUP BY f HAVING count(DISTINCT class) > 1', 'payloads of different classes are not');
SELECT cmp_ok((SELECT count(*) FROM class), '>', 30::bigint, 'and there are some');

SELECT * FROM finish();
ROLLBACK;
