-- The table of what a call with a key gets: every state of the key's run,
-- every policy of the workflow, every on_conflict, the same payload and
-- another one, through each function; that wf_explain_key tells it before;
-- wf_forget in every state; attempt numbers.  And a batch equals a loop of
-- single calls, for random batches.
\set QUIET on
CREATE SCHEMA helper;

-- a run reaches a state as workers would bring it there
CREATE FUNCTION helper.event(run uuid, kind "char", attempt integer DEFAULT 1) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	slice text := (SELECT replace(r.tableoid::regclass::text, 'wf.run_', 'event_') FROM wf.run r WHERE r.run_id = run);
BEGIN
	EXECUTE format($e$
		INSERT INTO wf.%I (run_id, at, seq, attempt, workflow_id, priority, tries, crashes, kind, run_at, result, sqlstate, error)
		SELECT r.run_id, clock_timestamp(), 1 + (SELECT count(*) FROM wf.event e WHERE e.run_id = $1), $3,
			   r.workflow_id, r.priority, 1, 0, $2,
			   CASE WHEN $2 = 'r' THEN 'infinity'::timestamptz END,
			   CASE WHEN $2 = 'c' THEN '"done"'::jsonb END,
			   CASE WHEN $2 IN ('r', 'f') THEN 'P0042' END, CASE WHEN $2 IN ('r', 'f') THEN 'broken' END
		  FROM wf.run r WHERE r.run_id = $1$e$, slice)
	USING run, kind, attempt;
END
$$;

-- the states, and how a run gets there; purged: the workflow keeps runs for no time
CREATE TABLE helper.state (state text PRIMARY KEY, shown text, events "char"[], key_ttl interval, retention interval);
INSERT INTO helper.state VALUES
	('none', NULL, NULL, '1 day', '1 day'),
	('queued', 'queued', '{}', '1 day', '1 day'),
	('queued, ttl 0', 'queued', '{}', '0', '0'),
	('retry', 'queued', '{s,r}', '1 day', '1 day'),
	('running', 'running', '{s}', '0', '0'),
	('completed', 'completed', '{s,c}', '1 day', '1 day'),
	('failed', 'failed', '{s,f}', '1000 years', '1 day'),
	('cancelled', 'cancelled', '{x}', '1 day', '1 day'),
	('expired completed', NULL, '{s,c}', '0', '1 day'),
	('expired failed', NULL, '{s,f}', '0', '1 day'),
	('expired cancelled', NULL, '{x}', '0', '0'),
	('purged completed', 'purged', '{s,c}', '1 day', '0'),
	('purged failed', 'purged', '{s,f}', '1 day', '0'),
	('purged cancelled', 'purged', '{x}', '1000 years', '0');

-- one workflow for each policy and retention, one key for each case
CREATE TABLE helper.one AS
SELECT row_number() OVER () AS id, s.*, f.on_failed, m.on_mismatch, c.on_conflict, p.same, e.entry,
	   format('%s %s %s', on_failed, on_mismatch, s.retention) AS workflow, NULL::uuid AS old
  FROM helper.state s,
	   unnest('{new,return,resume}'::text[]) f(on_failed), unnest('{error,return}'::text[]) m(on_mismatch),
	   unnest('{return,error,skip,replace,force}'::text[]) c(on_conflict), unnest('{t,f}'::boolean[]) p(same),
	   unnest('{wf_enqueue,wf_submit,wf_enqueue_many}'::text[]) e(entry);
SELECT count(wf_create_workflow(workflow, on_failed => on_failed, on_mismatch => on_mismatch, retention => retention))
  FROM (SELECT DISTINCT workflow, on_failed, on_mismatch, retention FROM helper.one) w \g /dev/null
UPDATE helper.one SET old = wf_enqueue(workflow, '{"payload": 1}', 'key ' || id, 'infinity', key_ttl => key_ttl)
 WHERE events IS NOT NULL;
SELECT count(helper.event(old, e.kind)) FROM (SELECT old, e.kind FROM helper.one, unnest(events) WITH ORDINALITY e(kind, n) ORDER BY id, n) e \g /dev/null

