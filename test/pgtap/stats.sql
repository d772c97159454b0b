-- wf.stats: what is kept as a counter is had without a look at the runs, and
-- what is not is counted for each workflow, also where there is nothing to count.
BEGIN;
SELECT no_plan();

CREATE SCHEMA helper;

-- the slices that a query's plan reads
CREATE FUNCTION helper.slices(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		RETURN QUERY SELECT DISTINCT m[1] FROM regexp_matches(line, 'on ((?:run|event)_\d)', 'g') m;
	END LOOP;
END
$$;

SELECT wf_create_workflow('some') \g /dev/null
SELECT wf_create_workflow('none') \g /dev/null
SELECT wf_enqueue('some', '{}'), wf_enqueue('some', '{}', run_at => now() + '1 day') \g /dev/null

SELECT is_empty($$SELECT * FROM helper.slices('SELECT completed FROM wf.stats')$$, 'a counter is read without the runs');
SELECT is_empty($$SELECT * FROM helper.slices('SELECT workflow, enqueued, duplicates, mismatches, waits, completed, failed, cancelled,
	lost_audit, start_latency_p50, start_latency_p99 FROM wf.stats WHERE workflow = ''some''')$$, 'all counters are');
SELECT cmp_ok(count(DISTINCT s), '=', 16::bigint, c || ' is counted in all slices')
  FROM unnest('{queued,running}'::text[]) c, LATERAL helper.slices('SELECT ' || c || ' FROM wf.stats') s GROUP BY c;
SELECT results_eq($$SELECT workflow, queued, running FROM wf.stats WHERE workflow IN ('some', 'none') ORDER BY workflow$$,
	$$VALUES ('none', 0::bigint, 0::bigint), ('some', 2, 0)$$, 'and right');
SELECT results_eq($$SELECT run_id IS NOT NULL FROM wf_claim('{some}', 1, '1 minute')$$, $$VALUES (true)$$, 'one is claimed');
SELECT results_eq($$SELECT queued, running FROM wf.stats WHERE workflow = 'some'$$, $$VALUES (1::bigint, 1::bigint)$$, 'and counted as running');

SELECT * FROM finish();
ROLLBACK;
