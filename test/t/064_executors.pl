# Executors: started on need, logged in as the owner, gone when idle; what ends
# them, or their dispatcher, loses no run and counts for the right one.

use strict;
use warnings;
use OneServer qw(poll_at);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('executors');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->start;

sub sql { return $node->safe_psql('postgres', @_); }

sub poll { return poll_at($node, 'postgres', @_); }

# pids of executors, of one owner if given
sub executors
{
	my ($owner) = @_;
	my $of = defined $owner ? "AND usename = '$owner'" : '';
	return split /\n/,
	  sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_workflow executor' $of");
}

sub is_completed
{
	my ($id) = @_;
	return poll("SELECT state = 'completed' FROM wf.runs WHERE run_id = '$id'");
}

# until the handler of a run waits for the gate
sub wait_at_gate
{
	my ($n) = @_;
	poll("SELECT count(*) = $n FROM pg_stat_activity WHERE backend_type = 'pg_workflow executor' AND wait_event_type = 'Lock'")
	  or die 'no handler is at the gate';
	return;
}

sql(q{
	CREATE EXTENSION pg_workflow;
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE TABLE seen (run uuid, who text, pid integer, setting text);
	GRANT ALL ON seen TO PUBLIC;
	GRANT CREATE ON SCHEMA public TO alice;
	-- a handler that says who it is, having waited for the gate if told to
	CREATE FUNCTION handle(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		IF payload ? 'gate' THEN
			PERFORM pg_advisory_xact_lock_shared(1);
		END IF;
		INSERT INTO public.seen VALUES (wf_current_run(),
			format('%s %s %s', session_user, current_user, current_setting('application_name')),
			pg_backend_pid(), current_setting('my.setting', true));
		RETURN payload;
	END $$;
	SELECT wf_grant_usage('alice'), wf_grant_usage('bob');
	SET ROLE alice;
	SELECT wf_create_workflow('a', 'handle(jsonb)', retry_delay => '0');
	SELECT wf_create_workflow('once', 'handle(jsonb)', max_attempts => 1);
	SET ROLE bob;
	SELECT wf_create_workflow('b', 'handle(jsonb)');
	RESET ROLE;
	SELECT wf_grant('a', 'postgres'), wf_grant('once', 'postgres'), wf_grant('b', 'postgres');
});

# --- started on need, gone when idle ------------------------------------------

is(scalar executors(), 0, 'no executor before there is a run');
is_completed(sql("SELECT wf_enqueue('a')"));
is_completed(sql("SELECT wf_enqueue('b')"));
is(sql('SELECT string_agg(who, E\'\n\' ORDER BY who) FROM seen'),
	"alice alice pg_workflow\nbob bob pg_workflow",
	'a handler runs in a session of its owner');
my @pids = executors('alice');
my $id = sql("SELECT wf_enqueue('a')");
is_completed($id);
my $pid = sql("SELECT pid FROM seen WHERE run = '$id'");
ok(scalar(grep { $_ == $pid } @pids), 'an executor stays for the next run');

$node->append_conf('postgresql.conf', 'pg_workflow.executor_idle_timeout = 100');
$node->reload;
ok(poll(q{SELECT count(*) = 0 FROM wf.workers WHERE kind = 'executor'}),
	'idle executors leave');
ok(is_completed(sql("SELECT wf_enqueue('a')")), 'and others come');
$node->append_conf('postgresql.conf', "pg_workflow.executor_idle_timeout = '1h'");
$node->reload;

# --- cancelled, terminated ----------------------------------------------------

is_completed(sql("SELECT wf_enqueue('a')"));
($pid) = executors('alice');
sql("SELECT pg_cancel_backend($pid)");
$id = sql("SELECT wf_enqueue('once')");
ok(is_completed($id), 'pg_cancel_backend of an idle executor fails no run');

my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
$id = sql(q{SELECT wf_enqueue('once', '{"gate": 1}')});
wait_at_gate(1);
sql(q{SELECT pg_cancel_backend(pid) FROM wf.workers WHERE run_id IS NOT NULL});
ok(poll("SELECT state = 'failed' AND sqlstate = '57014' FROM wf.runs WHERE run_id = '$id'"),
	'of a busy one fails the attempt');
ok(is_completed(sql(q{SELECT wf_enqueue('once')})), 'and not the next');

# alone in the pool, so that the others queue up behind the first
$node->append_conf('postgresql.conf', 'pg_workflow.max_executors = 1');
$node->reload;
sql(qq{SELECT pg_terminate_backend($_)}) for executors();
$id = sql(q{SELECT wf_enqueue('a', '{"gate": 1}')});
wait_at_gate(1);
my @behind = split /\n/, sql(q{SELECT wf_enqueue('once') FROM generate_series(1, 50)});
($pid) = executors('alice');
sql("SELECT pg_terminate_backend($pid)");
wait_at_gate(1);
$gate->query_safe('SELECT pg_advisory_unlock_all()');
ok(is_completed($id), 'a run whose executor was terminated is tried again');
is(sql("SELECT attempt FROM wf.runs WHERE run_id = '$id'"), 2, 'as its next attempt');
ok(poll(q{SELECT count(*) = 0 FROM wf.runs WHERE state IN ('queued', 'running')}),
	'what was behind it is executed');
is( sql(sprintf "SELECT count(*) FROM wf.runs WHERE state <> 'completed' AND run_id IN (%s)",
		join ', ', map { "'$_'" } @behind),
	0, 'and has lost nothing');

# --- wf_cancel meets the run it is for ----------------------------------------

$gate->query_safe('SELECT pg_advisory_lock(1)');
sql('GRANT alice TO postgres');
for my $i (1 .. 20)
{
	my @ids = split /\n/, sql(qq{
		SELECT wf_enqueue('once', '{"gate": 1}');
		SELECT wf_enqueue('once') FROM generate_series(1, 3);
	});
	poll(q{SELECT count(*) = 1 FROM wf.workers WHERE run_id IS NOT NULL});
	sql("SELECT wf_cancel('$ids[0]')");
}
ok(poll(q{SELECT count(*) = 0 FROM wf.runs WHERE state IN ('queued', 'running')}),
	'cancelled runs end, the others are executed');
is(sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'once' AND state = 'cancelled'}),
	20, 'each cancel has met its run');