-- What the contract says.
CREATE FUNCTION helper.expected(c helper.one) RETURNS text LANGUAGE sql AS $$
	SELECT CASE
		-- where the table creates, every option creates
		WHEN c.state = 'none' OR c.state LIKE 'expired%' THEN 'new'
		WHEN c.state LIKE '%failed' AND fits AND c.on_failed = 'new' THEN 'new'
		WHEN c.state = 'purged failed' AND fits AND c.on_failed = 'resume' THEN 'new'
		-- the rest are duplicates
		WHEN c.on_conflict = 'error' THEN 'WF002'
		WHEN c.on_conflict = 'skip' THEN 'null'
		WHEN c.on_conflict = 'force' THEN 'new'
		WHEN c.on_conflict = 'replace' AND c.shown = 'queued' THEN 'replaced'
		WHEN NOT fits THEN 'WF001'
		WHEN c.state = 'failed' AND c.on_failed = 'resume' THEN 'resumed'
		ELSE 'returned' END
	  FROM (SELECT c.same OR c.on_mismatch = 'return' AS fits) f
$$;

-- What the call gets, and what there is afterwards.
CREATE TABLE helper.answer (id bigint PRIMARY KEY, got text, created boolean, shown text, result jsonb, error text,
	holder uuid, runs bigint, payload jsonb, replaces uuid);
CREATE FUNCTION helper.call(c helper.one) RETURNS helper.answer LANGUAGE plpgsql AS $$
DECLARE
	a helper.answer;
	answered uuid;
	key text := 'key ' || c.id;
	payload jsonb := CASE WHEN c.same THEN '{"payload": 1.0}' ELSE '{"payload": 2}' END;
	before integer := (SELECT count(*) FROM wf.event e WHERE e.run_id = c.old);
BEGIN
	a.id := c.id;
	BEGIN
		CASE c.entry
		WHEN 'wf_enqueue' THEN
			answered := wf_enqueue(c.workflow, payload, key, on_conflict => c.on_conflict);
		WHEN 'wf_submit' THEN
			SELECT s.run_id, s.created, s.state, s.result, s.error INTO answered, a.created, a.shown, a.result, a.error
			  FROM wf_submit(c.workflow, payload, key, on_conflict => c.on_conflict) s;
		WHEN 'wf_enqueue_many' THEN
			SELECT m.run_id, m.created INTO answered, a.created
			  FROM wf_enqueue_many(c.workflow, ARRAY[payload], ARRAY[key], on_conflict => c.on_conflict) m;
		END CASE;
		a.got := CASE
			WHEN answered IS NULL THEN 'null'
			WHEN answered IS DISTINCT FROM c.old THEN 'new'
			WHEN (SELECT count(*) FROM wf.event e WHERE e.run_id = c.old) = before THEN 'returned'
			WHEN (SELECT e.kind FROM wf.event e WHERE e.run_id = c.old ORDER BY seq DESC LIMIT 1) = 'q' THEN 'resumed'
			ELSE 'replaced' END;
	EXCEPTION WHEN OTHERS THEN
		a.got := SQLSTATE;
	END;
	a.holder := wf_find(c.workflow, key);
	a.runs := (SELECT count(*) FROM wf.run r JOIN wf.workflow w ON w.id = r.workflow_id WHERE w.name = c.workflow AND r.key = 'key ' || c.id);
	SELECT r.payload, r.replaces INTO a.payload, a.replaces FROM wf.run r WHERE r.run_id = answered;
	RETURN a;
END
$$;

SET timezone = 'UTC';
SELECT no_plan();

-- wf_explain_key, before anything is enqueued, of what a call with the same payload would get
SELECT is_empty(format($$
	SELECT c.on_failed, c.on_mismatch, e.*
	  FROM helper.one c, wf_explain_key(c.workflow, 'key ' || c.id) e
	 WHERE c.state = %L AND c.same AND c.on_conflict = 'return' AND c.entry = 'wf_enqueue'
	   AND (e.verdict IS DISTINCT FROM CASE helper.expected(c) WHEN 'new' THEN CASE WHEN c.state = 'none' THEN 'create' ELSE 'new' END
				WHEN 'returned' THEN 'return' WHEN 'resumed' THEN 'resume' END
			OR e.run_id IS DISTINCT FROM c.old OR e.detail IS NULL
			OR (e.state IS DISTINCT FROM c.shown AND c.shown IS NOT NULL)
			OR (e.expires_at IS NULL) <> (c.state ~ '^(none|queued|retry|running)')
			OR (e.expires_at = 'infinity') <> (c.key_ttl = '1000 years'))$$, state),
	'wf_explain_key: ' || state)
  FROM helper.state ORDER BY state;

