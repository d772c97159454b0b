# What a workflow says of its runs is what the dispatcher does: order, due time,
# delays, timeout, max_running, pause; and none of it holds other workflows back.

use strict;
use warnings;
use OneServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = one_server('scheduling');

sql(q{
	CREATE TABLE effect (n serial, workflow text, what text, attempt integer, at timestamptz DEFAULT clock_timestamp(), beside integer);
	-- says that it runs, and beside how many of its workflow
	CREATE FUNCTION handle(payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF payload ? 'gate' THEN
			PERFORM pg_advisory_xact_lock_shared(1);
		END IF;
		INSERT INTO effect (workflow, what, attempt, beside) VALUES (payload ->> 'workflow', payload ->> 'what', wf_current_attempt(),
			(SELECT count(*) FROM wf.workers WHERE kind = 'executor' AND workflow = payload ->> 'workflow'));
		IF payload ? 'sleep' THEN
			PERFORM pg_sleep((payload ->> 'sleep')::float8);
		END IF;
		IF wf_current_attempt() <= (payload ->> 'fail')::int THEN
			RAISE EXCEPTION 'told to fail';
		END IF;
	END $$;
	-- with its workflow in the payload
	CREATE FUNCTION put(workflow text, what text, more jsonb DEFAULT '{}', run_at timestamptz DEFAULT NULL, priority integer DEFAULT NULL)
	RETURNS uuid LANGUAGE sql AS $$
		SELECT wf_enqueue(workflow, more || jsonb_build_object('workflow', workflow, 'what', what), run_at => run_at, priority => priority)
	$$;
	SELECT wf_create_workflow(name, 'handle(jsonb)', retry_delay => '0')
	  FROM unnest('{one, other, paused, later}'::text[]) name;
});

sub order_of
{
	my ($workflow) = @_;
	return sql("SELECT string_agg(what, ' ' ORDER BY n) FROM effect WHERE workflow = '$workflow'");
}

# --- order --------------------------------------------------------------------

set_and_reload('pg_workflow.max_executors = 1');
sql(q{
	SELECT wf_create_workflow('ordered', 'handle(jsonb)', max_running => 1, priority => 10);
	SELECT wf_pause('ordered');
	SELECT put('ordered', 'e'), put('ordered', 'f');
	SELECT put('ordered', 'a', priority => -2147483648);
	SELECT put('ordered', 'd', run_at => now() - interval '1 hour');
	SELECT put('ordered', 'c', run_at => '-infinity');
	SELECT put('ordered', 'g', priority => 11, run_at => '-infinity');
	SELECT put('ordered', 'b', priority => 9);
	SELECT put('ordered', 'h', priority => 2147483647);
	SELECT wf_resume('ordered');
});
all_ended();
is(order_of('ordered'), 'a b c d e f g h', 'runs start by priority, due time, id');

# by many priorities, more than the dispatcher keeps positions for
sql(q{
	SELECT wf_create_workflow('finely', 'handle(jsonb)', max_running => 1);
	SELECT wf_pause('finely');
	SELECT put('finely', p::text, priority => p) FROM generate_series(1, 200) p ORDER BY random();
	SELECT wf_resume('finely');
});
all_ended();
is(order_of('finely'), join(' ', 1 .. 200), 'by any number of priorities');
# and past what is over in many of them, where something is due later in each
sql(q{
	SELECT wf_create_workflow('coarsely', 'handle(jsonb)');
	SELECT wf_pause('coarsely');
	SELECT count(wf_enqueue('coarsely', priority => p)) FROM generate_series(1, 6) p, generate_series(1, 2500);
	SELECT wf_cancel_all('coarsely');
	SELECT put('coarsely', 'later', priority => p, run_at => now() + interval '1 year') FROM generate_series(1, 6) p;
	SELECT wf_resume('coarsely');
});
my $last = sql(q{SELECT put('coarsely', 'last', priority => 6)});
is(ended($last), 'completed', 'nor do those of others hold one back');
sql(q{SELECT wf_cancel_all('coarsely')});
set_and_reload('pg_workflow.max_executors = 4');

# --- due later, moved ---------------------------------------------------------

my $later = sql(q{SELECT put('later', 'soon', run_at => clock_timestamp() + interval '1 second')});
my $never = sql(q{SELECT put('later', 'never', run_at => 'infinity')});
my $year = sql(q{SELECT put('later', 'in a year', run_at => now() + interval '1 year')});
is(ended($later), 'completed', 'a run that is due later is executed');
is(sql("SELECT at >= run_at FROM effect, wf.runs WHERE what = 'soon' AND run_id = '$later'"), 't', 'not before');
like(why($year), qr/It is due at /, 'wf_why tells when');
like(why($never), qr/It is due never/, 'or that it is never due');
is(sql("SELECT wf_reschedule('$year', now()), wf_reschedule('$never', now())"), 't|t', 'wf_reschedule moves them');
is(ended($year) . ended($never), 'completedcompleted', 'and they are executed');

# --- tried again --------------------------------------------------------------

sql(q{
	SELECT wf_create_workflow('delayed', 'handle(jsonb)', max_attempts => 5, retry_delay => '100 ms', retry_factor => 3,
		retry_max_delay => '500 ms', retry_jitter => 0);
	SELECT put('delayed', 'x', '{"fail": 4}');
});
all_ended();
is(sql(q{SELECT string_agg(attempt::text, ' ' ORDER BY n) FROM effect WHERE workflow = 'delayed'}), '5', 'only the last attempt has an effect');
# attempts begin no earlier than the delays of 100, 300, 500, 500 ms after the end of the one before
is(sql(q{
	SELECT string_agg((started_at - before >= delay)::text, ' ' ORDER BY attempt)
	  FROM (SELECT a.attempt, a.started_at, lag(a.finished_at) OVER (ORDER BY a.attempt) AS before
			  FROM wf.attempts a JOIN wf.runs r USING (run_id) WHERE r.workflow = 'delayed') v
	  JOIN (VALUES (2, interval '100 ms'), (3, '300 ms'), (4, '500 ms'), (5, '500 ms')) d (attempt, delay) USING (attempt)}),
	'true true true true', 'attempts wait for retry_delay times retry_factor, up to retry_max_delay');
sql(q{SELECT wf_create_workflow('jittery', 'handle(jsonb)', max_attempts => 2, retry_delay => '1 hour', retry_jitter => 0.5);
	SELECT put('jittery', 'x', '{"fail": 1}') FROM generate_series(1, 50)});
poll(q{SELECT count(*) = 50 FROM wf.attempts JOIN wf.runs USING (run_id) WHERE workflow = 'jittery' AND attempts.finished_at IS NOT NULL});
is(sql(q{SELECT min(delay) >= interval '1 hour' AND max(delay) <= interval '90 minutes 1 second' AND max(delay) - min(delay) > interval '5 minutes'
	FROM (SELECT r.run_at - a.finished_at AS delay FROM wf.runs r JOIN wf.attempts a USING (run_id) WHERE workflow = 'jittery') v}),
	't', 'retry_jitter spreads them');
is(sql(q{SELECT wf_cancel_all('jittery')}), 50, 'wf_cancel_all ends what waits');

# --- timeout ------------------------------------------------------------------

sql(q{SELECT wf_create_workflow('timed', 'handle(jsonb)', timeout => '200 ms', max_attempts => 2, retry_delay => '0')});
my $timed = sql(q{SELECT put('timed', 'x', '{"sleep": 3600}')});
is(ended($timed), 'failed 57014', 'timeout ends each attempt');
is(sql("SELECT string_agg(concat_ws(' ', attempt, outcome, error), ', ' ORDER BY attempt) FROM wf.attempts WHERE run_id = '$timed'"),
	q{1 failed the attempt exceeded the workflow's timeout, 2 failed the attempt exceeded the workflow's timeout}, 'and says so');

# --- max_running --------------------------------------------------------------

sql(q{
	SELECT wf_create_workflow('three', 'handle(jsonb)', max_running => 3);
	SELECT wf_create_workflow('single', 'handle(jsonb)', max_running => 1);
});
sql(q{SELECT put('three', 'x', '{"sleep": 0.01}'), put('single', 'x', '{"sleep": 0.01}') FROM generate_series(1, 60)});
all_ended();
is(sql(q{SELECT string_agg(workflow || ' ' || most, ', ' ORDER BY workflow) FROM
	(SELECT workflow, max(beside) AS most FROM effect WHERE workflow IN ('three', 'single') GROUP BY 1) v
	WHERE most > CASE workflow WHEN 'single' THEN 1 ELSE 3 END}), '', 'never more than max_running at once');
my $gate = gate();
my @gated = split /\n/, sql(q{SELECT put('three', 'x', '{"gate": 1}') FROM generate_series(1, 5)});
at_gate(3);
is(sql(q{SELECT string_agg(state, ' ' ORDER BY state) FROM wf.runs WHERE workflow = 'three' AND state <> 'completed'}),
	'queued queued running running running', 'and no fewer');
like(why($gated[4]), qr/max_running of its workflow is reached: 3 of 3 runs, among them /, 'wf_why tells which');
like(why($gated[0]), qr/running: attempt 1.*\n.*waits for a lock that process \d+ holds/, 'and what a handler waits for');

# --- nobody is held back ------------------------------------------------------

sql(q{SELECT wf_pause('paused')});
sql(q{SELECT put('paused', 'x'), put('later', 'x', run_at => now() + interval '1 year') FROM generate_series(1, 5000)});
is(ended(sql(q{SELECT put('one', 'x')})), 'completed', 'a saturated, a paused and a later workflow do not hold others back');
# two at once: one goes beside the three
sql(q{SELECT put('one', 'x', '{"gate": 1}')});
at_gate(4);
my $full = sql(q{SELECT put('other', 'x')});
ok(poll("SELECT count(*) > 0 FROM wf_why('$full') reason WHERE reason ~ 'All 4 executors'"), 'wf_why tells that all executors are at work')
	or diag why($full);
sql(q{SELECT wf_alter_workflow('three', max_running => 5)});
$gate->query_safe('SELECT pg_advisory_unlock_all()');
ok(poll(q{SELECT count(*) = 0 FROM wf.runs WHERE state IN ('queued', 'running') AND workflow NOT IN ('paused', 'later')}), 'all are executed in the end');

# --- paused, resumed ----------------------------------------------------------

like(why(sql(q{SELECT run_id FROM wf.runs WHERE workflow = 'paused' LIMIT 1})), qr/Its workflow is paused; wf_resume/, 'wf_why of a paused workflow');
is(sql(q{SELECT count(*) FROM effect WHERE workflow = 'paused'}), 0, 'nothing of it has started');
sql(q{SELECT wf_resume('paused')});
ok(poll(q{SELECT count(*) = 0 FROM wf.runs WHERE state IN ('queued', 'running') AND workflow = 'paused'}), 'all of it runs when it is resumed');
is(sql(q{SELECT count(*) FROM effect WHERE workflow = 'paused'}), 5000, 'once');

# --- cancelled ----------------------------------------------------------------

is(sql(q{SELECT wf_cancel_all('later')}), 5000, 'queued runs are cancelled');
is(sql(q{SELECT count(*) FROM effect WHERE workflow = 'later' AND what = 'x'}), 0, 'and never run');
$gate->query_safe('SELECT pg_advisory_lock(1)');
my $gated = sql(q{SELECT put('one', 'cancelled', '{"gate": 1}')});
at_gate(1);
is(sql("SELECT wf_cancel('$gated')"), 't', 'so is a run under way');
is(ended($gated), 'cancelled', 'which is interrupted');
$gate->quit;
is(sql(q{SELECT count(*) FROM effect WHERE what = 'cancelled'}), 0, 'and leaves no effect');
is(sql("SELECT wf_retry('$gated')"), 't', 'wf_retry queues it again');
is(ended($gated), 'completed', 'and it completes');
is(sql("SELECT attempt FROM wf.runs WHERE run_id = '$gated'"), 2, 'as its next attempt');

# --- after a restart ----------------------------------------------------------

# queues are read from their beginning, in steps; what has ended long ago does not run again
sql(q{SELECT put('one', 'old') FROM generate_series(1, 5000)});
all_ended();
sql('TRUNCATE effect');
$node->restart;
is(ended(sql(q{SELECT put('one', 'new')})) . ended(sql(q{SELECT put('other', 'new')})), 'completedcompleted', 'runs are executed after a restart');
is(sql('SELECT string_agg(what, \' \') FROM effect'), 'new new', 'and only those that have not been before');

$node->stop;
done_testing();