is(sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'once' AND state = 'failed'}),
	1, 'and no other');

# --- the dispatcher goes, executors stay --------------------------------------

# nobody else wants a process
sql(q{SELECT wf_pause('b')});
sql('TRUNCATE seen');
sql(q{SELECT wf_enqueue('once', '{"gate": 1}')});
sql(q{SELECT wf_enqueue('once') FROM generate_series(1, 50)});
wait_at_gate(1);
($pid) = executors('alice');
sql(q{SELECT pg_terminate_backend(pid) FROM wf.workers WHERE kind = 'dispatcher'});
poll(q{SELECT count(*) = 1 FROM wf.workers WHERE kind = 'dispatcher'}) or die 'no dispatcher';
$gate->query_safe('SELECT pg_advisory_unlock_all()');
ok(poll(q{SELECT count(*) = 0 FROM wf.runs WHERE state IN ('queued', 'running')}),
	'all runs are executed though the dispatcher was terminated');
is(sql('SELECT count(*), count(DISTINCT run) FROM seen'), '51|51', 'each once');
ok(is_completed(sql("SELECT wf_enqueue('a')")), 'the next dispatcher uses the executor');
is(join(' ', executors('alice')), $pid, 'the same one');

$gate->query_safe('SELECT pg_advisory_lock(1)');
sql('TRUNCATE seen');
sql(q{SELECT wf_enqueue('a', '{"gate": 1}')});
sql(q{SELECT wf_enqueue('once') FROM generate_series(1, 50)});
wait_at_gate(1);
sql(q{SELECT pg_terminate_backend(pid) FROM wf.workers WHERE kind <> 'launcher'});
$gate->query_safe('SELECT pg_advisory_unlock_all()');
ok(poll(q{SELECT count(*) = 0 FROM wf.runs WHERE state IN ('queued', 'running')}),
	'also when both are terminated');
is(sql('SELECT count(*), count(DISTINCT run) FROM seen'), '51|51', 'each once');

# --- owners share in turns ----------------------------------------------------

sql(q{SELECT wf_resume('b')});

