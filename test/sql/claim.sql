-- External workers: wf_claim, wf_heartbeat, wf_complete, wf_fail, wf_release,
-- wf_wait_for_work, in one session.
\set ECHO none
\getenv directory PG_ABS_SRCDIR
\set include :directory /include/helpers.psql
\i :include
\set ECHO all
\pset null '-'
SELECT wf_create_workflow('claim.a', retry_delay => '0', max_attempts => 2);
SELECT wf_create_workflow('claim.b', retry_delay => '1 hour');
SELECT wf_create_workflow('claim.limited', max_running => 2);
CREATE FUNCTION claim_handler(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
SELECT wf_create_workflow('claim.handler', 'claim_handler(jsonb)');

-- ---------------------------------------------------------------------------
-- wf_claim
-- ---------------------------------------------------------------------------

-- nothing there, nothing due
SELECT count(*) FROM wf_claim('{claim.a}');
SELECT wf_enqueue('claim.a', '{}', run_at => now() + interval '1 hour') AS later \gset
SELECT count(*) FROM wf_claim('{claim.a}', 10);
SELECT wf_cancel(:'later');

-- a batch, in the order of priority, due time and enqueueing, across workflows
SELECT pg_temp.name(wf_enqueue('claim.a', '{"n": 1}', 'one'));
SELECT pg_temp.name(wf_enqueue('claim.b', '{"n": 2}', 'two', priority => -1));
SELECT pg_temp.name(wf_enqueue('claim.a', '{"n": 3}', 'three', run_at => '2020-01-01'));
SELECT pg_temp.name(wf_enqueue('claim.a', '{"n": 4}'));
SELECT pg_temp.name(wf_enqueue('claim.b', '{"n": 5}', 'five', priority => 7));
SELECT pg_temp.name(run_id), workflow, payload, key, attempt, lease_until - now() BETWEEN '9 minutes' AND '11 minutes' AS lease
  FROM wf_claim('{claim.a,claim.b,claim.a}', 3, '10 minutes', 'worker 1');
-- what is claimed is running, and not claimed again
SELECT key, state, attempt, worker, started_at >= enqueued_at AS started, lease_until > now() AS leased FROM wf.runs WHERE workflow LIKE 'claim.%' ORDER BY payload->'n', enqueued_at;
SELECT key, state FROM wf.keys WHERE workflow LIKE 'claim.%' ORDER BY key;
SELECT array_agg(payload->'n' ORDER BY ordinality) FROM wf_claim(NULL, 10) WITH ORDINALITY WHERE workflow LIKE 'claim.%';
SELECT count(*) FROM wf_claim(NULL, 10) WHERE workflow LIKE 'claim.%';
SELECT queued, running FROM wf.stats WHERE workflow = 'claim.a';
-- cancelled under the worker's hands
SELECT wf_cancel_all('claim.a'), wf_cancel_all('claim.b');
SELECT state, count(*), min(error) FROM wf.runs WHERE workflow LIKE 'claim.%' GROUP BY state;

-- rolled back, wholly or to a savepoint: claimed by nobody
SELECT wf_enqueue('claim.a', '{"n": 6}') AS six, wf_enqueue('claim.a', '{"n": 7}') AS seven \gset
BEGIN;
SELECT payload, attempt FROM wf_claim('{claim.a}');
SAVEPOINT s;
SELECT payload, attempt FROM wf_claim('{claim.a}');
ROLLBACK TO s;
SELECT payload, attempt FROM wf_claim('{claim.a}');
ROLLBACK;
SELECT payload, attempt FROM wf_claim('{claim.a}', 10);
-- PREPARE TRANSACTION is refused
BEGIN;
SELECT count(*) FROM wf_claim('{claim.a}');
PREPARE TRANSACTION 'claim';
-- read-only transactions
BEGIN READ ONLY;
SELECT count(*) FROM wf_claim('{claim.a}');
ROLLBACK;
-- in one transaction, above READ COMMITTED
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT wf_find('claim.a', 'none');
SELECT wf_enqueue('claim.a', '{"n": 8}') IS NOT NULL AS enqueued;
SELECT wf_complete(run_id, attempt, payload) FROM wf_claim('{claim.a}');
COMMIT;
SELECT payload, result FROM wf.runs WHERE workflow = 'claim.a' AND state = 'completed';

-- max_running counts what is claimed, in this transaction too
SELECT count(wf_enqueue('claim.limited', to_jsonb(i))) FROM generate_series(1, 5) i;
BEGIN;
SELECT payload FROM wf_claim('{claim.limited}', 10);
SELECT payload FROM wf_claim('{claim.limited}', 10);
ROLLBACK;
SELECT payload FROM wf_claim('{claim.limited}', 1);
SELECT run_id AS run, payload FROM wf_claim('{claim.limited}', 10) \gset
SELECT payload FROM wf_claim('{claim.limited}', 10);
SELECT wf_release(:'run', 1);
SELECT run_id AS run, payload, attempt FROM wf_claim('{claim.limited}', 10) \gset
SELECT :'payload', :attempt;
SELECT wf_complete(:'run', :attempt);
SELECT run_id AS run, payload, attempt FROM wf_claim('{claim.limited}', 10) \gset
SELECT wf_fail(:'run', :attempt, 'no', terminal => true);
SELECT run_id AS run, payload, attempt FROM wf_claim('{claim.limited}', 10) \gset
SELECT wf_cancel(:'run');
SELECT payload FROM wf_claim('{claim.limited}', 10);
-- paused: enqueueing goes on, nothing is claimed
SELECT wf_pause('claim.a'), wf_enqueue('claim.a', '{"n": 9}') IS NOT NULL;
SELECT count(*) FROM wf_claim('{claim.a}', 10);
CALL wf_wait_for_work('{claim.a}', '0');
SELECT wf_resume('claim.a');
SELECT payload FROM wf_claim('{claim.a}', 10);

-- arguments
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{claim.none}')$$);
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{claim.handler}')$$);
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{claim.a,NULL}')$$);
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{{claim.a},{claim.b}}')$$);
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{claim.a}', 0)$$);
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{claim.a}', NULL)$$);
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{claim.a}', 1, '0')$$);
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{claim.a}', 1, '-1 s')$$);
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{claim.a}', 1, '1 day 1 us')$$);
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{claim.a}', 1, NULL)$$);
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{claim.a}', 1, '1 s', '')$$);
SELECT pg_temp.refusal($$SELECT * FROM wf_claim('{claim.a}', 1, '1 s', repeat('x', 201))$$);
SELECT count(*) FROM wf_claim('{}', 10);
SELECT count(*) FROM wf_claim('{claim.a}', 2147483647, '1 day', repeat('x', 200));

-- ---------------------------------------------------------------------------
-- Reports
-- ---------------------------------------------------------------------------
SELECT wf_cancel_all('claim.a') >= 0;

-- heartbeat: as long as claimed for, or as asked for
SELECT wf_enqueue('claim.a', '{"n": 10}', 'ten') AS run \gset
SELECT attempt, lease_until AS claimed FROM wf_claim('{claim.a}', 1, '10 minutes', 'w') \gset
SELECT wf_heartbeat(:'run', 1, '1 hour') - now() BETWEEN '59 minutes' AND '61 minutes' AS an_hour;
SELECT wf_heartbeat(:'run', 1) - now() BETWEEN '9 minutes' AND '11 minutes' AS ten_minutes;
SELECT state, attempt, worker FROM wf.runs WHERE run_id = :'run';
SELECT pg_temp.refusal(format('SELECT wf_heartbeat(%L, 1, %L)', :'run', '0'));
SELECT pg_temp.refusal(format('SELECT wf_heartbeat(%L, 2)', :'run'));
SELECT pg_temp.refusal(format('SELECT wf_heartbeat(%L, NULL)', :'run'));
SELECT pg_temp.refusal('SELECT wf_heartbeat(NULL, 1)');
SELECT pg_temp.refusal('SELECT wf_heartbeat(gen_random_uuid(), 1)');

-- release: the attempt does not count, and its number is not used again
SELECT wf_release(:'run', 1), wf_release(:'run', 1);
SELECT state, attempt FROM wf_handle(:'run');
SELECT attempt, worker IS NULL AS nameless FROM wf_claim('{claim.a}') JOIN wf.runs r USING (run_id, attempt);
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 1)', :'run'));
SELECT pg_temp.refusal(format('SELECT wf_release(%L, 1)', :'run'));
SELECT pg_temp.refusal(format('SELECT wf_fail(%L, 1, %L)', :'run', 'late'));

