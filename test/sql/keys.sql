-- parts of a key are readable, and told apart

SELECT wf_key('order', 7, 'process') AS key;
SELECT wf_key('a', 'b:c') AS one, wf_key('a:b', 'c') AS other;
SELECT wf_key(NULL::text, '') AS nothing_and_empty, wf_key(1, '1') AS number_and_text,
	   wf_key(true, 'true') AS boolean_and_text;
SELECT wf_key('it''s', E'tab\t', 'ö', 'a b') AS quoted;

-- equal numbers are equal whatever their type
SELECT wf_key(0.5::float8, 0.50, 0.5::float4) AS halves, wf_key(7::int2, 7::int8, 7.0, 7::float8) AS sevens;
SELECT wf_key(1e131071, 1e-16383, 123456789012345678901234567890) AS huge;
SELECT wf_key('NaN'::float8, 'NaN'::numeric, '-Infinity'::float8, -0.0::float8) AS special;

-- other types, whatever the settings
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Tokyo';
SET IntervalStyle = 'postgres_verbose';
SET bytea_output = 'escape';
SET extra_float_digits = 0;
SELECT wf_key('2026-01-31'::date, '12:00'::time, '2026-01-31 12:00'::timestamp) AS times;
SELECT wf_key('2026-01-31 12:00+00'::timestamptz, '1 day 2 h'::interval) AS more_times;
SELECT wf_key('\xdeadbeef'::bytea, '00000000-0000-7000-8000-000000000001'::uuid, 0.1::float8) AS others;
SELECT wf_key('{"b": 1, "a": [1.0]}'::json, '{"b": 1, "a": [1.0]}'::jsonb) AS json;
SELECT wf_key(ARRAY[[1, 2], [3, NULL]], ARRAY['x', 'y,z'], '{}'::int[]) AS arrays;
SELECT wf_key(VARIADIC ARRAY['a', 'b']) AS elements;
RESET ALL;

SELECT wf_key(point '(1,2)');

-- canonical JSON, RFC 8785

SELECT wf_canonical_json('{"b": 1e21, "a": [1.0, 1e22, 0.000001, 1e-7, -0], "\u20ac": "\u0001\n\"\\/"}');
SELECT wf_canonical_json('1e23') AS midpoint, wf_canonical_json('5e-324') AS least,
	   wf_canonical_json('1.7976931348623157e308') AS greatest;
SELECT wf_canonical_json('1e400');
SELECT wf_canonical_json('1e131071');

-- hash keys: SHA-256 of the operation, a zero byte and the canonical text

SELECT wf_hash_key('{"id": 7}', 'process-order');
SELECT wf_hash_key('{"b": 1, "a": 2}') = wf_hash_key('{"a": 2.0, "b": 1e0}') AS same;
SELECT wf_hash_key('9007199254740992') = wf_hash_key('9007199254740993') AS doubles_round;
SELECT wf_hash_key(NULL) IS NULL AS nothing;
