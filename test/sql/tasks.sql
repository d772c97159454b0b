-- Tasks, as a user meets them: what each call gets in every state, what is
-- refused, and the three ways in which they are used: execute once, return
-- what is completed and retry what has failed, remember what was expensive.
\set ECHO none
\getenv directory PG_ABS_SRCDIR
\set include :directory /include/helpers.psql
\i :include
\set ECHO all
\pset null '-'

-- what wf_task_begin says, and whether the lease is what was asked for
CREATE FUNCTION pg_temp.try_to_begin(key text, lease interval DEFAULT '5 minutes', payload jsonb DEFAULT NULL)
RETURNS TABLE (status text, attempt integer, result jsonb, lease_left text) LANGUAGE sql AS $$
	SELECT b.status, b.attempt, b.result,
		   CASE WHEN b.lease_until <= clock_timestamp() THEN 'over'
				WHEN b.lease_until - clock_timestamp() <= $2 THEN 'as asked' ELSE 'longer' END
	  FROM wf_task_begin($1, $2, $3) b
$$;
CREATE FUNCTION pg_temp.wait_until(moment timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE clock_timestamp() <= moment LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END
$$;
-- Expire until nothing is stored of the tasks whose keys are like that: the
-- background may be at it too, and have a slice locked for a moment.
CREATE FUNCTION pg_temp.expire(pattern text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 6000 LOOP
		PERFORM wf_expire();
		IF NOT EXISTS (SELECT FROM wf.task WHERE key LIKE pattern) THEN
			RETURN true;
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN false;
END
$$;

-- ---------------------------------------------------------------------------
-- execute once: an e-mail, by run and step
-- ---------------------------------------------------------------------------
CREATE TABLE task_outbox (who text, body text);
CREATE FUNCTION send_welcome(key text, address text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	task record;
BEGIN
	task := wf_task_begin(key);
	IF task.status = 'completed' THEN
		RETURN task.result;
	END IF;
	INSERT INTO task_outbox VALUES (address, 'welcome');
	RETURN wf_task_complete(key, task.attempt, jsonb_build_object('sent', address));
END
$$;
SELECT send_welcome('run-1-send-welcome-email', 'ann@example.com');
SELECT send_welcome('run-1-send-welcome-email', 'ann@example.com');
SELECT count(*) AS sent FROM task_outbox;
-- another intent has another key
SELECT send_welcome('run-1-send-reminder-email', 'ann@example.com');
SELECT count(*) AS sent FROM task_outbox;

-- ---------------------------------------------------------------------------
-- a payment: completed returns, failed retries
-- ---------------------------------------------------------------------------
SELECT * FROM pg_temp.try_to_begin('payment-1', payload => '{"amount": 5}');
-- meanwhile nobody else is told to execute it
SELECT * FROM pg_temp.try_to_begin('payment-1', '1 hour', '{"amount": 5}');
SELECT wf_task_fail('payment-1', 1, 'card declined');
SELECT key, status, attempt, result, error, lease_until, expires_at FROM wf.tasks WHERE key = 'payment-1';
SELECT wf_task_get('payment-1');
SELECT * FROM pg_temp.try_to_begin('payment-1', payload => '{"amount": 5.0}');
-- the attempt that has failed is over
SELECT pg_temp.refusal($$SELECT wf_task_complete('payment-1', 1, '{"paid": 5}')$$);
SELECT wf_task_complete('payment-1', 2, '{"paid": 5}');
SELECT * FROM pg_temp.try_to_begin('payment-1', payload => '{"amount": 5}');
SELECT status, result, lease_until FROM wf_task_begin('payment-1');
-- the first write wins
SELECT wf_task_complete('payment-1', 2, '{"paid": 6}'), wf_task_put('payment-1', '{"paid": 7}'), wf_task_get('payment-1');
-- what is completed can't fail any more
SELECT pg_temp.refusal($$SELECT wf_task_fail('payment-1', 2, 'late')$$);
SELECT pg_temp.refusal($$SELECT wf_task_fail('payment-1', 1, 'card declined')$$);
SELECT pg_temp.refusal($$SELECT wf_task_complete('payment-1', 3)$$);
-- another payload is refused, whatever the state
SELECT pg_temp.refusal($$SELECT wf_task_begin('payment-1', payload => '{"amount": 50}')$$);
SELECT status FROM wf_task_begin('payment-2', payload => '[1]');
SELECT pg_temp.refusal($$SELECT wf_task_begin('payment-2', payload => '[2]')$$);
SELECT wf_task_fail('payment-2', 1, 'no');
SELECT pg_temp.refusal($$SELECT wf_task_begin('payment-2', payload => '[2]')$$);
-- failing again is quiet, with another reason it is not
SELECT wf_task_fail('payment-2', 1, 'no');
SELECT pg_temp.refusal($$SELECT wf_task_fail('payment-2', 1, 'yes')$$);

-- ---------------------------------------------------------------------------
-- remember what was expensive
-- ---------------------------------------------------------------------------
CREATE SEQUENCE task_calls;
CREATE FUNCTION fetch_user(payload jsonb) RETURNS jsonb LANGUAGE sql AS
$$ SELECT payload || jsonb_build_object('call', nextval('task_calls')) $$;
-- without a key it is called each time
SELECT wf_task_run('fetch_user(jsonb)', '{"id": 123}'), wf_task_run('fetch_user(jsonb)', '{"id": 123}');
SELECT wf_task_run('fetch_user(jsonb)', '{"id": 123}', 'user-123'), wf_task_run('fetch_user(jsonb)', '{"id": 123}', 'user-123');
SELECT wf_task_run('fetch_user(jsonb)', '{"id": 123}', 'user-123-again');
SELECT pg_temp.refusal($$SELECT wf_task_run('fetch_user(jsonb)', '{"id": 124}', 'user-123')$$);
-- a function that returns nothing has been called all the same
CREATE FUNCTION task_note(payload jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO task_outbox VALUES ('note', payload::text) $$;
SELECT wf_task_run('task_note(jsonb)', '1', 'note'), wf_task_run('task_note(jsonb)', '1', 'note'), wf_task_run('task_note(jsonb)', '2');
SELECT body FROM task_outbox WHERE who = 'note' ORDER BY body;
-- an error undoes all of it, and the next call executes
CREATE FUNCTION task_fails(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN 1 / (payload)::int; END $$;
SELECT pg_temp.refusal($$SELECT wf_task_run('task_fails(jsonb)', '0', 'fails')$$);
SELECT count(*) FROM wf.tasks WHERE key = 'fails';
SELECT wf_task_run('task_fails(jsonb)', '1', 'fails');
-- a task that is begun elsewhere is not executed, nor is one from inside itself
SELECT status FROM wf_task_begin('begun');
SELECT regexp_replace(pg_temp.refusal($$SELECT wf_task_run('fetch_user(jsonb)', '1', 'begun')$$), 'until [^.]*\.\S*\.', 'until (time).');
CREATE FUNCTION task_recurses(payload jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT wf_task_run('task_recurses(jsonb)', payload, 'recurses') $$;
SELECT split_part(pg_temp.refusal($$SELECT wf_task_run('task_recurses(jsonb)', '1', 'recurses')$$), E'\n', 1);

-- ---------------------------------------------------------------------------
-- a store of results: get what has not expired, set with expiry
-- ---------------------------------------------------------------------------
SELECT wf_task_get('store');
SELECT wf_task_put('store', '"first"', '1 hour'), wf_task_put('store', '"second"'), wf_task_get('store');
SELECT expires_at - clock_timestamp() BETWEEN '59 minutes' AND '1 hour' AS in_an_hour FROM wf.tasks WHERE key = 'store';
-- NULL is a result: told from none
SELECT wf_task_put('store null', NULL), wf_task_get('store null') IS NULL AS is_none, wf_task_get('store null') = 'null' AS is_null;
SELECT status, result FROM wf_task_begin('store null');
-- expired: nothing is there, and the next write wins
SELECT wf_task_put('store short', '1', '1 ms');
SELECT pg_temp.wait_until(clock_timestamp() + '2 ms');
SELECT wf_task_get('store short'), (SELECT count(*) FROM wf.tasks WHERE key = 'store short');
SELECT wf_task_put('store short', '2'), wf_task_get('store short');
SELECT status, result, attempt FROM wf_task_begin('store short');
-- '0' remembers nothing, a thousand years for ever
SELECT wf_task_put('store zero', '1', '0'), wf_task_get('store zero');
SELECT wf_task_put('store ever', '1', '1000 years'), wf_task_get('store ever');
SELECT expires_at FROM wf.tasks WHERE key = 'store ever';
-- put ends an attempt that is under way, which is then given what is stored
SELECT status, attempt FROM wf_task_begin('store begun');
SELECT wf_task_put('store begun', '"put"'), wf_task_complete('store begun', 1, '"completed"');
-- a completed task that has expired is begun anew, with any payload
SELECT status, attempt FROM wf_task_begin('expires', payload => '1');
SELECT wf_task_complete('expires', 1, '"old"', '1 ms');
SELECT pg_temp.wait_until(clock_timestamp() + '2 ms');
SELECT pg_temp.refusal($$SELECT wf_task_complete('expires', 1, '"old"')$$);
SELECT * FROM pg_temp.try_to_begin('expires', payload => '2');
SELECT pg_temp.refusal($$SELECT wf_task_complete('expires', 1, '"old"')$$);

-- ---------------------------------------------------------------------------
-- leases
-- ---------------------------------------------------------------------------
-- over, and nobody has taken it: the attempt still counts
SELECT status, attempt FROM wf_task_begin('lease', '1 ms');
SELECT pg_temp.wait_until(lease_until) FROM wf.tasks WHERE key = 'lease';
SELECT status, attempt FROM wf.tasks WHERE key = 'lease';
SELECT wf_task_complete('lease', 1, '"late"');
-- begun by another, the first one's completion is refused
SELECT status, attempt FROM wf_task_begin('lease 2', '1 ms');
SELECT pg_temp.wait_until(lease_until) FROM wf.tasks WHERE key = 'lease 2';
SELECT * FROM pg_temp.try_to_begin('lease 2');
SELECT pg_temp.refusal($$SELECT wf_task_complete('lease 2', 1, '"late"')$$);
SELECT pg_temp.refusal($$SELECT wf_task_fail('lease 2', 1, 'late')$$);
SELECT wf_task_complete('lease 2', 2, '"second"');

-- ---------------------------------------------------------------------------
-- forget
-- ---------------------------------------------------------------------------
SELECT wf_task_forget('never');
SELECT wf_task_forget('lease 2'), wf_task_get('lease 2'), wf_task_forget('lease 2');
SELECT status, attempt FROM wf_task_begin('lease 2');
SELECT wf_task_forget('lease 2');
SELECT pg_temp.refusal($$SELECT wf_task_complete('lease 2', 3)$$);
SELECT count(*) FROM wf.tasks WHERE key = 'lease 2';

-- ---------------------------------------------------------------------------
-- in a transaction of one's own
-- ---------------------------------------------------------------------------
BEGIN;
SELECT status, attempt FROM wf_task_begin('own');
SELECT status, attempt FROM wf_task_begin('own');
SAVEPOINT s;
SELECT wf_task_complete('own', 1, '1');
SELECT status, result FROM wf_task_begin('own');
ROLLBACK TO s;
SELECT wf_task_get('own');
SELECT wf_task_complete('own', 1, '2');
COMMIT;
SELECT wf_task_get('own');
BEGIN;
SELECT status FROM wf_task_begin('undone');
ROLLBACK;
SELECT count(*) FROM wf.tasks WHERE key = 'undone';
-- in one statement
SELECT array_agg(status ORDER BY n) FROM generate_series(1, 3) n, LATERAL wf_task_begin('statement', payload => to_jsonb(n * 0));
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT status FROM wf_task_begin('serializable');
SELECT wf_task_complete('serializable', 1, '1'), wf_task_get('serializable');
SELECT status FROM wf_task_begin('serializable');
COMMIT;
BEGIN;
SELECT status FROM wf_task_begin('two phases');
PREPARE TRANSACTION 'task';
COMMIT PREPARED 'task';
SELECT status FROM wf_task_begin('two phases');
-- read only: what only looks
BEGIN READ ONLY;
SELECT wf_task_get('own'), (SELECT status FROM wf.tasks WHERE key = 'own');
SELECT pg_temp.refusal($$SELECT wf_task_begin('own')$$);
SELECT pg_temp.refusal($$SELECT wf_task_put('own', '1')$$);
ROLLBACK;

-- ---------------------------------------------------------------------------
-- a task is its role's, and nobody else's
-- ---------------------------------------------------------------------------
CREATE ROLE regress_wf_task;
SELECT wf_grant_usage('regress_wf_task');
SELECT wf_task_put('shared', '"mine"');
SET ROLE regress_wf_task;
SELECT wf_task_get('shared'), (SELECT count(*) FROM wf.tasks), (SELECT count(*) FROM wf.duplicates);
SELECT status, attempt FROM wf_task_begin('shared');
SELECT status, attempt FROM wf_task_begin('shared');
SELECT wf_task_complete('shared', 1, '"theirs"');
SELECT key, status FROM wf.tasks;
SELECT workflow, key, run_id, outcome FROM wf.duplicates;
SELECT workflow, duplicates, mismatches FROM wf.stats;
-- calling a function needs the right to execute it
RESET ROLE;
REVOKE EXECUTE ON FUNCTION fetch_user(jsonb) FROM PUBLIC;
SET ROLE regress_wf_task;
SELECT pg_temp.refusal($$SELECT wf_task_run('fetch_user(jsonb)', '1')$$);
RESET ROLE;
SELECT wf_task_get('shared');
SELECT count(*) FROM wf.duplicates WHERE workflow IS NULL AND key = 'shared';
SELECT wf_revoke_usage('regress_wf_task');
DROP ROLE regress_wf_task;
-- another role of the name has none of its tasks
CREATE ROLE regress_wf_task;
SELECT wf_grant_usage('regress_wf_task');
SET ROLE regress_wf_task;
SELECT wf_task_get('shared'), (SELECT count(*) FROM wf.tasks), (SELECT count(*) FROM wf.duplicates);
RESET ROLE;
-- a role that is renamed keeps its tasks
SET ROLE regress_wf_task;
SELECT wf_task_put('kept', '1');
RESET ROLE;
ALTER ROLE regress_wf_task RENAME TO regress_wf_task_too;
SET ROLE regress_wf_task_too;
SELECT wf_task_get('kept');
RESET ROLE;
SELECT wf_revoke_usage('regress_wf_task_too');
DROP ROLE regress_wf_task_too;

-- ---------------------------------------------------------------------------
-- expiry gives the space back
-- ---------------------------------------------------------------------------
-- what is over goes, what lives is written again and stays
SELECT count(wf_task_forget(key)) > 10 AS forgotten FROM wf.tasks;
SELECT wf_task_put('few', '"live"', '1000 years');
SELECT status FROM wf_task_begin('few begun');
SELECT pg_temp.expire('payment%') AS removed;
SELECT key, kind, attempt, result FROM wf.task t, wf.my_tasks() m WHERE t.owner = m.owner ORDER BY key;
SELECT count(*) FROM (SELECT wf_task_put('many-' || n, to_jsonb(n), '0') FROM generate_series(1, 1000) n) put;
SELECT pg_temp.expire('many%') AS removed;
SELECT wf_task_get('few'), wf_task_complete('few begun', 1, '"done"');
-- all round the ring
SELECT count(wf_task_put('round', '1', '0')) AS put, count(wf_expire()) AS expired FROM generate_series(1, 20);
SELECT wf_task_get('few'), (SELECT result FROM wf_task_begin('few begun'));
SELECT count(*) FROM wf.task t, wf.my_tasks() m WHERE t.owner = m.owner AND key LIKE 'few%';
SELECT wf_task_forget('few'), wf_task_forget('few begun');
SELECT pg_temp.expire('few%') AS removed;

DROP TABLE task_outbox;
DROP SEQUENCE task_calls CASCADE;
DROP FUNCTION send_welcome(text, text), fetch_user(jsonb), task_note(jsonb), task_fails(jsonb), task_recurses(jsonb);
