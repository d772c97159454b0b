-- Work on a schedule: pg_cron says when, pg_workflow sees to it that it is done,
-- once.  What pg_cron alone leaves open:
--   - a job that fails is not tried again: a run is, with growing delays;
--   - a job that still runs when the next is due overlaps it: max_running => 1;
--   - after a restart, or with a second scheduler for safety, a job may start
--     twice: a key for each period makes that one run;
--   - a night in which the server was down is lost: see "catching up" below.
--
-- Needs shared_preload_libraries = 'pg_workflow, pg_cron', and
--   cron.database_name = 'this database'
--   cron.use_background_workers = on    (or a way to log in for pg_cron)
-- Run as the role that shall own the report, with USAGE on schema cron (GRANT USAGE
-- ON SCHEMA cron TO role) and on pg_workflow (SELECT wf_grant_usage('role')).

CREATE SCHEMA example_cron;
SET search_path = example_cron, public;

CREATE TABLE report (day date, made_at timestamptz DEFAULT now(), figures jsonb);

CREATE FUNCTION make_report(request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = example_cron, public
AS $$
DECLARE
	made report;
BEGIN
	INSERT INTO report (day, figures)
	VALUES ((request ->> 'day')::date, jsonb_build_object('orders', 42))
	RETURNING * INTO made;
	RETURN to_jsonb(made);
END
$$;

SELECT wf_create_workflow('example-report', 'make_report(jsonb)',
	max_attempts => 5,
	retry_delay => '1 minute',
	timeout => '30 minutes',
	max_running => 1,
	key_ttl => '40 days');

-- Each night at 3:00: the report of the day before.  The day is in the payload,
-- not taken from the clock in the handler, so that a late try reports the same day.
SELECT cron.schedule('example-report', '0 3 * * *', $$
	SELECT wf_enqueue('example-report', jsonb_build_object('day', current_date - 1),
	                  key => wf_key('report', current_date - 1))
$$);

-- Catching up: the same for each of the last 30 days.  Those that were made are
-- duplicates and cost next to nothing (key_ttl is longer than the 30 days).
SELECT cron.schedule('example-report-catch-up', '0 4 * * *', $$
	SELECT count(*)
	  FROM wf_enqueue_many('example-report',
	         (SELECT array_agg(jsonb_build_object('day', current_date - n) ORDER BY n) FROM generate_series(1, 30) n),
	         (SELECT array_agg(wf_key('report', current_date - n) ORDER BY n) FROM generate_series(1, 30) n))
$$);

-- Without preloading pg_workflow, expired keys and old runs are removed by hand
-- or from here, as an administrator:
--   SELECT cron.schedule('wf-expire', '*/10 * * * *', 'SELECT wf_expire()');

-- What became of it:
SELECT key, state, attempt, finished_at, error
  FROM wf.runs WHERE workflow = 'example-report' ORDER BY enqueued_at DESC LIMIT 10;
