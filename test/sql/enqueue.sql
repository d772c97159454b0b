-- Enqueue, as a user meets it: what a second call with the same key gets, in
-- every state and under every option, and what is refused.  Ids are printed as
-- "run 1", "run 2" in the order in which they are first seen.
\set ECHO none
\getenv directory PG_ABS_SRCDIR
\set include :directory /include/helpers.psql
\i :include
\set ECHO all
\pset null '-'
CREATE FUNCTION enqueue_handler(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF payload ? 'wait' THEN
		PERFORM pg_advisory_xact_lock_shared((payload->>'wait')::bigint);
	END IF;
	IF payload ? 'fail' THEN
		RAISE EXCEPTION '%', payload->>'fail' USING ERRCODE = 'P0042';
	END IF;
	RETURN jsonb_build_object('did', payload);
END
$$;
SELECT wf_create_workflow('enq');
SELECT wf_create_workflow('enq.do', 'enqueue_handler(jsonb)', max_attempts => 1);

-- ---------------------------------------------------------------------------
-- the table: what a second call gets
-- ---------------------------------------------------------------------------

-- without a key every call makes a run
SELECT pg_temp.name(wf_enqueue('enq')), pg_temp.name(wf_enqueue('enq', '{}', NULL));

-- queued: the same run, and no second one
SELECT pg_temp.name(wf_enqueue('enq', '{"a": 1}', 'queued'));
SELECT pg_temp.name(wf_enqueue('enq', '{"a": 1}', 'queued'));
SELECT pg_temp.name(run_id) AS run, created, state, attempt, result, error FROM wf_submit('enq', '{"a": 1}', 'queued');
SELECT ordinal, pg_temp.name(run_id) AS run, created FROM wf_enqueue_many('enq', '{"{\"a\": 1.0}"}', '{queued}');
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '{"a": 2}', 'queued')$$);
SELECT count(*) FROM wf.runs WHERE workflow = 'enq' AND key = 'queued';

-- a key is of one workflow, and compared byte by byte
SELECT pg_temp.name(wf_enqueue('enq.do', '{"a": 2}', 'queued', 'infinity'));
SELECT pg_temp.name(wf_enqueue('enq', '{}', 'Queued')) AS upper, pg_temp.name(wf_enqueue('enq', '{}', ' queued')) AS blank,
	   pg_temp.name(wf_enqueue('enq', '{}', U&'\00E9')) AS composed, pg_temp.name(wf_enqueue('enq', '{}', U&'e\0301')) AS combined;

-- running
SELECT pg_advisory_lock(4201);
SELECT pg_temp.name(wf_enqueue('enq.do', '{"wait": 4201}', 'running'));
SELECT pg_temp.wait_for(wf_find('enq.do', 'running'), 'running');
SELECT pg_temp.name(run_id) AS run, created, state, attempt, result, error FROM wf_submit('enq.do', '{"wait": 4201}', 'running');
SELECT pg_temp.refusal($$SELECT wf_submit('enq.do', '{"wait": 0}', 'running')$$);
-- a running run can't be replaced: as 'return'
SELECT pg_temp.name(run_id) AS run, created, state FROM wf_submit('enq.do', '{"wait": 4201}', 'running', on_conflict => 'replace');
SELECT pg_temp.refusal($$SELECT wf_submit('enq.do', '{"wait": 0}', 'running', on_conflict => 'replace')$$);
SELECT pg_advisory_unlock(4201);

-- completed: the same run, with its result
SELECT pg_temp.wait_for(wf_find('enq.do', 'running'), 'completed');
SELECT pg_temp.name(run_id) AS run, created, state, attempt, result, error FROM wf_submit('enq.do', '{"wait": 4201}', 'running');
SELECT pg_temp.refusal($$SELECT wf_submit('enq.do', '{"wait": 0}', 'running')$$);

-- a retry that is due later is queued
SELECT wf_alter_workflow('enq.do', max_attempts => 2, retry_delay => '1 day', retry_max_delay => '1 day');
SELECT pg_temp.name(wf_enqueue('enq.do', '{"fail": "later"}', 'retry'));
SELECT pg_temp.wait_for(wf_find('enq.do', 'retry'), 'queued', 1);
SELECT pg_temp.name(run_id) AS run, created, state, attempt, result, error FROM wf_submit('enq.do', '{"fail": "later"}', 'retry');
SELECT wf_alter_workflow('enq.do', max_attempts => 1);

