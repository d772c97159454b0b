# Random SQL by sqlsmith (Debian's package) on a database with the extension,
# as a role that may use all of it, for ten minutes or WF_SQLSMITH_SECONDS: no
# crash, and no internal error raised in our source.

use strict;
use warnings;
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($sqlsmith) = grep { -x } map { "$_/sqlsmith" } split(/:/, $ENV{PATH}), '/usr/bin', '/usr/games';
plan skip_all => 'sqlsmith is not installed' unless $sqlsmith;
my $seconds = $ENV{WF_SQLSMITH_SECONDS} // 600;
my $seed = $ENV{WF_SQLSMITH_SEED} // 1;

my $node = PostgreSQL::Test::Cluster->new('sqlsmith');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->append_conf('postgresql.conf', <<'EOC');
log_error_verbosity = verbose
log_statement = none
log_min_error_statement = error
max_connections = 20
EOC
$node->start;

# Functions of the server that write to files, wait, or end sessions are left
# to themselves: what is tried is what a role of ours may do.
$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_workflow;
	CREATE ROLE smith LOGIN;
	ALTER ROLE smith SET statement_timeout = '2s';
	ALTER ROLE smith SET lock_timeout = '500ms';
	ALTER ROLE smith SET pg_workflow.key_wait = 100;
	SELECT wf_grant_usage('smith');
	GRANT CREATE ON SCHEMA public TO smith;
	GRANT EXECUTE ON FUNCTION wf_adopt(), wf_expire(integer) TO smith;
	SET SESSION AUTHORIZATION smith;
	CREATE FUNCTION public.echo(payload jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
	SELECT wf_create_workflow('echo', 'public.echo(jsonb)');
	SELECT wf_create_workflow('manual');
});
$node->safe_psql('postgres', q{
	SET SESSION AUTHORIZATION smith;
	SELECT wf_enqueue('echo', to_jsonb(i), 'k' || i) FROM generate_series(1, 50) i;
	SELECT wf_enqueue('manual', to_jsonb(i), 'k' || i) FROM generate_series(1, 50) i;
	SELECT count(*) FROM wf_claim('{manual}', 10);
	SELECT wf_cancel(run_id) FROM wf.runs WHERE workflow = 'manual' AND state = 'queued' LIMIT 5;
	SELECT wf_task_put('task', '1');
	CREATE TABLE public.things AS SELECT run_id, workflow, key, payload, state, attempt, run_at FROM wf.runs;
});

my $said = "$PostgreSQL::Test::Utils::log_path/sqlsmith.log";
my $target = sprintf 'host=%s port=%d dbname=postgres user=smith', $node->host, $node->port;
system("timeout $seconds '$sqlsmith' --target='$target' --seed=$seed --verbose >'$said' 2>&1");
note "sqlsmith, seed $seed, $seconds s";
note join '', grep { /queries:|impedance|^\s*\d+\s/ } (split /^|\r/, slurp_file($said));

is($node->safe_psql('postgres', 'SELECT 1'), '1', 'the server is up');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM wf.workers WHERE kind = 'dispatcher'}), 'so is the dispatcher');

# of internal errors, those that are raised in a file of ours
my %ours = map { basename($_) => 1 } glob('src/*/*.c');
my (%found, %codes, $crash, $last);
open my $log, '<', $node->logfile or die;
while (<$log>)
{
	$crash //= $_ if /terminated by signal|PANIC|TRAP:/;
	if (/(?:ERROR|FATAL):\s+(\w{5}): (.*)/)
	{
		$codes{$1}++;
		$last = "$1 $2";
	}
	$found{"$1:$2 $last"}++ if defined $last && $last =~ /^XX/ && /LOCATION:\s+\w+, (\w+\.c):(\d+)/ && $ours{$1};
}
is($crash, undef, 'nothing has crashed');
is(join("\n", sort keys %found), '', 'no internal error of ours');
note join ', ', map { "$_: $codes{$_}" } sort { $codes{$b} <=> $codes{$a} } keys %codes;
$node->stop;
done_testing();
