# Tasks and whole servers: a completed task is answered without writing; what
# has expired is cleaned in the background; inside handlers; dumps, copies and
# roles that come and go; a crash.

use strict;
use warnings;
use OneServer qw(poll_at);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('tasks');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->append_conf('postgresql.conf', <<'EOC');
autovacuum = off
pg_workflow.sweep_interval = 100
EOC
$node->start;

sub sql { return $node->safe_psql('postgres', @_); }

sub poll { return poll_at($node, 'postgres', @_); }

# --- expiry in the background -------------------------------------------------

sql('CREATE EXTENSION pg_workflow');
sql(q{SELECT count(wf_task_put('k' || n, to_jsonb(n), CASE WHEN n % 100 = 0 THEN '1 hour'::interval ELSE '0' END))
	    FROM generate_series(1, 2000) n});
ok(poll('SELECT count(*) = 20 FROM wf.task'), 'what has expired goes by itself');
is(sql(q{SELECT count(wf_task_get('k' || n)) FROM generate_series(1, 2000) n}), 20, 'and the rest stays');
is(sql(q{SELECT count(*) FROM wf.tasks}), 20, 'and is shown');

# --- a duplicate writes nothing -----------------------------------------------

$node->append_conf('postgresql.conf', "pg_workflow.sweep_interval = '2s'");
$node->reload;
my $session = $node->background_psql('postgres');
$session->query_safe(q{SELECT status FROM wf_task_begin('done', payload => '{"a": 1}')});
$session->query_safe(q{SELECT wf_task_complete('done', 1, '{"b": 2}')});
$session->query_safe(q{SELECT status FROM wf_task_begin('busy')});
$session->query_safe(q{VACUUM wf.task_0; VACUUM wf.task_1; VACUUM wf.task_2; CHECKPOINT});
my $calls = q{
	SELECT status, result FROM wf_task_begin('done', payload => '{"a": 1.0}');
	SELECT wf_task_put('done', '3');
	SELECT status FROM wf_task_begin('busy');
	SELECT wf_task_get('done');
	SELECT wf_task_run('pg_catalog.jsonb_strip_nulls(jsonb)', '{"a": 1}', 'done')};
$session->query_safe($calls);

# what else writes WAL now and then, as a sweep, may come in between
my $quiet = 0;
for my $try (1 .. 20)
{
	my $before = $session->query_safe('SELECT pg_current_wal_insert_lsn()');
	$session->query_safe($calls) for 1 .. 50;
	$quiet = $before eq $session->query_safe('SELECT pg_current_wal_insert_lsn()');
	last if $quiet;
}
ok($quiet, 'answers write no WAL');
$session->query_safe('BEGIN');
$session->query_safe($calls);
is($session->query_safe('SELECT pg_current_xact_id_if_assigned() IS NULL'), 't', 'and take no transaction id');
$session->query_safe('COMMIT');
# a query whose snapshot is older than their row, and which looks for what is not written yet after that is, finds neither
ok(poll(q{SELECT count(*) >= 150 FROM wf.duplicates WHERE workflow IS NULL AND key = 'done'}), 'and are recorded all the same');
ok(poll(q{SELECT count(*) > 0 FROM wf.duplicate WHERE 'done' = ANY (keys)}), 'and written later');
is(sql(q{SELECT count(*) > 150 FROM wf.duplicates WHERE workflow IS NULL AND key = 'done' AND outcome = 'returned'}), 't',
	'with their keys');
is(sql('SELECT duplicates > 150 FROM wf.stats WHERE workflow IS NULL'), 't', 'and counted');
$session->quit;

# --- in handlers --------------------------------------------------------------