sql(q{SELECT wf_enqueue('a') FROM generate_series(1, 2000)});
sql(q{SELECT wf_enqueue('b') FROM generate_series(1, 10)});
ok(poll(q{SELECT count(*) = 0 FROM wf.runs WHERE state IN ('queued', 'running')}),
	'two owners share one executor');
is(sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'b' AND state = 'completed'}),
	11, 'and both are served');

# one that does not run out of work does not keep the other waiting
sql(q{
	SET ROLE alice;
	CREATE FUNCTION slow(payload jsonb) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(0.01)';
	SELECT wf_create_workflow('slow', 'slow(jsonb)');
	SELECT wf_enqueue('slow') FROM generate_series(1, 5000);
});
poll(q{SELECT count(*) > 0 FROM wf.runs WHERE workflow = 'slow' AND state = 'completed'});
ok(is_completed(sql("SELECT wf_enqueue('b')")), 'a run of another owner gets its turn');
cmp_ok(sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'slow' AND state = 'queued'}),
	'>', 0, 'before the many that were there first are through');
sql("SELECT wf_drop_workflow('slow', force => true)");
$node->append_conf('postgresql.conf', 'pg_workflow.max_executors = 4');
$node->reload;

# --- max_running_per_role -----------------------------------------------------

$node->append_conf('postgresql.conf', 'pg_workflow.max_running_per_role = 1');
$node->reload;
sql(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'pg_workflow executor'});
poll(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pg_workflow executor'});
my $closed = $node->background_psql('postgres');
$closed->query_safe('SELECT pg_advisory_lock(1)');
sql(q{SELECT wf_enqueue('a', '{"gate": 1}') FROM generate_series(1, 3)});
wait_at_gate(1);
sql(q{SELECT wf_enqueue('b', '{"gate": 1}') FROM generate_series(1, 3)});
wait_at_gate(2);
is(sql(q{SELECT string_agg(DISTINCT usename || ' ' || n, ' ') FROM (SELECT usename, count(*) AS n FROM pg_stat_activity WHERE backend_type = 'pg_workflow executor' GROUP BY 1) v}), 'alice 1 bob 1', 'one run of each owner at once');
$closed->quit;
ok(poll(q{SELECT count(*) = 0 FROM wf.runs WHERE state IN ('queued', 'running')}), 'then the others');
$node->append_conf('postgresql.conf', 'pg_workflow.max_running_per_role = 0');
$node->reload;

# --- the dispatcher's memory --------------------------------------------------

SKIP:
{
	my $dispatcher = sql(q{SELECT pid FROM wf.workers WHERE kind = 'dispatcher'});
	skip 'no /proc here', 1 unless -r "/proc/$dispatcher/status";
	my $memory = sub {
		sql(q{SELECT wf_enqueue('a') FROM generate_series(1, 1500)});
		poll(q{SELECT count(*) = 0 FROM wf.runs WHERE state IN ('queued', 'running')});
		return slurp_file("/proc/$dispatcher/status") =~ /RssAnon:\s+(\d+)/ ? $1 : 0;
	};
	my $before = $memory->();
	cmp_ok($memory->() - $before, '<', 1000, 'does not grow with the number of runs (kB)');
}

# --- settings of the owner ----------------------------------------------------

sql("ALTER ROLE alice SET my.setting = 'new'");
$id = sql("SELECT wf_enqueue('a')");
is_completed($id);
is(sql("SELECT setting FROM seen WHERE run = '$id'"),
	'new', 'ALTER ROLE SET is in force for the next run');

# --- an owner who can't log in ------------------------------------------------

SKIP:
{
	skip 'workers may log in without LOGIN', 3 if $node->pg_version >= 17;
	sql('ALTER ROLE bob NOLOGIN');
	sql(qq{SELECT pg_terminate_backend($_)}) for executors('bob');
	my $log = -s $node->logfile;
	my $waits = sql("SELECT wf_enqueue('b')");
	ok(is_completed(sql("SELECT wf_enqueue('a')")), 'others are served while one owner may not log in');
	my $tries = () = slurp_file($node->logfile, $log) =~ /not permitted to log in/g;
	cmp_ok($tries, '<=', 3, 'the log is not flooded');
	sql('ALTER ROLE bob LOGIN');
	ok(is_completed($waits), 'and runs are executed when the owner may again');
}

$gate->quit;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nobody stumbled');
$node->stop;
done_testing();