-- fail: to be retried, quiet when said twice, stale when said otherwise
SELECT wf_fail(:'run', 2, 'first'), wf_fail(:'run', 2, 'first');
SELECT pg_temp.refusal(format('SELECT wf_fail(%L, 2, %L)', :'run', 'another'));
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 2)', :'run'));
SELECT state, attempt, error FROM wf_handle(:'run');
SELECT attempt FROM wf_claim('{claim.a}');
SELECT pg_temp.refusal(format('SELECT wf_fail(%L, 2, %L)', :'run', 'first'));
-- the second that counts is the last
SELECT wf_fail(:'run', 3, 'second'), wf_fail(:'run', 3, 'second');
SELECT pg_temp.refusal(format('SELECT wf_fail(%L, 3, %L)', :'run', 'another'));
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 3)', :'run'));
SELECT pg_temp.refusal(format('SELECT wf_heartbeat(%L, 3)', :'run'));
SELECT state, attempt, error FROM wf_handle(:'run');
SELECT pg_temp.refusal(format('SELECT wf_result(%L)', :'run'));
SELECT attempt, outcome, sqlstate, error, worker, started_at < finished_at AS took FROM wf.attempts WHERE run_id = :'run' ORDER BY attempt;
-- wf_retry: attempts begin anew, their numbers go on
SELECT wf_retry(:'run');
SELECT attempt FROM wf_claim('{claim.a}');
-- retry_in, and for good
SELECT wf_fail(:'run', 4, 'wait', '1 day');
SELECT run_at - now() BETWEEN '23 hours' AND '25 hours' AS tomorrow FROM wf.runs WHERE run_id = :'run';
SELECT wf_reschedule(:'run', now());
SELECT attempt FROM wf_claim('{claim.a}');
SELECT wf_fail(:'run', 5, 'never', terminal => true);
SELECT wf_retry(:'run');
SELECT attempt FROM wf_claim('{claim.a}');
SELECT pg_temp.refusal(format('SELECT wf_fail(%L, 6, NULL)', :'run'));
SELECT pg_temp.refusal(format('SELECT wf_fail(%L, 6, %L, %L)', :'run', 'x', '-1 s'));
SELECT wf_fail(:'run', 6, repeat('é', 10000), terminal => true);
SELECT octet_length(error) FROM wf_handle(:'run');

