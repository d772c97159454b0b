# External workers: many at once, some of them lost; who waits for work; what is
# left after a crash, in a copy, and without the library preloaded.

use strict;
use warnings;
use IPC::Run;
use OneServer qw(poll_at);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('claims');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->append_conf('postgresql.conf', "pg_workflow.notify_channel = 'work'\nrestart_after_crash = on\n");
$node->start;

sub sql { return $node->safe_psql('postgres', @_); }
sub poll { return poll_at($node, 'postgres', @_); }

sql(q{
	CREATE EXTENSION pg_workflow;
	SELECT wf_create_workflow('job', retry_delay => '0', max_attempts => 1000);
	SELECT wf_create_workflow('limited', max_running => 3);
	CREATE TABLE effect (run_id uuid, attempt integer);
});

# ---------------------------------------------------------------------------
# Many workers, of which some fail, release, let the lease lapse, or are ended
# between claim and report: each effect is there once
# ---------------------------------------------------------------------------

my $script = $node->basedir . '/worker.sql';
append_to_file($script, q{
\set what random(1, 10)
SELECT coalesce(array_agg(run_id), '{}') AS ids, coalesce(array_agg(attempt), '{}') AS attempts FROM wf_claim('{job}', 5, CASE WHEN :what = 1 THEN interval '1 ms' ELSE '1 minute' END, 'pgbench') \gset
\if :what = 2
SELECT count(wf_fail(i, a, 'no')) FROM unnest(:ids::uuid[], :attempts::integer[]) u(i, a);
\elif :what = 3
SELECT count(wf_release(i, a)) FROM unnest(:ids::uuid[], :attempts::integer[]) u(i, a);
\elif :what = 4
BEGIN;
INSERT INTO effect SELECT i, a FROM unnest(:ids::uuid[], :attempts::integer[]) u(i, a) WHERE wf_complete(i, a, to_jsonb(a)) IS NOT NULL;
ROLLBACK;
SELECT count(wf_release(i, a)) FROM unnest(:ids::uuid[], :attempts::integer[]) u(i, a);
\elif :what > 1
BEGIN;
INSERT INTO effect SELECT i, a FROM unnest(:ids::uuid[], :attempts::integer[]) u(i, a) WHERE wf_complete(i, a, to_jsonb(a)) IS NOT NULL;
COMMIT;
\endif
});
sql(q{SELECT count(wf_enqueue('job', to_jsonb(i), 'k' || i)) FROM generate_series(1, 2000) i});

my @pgbench = ('pgbench', '-n', '-M', 'prepared', '-c', 8, '-j', 2, '-f', $script, '-h', $node->host,
	'-p', $node->port, 'postgres');

# until all is done, a round after the other, as sessions are ended on the way
my $rounds = 0;
my $left = 2000;
while ($left > 0 && $rounds < 60)
{
	my $h = IPC::Run::start([ @pgbench, '-t', 30 ], '>', \my $out, '2>', \my $err);
	sql(q{SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
		WHERE application_name = 'pgbench' ORDER BY random() LIMIT 2) v})
	  if $rounds < 3;
	$h->finish;
	$rounds++;
	# what the ended ones had claimed is theirs until the lease ends
	sql(q{SELECT count(wf_heartbeat(run_id, attempt, '1 us')) FROM wf.runs WHERE state = 'running'})
	  if $rounds > 3;
	$left = sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'job' AND state <> 'completed'});
}
is($left, 0, "every run is completed, after $rounds rounds");
is(sql('SELECT count(*), count(DISTINCT run_id) FROM effect'), '2000|2000', 'each effect is there once');
is( sql(q{SELECT count(*) FROM effect e JOIN wf.runs r USING (run_id, attempt) WHERE r.result = to_jsonb(e.attempt)}),
	2000, 'and is that of the attempt that completed');
is( sql(q{SELECT count(*) FROM (SELECT run_id, attempt FROM wf.attempts GROUP BY 1, 2 HAVING count(*) > 1) v}),
	0, 'no attempt number is used twice');

# ---------------------------------------------------------------------------
# max_running is exact, whoever claims
# ---------------------------------------------------------------------------

my $limited = $node->basedir . '/limited.sql';
append_to_file($limited, q{
SELECT coalesce(array_agg(run_id), '{}') AS ids, coalesce(array_agg(attempt), '{}') AS attempts FROM wf_claim('{limited}', 2, '1 minute') \gset
SELECT 1 / (CASE WHEN count(*) <= 3 THEN 1 ELSE 0 END) FROM wf.runs WHERE workflow = 'limited' AND state = 'running';
SELECT count(wf_complete(i, a)) FROM unnest(:ids::uuid[], :attempts::integer[]) u(i, a);
});
sql(q{SELECT count(wf_enqueue('limited', to_jsonb(i))) FROM generate_series(1, 150) i});
for (1 .. 20)
{
	last if sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'limited' AND state <> 'completed'}) == 0;
	command_ok([ @pgbench[ 0 .. 7 ], '-f', $limited, @pgbench[ 10 .. $#pgbench ], '-t', 20 ],
		'never more than max_running');
}
is( sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'limited' AND state = 'completed'}),
	150, 'and all are completed');

