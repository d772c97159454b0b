-- A transactional outbox: "tell others what happened here" that can neither be
-- forgotten nor be said of something that was rolled back.  A trigger enqueues
-- in the transaction that changes the table; programs outside claim the runs.
--
-- Run as the role that shall own the tables, with SELECT wf_grant_usage('role').

CREATE SCHEMA example_outbox;
SET search_path = example_outbox, public;

CREATE TABLE orders (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	customer text NOT NULL,
	status text NOT NULL DEFAULT 'new',
	version integer NOT NULL DEFAULT 1
);

-- No handler: the runs wait for external workers.
SELECT wf_create_workflow('example-order-events', key_ttl => '7 days');

-- Other roles that write to the table need wf_grant('example-order-events', role),
-- or make this SECURITY DEFINER with a search_path of its own.
CREATE FUNCTION tell_others() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
	IF TG_OP = 'UPDATE' THEN
		NEW.version := OLD.version + 1;
	END IF;
	-- The key names the change, so whoever replays or repairs by hand tells it
	-- once.  wf_key never confuses ('1', '23') with ('12', '3').
	PERFORM wf_enqueue('example-order-events', to_jsonb(NEW), key => wf_key('order', NEW.id, NEW.version));
	RETURN NEW;
END
$$;
CREATE TRIGGER tell_others BEFORE INSERT OR UPDATE ON orders
	FOR EACH ROW EXECUTE FUNCTION tell_others();

-- What is committed is told,
INSERT INTO orders (customer) VALUES ('Ada'), ('Noor');
UPDATE orders SET status = 'paid' WHERE customer = 'Ada';
-- what is rolled back is not.
BEGIN;
UPDATE orders SET status = 'cancelled';
ROLLBACK;

-- A worker, in any language.  It claims a batch,
SELECT run_id, attempt, payload ->> 'customer' AS customer, payload ->> 'status' AS status
  FROM wf_claim('{example-order-events}', max_runs => 10, lease => '1 minute', worker => 'example');

-- sends each event away and reports it, with the attempt that it was given:
--   SELECT wf_complete(run_id, attempt);
--   SELECT wf_fail(run_id, attempt, 'the broker does not answer');     -- tried again later
-- If it dies, the lease ends and another worker gets the run with a higher
-- attempt; should the first wake up again, its wf_complete is refused (WF004).
SELECT count(wf_complete(run_id, attempt, '{"sent": true}')) AS completed
  FROM wf.runs WHERE workflow = 'example-order-events' AND state = 'running';

-- A receiver that must not act twice uses the run id: it is the same in each try.
SELECT key, payload ->> 'status' AS status, state, attempt, result
  FROM wf.runs WHERE workflow = 'example-order-events' ORDER BY run_id;

-- When there is nothing to claim, wait without polling:
--   CALL wf_wait_for_work('{example-order-events}', '30 seconds');