-- complete: the result is kept; the same again is quiet, another is refused
SELECT wf_enqueue('claim.a', '{"n": 11}', 'eleven') AS run \gset
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 0)', :'run'));
SELECT attempt FROM wf_claim('{claim.a}');
SELECT wf_complete(:'run', 1, '{"a": 1, "b": 2}'), wf_complete(:'run', 1, '{"b": 2.0, "a": 1}');
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 1, %L)', :'run', '{}'));
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 1)', :'run'));
SELECT pg_temp.refusal(format('SELECT wf_fail(%L, 1, %L)', :'run', 'x'));
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 2, %L)', :'run', '{"a": 1, "b": 2}'));
SELECT state, result FROM wf_submit('claim.a', '{"n": 11}', 'eleven');
-- without a result
SELECT wf_enqueue('claim.a', '{"n": 12}') AS run \gset
SELECT attempt FROM wf_claim('{claim.a}');
SELECT wf_complete(:'run', 1), wf_complete(:'run', 1);
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 1, %L)', :'run', 'null'));
SELECT state, result FROM wf_handle(:'run');
-- with the worker's own work, in one transaction: both or none
CREATE TABLE claim_done (n integer);
SELECT wf_enqueue('claim.a', '{"n": 13}') AS run \gset
SELECT attempt FROM wf_claim('{claim.a}');
BEGIN;
INSERT INTO claim_done VALUES (13);
SELECT wf_complete(:'run', 1, '13');
SELECT state, result FROM wf_handle(:'run');
ROLLBACK;
SELECT state, (SELECT count(*) FROM claim_done) FROM wf_handle(:'run');
BEGIN;
INSERT INTO claim_done VALUES (13);
SELECT wf_complete(:'run', 1, '13');
COMMIT;
SELECT state, (SELECT count(*) FROM claim_done) FROM wf_handle(:'run');
-- too large
SELECT wf_enqueue('claim.a', '{"n": 14}') AS run \gset
SELECT attempt FROM wf_claim('{claim.a}');
SET pg_workflow.max_payload = '1kB';
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 1, to_jsonb(repeat(%L, 2000)))', :'run', 'x'));
RESET pg_workflow.max_payload;
SELECT state FROM wf_handle(:'run');
-- cancelled: whatever the worker says comes too late
SELECT wf_cancel(:'run', 'not wanted');
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 1)', :'run'));
SELECT pg_temp.refusal(format('SELECT wf_release(%L, 1)', :'run'));
-- runs of handlers are not the workers'
SELECT wf_enqueue('claim.handler', '{}', run_at => now() + interval '1 day') AS run \gset
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 1)', :'run'));
SELECT wf_cancel(:'run');

-- ---------------------------------------------------------------------------
-- Leases that end
-- ---------------------------------------------------------------------------