-- failed for good, on_failed => 'return'
SELECT wf_alter_workflow('enq.do', on_failed => 'return');
SELECT pg_temp.name(wf_enqueue('enq.do', '{"fail": "as told"}', 'failed'));
SELECT pg_temp.wait_for(wf_find('enq.do', 'failed'), 'failed');
SELECT pg_temp.name(run_id) AS run, created, state, attempt, result, error FROM wf_submit('enq.do', '{"fail": "as told"}', 'failed');
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq.do', '{"fail": "other"}', 'failed')$$);
-- on_failed => 'resume': the same run, queued again, with max_attempts further attempts
SELECT wf_alter_workflow('enq.do', on_failed => 'resume');
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq.do', '{"fail": "other"}', 'failed')$$);
BEGIN;
SELECT pg_temp.name(run_id) AS run, created, state, attempt, result FROM wf_submit('enq.do', '{"fail": "as told"}', 'failed');
SELECT pg_temp.name(run_id) AS run, created, state, attempt, result FROM wf_submit('enq.do', '{"fail": "as told"}', 'failed');
COMMIT;
SELECT pg_temp.wait_for(wf_find('enq.do', 'failed'), 'failed', 2);
-- on_failed => 'new': a new run takes the key, linked to the old one
SELECT wf_alter_workflow('enq.do', on_failed => 'new');
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq.do', '{"fail": "other"}', 'failed')$$);
SELECT pg_temp.name(run_id) AS run, created, state, attempt, result, error FROM wf_submit('enq.do', '{"fail": "as told"}', 'failed', 'infinity');
SELECT pg_temp.name(run_id) AS run, created, state, attempt, result, error FROM wf_submit('enq.do', '{"fail": "as told"}', 'failed');
SELECT pg_temp.name(r.replaces) AS replaces FROM wf.run r WHERE run_id = wf_find('enq.do', 'failed');

-- cancelled: the cancelled run
SELECT wf_cancel(wf_enqueue('enq', '1', 'cancelled'));
SELECT created, state, attempt, result, error FROM wf_submit('enq', '1', 'cancelled');
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '2', 'cancelled')$$);

-- terminal with key_ttl '0': a new run, whatever the payload
SELECT wf_cancel(wf_enqueue('enq', '1', 'gone', key_ttl => '0'));
SELECT wf_find('enq', 'gone');
SELECT created, state FROM wf_submit('enq', '2', 'gone', key_ttl => '0');
-- but while it is active it holds
SELECT created, state FROM wf_submit('enq', '2', 'gone', key_ttl => '0');
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '1', 'gone')$$);

-- expired: a new run
SELECT wf_cancel(wf_enqueue('enq', '1', 'expires', key_ttl => '50 ms'));
SELECT pg_temp.wait_for_expiry('enq', 'expires');
SELECT created, state FROM wf_submit('enq', '2', 'expires', on_conflict => 'error');

-- purged while the key lives: the old run
SELECT wf_create_workflow('enq.short', retention => '0', on_failed => 'return');
SELECT pg_temp.name(wf_enqueue('enq.short', '1', 'purged'));
SELECT wf_cancel(wf_find('enq.short', 'purged'));
SELECT pg_temp.name(run_id) AS run, created, state, attempt, result, error FROM wf_submit('enq.short', '1', 'purged');
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq.short', '2', 'purged')$$);

-- from this very transaction, and this very statement
BEGIN;
SELECT pg_temp.name(run_id) AS run, created, state, attempt FROM wf_submit('enq', '1', 'own');
SELECT pg_temp.name(run_id) AS run, created, state, attempt FROM wf_submit('enq', '1', 'own');
SAVEPOINT s;
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '2', 'own')$$);
ROLLBACK TO s;
SELECT count(DISTINCT wf_enqueue('enq', '1', 'statement')) FROM generate_series(1, 10);
SELECT (wf_handle(wf_enqueue('enq', '1', 'statement'))).state;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(DISTINCT wf_enqueue('enq', '1', 'own in rr')) FROM generate_series(1, 10);
SELECT (wf_handle(wf_enqueue('enq', '1', 'statement in rr'))).state;
SELECT created, state FROM wf_submit('enq', '1', 'statement in rr');
SELECT wf_cancel(wf_find('enq', 'statement in rr'));
SELECT created, state FROM wf_submit('enq', '1', 'statement in rr');
COMMIT;

