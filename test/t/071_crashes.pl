# Runs that take the server down: each is tried three times and no more, those
# beside it lose no attempt, and nothing else stands still for them.

use strict;
use warnings;
use OneServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = one_server('crashes', 'restart_after_crash = on');

sql(q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE TABLE effect (run uuid, who text, attempt integer);
	GRANT ALL ON effect TO PUBLIC;
	GRANT CREATE ON SCHEMA public TO alice;
	-- what a bug in C would do
	CREATE FUNCTION crash() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
	BEGIN
		EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || pg_backend_pid());
		PERFORM pg_sleep(3600);
	END $$;
	CREATE FUNCTION handle(payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.effect VALUES (wf_current_run(), session_user, wf_current_attempt());
		IF payload ? 'gate' THEN
			PERFORM pg_advisory_xact_lock_shared(1);
		END IF;
		IF payload ? 'crash' THEN
			PERFORM public.crash();
		END IF;
	END $$;
	SELECT wf_grant_usage('alice'), wf_grant_usage('bob');
	SET ROLE alice;
	SELECT wf_create_workflow('a', 'handle(jsonb)', max_attempts => 1);
	SELECT wf_create_workflow('lasting', 'handle(jsonb)', max_attempts => 1);
	SET ROLE bob;
	SELECT wf_create_workflow('b', 'handle(jsonb)', max_attempts => 1);
	RESET ROLE;
	SELECT wf_grant('a', 'postgres'), wf_grant('lasting', 'postgres'), wf_grant('b', 'postgres');
	GRANT alice TO postgres;
});

sub crashes_of
{
	my ($which) = @_;
	return sql(qq{SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM wf.attempts
		JOIN wf.runs USING (run_id) WHERE attempts.sqlstate = '57P02' AND $which GROUP BY run_id) v});
}

# an immediate shutdown while handlers are at the gate, and nothing is
# dispatched yet by the server that starts after it
sub crash_at_gate
{
	my ($gate) = @_;
	$node->stop('immediate');
	$gate->{run}->finish;
	$node->append_conf('postgresql.conf', 'pg_workflow.dispatch = off');
	$node->start;
	return;
}

# --- a run that crashes the server each time ----------------------------------

# held until all are there, so that the poison has neighbours in its queue and
# in another process
sql(q{SELECT wf_pause('a'), wf_pause('b')});
sql(q{
	SELECT wf_enqueue('a') FROM generate_series(1, 20);
	SELECT wf_enqueue('b') FROM generate_series(1, 20);
	SELECT wf_enqueue('a', '{"crash": 1}', 'poison');
	SELECT wf_enqueue('a') FROM generate_series(1, 20);
	SELECT wf_enqueue('b') FROM generate_series(1, 20);
});
my $poison = sql(q{SELECT run_id FROM wf.keys WHERE key = 'poison'});
$node->psql('postgres', q{SELECT wf_resume('a'), wf_resume('b')});
# through the times when the server is away, too
all_ended() or die 'not all runs have ended';
is(sql("SELECT state, sqlstate, attempt FROM wf.runs WHERE run_id = '$poison'"),
	'failed|57P02|3', 'a run that crashes the server fails at the third crash, whatever max_attempts is');
is(sql("SELECT string_agg(format('%s %s %s', attempt, outcome, sqlstate), ', ' ORDER BY attempt) FROM wf.attempts WHERE run_id = '$poison'"),
	'1 crashed 57P02, 2 crashed 57P02, 3 failed 57P02', 'its attempts tell');
is(sql(q{SELECT count(*) FROM wf.runs WHERE state = 'completed'}), 80,
	'all others are completed, though they have only one attempt');
