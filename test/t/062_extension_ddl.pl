# CREATE, ALTER and DROP EXTENSION with our processes up: W9 and W10.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('extension_ddl');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->start;

my $processes =
  q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('pg_workflow dispatcher', 'pg_workflow executor')};
my $create = q{
	CREATE EXTENSION pg_workflow;
	SELECT wf_create_workflow('prove', 'prove(jsonb)');
};

sub enqueue { return $node->safe_psql('postgres', "SELECT wf_enqueue('prove')"); }

sub is_completed
{
	my ($id) = @_;
	return $node->poll_query_until('postgres',
		"SELECT state = 'completed' FROM wf.runs WHERE run_id = '$id'");
}

$node->safe_psql('postgres', "CREATE FUNCTION prove(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT \$1'");
$node->safe_psql('postgres', $create);
ok(is_completed(enqueue()), 'a run is executed');

# --- idle processes hold no locks ---------------------------------------------

is( $node->safe_psql(
		'postgres',
		q{SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type ~ '^pg_workflow'}),
	0,
	'idle processes hold no lock');
is( $node->safe_psql(
		'postgres',
		q{SELECT count(*) FROM pg_stat_activity
		   WHERE backend_type ~ '^pg_workflow' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)}),
	0,
	'and have no transaction and no snapshot');

$node->safe_psql('postgres', q{SET lock_timeout = '10s'; DROP EXTENSION pg_workflow;});
ok($node->poll_query_until('postgres', "$processes", 0), 'DROP EXTENSION ends them');

# by a wake-up: the sweep would come too late
$node->append_conf('postgresql.conf', "pg_workflow.sweep_interval = '1h'");
$node->reload;

# --- dropped and made again ---------------------------------------------------

$node->safe_psql('postgres', $create);
ok(is_completed(enqueue()), 'and CREATE EXTENSION brings them back');

for my $i (1 .. 5)
{
	$node->safe_psql('postgres', "BEGIN; DROP EXTENSION pg_workflow; $create COMMIT;");
	ok(is_completed(enqueue()), "dropped and made again in one transaction, $i");
}

for my $i (1 .. 3)
{
	$node->safe_psql('postgres', 'DROP EXTENSION pg_workflow');
	$node->safe_psql('postgres', $create);
	ok(is_completed(enqueue()), "dropped and made again in quick succession, $i");
}

$node->safe_psql('postgres', 'BEGIN; DROP EXTENSION pg_workflow; ROLLBACK');
ok(is_completed(enqueue()), 'a DROP rolled back changes nothing');

$node->safe_psql('postgres', 'ALTER EXTENSION pg_workflow UPDATE');
ok(is_completed(enqueue()), 'nor does an UPDATE to the same version');

# --- dropped while a handler runs ---------------------------------------------

$node->safe_psql(
	'postgres', q{
	CREATE FUNCTION wait_for_lock(jsonb) RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_xact_lock(1)';
	SELECT wf_create_workflow('wait', 'wait_for_lock(jsonb)');
});
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
$node->safe_psql('postgres', "SELECT wf_enqueue('wait')");
$node->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted})
  or die 'no handler runs';
# it holds locks on our tables, as any query does; DROP waits for it
my ($status) = $node->psql('postgres', q{SET lock_timeout = '500ms'; DROP EXTENSION pg_workflow CASCADE;});
note "status of DROP EXTENSION while a handler runs: $status";
$holder->query_safe('SELECT pg_advisory_unlock_all()');
$node->safe_psql('postgres', 'DROP EXTENSION pg_workflow CASCADE') if $status != 0;
ok($node->poll_query_until('postgres', "$processes", 0),
	'DROP EXTENSION while a handler runs leaves no process behind');
$node->safe_psql('postgres', $create);
ok(is_completed(enqueue()), 'and it can be made again');
$holder->quit;

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|cache lookup failed|could not open relation/,
	'nobody stumbled');
$node->stop;

# --- without preload ----------------------------------------------------------

$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->start;
enqueue();
is($node->safe_psql('postgres', 'SELECT count(*) FROM wf.workers'),
	0, 'without preload there are no workers');
$node->safe_psql('postgres', 'DROP EXTENSION pg_workflow CASCADE');
$node->stop;

# --- W12: pg_upgrade ----------------------------------------------------------

$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'pg_workflow'");
$node->start;
$node->safe_psql('postgres', $create);
enqueue();
$node->stop;
command_ok(
	[ 'pg_ctl', '-D', $node->data_dir, '-l', $node->logfile, '-o', '-b --cluster-name=upgrade', '-w', 'start' ],
	'start as pg_upgrade does');
$node->_update_pid(1);
is( $node->safe_psql('postgres',
		q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^pg_workflow'}),
	0,
	'during pg_upgrade nothing of ours runs');
$node->stop;

done_testing();