INSERT INTO helper.answer SELECT a.* FROM helper.one c, helper.call(c) a;

SELECT is_empty(format($$
	SELECT c.on_failed, c.on_mismatch, c.on_conflict, c.same, helper.expected(c) AS expected, a.*
	  FROM helper.one c JOIN helper.answer a USING (id)
	 WHERE c.state = %L AND c.entry = %L
	   AND a.got IS DISTINCT FROM helper.expected(c)$$, state, entry),
	format('%s: %s', entry, state))
  FROM helper.state, unnest('{wf_enqueue,wf_submit,wf_enqueue_many}'::text[]) entry ORDER BY state, entry;
SELECT is((SELECT count(*) FROM helper.answer), 14 * 3 * 2 * 5 * 2 * 3::bigint, 'every case was tried');

-- what is told beside the id
SELECT is_empty($$
	SELECT c.*, a.* FROM helper.one c JOIN helper.answer a USING (id)
	 WHERE c.entry <> 'wf_enqueue' AND a.got !~ 'WF00'
	   AND a.created IS DISTINCT FROM (a.got = 'new')$$, 'created is said of new runs only');
SELECT is_empty($$
	SELECT c.*, a.* FROM helper.one c JOIN helper.answer a USING (id)
	 WHERE c.entry = 'wf_submit' AND a.got !~ 'WF00'
	   AND a.shown IS DISTINCT FROM CASE a.got WHEN 'null' THEN NULL WHEN 'returned' THEN c.shown ELSE 'queued' END$$,
	'wf_submit tells the state');
SELECT is_empty($$
	SELECT c.*, a.* FROM helper.one c JOIN helper.answer a USING (id)
	 WHERE a.result IS DISTINCT FROM CASE WHEN c.entry = 'wf_submit' AND a.got = 'returned' AND c.shown = 'completed' THEN '"done"'::jsonb END$$,
	'and the result of a completed run, not of a purged one');
SELECT is_empty($$
	SELECT c.*, a.* FROM helper.one c JOIN helper.answer a USING (id)
	 WHERE (a.error IS NOT NULL) <> (c.entry = 'wf_submit'
		   AND (a.got IN ('returned', 'replaced') AND c.state IN ('failed', 'retry') OR a.got = 'resumed'))$$,
	'and the error of the last failed attempt');

-- what there is afterwards
SELECT is_empty($$
	SELECT c.*, a.* FROM helper.one c JOIN helper.answer a USING (id)
	 WHERE a.runs <> (c.old IS NOT NULL)::integer + (a.got = 'new')::integer$$, 'one run more where one is created, no other');
SELECT is_empty($$
	SELECT c.*, a.* FROM helper.one c JOIN helper.answer a USING (id)
	 WHERE CASE WHEN a.got = 'new' THEN a.holder IS NULL OR a.holder IS NOT DISTINCT FROM c.old
				ELSE a.holder IS DISTINCT FROM c.old END$$, 'a new run has the key, else the old one keeps it');
SELECT is_empty($$
	SELECT c.*, a.* FROM helper.one c JOIN helper.answer a USING (id)
	 WHERE a.got = 'new' AND a.replaces IS DISTINCT FROM c.old$$, 'and is linked to the old one');
SELECT is_empty($$
	SELECT c.*, a.* FROM helper.one c JOIN helper.answer a USING (id)
	 WHERE a.got IN ('new', 'replaced', 'resumed', 'returned')
	   AND a.payload <> CASE WHEN c.same OR a.got IN ('resumed', 'returned') THEN '{"payload": 1}' ELSE '{"payload": 2}' END::jsonb$$,
	'a new or replaced run has the new payload, another one keeps the old');

