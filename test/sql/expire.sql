-- Retention and expiry: what is left of a run that is purged, and that
-- cleaning up changes nothing but the space that is taken.
\set ECHO none
\getenv directory PG_ABS_SRCDIR
\set include :directory /include/helpers.psql
\i :include
\set ECHO all
\pset null '-'

-- Clean until only so many runs are stored.  What a dispatcher is just
-- reading can't be truncated, so it may take more than one attempt.
CREATE PROCEDURE expire_until(rows_left integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 12000 LOOP
		PERFORM wf_expire();
		COMMIT;
		IF (SELECT count(*) FROM wf.run) <= rows_left THEN
			RETURN;
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RAISE '% runs are left', (SELECT count(*) FROM wf.run);
END
$$;
-- The same, until a slice is sealed.
CREATE PROCEDURE expire_until_sealed() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 12000 LOOP
		PERFORM wf_expire();
		COMMIT;
		IF EXISTS (SELECT FROM wf.slice WHERE state = 'sealed') THEN
			RETURN;
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RAISE 'no slice is sealed';
END
$$;
-- The same in the caller's transaction, and what wf_expire has returned in all.
CREATE FUNCTION expire_all(max_rows integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	removed bigint := 0;
BEGIN
	FOR i IN 1 .. 12000 LOOP
		removed := removed + wf_expire(max_rows);
		IF (SELECT count(*) FROM wf.run) = 0 THEN
			RETURN removed;
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RAISE '% runs are left', (SELECT count(*) FROM wf.run);
END
$$;
CREATE FUNCTION expire_handler(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF payload ? 'fail' THEN
		RAISE 'secret';
	END IF;
	RETURN '"secret"';
END
$$;
SELECT wf_create_workflow('exp', 'expire_handler(jsonb)', retention => '0', max_attempts => 1);

-- what earlier tests have left is over: their workflows have been dropped
CALL expire_until(0);

SELECT pg_temp.refusal('SELECT wf_expire(0)'), pg_temp.refusal('SELECT wf_expire(-1)');
SELECT pg_temp.refusal('SELECT wf_expire(NULL)');
BEGIN READ ONLY;
SELECT pg_temp.refusal('SELECT wf_expire()');
ROLLBACK;

-- ---------------------------------------------------------------------------
-- purged: the data are gone by the clock, the key holds
-- ---------------------------------------------------------------------------
SELECT wf_alter_workflow('exp', retention => '1000 years');
SELECT wf_enqueue('exp', '1', 'completed') AS completed, wf_enqueue('exp', '{"fail": 1}', 'failed') AS failed,
	   wf_enqueue('exp', '1', 'cancelled', 'infinity') AS cancelled, wf_enqueue('exp', '1') AS keyless \gset
SELECT pg_temp.wait_for(:'completed', 'completed'), pg_temp.wait_for(:'failed', 'failed'), pg_temp.wait_for(:'keyless', 'completed'), wf_cancel(:'cancelled', 'secret');
SELECT key, state, result, error FROM wf.runs WHERE workflow = 'exp' ORDER BY key;
SELECT wf_alter_workflow('exp', retention => '0');
SELECT key, state, result, error FROM wf.runs WHERE workflow = 'exp' ORDER BY key;
SELECT key, state FROM wf.keys WHERE workflow = 'exp' ORDER BY key;
SELECT h.workflow, h.key, h.state, h.result, h.error FROM unnest(ARRAY[:'completed', :'failed', :'cancelled']::uuid[]) id, wf_handle(id) h;
SELECT created, state, result, error FROM wf_submit('exp', '1', 'completed');
SELECT wf_find('exp', 'completed') = :'completed' AS found;
SELECT pg_temp.refusal($$SELECT wf_enqueue('exp', '2', 'completed')$$);
-- everything else on such a run is as if it did not exist
SELECT pg_temp.refusal(format('SELECT %s(%L)', f, :'cancelled')) FROM unnest('{wf_result,wf_cancel,wf_retry,wf_reschedule}'::text[]) f;
-- and there is nothing left of one without a key
SELECT pg_temp.refusal(format('SELECT wf_handle(%L)', :'keyless'));

-- on_failed goes by the outcome; 'resume' acts as 'new', since there is nothing left to resume
SELECT wf_alter_workflow('exp', on_failed => 'return');
SELECT run_id = :'failed' AS same, created, state, error FROM wf_submit('exp', '{"fail": 1}', 'failed');
SELECT wf_alter_workflow('exp', on_failed => 'resume');
SELECT pg_temp.refusal($$SELECT wf_enqueue('exp', '2', 'failed')$$);
BEGIN;
SELECT run_id = :'failed' AS same, created, state, error FROM wf_submit('exp', '{"fail": 1}', 'failed');
ROLLBACK;
SELECT wf_alter_workflow('exp', on_failed => 'new');
BEGIN;
SELECT run_id = :'failed' AS same, created, state, error FROM wf_submit('exp', '{"fail": 1}', 'failed');
ROLLBACK;

-- key and run both over
SELECT wf_enqueue('exp', '1', 'over', 'infinity', key_ttl => '0') AS over \gset
SELECT wf_cancel(:'over');
SELECT pg_temp.refusal(format('SELECT wf_handle(%L)', :'over'));
SELECT wf_find('exp', 'over');

-- a purged run's key can be forgotten
SELECT wf_forget('exp', 'cancelled') = :'cancelled' AS forgotten;
SELECT pg_temp.refusal(format('SELECT wf_handle(%L)', :'cancelled'));
SELECT key, state FROM wf.keys WHERE workflow = 'exp' ORDER BY key;

-- ---------------------------------------------------------------------------
-- cleaning keeps what is not over
-- ---------------------------------------------------------------------------

-- not over: two keys; they are few enough to be carried to another slice, without their data
SELECT count(wf_cancel(wf_enqueue('exp', '1', 'many ' || n, 'infinity', key_ttl => '0'))) FROM generate_series(1, 20) n;
SELECT string_agg(DISTINCT kind::text, '' ORDER BY kind::text) FROM wf.event;
SELECT count(*) FROM wf.run;
-- an old slice: the next step seals it
BEGIN;
DELETE FROM wf.slice WHERE state = 'current';
INSERT INTO wf.slice SELECT substring(tableoid::regclass::text FROM '[0-9]')::integer, 'current', '2001-01-01', NULL FROM wf.run LIMIT 1;
COMMIT;
\c -
CALL expire_until(2);
SELECT key, payload, tableoid::regclass IN (SELECT ('wf.run_' || slice)::regclass FROM wf.slice WHERE state = 'current') AS current FROM wf.run ORDER BY key;
SELECT e.kind, e.result, e.error, e.detail, e.context, e.worker FROM wf.event e ORDER BY kind;
SELECT key, state FROM wf.keys WHERE workflow = 'exp' ORDER BY key;
SELECT wf_find('exp', 'completed') = :'completed' AS same;
SELECT run_id = :'completed' AS same, created, state, result FROM wf_submit('exp', '1', 'completed');
SELECT state FROM wf_handle(:'failed');
SELECT count(*) FROM wf_submit('exp', '1', 'many 1', 'infinity') WHERE created;

-- a run that has not ended keeps the slice that it is in
SELECT count(wf_cancel(wf_enqueue('exp', run_at => 'infinity'))) FROM generate_series(1, 20) n;
UPDATE wf.slice SET opened_at = '2001-01-01' WHERE state = 'current';
\c -
CALL expire_until_sealed();
SELECT wf_expire();
SELECT state, count(*) FROM wf.slice WHERE state <> 'empty' GROUP BY state ORDER BY state;
SELECT count(*) FROM wf.run;
SELECT created, state FROM wf_submit('exp', '1', 'many 1');
-- until it has ended
SELECT wf_cancel(wf_find('exp', 'many 1'));
SELECT wf_forget('exp', 'many 1') IS NULL;
CALL expire_until(2);
SELECT key, state FROM wf.keys WHERE workflow = 'exp' ORDER BY key;

-- one that has lost its key can take it again, wherever it is stored
SELECT wf_alter_workflow('exp', retention => '1000 years');
SELECT wf_enqueue('exp', '1', 'moves', 'infinity') AS run \gset
SELECT wf_cancel(:'run');
SELECT wf_forget('exp', 'moves') = :'run' AS forgotten;
UPDATE wf.slice SET opened_at = '2001-01-01' WHERE state = 'current';
\c -
CALL expire_until_sealed();
SELECT tableoid::regclass IN (SELECT ('wf.run_' || slice)::regclass FROM wf.slice WHERE state = 'sealed') AS sealed FROM wf.run WHERE run_id = :'run';
SELECT wf_pause('exp');
SELECT wf_retry(:'run');
SELECT tableoid::regclass IN (SELECT ('wf.run_' || slice)::regclass FROM wf.slice WHERE state = 'current') AS current FROM wf.run WHERE run_id = :'run';
SELECT wf_find('exp', 'moves') = :'run' AS same;
SELECT created FROM wf_submit('exp', '1', 'moves');
SELECT wf_cancel(:'run');
SELECT kind FROM wf.event WHERE run_id = :'run' ORDER BY seq;
SELECT count(*) FROM wf.runs WHERE workflow = 'exp' AND key = 'moves';
SELECT wf_alter_workflow('exp', retention => '0');

-- ---------------------------------------------------------------------------
-- wf_expire
-- ---------------------------------------------------------------------------

-- a workflow's keys and runs go with it
SELECT wf_drop_workflow('exp', true);
CALL expire_until(0);
SELECT count(*) AS runs, (SELECT count(*) FROM wf.event) AS events FROM wf.run;

-- it returns the keys and the runs that were removed; the lock keeps the background from being faster
SELECT wf_create_workflow('exp', retention => '0', key_ttl => '0');
BEGIN;
LOCK TABLE wf.run IN ROW EXCLUSIVE MODE;
SELECT count(wf_cancel(wf_enqueue('exp', '1', 'k' || n))) FROM generate_series(1, 30) n;
SELECT count(wf_cancel(wf_enqueue('exp'))) FROM generate_series(1, 12) n;
SELECT expire_all(10000);
ROLLBACK;
-- a slice goes as a whole, also if that is more than max_rows
BEGIN;
LOCK TABLE wf.run IN ROW EXCLUSIVE MODE;
SELECT count(wf_cancel(run_id)) FROM wf_enqueue_many('exp', array_fill('{}'::jsonb, '{5000}'));
SELECT expire_all(100);
ROLLBACK;

SELECT wf_drop_workflow('exp', true);
CALL expire_until(0);
DROP PROCEDURE expire_until(integer), expire_until_sealed();
DROP FUNCTION expire_all(integer), expire_handler(jsonb);
