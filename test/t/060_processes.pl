# Launcher and dispatchers: one for each database that has the extension, back
# after whatever ends them, and never in a storm.

use strict;
use warnings;
use OneServer qw(poll_at settles_at);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('processes');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->start;

# what pg_stat_activity shows is there before the process has attached, and
# wf.workers only exists with the extension
sub pid_of
{
	my ($kind, $database) = @_;
	my $where = "backend_type = 'pg_workflow $kind'";
	$where .= " AND datname = '$database'" if defined $database;
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE $where ORDER BY pid");
}

sub wait_for
{
	my ($kind, $database, $other_than) = @_;
	my $where = "backend_type = 'pg_workflow $kind'";
	$where .= " AND datname = '$database'" if defined $database;
	$where .= " AND pid <> $other_than" if $other_than;
	poll_at($node, 'postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE $where")
	  or die "no $kind";
	return pid_of($kind, $database);
}

# in one statement with the look for it, as one that fails ends by itself
sub terminate
{
	my ($kind, $database) = @_;
	my $pid = wait_for($kind, $database);
	$node->safe_psql('postgres', qq{
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid::text = '$pid'});
	return $pid;
}

sub wait_for_none
{
	my ($kind, $database) = @_;
	return poll_at($node, 'postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pg_workflow $kind' AND datname = '$database'"
	);
}

# a run that proves that the database is served
sub runs_are_executed
{
	my ($database, $what) = @_;
	my $id = $node->safe_psql($database, "SELECT wf_enqueue('prove')");
	ok( poll_at($node,
			$database, "SELECT state = 'completed' FROM wf.runs WHERE run_id = '$id'"),
		$what);
	return;
}

sub prepare
{
	my ($database) = @_;
	$node->safe_psql(
		$database, q{
		CREATE FUNCTION prove(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
		SELECT wf_create_workflow('prove', 'prove(jsonb)');
	});
	return;
}

# --- who is there, where ------------------------------------------------------

my $launcher = wait_for('launcher');
ok($launcher, 'the launcher starts with the server');

$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(one two without);
# one may look for the extension, and leaves
ok(wait_for_none('dispatcher', 'without'),
	'no dispatcher where the extension is absent');

$node->safe_psql('one', 'BEGIN; CREATE EXTENSION pg_workflow; ROLLBACK;');
$node->safe_psql($_, 'CREATE EXTENSION pg_workflow') for qw(one two);
my %dispatcher = map { $_ => wait_for('dispatcher', $_) } qw(one two);
isnt($dispatcher{one}, $dispatcher{two},
	'CREATE EXTENSION starts a dispatcher for each database');
prepare($_) for qw(one two);
runs_are_executed($_, "runs are executed in database $_") for qw(one two);

is( $node->safe_psql(
		'one',
		q{SELECT string_agg(format('%s %s', kind, database), ', ' ORDER BY kind, database)
			FROM wf.workers WHERE kind <> 'executor'}),
	'dispatcher one, dispatcher two, launcher ',
	'wf.workers shows them');

$node->restart;
wait_for('dispatcher', $_) for qw(one two);
is(pid_of('dispatcher', 'without'),
	'', 'after a restart the databases with the extension are found again');

# --- W3: whatever ends them, they come back -----------------------------------

my $before = terminate('dispatcher', 'one');
wait_for('dispatcher', 'one', $before);
runs_are_executed('one', 'a terminated dispatcher comes back');

$before = wait_for('dispatcher', 'one');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($before)");
runs_are_executed('one', 'a dispatcher survives pg_cancel_backend');
is(pid_of('dispatcher', 'one'), $before, 'as the same process');

$before = wait_for('launcher');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($before)");
terminate('launcher');
wait_for('launcher', undef, $before);
is(pid_of('dispatcher', 'one'),
	wait_for('dispatcher', 'one'),
	'dispatchers stay while the launcher is restarted');
$before = terminate('dispatcher', 'two');
wait_for('dispatcher', 'two', $before);
runs_are_executed('two', 'a new launcher looks after dispatchers of the old one');

# --- W21: after a crash what is in the tables is taken up ---------------------

$node->safe_psql(
	'one', q{
	CREATE FUNCTION wait_for_lock(jsonb) RETURNS void LANGUAGE sql
	AS 'SELECT pg_advisory_xact_lock(1)';
	SELECT wf_create_workflow('wait', 'wait_for_lock(jsonb)');
});
my $holder = $node->background_psql('one');
$holder->query_safe('SELECT pg_advisory_lock(1)');
$node->safe_psql('one', q{SELECT wf_enqueue('wait') FROM generate_series(1, 20)});
poll_at($node, 'one',
	q{SELECT count(*) >= 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted})
  or die 'no handler runs';
kill 'KILL', wait_for('dispatcher', 'two');
$holder->{run}->finish;
poll_at($node, 'postgres', 'SELECT true') or die 'the server is not back';
ok( poll_at($node,
		'one',
		q{SELECT count(*) = 20 FROM wf.runs WHERE workflow = 'wait' AND state = 'completed'}),
	'after a crash everything left in the queue is executed');
wait_for('dispatcher', 'two');
runs_are_executed('two', 'and all dispatchers are there again');

# --- W4: no storm of restarts -------------------------------------------------

# one that fails at once
my $log = -s $node->logfile;
$node->safe_psql(
	'two', q{
	SET allow_system_table_mods = on;
	UPDATE pg_extension SET extversion = '0.0' WHERE extname = 'pg_workflow';
});
$before = terminate('dispatcher', 'two');
$node->wait_for_log(qr/does not fit its SQL objects.*does not fit its SQL objects/s, $log);
my $errors = () =
  slurp_file($node->logfile, $log) =~ /ERROR: .*does not fit its SQL objects/g;
cmp_ok($errors, '<=', 6, 'a dispatcher that fails is restarted with growing delays');
like(
	slurp_file($node->logfile, $log),
	qr/dispatcher of database "two"/,
	'the log names its database');
runs_are_executed('one', 'which is nothing to other databases');

# what was wrong may be mended by ALTER EXTENSION: no delay after that
$node->safe_psql(
	'two', q{
	UPDATE pg_extension SET extversion = '0.1' WHERE extname = 'pg_workflow';
	ALTER EXTENSION pg_workflow UPDATE;
});
wait_for('dispatcher', 'two');
runs_are_executed('two', 'ALTER EXTENSION lets it start at once');

# one that can't connect
$before = wait_for('dispatcher', 'two');
$node->safe_psql('postgres', 'ALTER DATABASE two ALLOW_CONNECTIONS false');
$log = -s $node->logfile;
$node->safe_psql('postgres', "SELECT pg_terminate_backend($before)");
ok(wait_for_none('dispatcher', 'two'), 'a database that refuses connections has none');
runs_are_executed('one', 'while others are served');
unlike(
	slurp_file($node->logfile, $log),
	qr/FATAL: .*not currently accepting connections/,
	'and is left alone');
$node->safe_psql('postgres', 'ALTER DATABASE two ALLOW_CONNECTIONS true');
wait_for('dispatcher', 'two');
runs_are_executed('two', 'until it accepts them again');

# --- idle ---------------------------------------------------------------------

# with nothing to do there is no transaction, nor one of a dispatcher since that of
# another database had one; this looks from a third until there was none in fifteen sweeps
$node->append_conf('postgresql.conf', 'pg_workflow.sweep_interval = 300ms');
$node->reload;
my $transactions = q{
	SELECT sum(xact_commit), pg_snapshot_xmax(pg_current_snapshot())
	  FROM pg_stat_database WHERE datname IN ('one', 'two')};
ok(defined settles_at($node, $transactions, 0.5, 10, 60), 'idle dispatchers begin no transaction');
runs_are_executed('one', 'and are awake when a run comes');

# --- when there are too few processes -----------------------------------------

$node->append_conf('postgresql.conf', 'max_worker_processes = 4');
$node->restart;
poll_at($node, 'postgres',
	q{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'pg_workflow dispatcher'})
  or die 'dispatchers are missing';
# logical replication launcher, launcher, two dispatchers: no executor can start
my $id = $node->safe_psql('one', "SELECT wf_enqueue('prove')");
ok($node->wait_for_log(qr/could not start an executor: no background worker slot is free/),
	'a lack of processes is said in the log');
is($node->safe_psql('one', "SELECT state FROM wf.runs WHERE run_id = '$id'"),
	'queued', 'and runs wait');
$node->safe_psql('two', 'DROP EXTENSION pg_workflow CASCADE');
ok( poll_at($node,
		'one', "SELECT state = 'completed' FROM wf.runs WHERE run_id = '$id'"),
	'until a process is free');
my $told = () = slurp_file($node->logfile) =~ /could not start an executor/g;
cmp_ok($told, '<=', 2, 'it is said once by each dispatcher');

$node->stop;
done_testing();
