-- What changes a run finds it by an index, also where a vacuum has found the
-- slices empty: that would go for a sequential scan, planned while there is
-- little in a slice, and kept while there comes to be much.
BEGIN;
SELECT no_plan();

CREATE SCHEMA helper;

-- sequential scans of slices in this transaction
CREATE FUNCTION helper.scans() RETURNS bigint LANGUAGE sql AS $$
SELECT sum(seq_scan)::bigint FROM pg_stat_xact_all_tables WHERE schemaname = 'wf' AND relname ~ '^(run|event)_\d$'
$$;

-- those of one statement, how often it is run so that its plan is kept
CREATE FUNCTION helper.scans_of(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint := helper.scans();
BEGIN
	FOR i IN 1 .. 10 LOOP
		EXECUTE statement USING i;
	END LOOP;
	RETURN helper.scans() - before;
END
$$;

UPDATE pg_class SET relpages = 0, reltuples = 0
 WHERE relnamespace = 'wf'::regnamespace AND relname ~ '^(run|event)_\d';
SELECT wf_create_workflow('by_index', retention => '1 day', key_ttl => '0', on_failed => 'new') \g /dev/null

SELECT is(helper.scans_of($$SELECT wf_enqueue('by_index', '1', 'k' || $1)$$), 0::bigint, 'new keys');
SELECT is(helper.scans_of($$SELECT wf_enqueue('by_index', '2', 'k' || $1, on_conflict => 'replace')$$), 0::bigint, 'replaced');
SELECT is(helper.scans_of($$SELECT wf_cancel(wf_find('by_index', 'k' || $1))$$), 0::bigint, 'cancelled');
SELECT is(helper.scans_of($$SELECT wf_enqueue('by_index', '3', 'k' || $1)$$), 0::bigint, 'keys taken from runs that have ended');
SELECT is(helper.scans_of($$SELECT wf_cancel(wf_find('by_index', 'k' || $1))$$), 0::bigint, 'cancelled again');

SELECT * FROM finish();
ROLLBACK;
