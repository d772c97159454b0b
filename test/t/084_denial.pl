# Denial of service: what a role may do must not keep others, or the server, from
# their work.  alice attacks, with her own workflows and with what bob has
# granted her; bob wants his runs.  Whatever alice does, bob's run completes and
# the dispatcher is at work; what is stated besides is said at each test.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('denial');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->append_conf('postgresql.conf', "pg_workflow.sweep_interval = 200\nlog_statement = none");
$node->start;

sub sql { return $node->safe_psql('postgres', @_); }

sub poll { return $node->poll_query_until('postgres', @_); }

# rows, or the SQLSTATE
sub as
{
	my ($role, $sql) = @_;
	my ($ret, $out, $err) = $node->psql('postgres',
		"SET SESSION AUTHORIZATION $role; SET statement_timeout = '120s';\n\\set VERBOSITY sqlstate\n$sql");
	return $out if $ret == 0;
	return $err =~ /(?:ERROR|FATAL):\s+(\w{5})/ ? $1 : $err;
}

# an open session of a role
sub session
{
	my ($role) = @_;
	my $session = $node->background_psql('postgres');
	$session->query_safe("SET SESSION AUTHORIZATION $role");
	return $session;
}

sub ends
{
	my ($id, $state) = @_;
	return poll("SELECT state = '$state' FROM wf.runs WHERE run_id = '$id'");
}

# bob's work goes on: his own run, and one that he claims
sub bob_works
{
	my ($what) = @_;
	my $id = as('bob', q{SELECT wf_enqueue('bobs')});
	ok(ends($id, 'completed'), "$what: bob's run completes");
	is(as('bob', q{SELECT wf_enqueue('bobs manual') \gset
		SELECT run_id AS claimed, attempt FROM wf_claim('{bobs manual}') \gset
		SELECT wf_complete(:'claimed', :attempt);
		SELECT state FROM wf_handle(:'claimed')}), "\ncompleted", "$what: and one that he claims");
	return;
}

# until alice has so many runs under way
sub under_way
{
	my ($n) = @_;
	poll("SELECT count(*) = $n FROM wf.workers WHERE workflow IN ('waits', 'sleeps') AND run_id IS NOT NULL") or die 'not under way';
	return;
}

sub end_executors
{
	sql(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'pg_workflow executor' AND usename = 'alice'});
	return;
}

sql(q{
	CREATE EXTENSION pg_workflow;
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE SCHEMA alice AUTHORIZATION alice;
	CREATE SCHEMA bob AUTHORIZATION bob;
	SELECT wf_grant_usage('alice'), wf_grant_usage('bob');
	CREATE TABLE public.seen (what text, pid integer DEFAULT pg_backend_pid());
	GRANT INSERT, SELECT ON public.seen TO PUBLIC;
});
as('bob', q{
	CREATE FUNCTION bob.h(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
	SELECT wf_create_workflow('bobs', 'bob.h(jsonb)');
	SELECT wf_create_workflow('bobs manual');
	SELECT wf_create_workflow('given', 'bob.h(jsonb)');
	SELECT wf_grant('given', 'alice', '{enqueue}');
});
as('alice', q{
	CREATE FUNCTION alice.waits(jsonb) RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_xact_lock_shared(1)';
	SELECT wf_create_workflow('waits', 'alice.waits(jsonb)', retry_delay => '0');
	CREATE FUNCTION alice.sleeps(jsonb) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(3600)';
	SELECT wf_create_workflow('sleeps', 'alice.sleeps(jsonb)');
	SELECT wf_create_workflow('alices manual');
});
bob_works('at first');

# --- a transaction that is left open ------------------------------------------

# The dispatcher waits for no transaction of a user's.
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
for my $how ('ROLLBACK', 'COMMIT')
{
	my $run = as('alice', q{SELECT wf_enqueue('waits')});
	under_way(1);
	my $open = session('alice');
	$open->query_safe("BEGIN; SELECT wf_cancel('$run')");
	end_executors();
	bob_works("an executor ends while its run's wf_cancel is not committed");
	is(sql("SELECT state FROM wf.runs WHERE run_id = '$run'"), 'queued', 'the run waits for that');
	$open->query_safe($how);
	$open->quit;
	if ($how eq 'COMMIT')
	{
		ok(ends($run, 'cancelled'), 'which counts if it is committed');
		next;
	}
	under_way(1);
	is(sql("SELECT attempt, state FROM wf.runs WHERE run_id = '$run'"), '2|running', 'rolled back, the next attempt begins');
	sql("SELECT wf_cancel('$run')");
	ok(ends($run, 'cancelled'), 'and can be cancelled');
}

# the same with a prepared transaction, over a crash of the server
my $run = as('alice', q{SELECT wf_enqueue('waits')});
under_way(1);
sql("BEGIN; SELECT wf_cancel('$run'); PREPARE TRANSACTION 'held'");
$node->stop('immediate');
$node->start;
bob_works('a run under way in a crash has a prepared wf_cancel');
is(sql("SELECT state FROM wf.runs WHERE run_id = '$run'"), 'queued', 'the run waits for that, too');
sql("ROLLBACK PREPARED 'held'");
ok(ends($run, 'completed'), 'rolled back, it is executed');
is(sql("SELECT string_agg(attempt || ' ' || outcome, ', ' ORDER BY attempt) FROM wf.attempts WHERE run_id = '$run'"),
	'1 crashed, 2 completed', 'and the crash is on record');
eval { $gate->quit };
$gate = $node->background_psql('postgres');

# A run that was under way in a crash runs alone, but not for ever.
SKIP:
{
	skip 'takes a minute: set WF_TEST_LONG', 3 unless $ENV{WF_TEST_LONG};
	$run = as('alice', q{SELECT wf_enqueue('sleeps')});
	under_way(1);
	$node->stop('immediate');
	$node->start;
	under_way(1);
	bob_works('a suspect of a crash does not end');
	sql("SELECT wf_cancel('$run')");
	ok(ends($run, 'cancelled'), 'it can be cancelled');
	eval { $gate->quit };
	$gate = $node->background_psql('postgres');
}

# Who may only enqueue can replace a queued run, and leave that open: neither an
# executor nor another run waits for it.
$node->append_conf('postgresql.conf', 'pg_workflow.max_executors = 1');
$node->reload;
sql(q{SELECT wf_pause('given')});
my $given = as('alice', q{SELECT wf_enqueue('given', '1', 'k')});
my $open = session('alice');
$open->query_safe(q{BEGIN; SELECT wf_enqueue('given', '2', 'k', on_conflict => 'replace')});
sql(q{SELECT wf_resume('given')});
my $other = as('bob', q{SELECT wf_enqueue('given')});
ok(ends($other, 'completed'), 'a run is being replaced: another of the workflow completes');
bob_works('a run is being replaced');
is(sql("SELECT state, attempt FROM wf.runs WHERE run_id = '$given'"), 'queued|0', 'that run waits');
$open->query_safe('COMMIT');
ok(ends($given, 'completed'), 'until it has been replaced');
is(sql("SELECT result FROM wf.runs WHERE run_id = '$given'"), '2', 'and has the new payload');
$open->quit;
$node->append_conf('postgresql.conf', 'pg_workflow.max_executors = 4');
$node->reload;

unlike(slurp_file($node->logfile), qr/PANIC|TRAP:/, 'nobody stumbled');
$node->stop;
done_testing();