-- the next call goes by what the first has done
SELECT is_empty($$
	SELECT c.*, a.*, s.* FROM helper.one c JOIN helper.answer a USING (id),
		   wf_submit(c.workflow, a.payload, 'key ' || c.id) s
	 WHERE a.got IN ('new', 'replaced', 'resumed')
	   AND (s.created OR s.run_id <> a.holder)$$, 'a second call with that payload is a duplicate');
SELECT throws_like(format('SELECT wf_enqueue(%L, %L, %L)', c.workflow, '{"payload": 1}', 'key ' || c.id), '%another payload%',
	format('and one with the former is a mismatch, after: %s, %s', c.state, a.got))
  FROM (SELECT DISTINCT ON (c.state, a.got) c.* FROM helper.one c JOIN helper.answer a USING (id)
		 WHERE c.on_mismatch = 'error' AND NOT c.same AND a.got IN ('new', 'replaced') ORDER BY c.state, a.got, c.id) c
  JOIN helper.answer a USING (id) ORDER BY c.state, a.got;

-- ---------------------------------------------------------------------------
-- wf_forget, in every state: refused while the run is active unless forced
-- ---------------------------------------------------------------------------
CREATE TABLE helper.forget AS
SELECT s.*, force, 'forget ' || s.retention AS workflow, format('%s %s', s.state, force) AS key, NULL::uuid AS old, NULL::text AS got
  FROM helper.state s, unnest('{t,f,NULL}'::boolean[]) force;
SELECT count(wf_create_workflow(workflow, on_failed => 'return', retention => retention))
  FROM (SELECT DISTINCT workflow, retention FROM helper.forget) w \g /dev/null
