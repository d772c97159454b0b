-- What happened, and whether it is right.  Run by an administrator after the
-- demonstration, with psql -At; the last statement fails if a check does.
--
-- What should have happened is worked out from the file of deliveries alone
-- (demo.delivery, a line each), not from anything that pg_workflow says.
-- demo.answer is what the clients were told.
--
-- Variables: clients, seconds (of the deliveries), refused (answers WF001),
-- retried (runs, by the operator).

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;

-- the first content that an id came with; the same JSON in another spelling is equal
CREATE TEMP TABLE event AS
SELECT DISTINCT ON (body ->> 'id')
       body ->> 'id' AS event,
       body ->> 'type' AS type,
       body #>> '{data,payment}' AS payment,
       (body #>> '{data,amount}')::numeric::bigint AS amount,
       coalesce((body #>> '{data,fee}')::numeric::bigint, 0) AS fee,
       body #>> '{data,currency}' AS currency,
       body
  FROM demo.delivery
 ORDER BY body ->> 'id', line;

CREATE TEMP TABLE delivery AS
SELECT d.line, e.event, d.body = e.body AS same
  FROM demo.delivery d JOIN event e ON e.event = d.body ->> 'id';

CREATE TEMP TABLE run AS
SELECT run_id, key AS event, state, attempt, result, enqueued_at, finished_at
  FROM wf.runs WHERE workflow = 'payment-webhook';

CREATE TEMP TABLE attempt AS
SELECT a.run_id, a.attempt, a.outcome, a.error, a.started_at, a.finished_at
  FROM wf.attempts a JOIN run USING (run_id);

CREATE TEMP TABLE booked AS
SELECT event, account, count(*) AS times, sum(amount) AS amount, min(currency) AS currency
  FROM app.ledger_entries GROUP BY event, account;

CREATE TEMP TABLE expected AS
SELECT event, account, 1 AS times, change AS amount, currency
  FROM event, LATERAL (VALUES
	('payment.captured', 'bank', amount - fee), ('payment.captured', 'fees', fee),
	('payment.captured', 'sales', -amount),
	('payment.refunded', 'bank', -amount), ('payment.refunded', 'refunds', amount),
	('payment.disputed', 'bank', -amount), ('payment.disputed', 'disputes', amount)) AS b (of, account, change)
 WHERE of = type;

ANALYZE event, delivery, run, attempt;

CREATE FUNCTION pg_temp.line(what text, n bigint, remark text DEFAULT '') RETURNS text
LANGUAGE sql AS $$
	SELECT rtrim('   ' || rpad(what, 24) || lpad(to_char(n, 'FM999,999,990'), 8) || '   ' || remark)
$$;

-- --- what happened ------------------------------------------------------------

SELECT pg_temp.line('deliveries', count(*), format('%s clients, %s s', :'clients', :'seconds'))
  FROM delivery;
SELECT pg_temp.line('runs created', count(*), 'one for each event id') FROM run;
SELECT pg_temp.line('duplicates answered', count(*) - count(DISTINCT run_id), 'with the run of the first delivery')
  FROM demo.answer;
SELECT pg_temp.line('  of them in a race', waits, 'waited for the other client''s commit')
  FROM wf.stats WHERE workflow = 'payment-webhook' AND waits > 0;
SELECT pg_temp.line('refused', :refused, 'a used id with other content: WF001');
SELECT pg_temp.line('attempts', count(*)) FROM attempt;
SELECT pg_temp.line('  of them failed', count(*), error)
  FROM attempt WHERE error IS NOT NULL GROUP BY error ORDER BY count(*) DESC;
SELECT pg_temp.line('results', count(*), state || CASE WHEN :retried > 0 THEN format(', %s of them after wf_retry', :retried) ELSE '' END)
  FROM run GROUP BY state ORDER BY state;
SELECT pg_temp.line('ledger entries', count(*), string_agg(DISTINCT currency, ' ')) FROM app.ledger_entries;
SELECT pg_temp.line('started after, median', round(1000 * extract(epoch FROM start_latency_p50))::bigint,
                    format('ms (99%%: %s ms)', round(1000 * extract(epoch FROM start_latency_p99))))
  FROM wf.stats WHERE workflow = 'payment-webhook' AND start_latency_p50 IS NOT NULL;

-- --- one event from its first delivery to the ledger -----------------------------

SELECT r.run_id AS example, r.event AS example_event
  FROM run r JOIN event e USING (event)
 WHERE r.attempt BETWEEN 2 AND 3
 ORDER BY e.type = 'payment.captured' DESC, (SELECT count(*) FROM delivery d WHERE d.event = r.event) DESC, r.attempt DESC, r.event
 LIMIT 1 \gset

SELECT E'\n   one of them: ' || event || ', ' || type || ', ' || round(amount / 100.0, 2) || ' ' || currency
  FROM event WHERE event = :'example_event';
SELECT format('   delivered  %s times; each time the answer was', count(*)) || E'\n              ' || :'example'
  FROM delivery WHERE event = :'example_event';
SELECT format('   attempt %s  %s after %s ms: %s', a.attempt, CASE WHEN a.error IS NULL THEN 'completed' ELSE 'failed' END,
              round(extract(epoch FROM a.finished_at - r.enqueued_at) * 1000), coalesce(a.error, r.result::text))
  FROM attempt a JOIN run r USING (run_id) WHERE run_id = :'example' ORDER BY a.attempt;
SELECT '   booked     ' || string_agg(account || ' ' || round(amount / 100.0, 2), ', ' ORDER BY account) || ': once'
  FROM booked WHERE event = :'example_event';

-- --- checks ---------------------------------------------------------------------

CREATE TEMP TABLE checks (n integer GENERATED ALWAYS AS IDENTITY, ok boolean, what text);

INSERT INTO checks (ok, what)
SELECT count(*) > 0 AND count(*) = (SELECT count(*) FROM event)
       AND count(*) FILTER (WHERE runs = 1) = count(*), 'each event has one run, whatever it was delivered'
  FROM (SELECT e.event, count(r.run_id) AS runs FROM event e FULL JOIN run r USING (event) GROUP BY e.event) AS t;

INSERT INTO checks (ok, what)
SELECT bool_and(answered = sent AND wrong = 0), 'every delivery of an event was answered with that run'
  FROM (SELECT (SELECT count(*) FROM delivery d WHERE d.event = e.event AND d.same) AS sent,
               count(*) AS answered, count(*) FILTER (WHERE a.run_id IS DISTINCT FROM r.run_id) AS wrong
          FROM event e LEFT JOIN demo.answer a USING (event) LEFT JOIN run r USING (event) GROUP BY e.event) AS t;

INSERT INTO checks (ok, what)
SELECT count(*) FILTER (WHERE NOT same) = :refused, 'an id with other content was refused, each time'
  FROM delivery;

INSERT INTO checks (ok, what)
SELECT bool_and(state = 'completed'), 'all runs are completed' FROM run;

INSERT INTO checks (ok, what)
SELECT count(*) > 0 AND bool_and(times = 1),
       format('each of %s captured payments was booked exactly once', to_char(count(*), 'FM999,999'))
  FROM (SELECT count(p.payment) AS times
          FROM event e LEFT JOIN app.payments p USING (payment)
         WHERE e.type = 'payment.captured' GROUP BY e.event) AS t;

INSERT INTO checks (ok, what)
SELECT NOT EXISTS (TABLE booked EXCEPT TABLE expected) AND NOT EXISTS (TABLE expected EXCEPT TABLE booked),
       'the ledger has the entries that the file asks for, no other';

INSERT INTO checks (ok, what)
SELECT NOT EXISTS (SELECT FROM app.ledger_entries l LEFT JOIN run r USING (run_id)
                    WHERE r.state IS DISTINCT FROM 'completed' OR l.attempt <> r.attempt),
       'nothing is left of attempts that failed';

INSERT INTO checks (ok, what)
SELECT bool_and(total = 0), 'debits and credits are equal in each currency'
  FROM (SELECT sum(amount) AS total FROM app.ledger_entries GROUP BY currency) AS t;

\echo
SELECT CASE WHEN ok THEN '   ok      ' ELSE '   FAILED  ' END || what FROM checks ORDER BY n;

SELECT coalesce(bool_and(ok), false) AS all_ok, count(*) FILTER (WHERE ok IS NOT TRUE) AS failed FROM checks \gset
\if :all_ok
\else
DO $$ BEGIN RAISE 'demo: not all checks passed'; END $$;
\endif