sql(q{
	CREATE TABLE did (what text, attempt integer);
	CREATE SEQUENCE called;
	CREATE FUNCTION step(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.did VALUES ('step', wf_current_attempt());
		RETURN to_jsonb(nextval('public.called'));
	END $$;
	CREATE FUNCTION other(payload jsonb) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.did VALUES ('other', wf_current_attempt()) $$;
	CREATE FUNCTION handle(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	DECLARE
		first jsonb := wf_task_run('public.step(jsonb)', payload);
		again jsonb := wf_task_run('public.step(jsonb)', payload);
	BEGIN
		PERFORM wf_task_run('public.other(jsonb)', payload);
		IF payload ? 'shared' THEN
			PERFORM wf_task_run('public.other(jsonb)', '1', payload->>'shared');
		END IF;
		IF payload ? 'mismatch' THEN
			PERFORM wf_task_run('public.step(jsonb)', '"another"');
		END IF;
		IF payload ? 'fail' AND wf_current_attempt() = 1 THEN
			RAISE 'first attempt';
		END IF;
		RETURN jsonb_build_array(first = again);
	END $$;
	SELECT wf_create_workflow('w', 'handle(jsonb)', retry_delay => '0', max_attempts => 2);
});
my $id = sql(q{SELECT wf_enqueue('w', '{"fail": true}')});
ok(poll("SELECT state = 'completed' FROM wf.runs WHERE run_id = '$id'"), 'a run with tasks completes');
is(sql("SELECT result FROM wf.runs WHERE run_id = '$id'"), '[true]', 'each is executed once in a run');
is(sql('SELECT string_agg(what || attempt, \' \' ORDER BY what, attempt) FROM did'),
	'other2 step2', 'and is rolled back with the attempt that fails');
is(sql("SELECT count(*) FROM wf.tasks WHERE key IN ('$id/public.step', '$id/public.other')"), 2,
	'under the keys of the run and the function');
sql('TRUNCATE did');
$id = sql(q{SELECT wf_enqueue('w', '{"mismatch": true}')});
ok(poll("SELECT state = 'failed' FROM wf.runs WHERE run_id = '$id'"), 'another payload in the same run');
is(sql("SELECT sqlstate FROM wf.runs WHERE run_id = '$id'"), 'WF001', 'is refused');
sql(q{SELECT wf_enqueue('w', '{"shared": "both"}') FROM generate_series(1, 5)});
ok(poll(q{SELECT count(*) = 0 FROM wf.runs WHERE state IN ('queued', 'running')}), 'runs that share a task');
is(sql(q{SELECT count(*) FROM did WHERE what = 'other'}), 6, 'execute it once between them');

# --- crash --------------------------------------------------------------------

sql(q{SELECT wf_task_put('durable', '"yes"', '1000 years')});
sql(q{SELECT status FROM wf_task_begin('begun', '1 day')});
$node->stop('immediate');
$node->start;
is(sql(q{SELECT wf_task_get('durable')}), '"yes"', 'a result is there after a crash');
is(sql(q{SELECT status FROM wf_task_begin('begun')}), 'in_progress', 'and so is a lease');

# --- dump and restore, another server -----------------------------------------

sql(q{CREATE ROLE alice; CREATE ROLE bob});
sql(q{SELECT wf_grant_usage(r) FROM unnest('{alice,bob}'::regrole[]) r});
sql(q{SET ROLE alice; SELECT wf_task_put('mine', '"alice"', '1000 years')});
my $dump = $node->backup_dir . '/tasks.sql';
mkdir $node->backup_dir;
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-q', '-X', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ], 'restore');
sub copy { return $node->safe_psql('copy', @_); }
is(copy(q{SELECT wf_task_get('durable')}), '"yes"', 'a restored copy honours tasks');
is(copy(q{SELECT status FROM wf_task_begin('begun')}), 'in_progress', 'and leases');
is(copy(q{SET ROLE alice; SELECT wf_task_get('mine')}), '"alice"', 'of every role');
is(copy(q{SET ROLE bob; SELECT status FROM wf_task_begin('mine')}), 'execute', 'and of that alone');

# in another server roles have other OIDs: there the names count
copy(q{UPDATE wf.installation SET system_identifier = 1;
	   UPDATE wf.task_owner SET role_oid = 'bob'::regrole::oid WHERE role_name = 'alice'});
is(copy(q{SET ROLE alice; SELECT wf_task_get('mine')}), '"alice"', 'in another server, by the name');
isnt(copy(q{SET ROLE bob; SELECT coalesce(wf_task_get('mine'), '0')}), '"alice"', 'not by the OID');
copy('SELECT wf_adopt()');
is(copy(q{SET ROLE alice; SELECT wf_task_get('mine')}), '"alice"', 'adopted');
copy('ALTER ROLE alice RENAME TO alicia');
is(copy(q{SET ROLE alicia; SELECT wf_task_get('mine')}), '"alice"', 'and renamed');
is(sql(q{SET ROLE alicia; SELECT wf_task_get('mine')}), '"alice"', 'in the other database too');

# --- roles that go ------------------------------------------------------------

my $oid = sql(q{SELECT 'alicia'::regrole::oid});
for my $database ('postgres', 'copy')
{
	$node->safe_psql($database, q{SELECT wf_revoke_usage('alicia'); DROP OWNED BY alicia});
}
sql('DROP ROLE alicia');
$node->stop;
$node->append_conf('postgresql.conf', 'allow_system_table_mods = on');
$node->start;
sql("CREATE ROLE mallory; SELECT wf_grant_usage('mallory')");
ok(poll("SELECT count(*) = 0 FROM wf.task_owner WHERE role_oid = $oid"), 'a dropped owner is noticed');
sql("SELECT wf_revoke_usage('mallory'); UPDATE pg_authid SET oid = $oid WHERE rolname = 'mallory'; SELECT wf_grant_usage('mallory')");
is(sql(q{SET ROLE mallory; SELECT wf_task_get('mine') IS NULL}), 't', 'a role with its OID is not given its tasks');
is(sql(q{SET ROLE mallory; SELECT status || attempt FROM wf_task_begin('mine')}), 'execute1', 'and has its own');
is(sql(q{SET ROLE mallory; SELECT count(*) FROM wf.tasks}), 1, 'and sees them alone');

$node->stop;
done_testing();