UPDATE helper.forget SET old = wf_enqueue(workflow, '1', key, 'infinity', key_ttl => key_ttl) WHERE events IS NOT NULL;
SELECT count(helper.event(old, e.kind)) FROM (SELECT old, e.kind FROM helper.forget, unnest(events) WITH ORDINALITY e(kind, n) ORDER BY key, n) e \g /dev/null
CREATE FUNCTION helper.forget(f helper.forget, expected uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	freed uuid;
BEGIN
	freed := wf_forget(f.workflow, f.key, expected, f.force);
	RETURN CASE WHEN freed IS NULL THEN 'nothing' WHEN freed = f.old THEN 'freed' ELSE 'another' END;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
UPDATE helper.forget f SET got = helper.forget(f, gen_random_uuid());
SELECT is_empty($$SELECT * FROM helper.forget WHERE got <> 'nothing'$$, 'wf_forget with another expected_run frees nothing');
UPDATE helper.forget f SET got = helper.forget(f, CASE WHEN f.force THEN f.old END);
SELECT is_empty($$
	SELECT * FROM helper.forget
	 WHERE got <> CASE WHEN state = 'none' OR state ~ '^expired' THEN 'nothing'
					   WHEN state ~ '^(queued|retry|running)' AND force IS NOT TRUE THEN '55006'
					   ELSE 'freed' END$$, 'wf_forget frees the key, of an active run only if forced');
SELECT is_empty($$
	SELECT f.*, s.* FROM helper.forget f, wf_submit(f.workflow, '2', f.key, on_conflict => 'skip') s
	 WHERE s.created <> (f.got <> '55006')$$, 'then the next call creates, with whatever payload');
SELECT is_empty($$SELECT * FROM helper.forget f WHERE helper.forget(f, NULL) <> CASE WHEN f.force THEN 'another' ELSE '55006' END$$,
	'what it frees then is the new run''s');
SELECT is(wf_forget('forget 1 day', 'no such key'), NULL, 'of a key that was never there: NULL');

-- ---------------------------------------------------------------------------
-- attempts: their numbers go on, the allowance starts anew
-- ---------------------------------------------------------------------------
SELECT wf_create_workflow('attempts', on_failed => 'resume', max_attempts => 2, retry_delay => '0', retry_jitter => 0) \g /dev/null
CREATE FUNCTION helper.attempt() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	SELECT * INTO c FROM wf_claim('{attempts}');
	RETURN concat_ws(' ', c.attempt, wf_fail(c.run_id, c.attempt, 'no'));
END
$$;
SELECT wf_enqueue('attempts', '1', 'k') \g /dev/null
SELECT is(helper.attempt(), '1 queued', 'the first attempt');
SELECT is(helper.attempt(), '2 failed', 'the last one');
SELECT is((SELECT concat_ws(' ', created, state, attempt, error) FROM wf_submit('attempts', '1', 'k')), 'f queued 2 no', 'resume: queued again, and attempts stay counted');
SELECT is(helper.attempt(), '3 queued', 'another max_attempts from there');
SELECT is(helper.attempt(), '4 failed', 'and no more');
SELECT is(wf_retry(wf_find('attempts', 'k')), true, 'wf_retry does the same');
SELECT is((SELECT concat_ws(' ', created, state, attempt, error) FROM wf_submit('attempts', '1', 'k')), 'f queued 4 no', 'attempts stay counted');
SELECT is(helper.attempt(), '5 queued', 'again the next number');

-- ---------------------------------------------------------------------------
-- arguments
-- ---------------------------------------------------------------------------
SELECT throws_ok(format('SELECT %s', statement), '22023', NULL, statement || ' is refused')
  FROM unnest(ARRAY[
	$$wf_enqueue('attempts', '{}', 'k', on_conflict => NULL)$$, $$wf_enqueue('attempts', '{}', NULL, on_conflict => NULL)$$,
	$$wf_submit('attempts', '{}', 'k', on_conflict => 'ignore')$$, $$wf_enqueue_many('attempts', '{1}', '{k}', on_conflict => 'RETURN')$$,
	$$wf_enqueue('attempts', NULL, 'k')$$, $$wf_enqueue('attempts', '{}', '')$$, $$wf_enqueue_many('attempts', '{1,NULL}', '{a,b}')$$,
	$$wf_enqueue('attempts', '{}', 'k', key_ttl => '-1 us')$$, $$wf_enqueue('attempts', '{}', NULL, key_ttl => '-1 us')$$,
	$$wf_explain_key('attempts', '')$$, $$wf_explain_key('attempts', repeat('x', 513))$$]) statement;
SELECT is((SELECT count(DISTINCT wf_enqueue('attempts', '{}', NULL, on_conflict => c)) FROM unnest('{return,error,skip,replace,force}'::text[]) c),
	5::bigint, 'without a key every call creates, under every option');
SELECT is((SELECT count(*) FROM wf_explain_key('attempts', NULL)), 0::bigint, 'wf_explain_key of NULL: no row');

-- ---------------------------------------------------------------------------
-- a batch equals a loop of single calls
-- ---------------------------------------------------------------------------

-- Two workflows that are alike get the same calls, one as a batch, the other
-- one by one; what they answer and what is there afterwards must be the same.
CREATE FUNCTION helper.one_by_one(workflow text, payloads jsonb[], keys text[], on_conflict text)
RETURNS TABLE (ordinal integer, run_id uuid, created boolean) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. cardinality(payloads) LOOP
		ordinal := i;
		SELECT s.run_id, s.created INTO run_id, created FROM wf_submit(workflow, payloads[i], keys[i], on_conflict => one_by_one.on_conflict) s;
		RETURN NEXT;
	END LOOP;
END
$$;

-- answers, with runs named by their key and place among its runs
CREATE FUNCTION helper.answers(workflow text, payloads jsonb[], keys text[], conflict text, function text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answers text;
BEGIN
	CREATE TEMP TABLE batch (ordinal integer, run_id uuid, created boolean) ON COMMIT DROP;
	EXECUTE format('INSERT INTO batch SELECT * FROM %s($1, $2, $3, on_conflict => $4)', function) USING workflow, payloads, keys, conflict;
	SELECT string_agg(format('%s %s %s', b.ordinal, b.created, n.name), ', ' ORDER BY b.ordinal) INTO answers
	  FROM batch b
	  LEFT JOIN (SELECT r.run_id, coalesce(r.key || ' ' || row_number() OVER (PARTITION BY r.key ORDER BY r.run_id), 'no key') AS name
				   FROM wf.run r JOIN wf.workflow w ON w.id = r.workflow_id WHERE w.name = workflow) n USING (run_id);
	DROP TABLE batch;
	RETURN answers;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
-- what is there of a workflow
CREATE FUNCTION helper.contents(workflow text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s %s: %s %s %s %s', r.key, r.n, r.payload, r.state, r.attempt, r.run_id = wf_find(workflow, r.key)), ', ' ORDER BY r.key, r.n)
	  FROM (SELECT r.*, row_number() OVER (PARTITION BY r.key ORDER BY r.run_id) AS n
			  FROM wf.runs r WHERE r.workflow = contents.workflow) r
$$;

-- Rounds: random policies, a random batch, then random things happen to runs.
CREATE FUNCTION helper.rounds(n integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	payloads jsonb[];
	keys text[];
	conflict text;
	failed text;
	mismatch text;
	a text;
	b text;
	run record;
	what "char";
BEGIN
	PERFORM wf_create_workflow('batch a'), wf_create_workflow('batch b');
	FOR i IN 1 .. n LOOP
		failed := (ARRAY['new', 'return', 'resume'])[1 + floor(random() * 3)];
		mismatch := (ARRAY['error', 'return', 'return'])[1 + floor(random() * 3)];
		conflict := (ARRAY['return', 'error', 'skip', 'replace', 'force'])[1 + floor(random() * 5)];
		PERFORM wf_alter_workflow(w, on_failed => failed, on_mismatch => mismatch) FROM unnest('{batch a,batch b}'::text[]) w;
		SELECT array_agg(to_jsonb(floor(random() * 2))), array_agg(CASE WHEN random() < 0.9 THEN 'k' || floor(random() * 12) END)
		  INTO payloads, keys FROM generate_series(1, 1 + floor(random() * 10)::integer);
		a := helper.answers('batch a', payloads, keys, conflict, 'wf_enqueue_many');
		b := helper.answers('batch b', payloads, keys, conflict, 'helper.one_by_one');
		IF a IS DISTINCT FROM b THEN
			RETURN NEXT format('%s %s %s %s %s: %s | %s', failed, mismatch, conflict, payloads, keys, a, b);
		END IF;
		IF helper.contents('batch a') IS DISTINCT FROM helper.contents('batch b') THEN
			RETURN NEXT format('after %s %s %s %s %s: %s | %s', failed, mismatch, conflict, payloads, keys, helper.contents('batch a'), helper.contents('batch b'));
		END IF;
		-- the same to both of a pair of runs: it ends, is queued again, loses its key
		FOR run IN
			SELECT x.run_id AS x, y.run_id AS y, x.state, x.key, x.attempt
			  FROM (SELECT r.*, row_number() OVER (PARTITION BY r.key ORDER BY r.run_id) AS place FROM wf.runs r WHERE r.workflow = 'batch a' AND key IS NOT NULL) x
			  JOIN (SELECT r.*, row_number() OVER (PARTITION BY r.key ORDER BY r.run_id) AS place FROM wf.runs r WHERE r.workflow = 'batch b') y USING (key, place)
			 ORDER BY x.key, place
		LOOP
			CONTINUE WHEN random() < 0.7;
			what := (ARRAY['s', 'c', 'f', 'f', 'x', 'r']::"char"[])[1 + floor(random() * 6)];
			IF run.state = 'queued' THEN
				PERFORM helper.event(run.x, what, run.attempt + 1), helper.event(run.y, what, run.attempt + 1);
			ELSIF run.state <> 'running' AND random() < 0.2 THEN
				PERFORM wf_forget('batch a', run.key, force => true), wf_forget('batch b', run.key, force => true);
			END IF;
		END LOOP;
	END LOOP;
END
$$;
SELECT setseed(0.42) \g /dev/null
SELECT is_empty($$SELECT helper.rounds(150)$$, 'wf_enqueue_many does what a loop of single calls does');
SELECT cmp_ok((SELECT count(*) FROM wf.runs WHERE workflow = 'batch a'), '>', 100::bigint, 'and did something');
SELECT ok(bool_and(e.kinds @> '{q,d,f,c,x,s,r}'), 'of every kind: ' || string_agg(e.kinds::text, ''))
  FROM (SELECT array_agg(DISTINCT e.kind) AS kinds FROM wf.event e JOIN wf.workflow w ON w.id = e.workflow_id WHERE w.name = 'batch a') e;

SELECT * FROM finish();
