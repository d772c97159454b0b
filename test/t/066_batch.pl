# Runs that share a transaction (batch above 1): what undoes one undoes that
# one alone, what undoes the transaction undoes none for good, and attempts are
# counted as they were made.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('batch');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
# one executor, so that all runs of a test queue up in it
$node->append_conf('postgresql.conf', 'pg_workflow.max_executors = 1');
$node->start;

# one session for all statements: a psql for each would take most of the time
my $session = $node->background_psql('postgres');

sub sql { return $session->query_safe(@_); }

sub poll
{
	my ($query) = @_;
	for (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if sql($query) eq 't';
		select undef, undef, undef, 0.05;
	}
	diag "not true: $query";
	return 0;
}

sql(q{
	CREATE EXTENSION pg_workflow;
	CREATE TABLE effect (run uuid, n integer, attempt integer, transaction xid8, saw text);
	CREATE TABLE parent (n integer PRIMARY KEY);
	CREATE TABLE child (n integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
	CREATE FUNCTION handle(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	DECLARE
		what text := payload ->> 'do';
	BEGIN
		IF what = 'wait' THEN
			PERFORM pg_advisory_xact_lock_shared(1);
		END IF;
		INSERT INTO effect VALUES (wf_current_run(), (payload ->> 'n')::int, wf_current_attempt(),
			pg_current_xact_id(),
			concat_ws(' ', nullif(current_setting('my.setting', true), ''),
				(SELECT string_agg(name, ' ') FROM pg_prepared_statements),
				(SELECT string_agg(name, ' ') FROM pg_cursors WHERE is_holdable),
				(SELECT string_agg(relname, ' ') FROM pg_class WHERE relname = 'scratch'),
				(SELECT string_agg('lock', ' ') FROM pg_locks
				  WHERE locktype = 'advisory' AND objid = 42 AND pid = pg_backend_pid()),
				nullif(current_user, 'postgres')));
		CASE what
			WHEN 'fail' THEN
				RAISE EXCEPTION 'told to fail';
			WHEN 'fail once' THEN
				IF wf_current_attempt() = 1 THEN
					RAISE EXCEPTION 'told to fail';
				END IF;
			WHEN 'take long' THEN
				PERFORM pg_sleep(3600);
			WHEN 'cancel itself' THEN
				PERFORM wf_cancel(wf_current_run(), 'enough');
			WHEN 'violate' THEN
				INSERT INTO child VALUES (-1);
			WHEN 'litter' THEN
				PERFORM set_config('my.setting', 'setting', false);
				PERFORM set_config('role', 'other', false);
				PERFORM pg_advisory_lock(42);
				RESET ROLE;
				EXECUTE 'PREPARE statement AS SELECT 1';
				EXECUTE 'DECLARE cursor CURSOR WITH HOLD FOR SELECT 1';
				EXECUTE 'CREATE TEMP TABLE scratch ()';
				SET search_path = pg_temp;
				SET ROLE other;
			ELSE
		END CASE;
		RETURN payload;
	END $$;
	CREATE ROLE other;
	SELECT wf_create_workflow('batch', 'handle(jsonb)', batch => 20, retry_delay => '0', max_attempts => 2);
	SELECT wf_create_workflow('short', 'handle(jsonb)', batch => 20, max_attempts => 1, timeout => '1s');
});

# Enqueue runs while the workflow is paused, one for each thing to do, and let
# them go; how each of them ended, and which number its last attempt had.
sub hand_over
{
	my ($workflow, @do) = @_;
	sql("TRUNCATE effect; SELECT wf_pause('$workflow')");
	my @ids;
	for my $n (0 .. $#do)
	{
		push @ids,
		  sql(qq{SELECT wf_enqueue('$workflow', '{"n": $n, "do": "$do[$n]"}')});
	}
	# warm, and free
	my $id = sql(q{SELECT wf_enqueue('short', '{"do": ""}')}) if $workflow eq 'batch';
	poll("SELECT state = 'completed' FROM wf.runs WHERE run_id = '$id'") if $id;
	sql("DELETE FROM effect; SELECT wf_resume('$workflow')");
	return @ids;
}

sub outcomes
{
	my (@ids) = @_;
	my $list = join ', ', map { "'$_'" } @ids;
	poll("SELECT count(*) = 0 FROM wf.runs WHERE run_id IN ($list) AND state IN ('queued', 'running')")
	  or die 'runs do not end';
	my %of = map { split /\|/, $_, 2 }
	  split /\n/, sql("SELECT run_id, state || ' ' || attempt FROM wf.runs WHERE run_id IN ($list)");
	return join ', ', map { $of{$_} } @ids;
}

# --- shared, and undone alone -------------------------------------------------

my @ids = hand_over('batch', ('') x 10);
is(outcomes(@ids), join(', ', ('completed 1') x 10), 'runs of a batch complete');
is(sql('SELECT count(*), count(DISTINCT run), count(DISTINCT transaction) FROM effect'),
	'10|10|1', 'in one transaction, each once');

@ids = hand_over('batch', '', 'fail once', '', 'fail', '');
is( outcomes(@ids),
	'completed 1, completed 2, completed 1, failed 2, completed 1',
	'an error undoes its run alone');
is(sql('SELECT string_agg(format(\'%s %s\', n, attempt), \', \' ORDER BY n) FROM effect'),
	'0 1, 1 2, 2 1, 4 1', 'and its effects');
is( sql("SELECT string_agg(format('%s %s %s', attempt, outcome, error), ', ' ORDER BY attempt) FROM wf.attempts WHERE run_id = '$ids[3]'"),
	'1 failed told to fail, 2 failed told to fail',
	'which is recorded');

@ids = hand_over('short', '', 'take long', '', 'cancel itself', '');
is( outcomes(@ids),
	'completed 1, failed 1, completed 1, cancelled 1, completed 1',
	'so do a time-out and a cancel');
is(sql('SELECT string_agg(n::text, \' \' ORDER BY n) FROM effect'), '0 2 4', 'of itself');
is(sql("SELECT sqlstate, error FROM wf.runs WHERE run_id = '$ids[1]'"),
	"57014|the attempt exceeded the workflow's timeout", 'the time-out says so');

# --- the transaction as a whole -----------------------------------------------

@ids = hand_over('batch', '', 'violate', '');
is(outcomes(@ids), 'completed 1, failed 2, completed 1',
	'a deferred constraint fails the run that violates it, and no other');
is(sql('SELECT string_agg(n::text, \' \' ORDER BY n) FROM effect'), '0 2', 'whose effects are there once');

# --- session state -------------------------------------------------------------

@ids = hand_over('batch', 'litter', '');
is(outcomes(@ids), 'completed 1, completed 1', 'a run may leave things in its session');
is(sql('SELECT saw FROM effect WHERE n = 1'), '', 'the next one sees none of them');
is(sql('SELECT count(DISTINCT transaction) FROM effect'), 1, 'in the same transaction');

# --- visible after the commit, cancelled in the midst, terminated --------------

my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');

sub wait_at_gate
{
	poll(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_workflow executor' AND wait_event_type = 'Lock'})
	  or die 'no handler is at the gate';
	return;
}

sub states
{
	my $list = join ', ', map { "'$_'" } @_;
	return sql("SELECT string_agg(state || ' ' || attempt, ', ' ORDER BY run_id) FROM wf.runs WHERE run_id IN ($list)");
}

@ids = hand_over('batch', '', '', 'wait', '', '');
wait_at_gate();
is(states(@ids), 'running 1, running 1, running 1, queued 0, queued 0',
	'what has been done is running until all of it is committed');
is(sql("SELECT run_id FROM wf.workers WHERE kind = 'executor'"), $ids[2],
	'wf.workers shows the run that is under way');
is(sql("SELECT wf_cancel('$ids[3]')"), 't', 'one that has not begun is cancelled at once');
is(sql("SELECT wf_cancel('$ids[2]')"), 't', 'the one that is under way as well');
is(outcomes(@ids), 'completed 1, completed 1, cancelled 1, cancelled 0, completed 1',
	'and no other');

@ids = hand_over('batch', '', '', 'wait', '', '');
wait_at_gate();
my $cancel = $node->background_psql('postgres');
$cancel->query_until(qr/^$/m, "SELECT wf_cancel('$ids[0]');\n");
poll(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT wf_cancel%' AND wait_event_type = 'Lock'})
  or die 'wf_cancel does not wait';
$gate->query_safe('SELECT pg_advisory_unlock(1)');
is(outcomes(@ids), join(', ', ('completed 1') x 5), 'wf_cancel of one that has been done waits');
like($cancel->query_safe(''), qr/^(f|)$/, 'and comes too late');
$cancel->quit;

$gate->query_safe('SELECT pg_advisory_lock(1)');
@ids = hand_over('batch', '', '', 'wait', '', '');
wait_at_gate();
sql(q{SELECT pg_terminate_backend(pid) FROM wf.workers WHERE kind = 'executor'});
poll("SELECT attempt = 2 FROM wf.runs WHERE run_id = '$ids[2]'");
wait_at_gate();
$gate->query_safe('SELECT pg_advisory_unlock(1)');
is( outcomes(@ids),
	'completed 2, completed 2, completed 2, completed 1, completed 1',
	'when the executor is terminated, what it had begun is done again');
is( sql(sprintf q{SELECT string_agg(outcome, ', ' ORDER BY run_id) FROM wf.attempts
				   WHERE outcome <> 'completed' AND run_id IN (%s)}, join ', ', map { "'$_'" } @ids),
	'released, released, failed',
	'which counts for the run that was under way alone');
is(sql('SELECT count(*), count(DISTINCT run) FROM effect'), '5|5', 'each effect is there once');

$_->quit for $gate, $session;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nobody stumbled');
$node->stop;
done_testing();
