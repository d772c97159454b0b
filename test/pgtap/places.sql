-- A key that was found before is found by its place, without a look into the
-- index of keys; a row that is not there any more, or another's by now, is not
-- taken for the key's.
\set QUIET on
CREATE SCHEMA helper;

-- What a statement answers, and how often it looks into the indexes of keys.
CREATE FUNCTION helper.looks() RETURNS bigint LANGUAGE sql AS $$
SELECT sum(pg_stat_get_xact_numscans(oid))::bigint FROM pg_class
 WHERE relnamespace = 'wf'::regnamespace AND relname ~ '^run_\d_key$'
$$;
CREATE FUNCTION helper.answer(statement text, OUT run_id uuid, OUT looks bigint) LANGUAGE plpgsql AS $$
DECLARE
	before bigint := helper.looks();
BEGIN
	EXECUTE statement INTO run_id;
	looks := helper.looks() - before;
END
$$;

SELECT no_plan();
SELECT wf_create_workflow('places', key_ttl => '0', on_failed => 'return') \g /dev/null
SELECT wf_create_workflow('others') \g /dev/null

SELECT wf_enqueue('places', '1', 'one') AS one \gset
SELECT is(helper.answer($$SELECT wf_enqueue('places', '1', 'one')$$), (:'one'::uuid, 0::bigint), 'a key that was enqueued');
SELECT is(helper.answer($$SELECT run_id FROM wf_submit('places', '1', 'one')$$), (:'one'::uuid, 0::bigint), 'asked by wf_submit');
SELECT is(helper.answer($$SELECT run_id FROM wf_enqueue_many('places', '{1}', '{one}')$$), (:'one'::uuid, 0::bigint), 'and by wf_enqueue_many');
SELECT isnt((helper.answer($$SELECT wf_enqueue('others', '1', 'one')$$)).run_id, :'one'::uuid, 'another workflow''s is another key');
SELECT throws_ok($$SELECT wf_enqueue('places', '2', 'one')$$, 'WF001', NULL, 'another payload');

SELECT run_id AS many FROM wf_enqueue_many('places', '{1,2}', '{many-1,many-2}') WHERE ordinal = 2 \gset
SELECT is(helper.answer($$SELECT wf_enqueue('places', '2', 'many-2')$$), (:'many'::uuid, 0::bigint), 'a key of a batch');

-- who has a snapshot for the whole transaction goes by the index
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT is(helper.answer($$SELECT wf_enqueue('places', '1', 'one')$$), (:'one'::uuid, 1::bigint), 'above READ COMMITTED');
COMMIT;

-- rolled back
BEGIN;
SAVEPOINT before;
SELECT wf_enqueue('places', '1', 'back') AS back \gset
SELECT is((helper.answer($$SELECT wf_enqueue('places', '1', 'back')$$)).run_id, :'back'::uuid, 'by who has made it');
ROLLBACK TO before;
SELECT isnt((helper.answer($$SELECT wf_enqueue('places', '1', 'back')$$)).run_id, :'back'::uuid, 'rolled back to a savepoint');
COMMIT;
SELECT wf_enqueue('places', '1', 'back') AS back \gset
SELECT is(helper.answer($$SELECT wf_enqueue('places', '1', 'back')$$), (:'back'::uuid, 0::bigint), 'made once more');

-- the key moves to another run, and a run's row to another place
SELECT wf_cancel(:'one') \g /dev/null
SELECT wf_enqueue('places', '3', 'one') AS next \gset
SELECT isnt(:'next'::uuid, :'one'::uuid, 'a key that has expired');
SELECT is(helper.answer($$SELECT wf_enqueue('places', '3', 'one')$$), (:'next'::uuid, 0::bigint), 'then has the new run''s place');
SELECT is((helper.answer($$SELECT wf_enqueue('places', '4', 'one', on_conflict => 'replace')$$)).run_id, :'next'::uuid, 'replaced');
SELECT is((helper.answer($$SELECT wf_enqueue('places', '4', 'one')$$)).run_id, :'next'::uuid, 'with the new payload');
SELECT throws_ok($$SELECT wf_enqueue('places', '3', 'one')$$, 'WF001', NULL, 'not with the old one');
SELECT wf_forget('places', 'one', force => true) \g /dev/null
SELECT isnt((helper.answer($$SELECT wf_enqueue('places', '4', 'one')$$)).run_id, :'next'::uuid, 'a key that was forgotten');

-- all rows in other places: those of their own, those of others, and none
SELECT tableoid::regclass AS current FROM wf.run WHERE run_id = :'back' \gset
SELECT format('k-%s', i) AS key, wf_enqueue('places', to_jsonb(i), 'k-' || i) AS run_id INTO helper.made FROM generate_series(1, 1000) i;
VACUUM FULL :current;
SELECT is(sum((wf_enqueue('places', to_jsonb(i), 'k-' || i) = m.run_id)::integer), 1000::bigint, 'after VACUUM FULL')
  FROM generate_series(1, 1000) i JOIN helper.made m ON m.key = 'k-' || i;
SELECT is((helper.answer($$SELECT wf_enqueue('places', '7', 'k-7')$$)).looks, 0::bigint, 'where their places are known again');
CREATE INDEX by_key_backwards ON :current (reverse(key));
CLUSTER :current USING by_key_backwards;
SELECT is(sum((wf_enqueue('places', to_jsonb(i), 'k-' || i) = m.run_id)::integer), 1000::bigint, 'after CLUSTER, in another order')
  FROM generate_series(1, 1000) i JOIN helper.made m ON m.key = 'k-' || i;
BEGIN;
TRUNCATE :current;
SELECT isnt((helper.answer($$SELECT wf_enqueue('places', '7', 'k-7')$$)).run_id, (SELECT run_id FROM helper.made WHERE key = 'k-7'), 'truncated');
ROLLBACK;
SELECT is((helper.answer($$SELECT wf_enqueue('places', '7', 'k-7')$$)).run_id, (SELECT run_id FROM helper.made WHERE key = 'k-7'), 'but rolled back');
DROP INDEX wf.by_key_backwards;

SELECT * FROM finish();
DROP SCHEMA helper CASCADE;
