# Statements on databases, with our processes in them: W1 and W11.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('database_ddl');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->append_conf('postgresql.conf', 'allow_in_place_tablespaces = on');
$node->start;

sub dispatcher
{
	my ($database) = @_;
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_workflow dispatcher' AND datname = '$database'"
	);
}

sub wait_for_dispatcher
{
	my ($database) = @_;
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_workflow dispatcher' AND datname = '$database'"
	) or die "no dispatcher in $database";
	return dispatcher($database);
}

# a database with a dispatcher and an executor
sub make_database
{
	my ($database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database OWNER alice");
	$node->safe_psql(
		$database, q{
		CREATE EXTENSION pg_workflow;
		CREATE FUNCTION prove(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
		BEGIN
			IF payload ? 'lock' THEN
				PERFORM pg_advisory_xact_lock_shared((payload ->> 'lock')::int);
			END IF;
			RETURN payload;
		END $$;
		SELECT wf_create_workflow('prove', 'prove(jsonb)');
	});
	wait_for_dispatcher($database);
	run_one($database);
	return;
}

sub run_one
{
	my ($database) = @_;
	my $id = $node->safe_psql($database, "SELECT wf_enqueue('prove')");
	return $node->poll_query_until($database,
		"SELECT state = 'completed' FROM wf.runs WHERE run_id = '$id'");
}

# statement as alice, who owns the databases and is no superuser; returns the
# error or nothing, and how long it took
sub as_alice
{
	my ($statement, $database) = @_;
	my $begin = time;
	my ($status, $stdout, $stderr) = $node->psql($database // 'postgres',
		$statement, extra_params => [ '-U', 'alice' ], timeout => 120);
	note sprintf '%s: %.1f s %s', $statement, time - $begin, $stderr;
	return wantarray ? ($stderr, time - $begin) : $stderr;
}

$node->safe_psql('postgres', 'CREATE ROLE alice LOGIN CREATEDB; CREATE ROLE mallory LOGIN CREATEDB');
make_database('served');

# --- W1: other databases are not in the way -----------------------------------

is(as_alice('CREATE DATABASE plain'), '', 'CREATE DATABASE, workers up');
is(as_alice('ALTER DATABASE plain RENAME TO simple'), '', 'RENAME, workers up');
is(as_alice('DROP DATABASE simple'), '', 'DROP DATABASE, workers up');
ok(run_one('served'), 'and they still work');

# --- DROP DATABASE ------------------------------------------------------------

make_database('gone');
my ($error, $seconds) = as_alice('DROP DATABASE gone');
is($error, '', 'DROP DATABASE of one with idle workers, by its owner');
cmp_ok($seconds, '<', 4, 'without having to wait for them');

make_database('gone');
is(as_alice('DROP DATABASE gone WITH (FORCE)'),
	'', 'and WITH (FORCE), though the dispatcher is a superuser');

make_database('busy');
my $holder = $node->background_psql('busy');
$holder->query_safe('SELECT pg_advisory_lock(7)');
my $run = $node->safe_psql('busy', q{SELECT wf_enqueue('prove', '{"lock": 7}')});
$node->poll_query_until('busy', "SELECT state = 'running' FROM wf.runs WHERE run_id = '$run'")
  or die 'the handler does not run';
like(as_alice('DROP DATABASE busy'),
	qr/is being accessed by other users/, 'DROP DATABASE is refused while a handler runs');
$holder->query_safe('SELECT pg_advisory_unlock_all()');
ok( $node->poll_query_until(
		'busy', "SELECT state = 'completed' AND attempt = 1 FROM wf.runs WHERE run_id = '$run'"),
	'which goes on and completes');
ok(run_one('busy'), 'and the database is served again');

$holder->query_safe('SELECT pg_advisory_lock(7)');
$run = $node->safe_psql('busy', q{SELECT wf_enqueue('prove', '{"lock": 7}')});
$node->poll_query_until('busy', "SELECT state = 'running' FROM wf.runs WHERE run_id = '$run'")
  or die 'the handler does not run';
$holder->quit;
is($node->psql('postgres', 'DROP DATABASE busy WITH (FORCE)', timeout => 120),
	0, 'WITH (FORCE) ends it');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'busy'}),
	0, 'and nobody is left there');
