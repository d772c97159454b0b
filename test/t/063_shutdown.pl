# Fast shutdown, whatever the processes are doing: W2.  What it interrupts is
# not a failed attempt.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('shutdown');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->start;

$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION pg_workflow;
	CREATE TABLE gate (open boolean);
	INSERT INTO gate VALUES (false);
	CREATE FUNCTION wait(payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF (SELECT open FROM gate) THEN
			RETURN;
		END IF;
		CASE payload ->> 'how'
			WHEN 'sleep' THEN
				PERFORM pg_sleep(3600);
			WHEN 'lock' THEN
				PERFORM pg_advisory_xact_lock(1);
			WHEN 'busy' THEN
				LOOP
				END LOOP;
			WHEN 'stubborn' THEN
				LOOP
					BEGIN
						PERFORM pg_sleep(3600);
					EXCEPTION WHEN query_canceled OR OTHERS THEN
					END;
				END LOOP;
		END CASE;
	END $$;
	SELECT wf_create_workflow('wait', 'wait(jsonb)', max_attempts => 1);
	CREATE FUNCTION prove(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
	SELECT wf_create_workflow('prove', 'prove(jsonb)');
});

# a bound that tells a hang, not a measurement
sub stops_fast
{
	my ($what) = @_;
	my $begin = time;
	$node->stop('fast');
	my $seconds = time - $begin;
	note sprintf '%s: stopped in %.2f s', $what, $seconds;
	cmp_ok($seconds, '<', 5, "fast shutdown $what");
	return;
}

stops_fast('with idle processes');
$node->start;

my $holder;
for my $how (qw(sleep lock busy stubborn))
{
	if ($how eq 'lock')
	{
		$holder = $node->background_psql('postgres');
		$holder->query_safe('SELECT pg_advisory_lock(1)');
	}
	$node->safe_psql('postgres', 'UPDATE gate SET open = false');
	my $id = $node->safe_psql('postgres',
		qq{SELECT wf_enqueue('wait', '{"how": "$how"}') FROM generate_series(1, 3)});
	$node->poll_query_until('postgres',
		q{SELECT count(*) >= 1 FROM wf.workers WHERE run_id IS NOT NULL})
	  or die 'no handler runs';
	stops_fast("while a handler runs: $how");
	$holder->{run}->finish if $how eq 'lock';

	$node->append_conf('postgresql.conf', 'pg_workflow.dispatch = off');
	$node->start;
	$node->safe_psql('postgres', 'UPDATE gate SET open = true');
	$node->append_conf('postgresql.conf', 'pg_workflow.dispatch = on');
	$node->reload;
	ok( $node->poll_query_until(
			'postgres', q{SELECT count(*) = 0 FROM wf.runs WHERE state IN ('queued', 'running')}),
		'what was under way is executed after the restart');
	is( $node->safe_psql('postgres', q{SELECT count(*) FROM wf.runs WHERE state <> 'completed'}),
		0, 'and none of it has failed: a shutdown is not an attempt');
}

# a synchronous standby that is not there
$node->append_conf('postgresql.conf',
	"synchronous_standby_names = 'nobody'\nsynchronous_commit = on");
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('synchronous_standby_names') = 'nobody'})
  or die 'reload';
$node->safe_psql('postgres',
	q{SET synchronous_commit = local; SELECT wf_enqueue('prove') FROM generate_series(1, 10)});
ok( $node->poll_query_until(
		'postgres', q{SELECT count(*) = 10 FROM wf.runs WHERE workflow = 'prove' AND state = 'completed'}),
	'runs are executed although no synchronous standby is there');
stops_fast('without the synchronous standby');

# the postmaster is gone: nobody outlives it
$node->start;
$node->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_workflow dispatcher'})
  or die 'no dispatcher';
my @pids = split /\n/, $node->safe_psql('postgres',
	q{SELECT pid FROM pg_stat_activity WHERE backend_type ~ '^pg_workflow'});
kill 'KILL', $node->{_pid};
my $left = @pids;
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	$left = grep { kill 0, $_ } @pids;
	last if $left == 0;
	select undef, undef, undef, 0.1;
}
is($left, 0, 'no process outlives the postmaster');
$node->{_pid} = undef;

done_testing();
