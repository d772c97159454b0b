# Through PgBouncer in transaction mode, with fewer server connections than
# clients: no call needs anything of its session.

use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } (split(/:/, $ENV{PATH}), '/usr/sbin');
plan skip_all => 'needs pgbouncer' unless defined $pgbouncer;

my $node = PostgreSQL::Test::Cluster->new('pooled');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->start;
my $user = getpwuid($<);
my $port = $node->port + 1;
my $dir = PostgreSQL::Test::Utils::tempdir_short;
append_to_file("$dir/users", "\"$user\" \"\"\n");
append_to_file("$dir/pgbouncer.ini", <<"END");
[databases]
postgres = host=@{[$node->host]} port=@{[$node->port]} dbname=postgres
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $dir
auth_type = trust
auth_file = $dir/users
pool_mode = transaction
default_pool_size = 2
logfile = $dir/log
pidfile = $dir/pid
END
my $pooler = IPC::Run::start([ $pgbouncer, "$dir/pgbouncer.ini" ], '>', \my $out, '2>', \my $err);
END { $pooler->kill_kill if $pooler; }
my @psql = ('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $dir, '-p', $port, '-d', 'postgres');

sub pooled
{
	my ($sql) = @_;
	my ($stdout, $stderr);
	IPC::Run::run(\@psql, '<', \$sql, '>', \$stdout, '2>', \$stderr);
	chomp $stdout;
	return $stderr eq '' ? $stdout : $stderr;
}

sub direct { return $node->safe_psql('postgres', @_); }

for (1 .. 100)
{
	last if IPC::Run::run([ @psql, '-c', 'SELECT 1' ], '>', \my $answer, '2>', \my $refusal);   # it reads no input: a refusal does not break a pipe
	select(undef, undef, undef, 0.1);
}
direct(q{
	CREATE EXTENSION pg_workflow;
	CREATE FUNCTION twice(payload jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(2 * $1::integer)';
	CREATE TABLE done (run_id uuid, attempt integer);
});
is(pooled(q{SELECT wf_create_workflow('twice', 'twice(jsonb)'); SELECT wf_create_workflow('job', retry_delay => '0', max_attempts => 100);}),
	"\n", 'workflows are made');

# each statement may be on another connection
my $run = pooled(q{SELECT wf_enqueue('twice', '21', 'k')});
is(pooled(q{SELECT wf_enqueue('twice', '21', 'k')}), $run, 'a duplicate finds its run');
is(pooled("CALL wf_wait('$run', '1 minute')"), 'completed|42', 'wf_wait waits');
is(pooled(q{SELECT created, state, result FROM wf_submit('twice', '21', 'k')}), 'f|completed|42', 'wf_submit answers');
is(pooled(q{BEGIN; SELECT count(*) FROM wf_enqueue_many('job', '{1,2,3}', '{a,b,c}'); ROLLBACK; SELECT wf_find('job', 'a') IS NULL}), "3\nt", 'transactions hold');
is(pooled(q{SELECT count(*) FROM wf_enqueue_many('job', '{1,2,3}', '{a,b,c}')}), 3, 'batches');
is(pooled(q{CALL wf_wait_for_work('{job}', '1 minute')}), 't', 'wf_wait_for_work waits');
my ($claimed, $attempt) = split /\|/, pooled(q{SELECT run_id, attempt FROM wf_claim('{job}', 1, '1 minute')});
is(pooled("SELECT wf_heartbeat('$claimed', $attempt) > now()"), 't', 'a heartbeat from another connection');
is(pooled("SELECT wf_fail('$claimed', $attempt, 'no')"), 'queued', 'a failure');
is(pooled(q{SELECT wf_release(run_id, attempt) FROM wf_claim('{job}', 1)}), '', 'a release');
is(pooled(q{SELECT wf_complete(run_id, attempt, '1') FROM wf_claim('{job}', 3)}), "\n\n", 'completions');
is(pooled(q{SELECT status, attempt FROM wf_task_begin('t')}), 'execute|1', 'a task begins');
is(pooled(q{SELECT wf_task_complete('t', 1, '7')}), '7', 'and is completed');
is(pooled(q{SELECT status, result FROM wf_task_begin('t')}), 'completed|7', 'once');

# many clients, two connections
my $script = "$dir/worker.sql";
append_to_file($script, q{
\set n random(1, 1000)
SELECT wf_enqueue('job', to_jsonb(:n), 'n-' || :n);
BEGIN;
INSERT INTO done SELECT run_id, attempt FROM wf_claim('{job}', 3) WHERE wf_complete(run_id, attempt) IS NOT NULL;
COMMIT;
});
direct(q{SELECT wf_alter_workflow('job', key_ttl => '1 hour')});
command_ok([ 'pgbench', '-n', '-M', 'simple', '-c', 10, '-j', 2, '-t', 50, '-f', $script, '-h', $dir, '-p', $port, 'postgres' ],
	'ten clients share two connections');
direct(q{INSERT INTO done SELECT run_id, attempt FROM wf_claim('{job}', 1000) WHERE wf_complete(run_id, attempt) IS NOT NULL});
is(direct(q{SELECT count(*) - count(DISTINCT run_id) FROM done}), 0, 'each run is done once');
is(direct(q{SELECT count(*) FROM wf.runs WHERE workflow = 'job' AND state <> 'completed'}), 0, 'and none is left');
is(direct(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, 'no session lock is left behind');

$pooler->signal('INT');
$pooler->finish;
$node->stop;
done_testing();
