-- The nightly report, asked for by pg_cron.  The key makes it one report a day,
-- however often and by whomever it is asked for.
--
-- Run by an administrator in cron.database_name; :schedule is when it is to be
-- asked for once more, so that nobody has to wait for the night.

CREATE EXTENSION pg_cron;
GRANT USAGE ON SCHEMA cron TO app_owner;

SET SESSION AUTHORIZATION app_owner;

SELECT cron.schedule('nightly-report', '0 3 * * *', $$
	SELECT wf_enqueue('nightly-report', jsonb_build_object('day', current_date),
		key => wf_key('nightly-report', current_date))
$$);

SELECT cron.schedule('nightly-report-now', :'schedule', command)
  FROM cron.job WHERE jobname = 'nightly-report';

RESET SESSION AUTHORIZATION;