-- rolled back: nothing
BEGIN;
SELECT wf_enqueue('enq', '1', 'undone') IS NULL;
ROLLBACK;
SELECT wf_find('enq', 'undone'), (SELECT count(*) FROM wf.runs WHERE key = 'undone');
BEGIN;
SAVEPOINT s;
SELECT wf_enqueue('enq', '1', 'undone') IS NULL;
ROLLBACK TO s;
SELECT wf_find('enq', 'undone');
SELECT created FROM wf_submit('enq', '2', 'undone');
SAVEPOINT s;
SELECT wf_cancel(wf_find('enq', 'undone'));
ROLLBACK TO s;
SELECT created, state FROM wf_submit('enq', '2', 'undone');
COMMIT;
SELECT created, state FROM wf_submit('enq', '2', 'undone');

-- ---------------------------------------------------------------------------
-- on_conflict
-- ---------------------------------------------------------------------------

-- error: for any duplicate, also with another payload
SELECT pg_temp.name(wf_enqueue('enq', '1', 'conflict', on_conflict => 'error')) AS run;
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '1', 'conflict', on_conflict => 'error')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '2', 'conflict', on_conflict => 'error')$$);

-- skip: NULL, also with another payload
SELECT pg_temp.name(wf_enqueue('enq', '1', 'skip', on_conflict => 'skip')) AS run;
SELECT wf_enqueue('enq', '1', 'skip', on_conflict => 'skip'), wf_enqueue('enq', '2', 'skip', on_conflict => 'skip');
SELECT * FROM wf_submit('enq', '1', 'skip', on_conflict => 'skip');
SELECT * FROM wf_enqueue_many('enq', '{1,1}', '{skip,skip}', on_conflict => 'skip');

-- replace: a queued run gets the new payload, and what else is given
SELECT pg_temp.name(wf_enqueue('enq', '1', 'replace', 'infinity', priority => 5)) AS run;
SELECT pg_temp.name(run_id) AS run, created, state FROM wf_submit('enq', '2', 'replace', on_conflict => 'replace');
SELECT payload, priority, run_at FROM wf.runs WHERE run_id = wf_find('enq', 'replace');
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '1', 'replace')$$);
SELECT pg_temp.name(run_id) AS run, created, state
  FROM wf_submit('enq', '3', 'replace', '2001-01-01 UTC', priority => 7, key_ttl => '0', on_conflict => 'replace');
SELECT payload, priority, run_at = '2001-01-01 UTC' AS at FROM wf.runs WHERE run_id = wf_find('enq', 'replace');
SELECT pg_temp.name(run_id) AS run, created, state FROM wf_submit('enq', '3', 'replace', '-infinity', on_conflict => 'replace');
SELECT wf_cancel(wf_find('enq', 'replace'));
SELECT wf_find('enq', 'replace');
-- one that has ended: as 'return'
SELECT pg_temp.name(run_id) AS run, created, state FROM wf_submit('enq', '1', 'cancelled', on_conflict => 'replace');
SELECT pg_temp.refusal($$SELECT wf_submit('enq', '2', 'cancelled', on_conflict => 'replace')$$);

-- force: a new run takes the key over, whatever there is
SELECT pg_temp.name(wf_enqueue('enq', '1', 'force', on_conflict => 'force')) AS run;
SELECT pg_temp.name(run_id) AS run, created, state FROM wf_submit('enq', '2', 'force', on_conflict => 'force');
SELECT pg_temp.name(wf_find('enq', 'force')) AS holder;
SELECT pg_temp.name(run_id) AS run, state, payload FROM wf.runs WHERE key = 'force' ORDER BY run_id;

-- without a key they have no effect
SELECT count(wf_enqueue('enq', on_conflict => c)) FROM unnest('{return,error,skip,replace,force}'::text[]) c;

-- where the table creates, all of them create
SELECT wf_cancel(wf_enqueue('enq', '1', 'all ' || c, key_ttl => '0')) FROM unnest('{return,error,skip,replace,force}'::text[]) c;
SELECT c AS on_conflict, s.created, s.state FROM unnest('{return,error,skip,replace,force}'::text[]) c, wf_submit('enq', '2', 'all ' || c, on_conflict => c) s;