my $log = -s $node->logfile;
ok(run_one('served'), 'others go on');

# --- CREATE DATABASE ... TEMPLATE ---------------------------------------------

my $pid = wait_for_dispatcher('served');
($error, $seconds) = as_alice('CREATE DATABASE copied TEMPLATE served');
is($error, '', 'a database with workers can be a template');
cmp_ok($seconds, '<', 10, 'at once');
isnt(wait_for_dispatcher('served'), $pid, 'they leave for it, and come back');
ok(run_one('served'), 'and work');
wait_for_dispatcher('copied');
my $held = $node->safe_psql('copied', "SELECT wf_enqueue('prove')");
is($node->safe_psql('copied', "SELECT state FROM wf.runs WHERE run_id = '$held'"),
	'queued', 'the copy has a dispatcher, which holds');
$node->safe_psql('copied', 'SELECT wf_adopt()');
ok( $node->poll_query_until(
		'copied', "SELECT state = 'completed' FROM wf.runs WHERE run_id = '$held'"),
	'until it is adopted');
is(as_alice('DROP DATABASE copied'), '', 'and can be dropped');

# --- RENAME, SET TABLESPACE ---------------------------------------------------

is(as_alice('ALTER DATABASE served RENAME TO named'), '', 'RENAME of a database with workers');
wait_for_dispatcher('named');
ok(run_one('named'), 'they work under the new name');
is($node->safe_psql('named', q{SELECT DISTINCT database FROM wf.workers WHERE kind <> 'launcher'}),
	'named', 'which wf.workers shows');

is(as_alice('BEGIN; ALTER DATABASE named RENAME TO served; ROLLBACK'),
	'', 'RENAME, rolled back');
wait_for_dispatcher('named');
ok(run_one('named'), 'they come back too');

like(as_alice('ALTER DATABASE named RENAME TO postgres'),
	qr/already exists/, 'RENAME that fails');
wait_for_dispatcher('named');
ok(run_one('named'), 'they come back as well');

$node->safe_psql('postgres', q{CREATE TABLESPACE elsewhere LOCATION ''; GRANT CREATE ON TABLESPACE elsewhere TO alice});
is(as_alice('ALTER DATABASE named SET TABLESPACE elsewhere'), '', 'SET TABLESPACE');
wait_for_dispatcher('named');
ok(run_one('named'), 'and they come back');

# --- who may have them leave --------------------------------------------------

$pid = wait_for_dispatcher('named');
for my $statement (
	'DROP DATABASE named',
	'DROP DATABASE named WITH (FORCE)',
	'CREATE DATABASE stolen TEMPLATE named',
	'ALTER DATABASE named RENAME TO stolen',
	'ALTER DATABASE named SET TABLESPACE pg_default')
{
	my ($status, $stdout, $stderr) = $node->psql('postgres', $statement,
		extra_params => [ '-U', 'mallory' ]);
	like($stderr, qr/must be owner|permission denied/, "$statement is not for others");
}
is(dispatcher('named'), $pid, 'nor do workers leave for it');

# --- settings of a database ---------------------------------------------------

$node->safe_psql('postgres', 'ALTER DATABASE named SET pg_workflow.dispatch = off');
$node->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_workflow dispatcher' AND datname = 'named' AND pid <> $pid"
) or die 'the dispatcher does not come back';
$run = $node->safe_psql('named', "SELECT wf_enqueue('prove')");
is($node->safe_psql('named', "SELECT state FROM wf.runs WHERE run_id = '$run'"),
	'queued', 'ALTER DATABASE SET reaches its dispatcher');
$node->safe_psql('postgres', 'ALTER DATABASE named RESET pg_workflow.dispatch');
ok( $node->poll_query_until(
		'named', "SELECT state = 'completed' FROM wf.runs WHERE run_id = '$run'"),
	'and RESET does');

unlike(slurp_file($node->logfile),
	qr/FATAL: .*(does not exist|is not currently accepting)/,
	'nobody tried to connect to what is not there');

$node->stop;
done_testing();
