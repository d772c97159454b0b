# Two tenants in one database: neither sees, counts, blocks or guesses anything
# of the other's, by functions, views, EXPLAIN, pg_locks, pg_stat_activity, the
# server's log, or by having to wait.

use strict;
use warnings;
use OneServer;
use PostgreSQL::Test::Utils;
use Test::More;

# what a statement says itself is the administrator's to have logged or not
my $node = one_server('tenants', 'log_statement = none', 'log_min_error_statement = panic', 'log_error_verbosity = verbose',
	'log_lock_waits = on', 'pg_workflow.sweep_interval = 100');

# as a role, which is not to wait for anybody
sub as
{
	my ($role, $sql) = @_;
	return answer("SET SESSION AUTHORIZATION $role; SET lock_timeout = '5s'; SET statement_timeout = '20s'", $sql);
}

sql(q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE SCHEMA alice AUTHORIZATION alice;
	CREATE SCHEMA bob AUTHORIZATION bob;
	SELECT wf_grant_usage('alice'), wf_grant_usage('bob');
});
as('alice', q{
	CREATE FUNCTION alice.h(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
	SELECT wf_create_workflow('alices', 'alice.h(jsonb)');
	SELECT wf_create_workflow('alices manual');
});
as('bob', q{
	CREATE FUNCTION bob.h(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		IF payload ? 'gate' THEN PERFORM pg_advisory_xact_lock_shared(1); END IF;
		IF payload ? 'fail' THEN RAISE EXCEPTION 'as it says %', payload ->> 'fail'; END IF;
		RETURN payload;
	END $$;
	SELECT wf_create_workflow('bobs', 'bob.h(jsonb)', max_attempts => 2, retry_delay => '0');
	SELECT wf_create_workflow('bobs manual');
	SELECT wf_create_workflow('given');
	SELECT wf_grant('given', 'alice', '{enqueue}');
});
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
as('bob', q{
	SELECT wf_enqueue('bobs', '{"x": "SECRET-PAYLOAD"}', 'SECRET-KEY');
	SELECT wf_enqueue('bobs', '{"x": "SECRET-PAYLOAD"}', 'SECRET-KEY');
	SELECT wf_enqueue('bobs', '{"fail": "SECRET-PAYLOAD"}', 'SECRET-KEY 2');
	SELECT wf_enqueue('bobs manual', '{"x": "SECRET-PAYLOAD"}', 'SECRET-KEY') FROM generate_series(1, 3);
	SELECT wf_enqueue('given', '{"x": "SECRET-PAYLOAD"}', 'SECRET-KEY');
});
as('bob', q{SELECT wf_enqueue('bobs', '{"x": "SECRET-PAYLOAD 2"}', 'SECRET-KEY')});
poll(q{SELECT count(*) = 0 FROM wf.runs WHERE workflow = 'bobs' AND state IN ('queued', 'running')}) or die 'not executed';
my $running = as('bob', q{SELECT wf_enqueue('bobs', '{"gate": "SECRET-PAYLOAD"}', 'SECRET-KEY 3')});
poll(q{SELECT count(*) = 1 FROM wf.workers WHERE run_id IS NOT NULL}) or die 'not running';
my $bobs = as('bob', q{SELECT wf_find('bobs manual', 'SECRET-KEY')});

# --- seen ---------------------------------------------------------------------

is(as('alice', q{SELECT count(*) FROM wf.runs WHERE workflow NOT LIKE 'alice%'}), '0', 'no run of the other');
is(as('alice', "SELECT count(*) FROM wf.$_"), '0', "wf.$_ is empty") for qw(attempts keys duplicates);
is(as('alice', q{SELECT string_agg(name, ', ' ORDER BY name) FROM wf.workflows}), 'alices, alices manual, given', 'workflows that alice may know of');
is(as('alice', q{SELECT string_agg(workflow, ', ' ORDER BY workflow) FROM wf.stats}), 'alices, alices manual', 'stats of her own');
is(as('alice', q{SELECT count(*) FROM wf.workers WHERE kind = 'executor'}), '0', 'no executor of the other');
is(as('alice', 'SELECT count(*) FROM wf.unwritten_duplicates()'), '0', 'no duplicate in shared memory');
is(as('alice', q{SELECT count(*) FROM wf.unwritten_counters() WHERE workflow_id NOT IN (SELECT 0)}), '0', 'no counter in shared memory');
is(as('alice', "SELECT wf.executing_attempt('$running')"), '', 'no run that is executed');
is(as('bob', "SELECT wf.executing_attempt('$running')"), '1', 'which its owner sees');
is(as('alice', q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%SECRET%' OR application_name LIKE '%SECRET%' OR query LIKE '%bobs%'}),
	'0', 'nothing in pg_stat_activity');
my $executor = sql(q{SELECT pid FROM wf.workers WHERE run_id IS NOT NULL});
is(as('alice', "SELECT application_name FROM pg_stat_activity WHERE pid = $executor"),
	'pg_workflow', 'application_name says what everybody may know');
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^pg_workflow' AND (query LIKE '%SECRET%' OR application_name LIKE '%SECRET%')}),
	'0', 'not even to the superuser');
SKIP:
{
	my @pids = split /\n/, sql(q{SELECT pid FROM wf.workers});
	skip 'no /proc here', 1 unless -r "/proc/$pids[0]/cmdline";
	unlike(join('', map { slurp_file("/proc/$_/cmdline") } @pids), qr/SECRET|bobs/, 'nor in the processes\' titles');
}
is(as('alice', q{SELECT count(*) FROM pg_stats WHERE schemaname = 'wf'}), '0', 'no statistics of columns');

# --- asked for ----------------------------------------------------------------

is(as('alice', "SELECT $_"), '42704', "as if there were none: $_")
  for (q{wf_enqueue('bobs', '{}', 'SECRET-KEY')}, q{wf_find('bobs', 'SECRET-KEY')}, q{wf_cancel_all('bobs')}, q{wf_forget('bobs', 'SECRET-KEY', force => true)},
	"wf_handle('$bobs')", "wf_result('$bobs')", "wf_cancel('$bobs')", "wf_why('$bobs')", "wf_cancel('$running')");
is(as('alice', "CALL wf_wait('$running', '0')"), '42704', 'nor waited for');
is(as('alice', q{SELECT wf_enqueue('given', '{"x": "guess"}', 'SECRET-KEY')}), 'WF001', 'who may enqueue may learn that a key is taken');
is(as('alice', q{SELECT count(*) FROM wf.runs WHERE workflow = 'given'}), '0', 'and nothing more');

# --- blocked ------------------------------------------------------------------

my $open = $node->background_psql('postgres');
$open->query_safe(q{
	SET SESSION AUTHORIZATION bob;
	BEGIN;
	SELECT wf_enqueue('bobs', '{}', 'open'), wf_enqueue('bobs manual', '{}', 'open');
	SELECT wf_alter_workflow('bobs', priority => 2), wf_pause('bobs manual'), wf_create_workflow('bobs new');
	SELECT count(*) FROM wf.runs, wf.keys, wf.stats;
});
is(as('alice', q{SELECT wf_enqueue('bobs', '{}', 'open')}), '42704', 'rights before waiting: a key that is being taken');
is(as('alice', q{SELECT wf_enqueue('bobs new')}), '42704', 'a workflow that is being made');
is(as('alice', q{SELECT wf_pause('bobs manual')}), '42704', 'one that is being changed');
is(as('alice', q{SELECT wf_enqueue('given', '{}', 'open') IS NOT NULL}), 't', 'the same key elsewhere is free');
my $alices = as('alice', q{
	SET pg_workflow.key_wait = 0;
	SELECT wf_enqueue('alices', '{}', 'open')});
like($alices, qr/^[0-9a-f-]{36}$/, 'and the same key of one\'s own');
ok(poll("SELECT state = 'completed' FROM wf.runs WHERE run_id = '$alices'"), 'runs of one are executed while the other holds all his locks');
is(as('alice', q{
	SELECT wf_create_workflow('temporary');
	SELECT wf_alter_workflow('temporary', priority => 1);
	SELECT wf_enqueue('temporary', '{}', 'k') \gset
	SELECT wf_cancel(:'wf_enqueue');
	SELECT wf_retry(:'wf_enqueue');
	SELECT wf_drop_workflow('temporary', true);
	SELECT count(*) FROM wf.runs WHERE workflow = 'temporary'}), "\n\nt\nt\n\n0", 'and everything else goes on');

# identifiers of locks say nothing about keys: the same whatever the key
is(as('alice', q{SELECT count(*) FROM pg_locks WHERE locktype IN ('advisory', 'userlock') AND objsubid NOT IN (1, 2)}), '0', 'no lock stands for a key');
my $locks = q{SELECT string_agg(concat_ws(' ', locktype, relation, page, tuple, classid, objid, objsubid, mode), ', ' ORDER BY locktype, relation, mode, classid, objid)
	FROM pg_locks WHERE pid = %s AND locktype NOT IN ('virtualxid', 'transactionid')};
my @of_keys;
for my $key ('one', 'another')
{
	my $holder = $node->background_psql('postgres');
	my $pid = $holder->query_safe('SELECT pg_backend_pid()');
	$holder->query_safe("SET SESSION AUTHORIZATION bob; BEGIN; SELECT wf_enqueue('given', '{}', '$key')");
	push @of_keys, as('alice', sprintf $locks, $pid);
	$holder->query_safe('ROLLBACK');
	$holder->quit;
}
is($of_keys[0], $of_keys[1], 'locks of two keys are the same');
$open->query_safe('ROLLBACK');
$open->quit;

# --- counted ------------------------------------------------------------------

# with an index first, so that EXPLAIN could tell how many there were
sub explained
{
	my ($query) = @_;
	return as('alice', "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_bitmapscan = off; SET jit = off;
		EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) $query");
}
my @queries = (
	q{SELECT * FROM wf.runs WHERE workflow = 'bobs manual'},
	q{SELECT count(*) FROM wf.keys WHERE workflow = 'bobs manual'},
	q{SELECT count(*) FROM wf.stats WHERE workflow = 'bobs manual'},
	q{SELECT count(*) FROM wf.runs WHERE workflow = 'bobs manual' AND state = 'queued'});
my @before = map { explained($_) } @queries;
as('bob', q{SELECT count(wf_enqueue('bobs manual', '{}', 'n ' || i)) FROM generate_series(1, 50) i});
for my $i (0 .. $#queries)
{
	is(explained($queries[$i]), $before[$i], "EXPLAIN ANALYZE counts nothing: $queries[$i]");
}
for my $view ('runs', 'keys')
{
	my ($there, $not) = map { (my $e = explained("SELECT * FROM wf.$view WHERE key = '$_'")) =~ s/'\Q$_\E'/KEY/g; $e } 'SECRET-KEY', 'no such key';
	is($there, $not, "nor tells of a key in wf.$view");
}

# --- inherited ----------------------------------------------------------------

as('bob', q{SELECT wf_create_workflow('shop'); SELECT wf_enqueue('shop', '{"x": "SECRET-PAYLOAD"}', 'k'); SELECT wf_grant('shop', '-'); SELECT wf_drop_workflow('shop', true)});
as('alice', q{SELECT wf_create_workflow('shop')});
is(as('alice', q{SELECT wf_find('shop', 'k'), (SELECT count(*) FROM wf.runs WHERE workflow = 'shop'), (SELECT count(*) FROM wf.keys WHERE workflow = 'shop'), (SELECT count(*) FROM wf.duplicates)}),
	'|0|0|0', 'a name that is used again inherits nothing');
is(as('bob', q{SELECT wf_enqueue('shop')}), '42704', 'no grant either');

# --- revoked ------------------------------------------------------------------

as('bob', q{SELECT wf_grant('bobs manual', 'alice', '{read,enqueue}')});
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe("SET SESSION AUTHORIZATION alice; BEGIN");
my $ask = "SELECT count(*) > 0 FROM wf.runs WHERE workflow = 'bobs manual'";
is($session->query_safe($ask), 't', 'granted, within a transaction');
$session->query_safe("SELECT wf_handle('$bobs')");
as('bob', q{SELECT wf_revoke('bobs manual', 'alice')});
is($session->query_safe($ask), 'f', 'revoked: the next statement sees no run');
$session->query("SAVEPOINT s; SELECT wf_handle('$bobs')");
like($session->{stderr}, qr/does not exist/, 'nor does the next call');
$session->quit;

# --- written to the log ---------------------------------------------------------

# whatever a client can be told of a key or payload, the log is not
as('bob', qq{SELECT wf_enqueue('bobs manual', '{"y": "SECRET-PAYLOAD"}', 'SECRET-KEY')});
as('bob', qq{SELECT wf_enqueue('bobs manual', '{}', 'SECRET-KEY', on_conflict => 'error')});
as('bob', qq{SELECT * FROM wf_enqueue_many('bobs manual', '{"\\"SECRET-PAYLOAD\\"", "2"}', '{SECRET-KEY,SECRET-KEY}')});
as('bob', qq{SELECT wf_forget('bobs manual', 'SECRET-KEY')});
as('bob', qq{SELECT wf_enqueue('bobs manual', '{"y": "SECRET-PAYLOAD"}', repeat('SECRET-KEY', 100))});
as('bob', qq{SELECT wf_enqueue('bobs manual', '"SECRET-PAYLOAD"', 'SECRET-KEY', key_ttl => '-1 day')});
as('bob', qq{SELECT wf_enqueue('bobs manual', to_jsonb(repeat('SECRET-PAYLOAD', 2000000)), 'SECRET-KEY')});
as('bob', qq{SELECT wf_hash_key('{"SECRET-PAYLOAD": 1e400}')});
as('bob', qq{SELECT wf_canonical_json('["SECRET-PAYLOAD", 1e400]')});
as('bob', qq{SELECT wf_key('SECRET-KEY', row(1))});
as('bob', qq{SELECT wf_result(run_id) FROM wf.runs WHERE state = 'failed'});
as('bob', qq{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT wf_find('bobs', 'x'); SELECT wf_enqueue('bobs manual', '{}', 'SECRET-KEY'); COMMIT});
my $holder = $node->background_psql('postgres');
$holder->query_safe("SET SESSION AUTHORIZATION bob; BEGIN; SELECT wf_enqueue('bobs manual', '{}', 'SECRET-KEY 9')");
is(as('bob', q{SET pg_workflow.key_wait = 0; SELECT wf_enqueue('bobs manual', '{}', 'SECRET-KEY 9')}), 'WF003', 'a key that is taken at the moment');
is(as('bob', q{SET pg_workflow.key_wait = 1200; SELECT wf_enqueue('bobs manual', '{}', 'SECRET-KEY 9')}), 'WF003', 'after waiting');
$holder->quit;
$gate->query_safe('SELECT pg_advisory_unlock_all()');
$gate->quit;
ok(poll("SELECT state = 'completed' FROM wf.runs WHERE run_id = '$running'"), 'the run at the gate ends');
# wf_result raises what a handler has said, and so it is logged then, as any error
my $log = slurp_file($node->logfile);
my $told = () = $log =~ /as it says SECRET-PAYLOAD/g;
is($told, 1, 'what a handler says is in the log when somebody asks for it, not before');
$log =~ s/as it says SECRET-PAYLOAD//;
unlike($log, qr/SECRET/, 'no key and no payload is in the log');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:/, 'nobody stumbled');
$node->stop;
done_testing();