-- until somebody takes the run over, the worker may renew, or report
SELECT wf_create_workflow('claim.lease', max_attempts => 2);
SELECT wf_enqueue('claim.lease', '{}', 'lease') AS run \gset
BEGIN;
SELECT attempt FROM wf_claim('{claim.lease}', 1, '1 us');
SELECT clock_timestamp() > lease_until AS ended, state FROM wf.runs WHERE run_id = :'run';
SELECT wf_heartbeat(:'run', 1, '1 hour') > now() AS renewed;
COMMIT;
SELECT count(*) FROM wf_claim('{claim.lease}');
SELECT wf_heartbeat(:'run', 1, '1 us') <= clock_timestamp() AS ended;
-- then the next claimer has it, and the attempt counts
CALL wf_wait_for_work('{claim.lease}', '1 minute');
SELECT attempt FROM wf_claim('{claim.lease}', 1, '1 hour');
SELECT pg_temp.refusal(format('SELECT wf_complete(%L, 1)', :'run'));
-- the last one that lapses fails the run
SELECT wf_heartbeat(:'run', 2, '1 us') <= clock_timestamp() AS ended;
SELECT pg_temp.wait_for(:'run', 'failed');
SELECT attempt, outcome, sqlstate, error FROM wf.attempts WHERE run_id = :'run' ORDER BY attempt;
SELECT count(*) FROM wf_claim('{claim.lease}');
-- within one transaction a claimer takes over what it has itself let lapse
SELECT wf_enqueue('claim.lease', '{}', 'again') AS run \gset
BEGIN;
SELECT attempt FROM wf_claim('{claim.lease}', 1, '1 us');
SELECT attempt FROM wf_claim('{claim.lease}', 1, '1 hour');
COMMIT;
-- and claims what it has enqueued, or released, itself
BEGIN;
SELECT wf_enqueue('claim.lease', '"mine"') AS run \gset
SELECT payload, attempt FROM wf_claim('{claim.lease}', 5);
SELECT wf_release(:'run', 1);
SELECT payload, attempt FROM wf_claim('{claim.lease}', 5);
ROLLBACK;
SELECT count(*) FROM wf_claim('{claim.lease}', 5);

-- ---------------------------------------------------------------------------
-- wf_wait_for_work
-- ---------------------------------------------------------------------------
SELECT wf_create_workflow('claim.wait');
CALL wf_wait_for_work('{claim.wait}', '0');
SELECT wf_enqueue('claim.wait', '{}', run_at => now() + interval '20 ms') AS run \gset
CALL wf_wait_for_work('{claim.wait}', '1 minute');
CALL wf_wait_for_work(NULL, '1 minute');
SELECT count(*) FROM wf_claim('{claim.wait}');
CALL wf_wait_for_work('{claim.wait}', '10 ms');
CALL wf_wait_for_work('{}', '0');
-- not while a snapshot is held
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL wf_wait_for_work('{claim.wait}', '0');
ROLLBACK;
DO $$ DECLARE ready boolean; BEGIN CALL wf_wait_for_work('{claim.wait}', '0', ready); END $$;
BEGIN;
CALL wf_wait_for_work('{claim.wait}', '0');
COMMIT;
SELECT pg_temp.refusal($$CALL wf_wait_for_work('{claim.none}')$$);
SELECT pg_temp.refusal($$CALL wf_wait_for_work('{claim.wait}', '-1 s')$$);
SELECT pg_temp.refusal($$CALL wf_wait_for_work('{claim.wait}', NULL)$$);

-- ---------------------------------------------------------------------------
-- An attempt has one end, also where its run is cancelled after it
-- ---------------------------------------------------------------------------
SELECT wf_create_workflow('claim.ends', retry_delay => '1 hour');
SELECT wf_enqueue('claim.ends') AS waits, wf_enqueue('claim.ends') AS runs \gset
SELECT count(*) FROM wf_claim('{claim.ends}', 2);
SELECT wf_fail(:'waits', 1, 'no');
SELECT wf_cancel(:'waits'), wf_cancel(:'runs');
SELECT run_id = :'runs' AS runs, attempt, outcome FROM wf.attempts WHERE run_id IN (:'waits', :'runs') ORDER BY 1;

-- ---------------------------------------------------------------------------
-- What wf_why and wf_drop_workflow say
-- ---------------------------------------------------------------------------
SELECT wf_complete(:'run', 1);
SELECT wf_alter_workflow('claim.wait', max_running => 1);
SELECT wf_enqueue('claim.wait', '{}') AS run, wf_enqueue('claim.wait', '{}') AS next \gset
SELECT attempt FROM wf_claim('{claim.wait}', 5);
SELECT regexp_replace(regexp_replace(wf_why, '\d{4}-\d\d-\d\d [0-9:.+-]+', '(time)', 'g'), '[0-9a-f-]{36}', '(id)') FROM wf_why(:'run');
SELECT regexp_replace(regexp_replace(wf_why, '\d{4}-\d\d-\d\d [0-9:.+-]+', '(time)', 'g'), '[0-9a-f-]{36}', '(id)') FROM wf_why(:'next');
SELECT wf_cancel(:'next');
SELECT pg_temp.refusal($$SELECT wf_drop_workflow('claim.wait')$$);
SELECT wf_complete(:'run', 1);
SELECT wf_drop_workflow('claim.wait');
SELECT wf_drop_workflow(name, true) FROM wf.workflows WHERE name LIKE 'claim.%';
DROP FUNCTION claim_handler;
DROP TABLE claim_done;