is(sql('SELECT count(*), count(DISTINCT run) FROM effect'), '80|80', 'each once');
cmp_ok(crashes_of(q{state = 'completed'}), '<=', 1, 'a neighbour was hit once at most: suspects run alone');
my $crashes = () = slurp_file($node->logfile) =~ /was terminated by signal 9/g;
is($crashes, 3, 'the server has crashed three times');
is(sql(q{SELECT wf_retry(run_id) FROM wf.keys WHERE key = 'poison'}), 't', 'wf_retry queues it again');
poll("SELECT state = 'failed' AND attempt = 6 FROM wf.runs WHERE run_id = '$poison'");
is(sql("SELECT state, sqlstate, attempt FROM wf.runs WHERE run_id = '$poison'"), 'failed|57P02|6',
	'which gives it three more');

# --- a suspect that takes long ------------------------------------------------

# what was interrupted is no poison here: it only takes its time
my $gate = gate();
my $long = sql(q{SELECT wf_enqueue('lasting', '{"gate": 1}')});
at_gate(1);
crash_at_gate($gate);
$gate = gate();
set_and_reload('pg_workflow.dispatch = on');
at_gate(1);
is(sql("SELECT state, attempt FROM wf.runs WHERE run_id = '$long'"), 'running|2', 'a suspect is tried again');
is(sql("SELECT string_agg(outcome, ' ' ORDER BY attempt) FROM wf.attempts WHERE run_id = '$long' AND finished_at IS NOT NULL"),
	'crashed', 'an immediate shutdown is a crash');
my $behind = sql(q{SELECT wf_enqueue('b')});
like(why($behind), qr/\Q$long\E.*alone/, 'while it runs alone, wf_why says so of the others');
set_and_reload('pg_workflow.crash_isolation_time = 100');
is(ended($behind), 'completed', 'others go on when it has been alone for the time set');

$gate->query_safe('SELECT pg_advisory_unlock_all()');
is(ended($long), 'completed', 'and it completes');
is(sql(q{SELECT count(*) FROM wf.reservation}), 0, 'nothing is left of it');
$gate->quit;

# a suspect that cannot start is in nobody's way
set_and_reload("pg_workflow.crash_isolation_time = '1h'");
$gate = gate();
$long = sql(q{SELECT wf_enqueue('lasting', '{"gate": 1}')});
at_gate(1);
crash_at_gate($gate);
sql(q{SELECT wf_pause('lasting')});
set_and_reload('pg_workflow.dispatch = on');
is(ended(sql(q{SELECT wf_enqueue('b')})), 'completed', 'a suspect of a paused workflow is in nobody\'s way');
sql(q{SELECT wf_cancel(run_id) FROM wf.runs WHERE state = 'queued'});
sql(q{SELECT wf_resume('lasting')});
is(ended(sql(q{SELECT wf_enqueue('lasting')})), 'completed', 'nor is one that was cancelled');

# --- those behind it, which have not begun ------------------------------------

# handed to its executor, and taken back since it takes long: no suspects
set_and_reload('pg_workflow.max_executors = 1');
all_ended();
sql(q{SELECT wf_enqueue('a') FROM generate_series(1, 100)});
all_ended();
$gate = gate();
my (undef, @behind) = split /\n/, sql(q{SELECT wf_enqueue('a', CASE n WHEN 1 THEN '{"gate": 1}' ELSE '{}' END::jsonb) FROM generate_series(1, 20) n});
at_gate(1);
ok(poll('SELECT count(*) = 1 AND sum(cardinality(run_ids)) = 1 FROM wf.reservation'), 'what is taken back is not reserved');
# the commit that says so waits for no flush
sql('CHECKPOINT');
crash_at_gate($gate);
set_and_reload('pg_workflow.dispatch = on');
all_ended();
is(sql(sprintf q{SELECT count(*) FILTER (WHERE outcome = 'completed' AND attempt = 1), count(*) FROM wf.attempts WHERE run_id IN (%s)},
		join ', ', map { "'$_'" } @behind), '19|19', 'after a crash it is as if it had not been handed over');

$node->stop;
done_testing();