-- ---------------------------------------------------------------------------
-- on_mismatch => 'return': another payload is as the same one
-- ---------------------------------------------------------------------------
SELECT wf_alter_workflow('enq', on_mismatch => 'return');
SELECT pg_temp.name(run_id) AS run, created, state FROM wf_submit('enq', '{"a": 2}', 'queued');
SELECT created, state FROM wf_submit('enq', '2', 'cancelled');
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '{"a": 2}', 'queued', on_conflict => 'error')$$);
SELECT payload FROM wf.runs WHERE run_id = wf_find('enq', 'queued');
SELECT wf_alter_workflow('enq', on_mismatch => 'error');
-- 'new' takes the new payload, 'resume' keeps the old
SELECT wf_alter_workflow('enq.do', on_mismatch => 'return', on_failed => 'resume');
SELECT pg_temp.name(wf_enqueue('enq.do', '{"fail": "old"}', 'mismatch'));
SELECT pg_temp.wait_for(wf_find('enq.do', 'mismatch'), 'failed');
SELECT pg_temp.name(run_id) AS run, created FROM wf_submit('enq.do', '{"fail": "new"}', 'mismatch');
SELECT pg_temp.wait_for(wf_find('enq.do', 'mismatch'), 'failed', 2);
SELECT error FROM wf_handle(wf_find('enq.do', 'mismatch'));
SELECT wf_alter_workflow('enq.do', on_failed => 'new');
SELECT pg_temp.name(run_id) AS run, created FROM wf_submit('enq.do', '{"fail": "new"}', 'mismatch');
SELECT pg_temp.wait_for(wf_find('enq.do', 'mismatch'), 'failed');
SELECT error FROM wf_handle(wf_find('enq.do', 'mismatch'));

-- ---------------------------------------------------------------------------
-- how long a key holds
-- ---------------------------------------------------------------------------

-- under key_anchor => 'enqueue' the ttl counts from the enqueue, and the key still holds until the run has ended
SELECT wf_create_workflow('enq.anchor', key_ttl => '1 us', key_anchor => 'enqueue');
SELECT wf_enqueue('enq.anchor', '1', 'k') IS NULL;
SELECT created FROM wf_submit('enq.anchor', '1', 'k');
SELECT expires_at FROM wf.keys WHERE workflow = 'enq.anchor';
SELECT wf_cancel(wf_find('enq.anchor', 'k'));
SELECT wf_find('enq.anchor', 'k'), (SELECT count(*) FROM wf.keys WHERE workflow = 'enq.anchor');
SELECT created FROM wf_submit('enq.anchor', '1', 'k');

-- ttl and anchor are those of the enqueue, not the present ones
SELECT wf_alter_workflow('enq.anchor', key_ttl => '1 day', key_anchor => 'completion');
SELECT wf_cancel(wf_find('enq.anchor', 'k'));
SELECT wf_find('enq.anchor', 'k');

-- when it expires
SELECT wf_cancel(wf_enqueue('enq', '1', 'ttl ' || ttl, key_ttl => ttl::interval))
  FROM unnest('{1 day,1 month,999 years,1000 years,5000 years}'::text[]) ttl;
SELECT k.key, CASE WHEN isfinite(k.expires_at) THEN k.expires_at = (h.finished_at AT TIME ZONE 'UTC' + t.ttl::interval) AT TIME ZONE 'UTC' END AS by_the_ttl
  FROM unnest('{1 day,1 month,999 years,1000 years,5000 years}'::text[]) WITH ORDINALITY t(ttl, n)
  JOIN wf.keys k ON k.key = 'ttl ' || t.ttl, wf_handle(k.run_id) h
 WHERE k.workflow = 'enq' ORDER BY t.n;
SELECT wf_alter_workflow('enq.anchor', key_ttl => '1000 years');
SELECT wf_cancel(wf_enqueue('enq.anchor', '1', 'for ever'));
SELECT expires_at FROM wf.keys WHERE workflow = 'enq.anchor' AND key = 'for ever';

-- ---------------------------------------------------------------------------
-- batches
-- ---------------------------------------------------------------------------

-- one row for each, in order; the first occurrence of a key creates, NULL is no key
SELECT ordinal, pg_temp.name(run_id) AS run, created
  FROM wf_enqueue_many('enq', '{1,2,1,3,3,4}', '{b,c,b,NULL,NULL,a}');
SELECT ordinal, pg_temp.name(run_id) AS run, created
  FROM wf_enqueue_many('enq', '{4,5,2,1}', '{a,new,c,b}');