# ---------------------------------------------------------------------------
# Waiting for work
# ---------------------------------------------------------------------------

my $waiting = q{SELECT count(*) FROM pg_stat_activity WHERE query ~ '^CALL wf_wait_for_work' AND state = 'active'};
my $asleep = q{NOT EXISTS (SELECT FROM pg_stat_activity WHERE query ~ '^CALL wf_wait' AND wait_event_type IS DISTINCT FROM 'Extension')};

# a session that waits for work, and what it is answered
sub wait_for_work
{
	my ($answer, $workflow) = @_;
	$workflow //= 'job';
	return IPC::Run::start(
		[ 'psql', '-XAtq', '-h', $node->host, '-p', $node->port, '-d', 'postgres',
			'-c', "CALL wf_wait_for_work('{$workflow}', '5 minutes')" ],
		'>', $answer // \my $ignored);
}

my @waiters;
for (1 .. 4)
{
	push @waiters, wait_for_work();
}
ok(poll("SELECT ($waiting) = 4 AND $asleep"), 'four wait');
is( sql(q{SELECT count(backend_xmin), count(backend_xid) FROM pg_stat_activity WHERE query ~ '^CALL wf_wait'}),
	'0|0', 'they hold no snapshot and no transaction id');
is( sql(q{SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
		WHERE a.query ~ '^CALL wf_wait' AND c.relname ~ '^(run|event)'}),
	0, 'nor locks on the tables');

sql(q{SELECT wf_enqueue('job', '"one"')});
ok(poll("SELECT ($waiting) = 3"), 'one run wakes one');
sql(q{SELECT wf_enqueue('job', '"two"', run_at => now() + interval '300 ms') FROM generate_series(1, 2)});
ok(poll("SELECT ($waiting) = 1"), 'runs that become due wake one each');
is(sql($waiting), 1, 'and the last waits on');
sql(q{BEGIN; SELECT wf_enqueue('job', '"none"'); ROLLBACK});
sql(q{SELECT count(*) FROM wf_claim('{job}', 10, '1 us')});
ok(poll("SELECT ($waiting) = 0"), 'so do leases that end');
$_->finish foreach @waiters;
sql(q{SELECT wf_cancel_all('job')});

# a claim that is rolled back is work again, for whoever waits
sql(q{SELECT wf_enqueue('job', '"back"')});
my ($in, $out) = ('', '');
my $holder = IPC::Run::start([ 'psql', '-XAtq', '-h', $node->host, '-p', $node->port, '-d', 'postgres' ],
	'<', \$in, '>', \$out);
$in .= "BEGIN;\nSELECT 'claimed', payload FROM wf_claim('{job}');\n";
$holder->pump until $out =~ /claimed/;
my $waiter = wait_for_work(\my $ready);
ok(poll("SELECT ($waiting) = 1 AND $asleep"), 'what another has claimed is no work');
$in .= "ROLLBACK;\n\\q\n";
$holder->finish;
$waiter->finish;
is($ready, "t\n", 'until he rolls back');

# nor is it with max_running, where nobody looks on his own for long
$node->append_conf('postgresql.conf', "pg_workflow.sweep_interval = '1h'");
$node->reload;
sql(q{SELECT wf_enqueue('limited')});
my $claimer = $node->background_psql('postgres');
$claimer->query_safe(q{BEGIN; SELECT run_id FROM wf_claim('{limited}')});
$waiter = wait_for_work(\my $limited_ready, 'limited');
ok(poll("SELECT ($waiting) = 1 AND $asleep"), 'nor with max_running');
$claimer->query_safe('ROLLBACK');
ok(poll("SELECT ($waiting) = 0"), 'until he rolls back');
$waiter->finish;
is($limited_ready, "t\n", 'then it is');
$claimer->quit;
sql(q{SELECT wf_cancel_all('limited')});
$node->append_conf('postgresql.conf', "pg_workflow.sweep_interval = '10s'");
$node->reload;
# the channel: told by the dispatcher, once the runs are due
my $listener = $node->background_psql('postgres', on_error_stop => 0);
$listener->query('LISTEN work');
sql(q{SELECT wf_enqueue('job', to_jsonb(i)) FROM generate_series(1, 10) i});
my $heard = '';
for (1 .. 600)
{
	$heard = $listener->query(q{SELECT pg_sleep(0.05)});
	last if $heard =~ /Asynchronous notification/;
}
like($heard, qr/Asynchronous notification "work" received/, 'the channel is notified of what is due');
$listener->quit;

# by however many priorities
sql(q{
	SELECT wf_enqueue('job', priority => p) FROM generate_series(1, 6) p, generate_series(1, 60);
	SELECT wf_enqueue('job', priority => p, run_at => now() + interval '1 year') FROM generate_series(1, 6) p;
	CREATE FUNCTION handle(jsonb) RETURNS void LANGUAGE sql AS '';
	SELECT wf_create_workflow('beside', 'handle(jsonb)');
	SELECT wf_enqueue('beside');
});
ok(poll(q{SELECT state = 'completed' FROM wf.runs WHERE workflow = 'beside'}), 'which keeps nobody from his work');
sql(q{SELECT count(wf_cancel(run_id)) FROM wf.runs WHERE workflow = 'job' AND run_at > now()});

# which nobody has claimed, so that a handler, once there is one, gets all of it
sql(q{SELECT wf_alter_workflow('job', 'handle(jsonb)')});
ok(poll(q{SELECT count(*) = 0 FROM wf.runs WHERE workflow = 'job' AND state = 'queued'}), 'what was announced is there for a handler');
sql(q{SELECT wf_alter_workflow('job', '-')});

# ---------------------------------------------------------------------------
# A crash of the server: claims hold, and count as attempts when they lapse
# ---------------------------------------------------------------------------

sql(q{SELECT wf_cancel_all('job')});
my $long = sql(q{SELECT wf_enqueue('job', '"long"'); SELECT run_id FROM wf_claim('{job}', 1, '1 hour')});
$long =~ s/.*\n//s;
my $short = sql(q{SELECT wf_enqueue('job', '"short"'); SELECT run_id FROM wf_claim('{job}', 1, '1 s')});
$short =~ s/.*\n//s;
$node->stop('immediate');
$node->start;
is(sql("SELECT state FROM wf_handle('$long')"), 'running', 'a claim survives a crash');
ok(poll("SELECT state = 'queued' AND attempt = 1 FROM wf.runs WHERE run_id = '$short'"),
	'a lease that has ended is recorded afterwards');
is(sql("SELECT payload, attempt FROM wf_claim('{job}', 10)"), '"short"|2', 'and the run claimed again');
is(sql("SELECT wf_complete('$long', 1, '1'); SELECT state FROM wf_handle('$long')"), "\ncompleted",
	'the worker that was cut off completes');
is($node->psql('postgres', "SELECT wf_complete('$short', 1)"), 3, 'the one that lost its lease does not');

# ---------------------------------------------------------------------------
# A copy of the database hands nothing out
# ---------------------------------------------------------------------------

sql('CREATE DATABASE original');
$node->safe_psql('original', q{
	CREATE EXTENSION pg_workflow;
	SELECT wf_create_workflow('job');
	SELECT wf_enqueue('job', '"copied"');
});
sql('CREATE DATABASE copy TEMPLATE original');
my ($ret, $stdout, $stderr) = $node->psql('copy', q{SELECT count(*) FROM wf_claim('{job}', 10)});
is($stdout, 0, 'a copy hands nothing out');
like($stderr, qr/WARNING:  this database is a copy/, 'and says so');
$node->safe_psql('copy', 'SELECT wf_adopt()');
is($node->safe_psql('copy', q{SELECT count(*) FROM wf_claim('{job}', 10)}), 1, 'until it is adopted');

# ---------------------------------------------------------------------------
# Without shared_preload_libraries
# ---------------------------------------------------------------------------

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->adjust_conf('postgresql.conf', 'pg_workflow.notify_channel', undef);
$node->restart;
sql(q{SELECT wf_cancel_all('job'), wf_cancel_all('limited')});
sql(q{SELECT count(wf_enqueue('job', to_jsonb(i))) FROM generate_series(1, 3) i});
is(sql(q{CALL wf_wait_for_work('{job}', '0')}), 't', 'without preload: there is work');
is(sql(q{SELECT string_agg(payload::text, ',') FROM wf_claim('{job}', 2, '1 us')}), '1,2', 'it is claimed');
is(sql(q{CALL wf_wait_for_work('{job}', '1 minute'); SELECT string_agg(payload::text || ' ' || attempt, ',' ORDER BY payload) FROM wf_claim('{job}', 10, '1 hour')}),
	"t\n1 2,2 2,3 1", 'leases that have ended are taken over by the next claimer');
is(sql(q{SELECT count(*) FROM (SELECT wf_complete(run_id, attempt) FROM wf.runs WHERE state = 'running') v}), 3, 'and completed');
is(sql(q{CALL wf_wait_for_work('{job}', '10 ms')}), 'f', 'then there is none');
sql(q{SELECT count(wf_enqueue('limited', to_jsonb(i))) FROM generate_series(1, 5) i});
is(sql(q{SELECT count(*) FROM wf_claim('{limited}', 2); SELECT count(*) FROM wf_claim('{limited}', 5); SELECT count(*) FROM wf_claim('{limited}', 5)}),
	"2\n1\n0", 'max_running holds');

$node->stop;
done_testing();
