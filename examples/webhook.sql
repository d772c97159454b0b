-- A webhook receiver: one function for the web server (or PostgREST) to call.  It
-- answers at once, what has to be done is done in the background, and a delivery
-- that comes again is answered like the first.  demo/ is this at full size.
--
-- Run as the role that shall own it all, with SELECT wf_grant_usage('role').

CREATE SCHEMA example_webhook;
SET search_path = example_webhook, public;

CREATE TABLE mail (recipient text, subject text, sent_at timestamptz DEFAULT now());

CREATE FUNCTION handle_event(event jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = example_webhook, public
AS $$
BEGIN
	-- this and "completed" commit together: once, however often it was tried
	INSERT INTO mail VALUES (event ->> 'email', 'Welcome');
	RETURN jsonb_build_object('mailed', event ->> 'email');
END
$$;

-- Providers send again for some days; the key has to live longer than that.
SELECT wf_create_workflow('example-webhook', 'handle_event(jsonb)', key_ttl => '30 days');

-- Answers with what to say to the provider.  2xx ends its deliveries of this
-- event; any error of the database (a 5xx) makes it try again, which is safe.
CREATE FUNCTION receive_webhook(body jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = example_webhook, public
AS $$
DECLARE
	run record;
BEGIN
	-- verify the provider's signature here, over the bytes as they came

	-- A NULL key would mean: no deduplication.
	IF coalesce(body ->> 'id', '') = '' THEN
		RETURN jsonb_build_object('status', 400, 'error', 'the event has no id');
	END IF;

	SELECT * INTO run FROM wf_submit('example-webhook', body, key => body ->> 'id');
	RETURN jsonb_build_object('status', CASE WHEN run.created THEN 202 ELSE 200 END,
	                          'run', run.run_id, 'state', run.state);
EXCEPTION
	WHEN SQLSTATE 'WF001' THEN
		-- the id was used for another content: not a redelivery, so look into it
		RETURN jsonb_build_object('status', 409, 'error', SQLERRM);
END
$$;

-- The web server's role may call it and may enqueue, nothing else:
--   GRANT USAGE ON SCHEMA example_webhook TO web;
--   SELECT wf_grant_usage('web');
--   SELECT wf_grant('example-webhook', 'web', '{enqueue}');

-- 202, and again, in another spelling: 200 with the same run.  Then 409 and 400.
SELECT receive_webhook('{"id": "evt_1", "email": "ada@example.com", "n": 1.50}');
SELECT receive_webhook('{"n": 1.5, "email": "ada@example.com", "id": "evt_1"}');
SELECT receive_webhook('{"id": "evt_1", "email": "eve@example.com"}');
SELECT receive_webhook('{"email": "eve@example.com"}');