SELECT ordinal, pg_temp.name(run_id) AS run, created FROM wf_enqueue_many('enq', '{1,2}');
-- they start in their order
SELECT count(*) FROM wf_enqueue_many('enq', array_fill('{}'::jsonb, '{9}'), '{o1,o2,o3,o4,o5,o6,o7,o8,o9}');
SELECT array_agg(substr(key, 2) ORDER BY run_at, run_id) AS starts FROM wf.runs WHERE key ~ '^o[1-9]';
-- the other arguments are for all of them
SELECT ordinal, created FROM wf_enqueue_many('enq', '{1,2}', '{p,q}', 'infinity', 3, '0');
SELECT key, run_at, priority FROM wf.runs WHERE key IN ('p', 'q') ORDER BY key;
SELECT ordinal, run_id IS NULL AS skipped, created FROM wf_enqueue_many('enq', '{1,1,1}', '{p,r,r}', on_conflict => 'skip');
SELECT ordinal, created FROM wf_enqueue_many('enq', '{6,7}', '{f,f}', on_conflict => 'force');
SELECT payload FROM wf.runs WHERE run_id = wf_find('enq', 'f');
SELECT ordinal, created FROM wf_enqueue_many('enq', '{6,7,8}', '{g,g,g}', on_conflict => 'replace');
SELECT payload FROM wf.runs WHERE run_id = wf_find('enq', 'g');
-- nothing in, nothing out
SELECT * FROM wf_enqueue_many('enq', '{}');
SELECT * FROM wf_enqueue_many('enq', '{}', '{}');
-- what is refused, and which item it is; and then none has been enqueued
SELECT count(*) AS before FROM wf.runs \gset
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', '{1,2,9}', '{x1,x2,b}')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', '{1,2}', '{x1,x1}')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', '{1,1}', '{x1,b}', on_conflict => 'error')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', '{1,NULL}', '{x1,x2}')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', '{1,2}', '{x1,""}')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', '{1,2}', '{x1}')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', '{1,2}', '{}')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', '{{1,2},{3,4}}')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', '{1,2}', '{{x1,x2}}')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', NULL)$$);
SELECT count(*) - :before AS enqueued FROM wf.runs;

-- ---------------------------------------------------------------------------
-- bad arguments
-- ---------------------------------------------------------------------------
SELECT pg_temp.refusal($$SELECT wf_enqueue(NULL)$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('no such workflow')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', NULL)$$);
SELECT pg_temp.refusal($$SELECT wf_submit('enq', NULL)$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '{}', '')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '{}', repeat('x', 513))$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '{}', repeat('ä', 257))$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '{}', repeat('ä', 256))$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', key_ttl => '-1 second')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', key_ttl => '1 day -25 hours')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', on_conflict => 'ignore')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', on_conflict => 'Return')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', on_conflict => NULL)$$);
SELECT pg_temp.refusal($$SELECT wf_submit('enq', on_conflict => NULL)$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', '{}', on_conflict => 'ignore')$$);
SET pg_workflow.max_payload = '1kB';
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', to_jsonb(repeat('x', 1100)))$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', ARRAY['1', to_jsonb(repeat('x', 1100))])$$);
RESET pg_workflow.max_payload;

-- WF001 says where the payloads differ, to who may read them
SELECT wf_enqueue('enq', '{"a": {"b c": [1, {"d": "secret"}]}}', 'path') IS NULL;
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '{"a": {"b c": [1, {"d": "other"}]}}', 'path')$$);
CREATE ROLE regress_wf_enqueuer;
SELECT wf_grant_usage('regress_wf_enqueuer'), wf_grant('enq', 'regress_wf_enqueuer');
GRANT ALL ON named TO regress_wf_enqueuer;
SET ROLE regress_wf_enqueuer;
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '{"a": {"b c": [1, {"d": "other"}]}}', 'path')$$);
RESET ROLE;
SELECT wf_revoke('enq', 'regress_wf_enqueuer'), wf_revoke_usage('regress_wf_enqueuer');
DROP OWNED BY regress_wf_enqueuer;
DROP ROLE regress_wf_enqueuer;

-- in a read-only transaction always the same error
BEGIN READ ONLY;
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '{"a": 1}', 'queued')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('enq', '{"a": 1}', 'queued', on_conflict => 'skip')$$);
SELECT pg_temp.refusal($$SELECT wf_submit('enq', '{"a": 1}', 'queued')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue_many('enq', '{}')$$);
SELECT pg_temp.refusal($$SELECT wf_enqueue('no such workflow')$$);
SELECT wf_find('enq', 'queued') IS NULL, (SELECT count(*) FROM wf.keys WHERE key = 'skip');
COMMIT;

-- an earliest and a latest time
SELECT wf_cancel(wf_enqueue('enq', '1', 'early', '-infinity')), wf_cancel(wf_enqueue('enq', '1', 'never', 'infinity'));

SELECT wf_drop_workflow(name, force => true) FROM wf.workflows WHERE name LIKE 'enq%';
DROP FUNCTION enqueue_handler(jsonb);
