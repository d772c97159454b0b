# Under load, processes are killed at any moment: every run that was committed
# is completed, and its effect is there once.
#
# Eight rounds, one of each kind; WF_TEST_LONG=1: fifty-six.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = $ENV{WF_TEST_LONG} ? 56 : 8;
my $limit = $PostgreSQL::Test::Utils::timeout_default;

my $node = PostgreSQL::Test::Cluster->new('killed');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
# fsync stays off: it is processes that are killed here, not the machine
$node->append_conf('postgresql.conf', "restart_after_crash = on\nlog_statement = none\n");
$node->start;

sub sql { return $node->safe_psql('postgres', @_); }

$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_workflow;
	CREATE TABLE effect (workflow text, n text, run_id uuid, attempt integer);
	CREATE FUNCTION effect(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO effect VALUES (payload->>'w', payload->>'n', wf_current_run(), wf_current_attempt());
		IF (payload->>'n')::bigint % 7 = 0 AND wf_current_attempt() = 1 THEN
			RAISE EXCEPTION 'not at the first attempt';
		END IF;
		RETURN payload->'n';
	END $$;
	SELECT wf_create_workflow('one', 'effect(jsonb)', max_attempts => 1000, retry_delay => '0');
	SELECT wf_create_workflow('batch', 'effect(jsonb)', max_attempts => 1000, retry_delay => '0', batch => 20);
	-- what the clients know to be committed
	CREATE TABLE accepted (run_id uuid);
});

my $script = $node->basedir . '/enqueue.sql';
append_to_file($script, q{
\set n random(1, 100000000)
BEGIN;
INSERT INTO accepted SELECT wf_enqueue('one', jsonb_build_object('w', 'one', 'n', :n::bigint), 'one-' || :n::bigint);
INSERT INTO accepted SELECT wf_enqueue('batch', jsonb_build_object('w', 'batch', 'n', :n::bigint), 'batch-' || :n::bigint);
COMMIT;
});

# the server answers again
sub wait_for_server
{
	for (1 .. $limit * 10)
	{
		my ($ret, $out) = $node->psql('postgres', 'SELECT 1', timeout => $limit);
		return if defined $ret && $ret == 0;
		usleep(100_000);
	}
	die 'the server does not come back';
}

# a process of a kind; none may be there at the moment
sub pid_of
{
	my ($type) = @_;
	my ($ret, $pid) = $node->psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1");
	return $pid;
}

# what is done to the server in a round
my %deeds = (
	'executor killed' => sub { kill 'KILL', pid_of('pg_workflow executor') || return; },
	'dispatcher killed' => sub { kill 'KILL', pid_of('pg_workflow dispatcher') || return; },
	'client killed' => sub { kill 'KILL', pid_of('client backend') || return; },
	'immediate shutdown' => sub { $node->stop('immediate'); $node->start; 1 },
	'fast shutdown' => sub { $node->restart; 1 },
	'executor terminated' => sub { kill 'TERM', pid_of('pg_workflow executor') || return; },
	'dispatcher terminated' => sub { kill 'TERM', pid_of('pg_workflow dispatcher') || return; },
	'executor cancelled' => sub { kill 'INT', pid_of('pg_workflow executor') || return; },
);
my @order = ('executor killed', 'immediate shutdown', 'dispatcher terminated', 'client killed',
	'executor terminated', 'dispatcher killed', 'fast shutdown', 'executor cancelled');

my $done = 0;
for my $round (0 .. $rounds - 1)
{
	# half of the rounds with a server that does not wait for its commits
	my $sync = ($round + int($round / @order)) % 2 ? 'off' : 'on';
	$node->psql('postgres', "ALTER SYSTEM SET synchronous_commit = $sync; SELECT pg_reload_conf()");
	my $load = IPC::Run::start([ 'pgbench', '-n', '-M', 'prepared', '-c', 4, '-t', 150, '-f', $script,
			'-h', $node->host, '-p', $node->port, 'postgres' ], '>', \my $out, '2>', \my $err);
	usleep(50_000 + rand(400_000));
	my $deed = $order[ $round % @order ];
	note "round $round: $deed, synchronous_commit $sync";
	$done++ if $deeds{$deed}->();
	$load->finish;
	wait_for_server();
}

cmp_ok($done, '>=', $rounds / 2, 'most of it met a process');
ok($node->poll_query_until('postgres',
		q{SELECT NOT EXISTS (SELECT FROM wf.runs WHERE state NOT IN ('completed', 'failed', 'cancelled'))}),
	'every run comes to its end');
cmp_ok(sql('SELECT count(*) FROM accepted'), '>', 0, 'there was load');
is(sql(q{SELECT count(*) FROM accepted a WHERE NOT EXISTS (SELECT FROM wf.runs r WHERE r.run_id = a.run_id)}),
	0, 'no run that was accepted is missing');
is(sql(q{SELECT count(*) FROM wf.runs WHERE state <> 'completed'}), 0, 'all are completed');
is(sql('SELECT count(*) FROM (SELECT run_id FROM effect GROUP BY 1 HAVING count(*) > 1) v'),
	0, 'no effect is there twice');
is(sql('SELECT count(*) FROM wf.runs r WHERE NOT EXISTS (SELECT FROM effect e WHERE e.run_id = r.run_id)'),
	0, 'nor is one missing');
is(sql('SELECT count(*) FROM wf.runs r JOIN effect e USING (run_id) WHERE r.attempt <> e.attempt'),
	0, 'it is that of the attempt that completed');
is(sql('SELECT count(*) FROM (SELECT run_id, attempt FROM wf.attempts GROUP BY 1, 2 HAVING count(*) > 1) v'),
	0, 'no attempt number is used twice');
is(sql('SELECT count(*) FROM wf.reservation'), 0, 'nothing is left of what was handed over');

$node->stop;
done_testing();
