-- Runs as a user sees and moves them: wf_handle, wf_find, wf_result,
-- wf_cancel, wf_retry, wf_reschedule, wf_forget, wf_cancel_all and the views.
\set ECHO none
\getenv directory PG_ABS_SRCDIR
\set include :directory /include/helpers.psql
\i :include
\set ECHO all
\pset null '-'
CREATE FUNCTION runs_handler(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF payload ? 'wait' THEN
		PERFORM pg_advisory_xact_lock_shared((payload->>'wait')::bigint);
	END IF;
	IF wf_current_attempt() <= (payload->>'fails')::integer THEN
		RAISE EXCEPTION 'attempt % of %', wf_current_attempt(), wf_current_key() USING ERRCODE = 'P0042', DETAIL = 'the detail';
	END IF;
	RETURN '"done"';
END
$$;
CREATE FUNCTION runs_handler_void(payload jsonb) RETURNS void LANGUAGE sql AS '';
SELECT wf_create_workflow('runs');
SELECT wf_create_workflow('runs.do', 'runs_handler(jsonb)', retry_delay => '0', max_attempts => 2);
SELECT wf_create_workflow('runs.void', 'runs_handler_void(jsonb)');
CREATE FUNCTION pg_temp.look(run uuid)
RETURNS TABLE (workflow text, key text, state text, attempt integer, result jsonb, error text, enqueued boolean, started boolean, finished boolean)
BEGIN ATOMIC
	SELECT workflow, key, state, attempt, result, error, enqueued_at <= clock_timestamp(), started_at >= enqueued_at, finished_at >= coalesce(started_at, enqueued_at)
	  FROM wf_handle(run);
END;

-- ---------------------------------------------------------------------------
-- wf_handle, wf_find, wf_result in every state
-- ---------------------------------------------------------------------------

-- queued
SELECT wf_enqueue('runs', '{"x": 1}', 'k') AS run \gset
SELECT * FROM pg_temp.look(:'run');
SELECT wf_find('runs', 'k') = :'run' AS found, wf_find('runs', 'other'), wf_find('runs', ''), wf_find('runs', repeat('x', 1000)), wf_find('runs', NULL), wf_find(NULL, 'k');
SELECT wf_result(:'run');

-- running
SELECT pg_advisory_lock(4202);
SELECT wf_enqueue('runs.do', '{"wait": 4202}', 'works') AS run \gset
SELECT pg_temp.wait_for(:'run', 'running');
SELECT * FROM pg_temp.look(:'run');
SELECT wf_result(:'run');
SELECT state, attempt FROM wf.runs WHERE run_id = :'run';
SELECT state, expires_at FROM wf.keys WHERE run_id = :'run';

-- completed
SELECT pg_advisory_unlock(4202);
SELECT pg_temp.wait_for(:'run', 'completed');
SELECT * FROM pg_temp.look(:'run');
SELECT wf_result(:'run');
SELECT wf_enqueue('runs.void') AS void \gset
SELECT pg_temp.wait_for(:'void', 'completed');
SELECT wf_result(:'void'), (wf_handle(:'void')).key;

-- failed: the last error, and an attempt each
SELECT wf_enqueue('runs.do', '{"fails": 3}', 'fails') AS failed \gset
SELECT pg_temp.wait_for(:'failed', 'failed');
SELECT * FROM pg_temp.look(:'failed');
SELECT pg_temp.refusal(format('SELECT wf_result(%L)', :'failed'));
SELECT state, attempt, error, sqlstate FROM wf.runs WHERE run_id = :'failed';
SELECT attempt, outcome, sqlstate, error, detail, context LIKE 'PL/pgSQL function runs_handler(jsonb)%' AS context, started_at <= finished_at AS times
  FROM wf.attempts WHERE run_id = :'failed' ORDER BY attempt;

-- cancelled
SELECT wf_enqueue('runs', '{}', 'cancelled') AS cancelled \gset
SELECT wf_cancel(:'cancelled', 'not needed');
SELECT * FROM pg_temp.look(:'cancelled');
SELECT pg_temp.refusal(format('SELECT wf_result(%L)', :'cancelled'));

-- no such run, or none asked for
SELECT wf_handle(NULL), wf_result(NULL);
SELECT pg_temp.refusal(format('SELECT %s(%L)', f, '00000000-0000-0000-0000-000000000000'))
  FROM unnest('{wf_handle,wf_result,wf_cancel,wf_retry,wf_reschedule}'::text[]) f;
SELECT pg_temp.refusal($$SELECT wf_find('no such workflow', 'k')$$);

-- ---------------------------------------------------------------------------
-- wf_cancel
-- ---------------------------------------------------------------------------

-- false: it has ended
SELECT wf_cancel(:'run') AS completed, wf_cancel(:'failed') AS failed, wf_cancel(:'cancelled', 'again') AS cancelled;
SELECT error FROM wf_handle(:'cancelled');
SELECT pg_temp.refusal('SELECT wf_cancel(NULL)');

-- a handler that is running is interrupted
SELECT pg_advisory_lock(4202);
SELECT wf_enqueue('runs.do', '{"wait": 4202}', 'interrupted') AS run \gset
SELECT pg_temp.wait_for(:'run', 'running');
SELECT wf_cancel(:'run', 'enough');
SELECT * FROM pg_temp.look(:'run');
SELECT pg_advisory_unlock(4202);
SELECT attempt, outcome, error FROM wf.attempts WHERE run_id = :'run';

-- rolled back, as a whole or to a savepoint, it was never cancelled
SELECT pg_advisory_lock(4202);
SELECT wf_enqueue('runs.do', '{"wait": 4202}', 'spared') AS run \gset
SELECT pg_temp.wait_for(:'run', 'running');
BEGIN;
SELECT wf_cancel(:'run');
SELECT state FROM wf_handle(:'run');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT wf_cancel(:'run');
ROLLBACK TO s;
COMMIT;
SELECT state, attempt FROM wf_handle(:'run');
SELECT pg_advisory_unlock(4202);
SELECT pg_temp.wait_for(:'run', 'completed');
SELECT attempt, outcome FROM wf.attempts WHERE run_id = :'run';

-- in a read-only transaction nothing can be moved
BEGIN READ ONLY;
SELECT pg_temp.refusal(format('SELECT wf_cancel(%L)', :'run'));
SELECT pg_temp.refusal(format('SELECT wf_retry(%L)', :'failed'));
SELECT pg_temp.refusal(format('SELECT wf_reschedule(%L)', :'run'));
SELECT pg_temp.refusal($$SELECT wf_forget('runs', 'k')$$);
SELECT pg_temp.refusal($$SELECT wf_cancel_all('runs')$$);
SELECT state FROM wf_handle(:'run');
SELECT state FROM wf.runs WHERE run_id = :'run';
COMMIT;

-- ---------------------------------------------------------------------------
-- wf_retry
-- ---------------------------------------------------------------------------

-- max_attempts further attempts, whose numbers go on
SELECT wf_retry(:'failed');
SELECT pg_temp.wait_for(:'failed', 'completed');
SELECT * FROM pg_temp.look(:'failed');
SELECT attempt, outcome FROM wf.attempts WHERE run_id = :'failed' ORDER BY attempt;
-- false: it is neither failed nor cancelled
SELECT wf_retry(:'failed') AS completed, wf_retry(wf_find('runs', 'k')) AS queued;
-- queued again, with the error of its last attempt
SELECT wf_enqueue('runs.do', '{"fails": 9}', 'again') AS run \gset
SELECT pg_temp.wait_for(:'run', 'failed');
BEGIN;
SELECT wf_retry(:'run'), wf_retry(:'run');
SELECT state, attempt, error FROM wf_handle(:'run');
ROLLBACK;
SELECT state, attempt FROM wf_handle(:'run');
SELECT wf_retry(:'cancelled');
SELECT state, attempt, error FROM wf_handle(:'cancelled');
SELECT pg_temp.refusal('SELECT wf_retry(NULL)');

-- its key: an expired one holds again
SELECT wf_enqueue('runs', '1', 'expired', key_ttl => '0') AS run \gset
SELECT wf_cancel(:'run');
SELECT wf_find('runs', 'expired');
SELECT wf_retry(:'run');
SELECT wf_find('runs', 'expired') = :'run' AS holds;
SELECT created FROM wf_submit('runs', '1', 'expired');
-- one that a newer run has taken is WF002
SELECT wf_cancel(:'run');
SELECT created FROM wf_submit('runs', '2', 'expired', key_ttl => '0');
SELECT pg_temp.refusal(format('SELECT wf_retry(%L)', :'run'));
SELECT state FROM wf_handle(:'run');
-- one that has been freed since is taken again
SELECT wf_cancel(wf_find('runs', 'expired'));
SELECT wf_retry(:'run');
SELECT wf_find('runs', 'expired') = :'run' AS holds;
SELECT created FROM wf_submit('runs', '1', 'expired');
SELECT state, payload FROM wf.runs WHERE workflow = 'runs' AND key = 'expired' ORDER BY run_id;
-- after wf_forget, too
SELECT wf_cancel(:'run');
SELECT wf_enqueue('runs', '1', 'forgotten') AS run \gset
SELECT wf_cancel(:'run');
SELECT wf_forget('runs', 'forgotten') = :'run' AS forgotten;
SELECT wf_find('runs', 'forgotten'), (wf_handle(:'run')).state;
SELECT wf_retry(:'run');
SELECT wf_find('runs', 'forgotten') = :'run' AS holds, (wf_handle(:'run')).state;
SELECT created FROM wf_submit('runs', '1', 'forgotten');
SELECT count(*) FROM wf.runs WHERE key = 'forgotten';

-- ---------------------------------------------------------------------------
-- wf_reschedule
-- ---------------------------------------------------------------------------
SELECT wf_enqueue('runs.do', '{}', 'later', 'infinity', priority => 3) AS run \gset
SELECT wf_reschedule(:'run', priority => -3);
SELECT run_at, priority, state FROM wf.runs WHERE run_id = :'run';
SELECT wf_reschedule(:'run', '2101-01-01 UTC');
SELECT run_at = '2101-01-01 UTC' AS at, priority FROM wf.runs WHERE run_id = :'run';
SELECT wf_reschedule(:'run', '-infinity');
SELECT pg_temp.wait_for(:'run', 'completed');
-- false: it is not queued
SELECT wf_reschedule(:'run', '-infinity') AS completed;
SELECT pg_advisory_lock(4202);
SELECT wf_enqueue('runs.do', '{"wait": 4202}') AS run \gset
SELECT pg_temp.wait_for(:'run', 'running');
SELECT wf_reschedule(:'run', 'infinity') AS running;
SELECT pg_advisory_unlock(4202);
SELECT pg_temp.wait_for(:'run', 'completed');
SELECT attempt FROM wf_handle(:'run');
SELECT pg_temp.refusal('SELECT wf_reschedule(NULL)');

-- ---------------------------------------------------------------------------
-- wf_forget
-- ---------------------------------------------------------------------------
SELECT wf_forget('runs', 'no such key');
SELECT pg_temp.refusal($$SELECT wf_forget('runs', 'k')$$);
SELECT pg_temp.refusal($$SELECT wf_forget('runs', 'k', force => NULL)$$);
SELECT pg_advisory_lock(4202);
SELECT wf_enqueue('runs.do', '{"wait": 4202}', 'busy') AS run \gset
SELECT pg_temp.wait_for(:'run', 'running');
SELECT pg_temp.refusal($$SELECT wf_forget('runs.do', 'busy')$$);
SELECT pg_advisory_unlock(4202);
-- only if it is the run that one thinks
SELECT wf_forget('runs', 'k', :'run');
SELECT wf_forget('runs', 'k', :'run', force => true);
SELECT wf_find('runs', 'k') AS k \gset
BEGIN;
SELECT wf_forget('runs', 'k', :'k', force => true) = :'k' AS forgotten;
SELECT wf_find('runs', 'k');
ROLLBACK;
SELECT wf_find('runs', 'k') = :'k' AS still_there;
SELECT wf_forget('runs', 'k', force => true) = :'k' AS forgotten;
SELECT state, key FROM wf_handle(:'k');
SELECT wf_forget('runs', 'k', force => true);
-- the key is free for any payload
SELECT created FROM wf_submit('runs', '"another"', 'k');
-- an expired key is none
SELECT wf_cancel(wf_enqueue('runs', '1', 'over', key_ttl => '0'));
SELECT wf_forget('runs', 'over');
SELECT pg_temp.refusal($$SELECT wf_forget(NULL, 'k')$$);
SELECT pg_temp.refusal($$SELECT wf_forget('runs', NULL)$$);
SELECT pg_temp.refusal($$SELECT wf_forget('no such workflow', 'k')$$);

-- ---------------------------------------------------------------------------
-- views
-- ---------------------------------------------------------------------------
SELECT wf_create_workflow('runs.view', key_ttl => '1 hour');
SELECT count(wf_enqueue('runs.view', to_jsonb(n), 'v' || n, 'infinity', n)) FROM generate_series(1, 3) n;
SELECT wf_cancel(wf_find('runs.view', 'v2'), 'no');
SELECT workflow, key, payload, state, attempt, priority, run_at, result, error, sqlstate, started_at, finished_at >= enqueued_at AS finished, worker, lease_until
  FROM wf.runs WHERE workflow = 'runs.view' ORDER BY run_id;
SELECT workflow, key, state, expires_at - interval '1 hour' >= enqueued_at AS expires FROM wf.keys WHERE workflow = 'runs.view' ORDER BY key;
SELECT attempt, outcome FROM wf.attempts JOIN wf.runs USING (run_id, attempt) WHERE workflow = 'runs.view';
SELECT wf_forget('runs.view', 'v1', force => true) IS NULL;
SELECT key, state FROM wf.runs WHERE workflow = 'runs.view' ORDER BY run_id;
SELECT key FROM wf.keys WHERE workflow = 'runs.view' ORDER BY key;

-- ---------------------------------------------------------------------------
-- wf_cancel_all
-- ---------------------------------------------------------------------------
SELECT wf_cancel_all('runs.view');
SELECT wf_cancel_all('runs.view');
SELECT state, count(*) FROM wf.runs WHERE workflow = 'runs.view' GROUP BY state;
BEGIN;
SELECT count(wf_enqueue('runs.view')) FROM generate_series(1, 3000);
SELECT wf_cancel_all('runs.view');
ROLLBACK;
SELECT pg_temp.refusal('SELECT wf_cancel_all(NULL)');
SELECT pg_temp.refusal($$SELECT wf_cancel_all('no such workflow')$$);

-- cleaning leaves alone what the very query is reading
SELECT wf_expire() >= 0 AS cleaned, count(*) >= 0 AS read FROM wf.runs;

-- a run that is never due is unfinished, too
SELECT wf_enqueue('runs.void', run_at => 'infinity') IS NULL;
SELECT pg_temp.refusal($$SELECT wf_drop_workflow('runs.void')$$);
SELECT wf_cancel_all('runs.void');
SELECT wf_drop_workflow('runs.void');
SELECT pg_temp.refusal(format('SELECT wf_handle(%L)', :'void'));

-- ---------------------------------------------------------------------------
-- wf_retry_all, wf_erase
-- ---------------------------------------------------------------------------
SELECT wf_create_workflow('runs.ended', max_attempts => 1);
SELECT count(wf_enqueue('runs.ended', to_jsonb(i), 'ended-' || i)) FROM generate_series(1, 4) i;
SELECT count(CASE payload WHEN '1' THEN wf_complete(run_id, attempt, '"secret"')::text WHEN '2' THEN wf_fail(run_id, attempt, 'secret') WHEN '3' THEN wf_fail(run_id, attempt, 'secret') ELSE wf_cancel(run_id, 'secret')::text END)
  FROM wf_claim('{runs.ended}', 4);
-- one of those that failed has lost its key to a newer run
SELECT wf_enqueue('runs.ended', '3', 'ended-3') = wf_find('runs.ended', 'ended-3') AS newer;
SELECT wf_retry_all('runs.ended');
SELECT payload, state, attempt, error FROM wf.runs WHERE workflow = 'runs.ended' ORDER BY enqueued_at, payload;
SELECT wf_retry_all('runs.ended');
SELECT pg_temp.refusal($$SELECT wf_retry_all('runs.none')$$);
SELECT pg_temp.refusal($$SELECT wf_retry_all(NULL)$$);
-- erased: nothing of payload, result, errors; the key holds, for the same payload
SELECT run_id AS run FROM wf.runs WHERE workflow = 'runs.ended' AND state = 'completed' \gset
SELECT wf_erase(:'run');
SELECT payload, state, result, error FROM wf.runs WHERE run_id = :'run';
SELECT result, error FROM wf_handle(:'run');
SELECT wf_enqueue('runs.ended', '1', 'ended-1') = :'run' AS the_same;
SELECT pg_temp.refusal($$SELECT wf_enqueue('runs.ended', '100', 'ended-1')$$);
SELECT run_id AS failed FROM wf.runs WHERE workflow = 'runs.ended' AND state = 'failed' \gset
SELECT wf_erase(:'failed');
SELECT error, detail, context FROM wf.attempts WHERE run_id = :'failed';
SELECT pg_temp.refusal(format('SELECT wf_retry(%L)', :'failed'));
SELECT wf_retry_all('runs.ended');
SELECT pg_temp.refusal(format('SELECT wf_erase(%L)', run_id)) FROM wf.runs WHERE workflow = 'runs.ended' AND state = 'queued' LIMIT 1;
SELECT pg_temp.refusal('SELECT wf_erase(gen_random_uuid())');
SELECT wf_drop_workflow('runs.ended', true);

SELECT wf_drop_workflow(name, force => true) FROM wf.workflows WHERE name LIKE 'runs%';
DROP FUNCTION runs_handler(jsonb), runs_handler_void(jsonb);
