-- wf_expire: a slice that has to stay does not keep others from being emptied.
BEGIN;
SELECT no_plan();

CREATE SCHEMA helper;

-- What is in the current slice is in a sealed one afterwards; the second
-- statement has every session read the slices anew.
CREATE FUNCTION helper.turn() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM wf_expire();	-- notes when the slice was opened
	UPDATE wf.slice SET opened_at = '2001-01-01' WHERE state = 'current';
	ALTER TABLE wf.slice SET (autovacuum_enabled = false);
	PERFORM wf_expire();
END
$$;

SELECT wf_create_workflow('expire.stays') \g /dev/null
SELECT wf_create_workflow('expire.goes', retention => '1 day', key_ttl => '0') \g /dev/null

SELECT wf_enqueue('expire.stays', '{}') \g /dev/null
SELECT helper.turn() \g /dev/null
SELECT wf_cancel(wf_enqueue('expire.goes', '{}', 'k' || i)) FROM generate_series(1, 10) i \g /dev/null
SELECT helper.turn() \g /dev/null
SELECT wf_enqueue('expire.stays', '{}') \g /dev/null
SELECT is(count(DISTINCT tableoid), 3::bigint, 'runs are in three slices') FROM wf.run;

SELECT wf_alter_workflow('expire.goes', retention => '0') \g /dev/null
SELECT is(wf_expire(), 20::bigint, 'ten runs and their keys are removed from the second');
SELECT is(count(DISTINCT tableoid), 2::bigint, 'which is empty then') FROM wf.run;
SELECT is(count(*), 2::bigint, 'the others are not') FROM wf.runs WHERE workflow = 'expire.stays';

SELECT * FROM finish();
ROLLBACK;
