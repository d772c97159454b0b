# Ways in which the background workers of other extensions have failed, and
# that no other file here looks at.  test/README.md has the whole register.

use strict;
use warnings;
use OneServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = one_server('register', 'autovacuum_naptime = 1s', 'autovacuum_vacuum_threshold = 10',
	'autovacuum_vacuum_scale_factor = 0', q{timezone = 'Pacific/Apia'}, 'track_commit_timestamp = off');

sql(q{
	CREATE ROLE alice LOGIN;
	GRANT CREATE ON SCHEMA public TO alice;
	SELECT wf_grant_usage('alice');
	CREATE TABLE effect (run uuid);
	GRANT ALL ON effect TO alice;
	CREATE FUNCTION handle(payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF payload ? 'gate' THEN
			PERFORM pg_advisory_xact_lock_shared(1);
		END IF;
		IF payload ? 'fail' THEN
			RAISE EXCEPTION 'told to fail';
		END IF;
		INSERT INTO effect VALUES (wf_current_run());
	END $$;
	SELECT wf_create_workflow('w', 'handle(jsonb)', max_attempts => 1);
	SELECT wf_create_workflow('many', 'handle(jsonb)', max_attempts => 1, batch => 50);
});

sub prove
{
	my ($what) = @_;
	is(ended(sql(q{SELECT wf_enqueue('w')})), 'completed', $what);
	return;
}

# --- W5: one bad row ----------------------------------------------------------

# a workflow whose owner, and one whose handler and schema, are gone
sql(q{
	CREATE ROLE bob LOGIN;
	SELECT wf_grant_usage('bob');
	CREATE SCHEMA gone;
	CREATE FUNCTION gone.handle(jsonb) RETURNS void LANGUAGE sql AS '';
	GRANT USAGE ON SCHEMA gone TO bob;
	SET ROLE bob;
	SELECT wf_create_workflow('ownerless', 'handle(jsonb)');
	SELECT wf_create_workflow('headless', 'gone.handle(jsonb)');
	RESET ROLE;
	SELECT wf_grant('ownerless', 'postgres'), wf_grant('headless', 'postgres');
	SELECT wf_pause('ownerless'), wf_pause('headless');
	SELECT wf_enqueue('ownerless'), wf_enqueue('headless') FROM generate_series(1, 10);
	DROP SCHEMA gone CASCADE;
	REVOKE ALL ON SCHEMA public FROM bob;
	SELECT wf_resume('headless');
});
poll(q{SELECT count(*) = 10 FROM wf.attempts WHERE sqlstate = '42883'});
sql(q{SELECT wf_revoke_usage('bob'); DROP OWNED BY bob; DROP ROLE bob; SELECT wf_resume('ownerless')});
prove('workflows without an owner or a handler harm no other');
sql(q{SELECT wf_drop_workflow('ownerless', force => true), wf_drop_workflow('headless', force => true)});

# a payload that can't be read
SKIP:
{
	skip 'pg_surgery is not installed', 2
	  if sql(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_surgery'}) == 0;
	sql('CREATE EXTENSION pg_surgery');
	sql(q{SELECT wf_pause('w')});
	my $broken = sql(q{SELECT wf_enqueue('w', to_jsonb((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 2000) i)))});
	my $table = sql(qq{SELECT reltoastrelid::regclass FROM pg_class
		WHERE oid = (SELECT tableoid FROM wf.run WHERE run_id = '$broken')});
	sql("SELECT heap_force_kill('$table'::regclass, ARRAY(SELECT ctid FROM $table))");
	my $behind = sql(q{SELECT wf_enqueue('w')});
	sql(q{SELECT wf_resume('w')});
	is(ended($behind), 'completed', 'a payload that can not be read harms no other');
	ok(poll("SELECT count(*) = 1 FROM wf.attempts WHERE run_id = '$broken' AND outcome = 'failed' AND sqlstate = 'XX001'"),
		'and fails its own run');
	sql("SELECT wf_erase('$broken')");
}

# --- W7: statistics -----------------------------------------------------------

sql(q{SELECT wf_enqueue('w') FROM generate_series(1, 200)});
all_ended();
sql(q{SELECT wf_enqueue('w')}) for 1 .. 100;     # reserved one by one, or nearly so
all_ended();
ok(poll(q{SELECT sum(n_tup_ins) >= 200 FROM pg_stat_all_tables WHERE schemaname = 'wf' AND relname ~ '^event_'}),
	'what executors write is counted');
ok(poll(q{SELECT n_tup_del > 0 FROM pg_stat_all_tables WHERE schemaname = 'wf' AND relname = 'reservation'}),
	'what the dispatcher writes is, too');
ok(poll(q{SELECT autovacuum_count > 0 FROM pg_stat_all_tables WHERE schemaname = 'wf' AND relname = 'reservation'}),
	'so that autovacuum comes');

# --- W8: library and SQL objects do not fit -----------------------------------

for my $version ('0.0', '99.0')
{
	my ($status, $out, $err) = $node->psql('postgres', qq{
		BEGIN;
		SET LOCAL allow_system_table_mods = on;
		UPDATE pg_extension SET extversion = '$version' WHERE extname = 'pg_workflow';
		SELECT wf_enqueue('w');
		ROLLBACK}, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($err, qr/ERROR:  55000: .*(?:does not fit|version).*HINT:/s, "SQL objects of version $version are refused, with what to do");
}
prove('nothing of that is left');

# --- W10: DDL and locks by a DBA ----------------------------------------------

# what was handed over is remembered by its place
my $gate = gate();
sql(q{SELECT wf_enqueue('w', '{"gate": 1}') FROM generate_series(1, 6)});
at_gate(4);
sql(q{SET lock_timeout = '20s'; VACUUM FULL wf.reservation; VACUUM FULL wf.slice; VACUUM FULL wf.clock});
is(sql(q{SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
	WHERE backend_type ~ '^pg_workflow' AND locktype = 'relation' AND mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')}),
	0, 'W20: our processes hold no lock that keeps VACUUM or reading out');
sql(q{VACUUM wf.run_0, wf.event_0; ANALYZE wf.run_0});
pass('which go on while handlers run');
$gate->query_safe('SELECT pg_advisory_unlock_all()');
all_ended();
ok(poll('SELECT count(*) = 0 FROM wf.reservation'), 'after VACUUM FULL what was handed over is found again');

my $dba = $node->background_psql('postgres');
for my $table (qw(run run_0 event event_0 slice reservation workflow))
{
	$dba->query_safe("BEGIN; LOCK TABLE wf.$table IN SHARE MODE");
	# some of it waits; none of it is lost, and nobody is in a deadlock
	my $done = $node->background_psql('postgres');
	$done->{stdin} .= "SELECT wf_enqueue('w');\n";
	$done->{run}->pump_nb;
	$dba->query_safe('COMMIT');
	$done->quit;
	prove("LOCK TABLE wf.$table");
}
$dba->quit;
my @dispatcher = pids('dispatcher');
sql("VACUUM FULL wf.$_") for qw(run_0 event_0 workflow workflow_grant task_0 installation);
sql(q{REINDEX TABLE wf.run_0; REINDEX TABLE wf.event_0; CLUSTER wf.run_0 USING run_0_id});
prove('VACUUM FULL, REINDEX, CLUSTER');
sql(q{SELECT wf_enqueue('w') FROM generate_series(1, 20); TRUNCATE wf.event_7, wf.run_7, wf.reservation});
all_ended();
prove('TRUNCATE');
is(join(' ', pids('dispatcher')), "@dispatcher", 'and none of it ends the dispatcher');

# --- W19: what is not committed is not seen -----------------------------------

sql('TRUNCATE effect');
my $open = $node->background_psql('postgres');
$open->query_safe(q{BEGIN; SELECT wf_enqueue('w') FROM generate_series(1, 5)});
prove('a run beside some that are not committed');
is(sql('SELECT count(*) FROM effect'), 1, 'is the only one executed');
$open->query_safe('ROLLBACK');
prove('another after they have been rolled back');
is(sql('SELECT count(*) FROM effect'), 2, 'and they never are');
$open->quit;

# --- W22: the log -------------------------------------------------------------

my $log = -s $node->logfile;
sql(q{SELECT wf_enqueue('w', '{"fail": 1}') FROM generate_series(1, 500)});
poll(q{SELECT count(*) = 500 FROM wf.runs WHERE state = 'failed' AND sqlstate = 'P0001'});
my $lines = grep { /pg_workflow (?:executor|dispatcher)/ } split /\n/, slurp_file($node->logfile, $log);
cmp_ok($lines, '<', 20, "500 failed attempts do not fill the log ($lines lines)");

# --- W23: clock and time zone -------------------------------------------------

# across the changes of summer time, and in a zone that has skipped a day
for my $zone ('Pacific/Apia', 'Europe/Berlin', 'America/Sao_Paulo', 'Asia/Kathmandu')
{
	my $seconds = sql(qq{
		SET timezone = '$zone';
		SELECT wf_create_workflow('in $zone', key_ttl => '150 days', key_anchor => 'enqueue');
		SELECT wf_cancel(wf_enqueue('in $zone', key => 'k'));
		SELECT extract(epoch FROM expires_at - enqueued_at)::int FROM wf.keys WHERE workflow = 'in $zone'});
	like($seconds, qr/\b12960000$/, "in $zone 150 days are 150 times 24 hours");
}
my $due = sql(q{SET timezone = 'America/New_York'; SELECT wf_enqueue('w', run_at => clock_timestamp() + interval '300 ms')});
is(ended($due), 'completed', 'a run is due by the time, whatever the zone it was given in');

# --- W24: removing what runs --------------------------------------------------

$log = -s $node->logfile;
for my $i (1 .. 10)
{
	sql(qq{SELECT wf_create_workflow('fleeting $i', 'handle(jsonb)', batch => 5);
		SELECT wf_enqueue('fleeting $i') FROM generate_series(1, 100)});
	sql($i % 2 ? "SELECT wf_cancel_all('fleeting $i')" : "SELECT wf_drop_workflow('fleeting $i', force => true)");
}
poll(q{SELECT NOT EXISTS (SELECT FROM wf.runs WHERE state IN ('queued', 'running') AND workflow ~ '^fleeting')});
unlike(slurp_file($node->logfile, $log), qr/deadlock detected/, 'cancelling and dropping beside running batches makes no deadlock');
prove('and others go on');

# --- W25: shared memory -------------------------------------------------------

my $ours = sql(q{SELECT sum(allocated_size) FROM pg_shmem_allocations WHERE name ~ '^pg_workflow'});
my $with = sql(q{SELECT setting::bigint * 1024 * 1024 FROM pg_settings WHERE name = 'shared_memory_size'});
cmp_ok($ours, '>', 0, 'our shared memory has names');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
my $without = sql(q{SELECT setting::bigint * 1024 * 1024 FROM pg_settings WHERE name = 'shared_memory_size'});
# shared_memory_size counts whole megabytes
cmp_ok($with - $without, '>=', $ours - 1024 * 1024, 'and is asked for when the server starts');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'the server did not stumble');
$node->stop;
done_testing();
