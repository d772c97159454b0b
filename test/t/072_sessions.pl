# One run harms no other: what its handler does to the session is gone before
# the next run, whatever ends it ends it alone, and changes to handler, owner
# or database reach the runs that are queued.

use strict;
use warnings;
use OneServer;
use PostgreSQL::Test::Utils;
use Test::More;

# one executor, so that runs follow each other in a session
my $node = one_server('sessions', 'pg_workflow.max_executors = 1');

sql(q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE friend;
	GRANT friend TO alice;
	GRANT CREATE ON SCHEMA public TO alice;
	CREATE SEQUENCE numbers;
	GRANT ALL ON SEQUENCE numbers TO PUBLIC;
	CREATE TABLE effect (n integer);
	GRANT ALL ON effect TO PUBLIC;
	SELECT wf_grant_usage('alice');
	GRANT alice TO postgres;
	SET ROLE alice;
	-- executes what it is told, and says what there is of the session
	CREATE FUNCTION act(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	DECLARE
		statement text;
	BEGIN
		FOR statement IN SELECT jsonb_array_elements_text(payload -> 'do') LOOP
			EXECUTE statement;
		END LOOP;
		RETURN (SELECT coalesce(jsonb_object_agg(name, setting), '{}') FROM pg_settings
				 WHERE name NOT LIKE 'transaction%' AND source = 'session')
			|| jsonb_build_object('settings', nullif(current_setting('my.setting', true), ''),
				'search_path', current_setting('search_path'), 'timeout', current_setting('statement_timeout'),
				'user', current_user || session_user,
				'transaction', current_setting('transaction_isolation') || current_setting('transaction_read_only'),
				'temporary', (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND pg_table_is_visible(oid)),
				'functions', to_regprocedure('pg_temp.f()'),
				'locks', (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
				'prepared', (SELECT count(*) FROM pg_prepared_statements),
				'cursors', (SELECT count(*) FROM pg_cursors WHERE is_holdable OR name = 'open'),
				'channels', (SELECT count(*) FROM pg_listening_channels()));
	END $$;
	SELECT wf_create_workflow('act', 'act(jsonb)', max_attempts => 1);
	SELECT wf_create_workflow('hasty', 'act(jsonb)', max_attempts => 1, timeout => '100 ms');
	SELECT wf_create_workflow('patient', 'act(jsonb)', retry_delay => '0');
	RESET ROLE;
	SELECT wf_grant('act', 'postgres');
});

# a run that does what is given; its id
sub act
{
	my ($do, $workflow) = @_;
	$workflow //= 'act';
	return sql("SELECT wf_enqueue('$workflow', jsonb_build_object('do', ARRAY[" . join(', ', map { "\$do\$$_\$do\$" } @$do) . ']::text[]))');
}

# what a run finds of the session
sub look
{
	my $id = act([]);
	my $state = ended($id);
	return $state eq 'completed' ? sql("SELECT result FROM wf.runs WHERE run_id = '$id'") : $state;
}

# --- what is left of a session ------------------------------------------------

my $clean = look();
like($clean, qr/"locks": 0/, 'a run finds a clean session');
my ($pid) = pids('executor');

my %litter = (
	'SET' => [q{SET my.setting = 'x'}, q{SET statement_timeout = '1h'}, q{SET DateStyle = 'German'}],
	'set_config' => [q{SELECT set_config('my.setting', 'x', false)}],
	'SET LOCAL' => [q{SET LOCAL my.setting = 'x'}, q{SET LOCAL search_path = pg_temp}],
	'search_path' => [q{SET search_path = friend, public}],
	'read-only transactions' => [q{SET default_transaction_read_only = on}, q{SET default_transaction_isolation = serializable}],
	'SET ROLE' => [q{SET ROLE friend}],
	'SET SESSION AUTHORIZATION' => [q{SET SESSION AUTHORIZATION alice}],
	'temporary objects' => [q{CREATE TEMP TABLE scratch (n int)}, q{CREATE TEMP VIEW v AS SELECT 1},
		q{CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'}],
	'session advisory locks' => [q{SELECT pg_advisory_lock(7)}, q{SELECT pg_advisory_lock_shared(1, 2)}],
	'advisory locks of the transaction' => [q{SELECT pg_advisory_xact_lock(7)}],
	'prepared statements' => [q{PREPARE p AS SELECT 1}],
	'open cursors' => [q{DECLARE open CURSOR FOR SELECT 1}],
	'held cursors' => [q{DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 1000)}],
);
for my $kind (sort keys %litter)
{
	my $id = act($litter{$kind});
	is(ended($id), 'completed', "a handler leaves $kind");
	is(look(), $clean, 'and the next run does not see it');
	next if $kind !~ /^(SET|temporary objects|session advisory locks|held cursors)$/;
	ended(act([ @{ $litter{$kind} }, 'SELECT 1 / 0' ]));
	is(look(), $clean, 'nor when the handler has failed after that');
}
is(ended(act([q{SELECT nextval('numbers')}])), 'completed', 'a handler uses a sequence');
is(ended(act([q{SELECT currval('numbers')}])), 'failed 55000', 'and currval is not defined for the next');
is(join(' ', pids('executor')), $pid, 'all of that in one process');
is(sql(q{SELECT count(*) FROM pg_class WHERE relpersistence = 't'}), 0, 'no temporary object is left in the catalog');

# --- what ends a handler ends that one alone ----------------------------------

sql(q{
	SET ROLE alice;
	CREATE FUNCTION recurse() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM recurse(); END';
	-- what it allocates stays until the statement ends
	CREATE FUNCTION swell() RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE
		all_of_it text[];
	BEGIN
		FOR i IN 1 .. 10000 LOOP
			all_of_it := all_of_it || repeat('x', 1000000);
		END LOOP;
		RETURN cardinality(all_of_it);
	END $$;
	CREATE FUNCTION trap(what text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE what;
	EXCEPTION WHEN query_canceled OR OTHERS THEN
		RETURN;
	END $$;
});
set_and_reload("pg_workflow.executor_memory_limit = '300MB'");

my @harms = (
	[ 'an error', 'failed 22012', [q{INSERT INTO effect VALUES (1)}, 'SELECT 1 / 0'] ],
	[ 'LISTEN, which a background process may not,', 'failed 0A000', [q{LISTEN channel}] ],
	[ 'an assertion', 'failed P0004', [q{DO 'BEGIN ASSERT false; END'}] ],
	[ 'a timeout of its own', 'failed 57014', [q{SET statement_timeout = '10ms'}, q{SELECT set_config('statement_timeout', '10ms', false), pg_cancel_backend(pg_backend_pid()), pg_sleep(3600)}] ],
	[ 'a stack that overflows', 'failed 54001', [q{SELECT recurse()}] ],
	[ 'memory that runs out', 'failed 53200', [q{SELECT swell()}] ],
	[ 'pg_cancel_backend of itself', 'failed 57014', [q{SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(3600)}] ],
	[ 'pg_terminate_backend of itself', 'failed 57P01', [q{SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(3600)}] ],
	[ 'a timeout of the workflow', 'failed 57014', [q{SELECT pg_sleep(3600)}], 'hasty' ],
	[ 'a timeout that it traps', 'failed 57014', [q{SELECT trap('SELECT pg_sleep(3600)')}], 'hasty' ],
	[ 'COMMIT', 'failed 2D000', [q{DO 'BEGIN COMMIT; END'}] ],
	[ 'ROLLBACK', 'failed 0A000', [q{ROLLBACK}] ],
	[ 'a transaction that was left', 'failed 0A000', [q{PREPARE TRANSACTION 'x'}] ],
);
for my $harm (@harms)
{
	my ($what, $state, $do, $workflow) = @$harm;
	my $id = act($do, $workflow);
	my @behind = map { act([]) } 1 .. 2;
	is(ended($id), $state, "$what ends a run");
	is(join(' ', map { ended($_) } @behind), 'completed completed', 'and those behind it are executed');
	is(look(), $clean, 'in a clean session');
}
is(sql('SELECT count(*) FROM effect'), 0, 'a failed attempt leaves no effect');
is(sql(q{SELECT count(*) FROM wf.attempts WHERE outcome = 'failed' AND (sqlstate IS NULL OR error IS NULL OR finished_at < started_at)}),
	0, 'each has its SQLSTATE, message and times');

# an owner's cancel, also where the handler traps it
for my $do ([q{SELECT pg_sleep(3600)}], [q{SELECT trap('SELECT pg_sleep(3600)')}, q{SELECT pg_sleep(3600)}])
{
	my $id = act($do);
	poll("SELECT count(*) = 1 FROM wf.workers WHERE run_id = '$id'") or die 'it does not run';
	my $behind = act([]);
	is(sql("SELECT wf_cancel('$id')"), 't', 'wf_cancel');
	# one that traps the cancel goes on to what follows it; the executor is ended then
	if (@$do > 1)
	{
		poll("SELECT state = 'cancelled' FROM wf.runs WHERE run_id = '$id'");
		sql(q{SELECT pg_terminate_backend(pid) FROM wf.workers WHERE kind = 'executor'});
	}
	is(ended($id), 'cancelled', 'ends the run');
	is(ended($behind), 'completed', 'and not the one behind it');
}
is(ended(act([q{SELECT wf_cancel(wf_current_run(), 'enough')}])), 'cancelled', 'a run may cancel itself');
is(ended(act([q{SELECT trap('SELECT wf_cancel(wf_current_run())')}])), 'cancelled', 'and is cancelled even if it traps that');

# --- results ------------------------------------------------------------------

sql(q{
	SET ROLE alice;
	CREATE FUNCTION r_null(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
	CREATE FUNCTION r_json_null(jsonb) RETURNS jsonb LANGUAGE sql AS $$SELECT 'null'::jsonb$$;
	CREATE FUNCTION r_void(jsonb) RETURNS void LANGUAGE sql AS 'INSERT INTO effect VALUES (2)';
	CREATE FUNCTION r_none(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1 WHERE false';
	CREATE FUNCTION r_large(jsonb) RETURNS jsonb LANGUAGE sql AS $$SELECT to_jsonb(repeat('x', ($1 ->> 'n')::int))$$;
	SELECT wf_create_workflow(name, (name || '(jsonb)')::regprocedure, max_attempts => 1)
	  FROM unnest('{r_null, r_json_null, r_void, r_none, r_large}'::text[]) name;
});
for my $case ([ r_null => '' ], [ r_json_null => 'null' ], [ r_void => '' ], [ r_none => '' ])
{
	my ($handler, $result) = @$case;
	my $id = sql("SET ROLE alice; SELECT wf_enqueue('$handler')");
	is(ended($id), 'completed', "$handler completes");
	is(sql("SELECT result FROM wf.runs WHERE run_id = '$id'"), $result, 'with its result');
}
my $large = sql(q{SET ROLE alice; SELECT wf_enqueue('r_large', '{"n": 10000000}')});
is(ended($large), 'completed', '10 MB are returned');
is(sql("SELECT length(result #>> '{}') FROM wf.runs WHERE run_id = '$large'"), 10000000, 'and kept');
is(ended(sql(q{SET ROLE alice; SELECT wf_enqueue('r_large', '{"n": 17000000}')})), 'failed 54000',
	'not more than max_payload');

# --- further runs -------------------------------------------------------------

sql(q{
	SET ROLE alice;
	CREATE FUNCTION chain(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		IF (payload ->> 'n')::int > 0 THEN
			RETURN to_jsonb(wf_enqueue('chain', jsonb_build_object('n', (payload ->> 'n')::int - 1), 'chain-' || (payload ->> 'n')));
		END IF;
		RETURN NULL;
	END $$;
	SELECT wf_create_workflow('chain', 'chain(jsonb)');
	SELECT wf_enqueue('chain', '{"n": 20}');
});
ok(poll(q{SELECT count(*) = 21 FROM wf.runs WHERE workflow = 'chain' AND state = 'completed'}),
	'a handler enqueues runs, which start when it has committed');
ended(act([q{SELECT wf_enqueue('chain', '{"n": 0}', 'undone')}, 'SELECT 1 / 0']));
is(sql(q{SELECT count(*) FROM wf.keys WHERE key = 'undone'}), 0, 'not when it has failed');

# --- what changes while runs are queued ---------------------------------------

sql(q{SELECT wf_pause('r_void')});
my @waiting = map { sql(q{SET ROLE alice; SELECT wf_enqueue('r_void')}) } 1 .. 4;
sql(q{SET ROLE alice; CREATE OR REPLACE FUNCTION r_void(jsonb) RETURNS void LANGUAGE sql AS 'INSERT INTO effect VALUES (3)'});
sql(q{TRUNCATE effect; SELECT wf_resume('r_void')});
is(join(' ', map { ended($_) } @waiting), 'completed completed completed completed', 'a handler replaced while runs are queued');
is(sql('SELECT count(*) FROM effect WHERE n = 3'), 4, 'is the new one');

sql(q{SET ROLE alice; SELECT wf_pause('r_void')});
my $id = sql(q{SET ROLE alice; SELECT wf_enqueue('r_void')});
sql(q{DROP FUNCTION r_void(jsonb)});
like(why($id), qr/function public\.r_void\(jsonb\), does not exist/, 'wf_why tells that the handler is gone');
sql(q{SELECT wf_resume('r_void')});
is(ended($id), 'failed 42883', 'a handler dropped while runs are queued fails the attempt');
sql(q{SET ROLE alice; CREATE FUNCTION r_void(jsonb) RETURNS integer LANGUAGE sql AS 'SELECT 1'});
sql("SELECT wf_retry('$id')");
is(ended($id), 'failed 22023', 'so does one that has become no handler');
sql(q{DROP FUNCTION r_void(jsonb); SET ROLE alice; CREATE FUNCTION r_void(jsonb) RETURNS void LANGUAGE sql AS ''});
sql("SELECT wf_retry('$id')");
is(ended($id), 'completed', 'until there is one again');

sql(q{ALTER ROLE alice RENAME TO alicia});
is(ended(act([])), 'completed', 'an owner who was renamed is the same owner');
sql(q{ALTER ROLE alicia RENAME TO alice});

# --- an owner who can't be served ---------------------------------------------

# a fresh process is refused; wf_why tells what it was told
sub refused
{
	my ($how, $message, $back) = @_;
	sql($how);
	sql(q{SELECT pg_terminate_backend(pid) FROM wf.workers WHERE kind = 'executor'});
	poll(q{SELECT count(*) = 0 FROM wf.workers WHERE kind = 'executor'});
	my $id = act([]);
	ok(poll("SELECT count(*) > 0 FROM wf_why('$id') reason WHERE reason ~ 'could not start: $message'"),
		"$how: wf_why says so") or diag why($id);
	is(sql("SELECT state, attempt FROM wf.runs WHERE run_id = '$id'"), 'queued|0', 'and the run waits, no attempt lost');
	sql($back);
	is(ended($id), 'completed', "$back: it is executed");
	return;
}

refused('REVOKE CONNECT ON DATABASE postgres FROM PUBLIC', 'permission denied for database',
	'GRANT CONNECT ON DATABASE postgres TO PUBLIC');
refused('ALTER ROLE alice SET default_transaction_read_only = on', 'default_transaction_read_only is on',
	'ALTER ROLE alice RESET default_transaction_read_only');
refused('ALTER ROLE alice IN DATABASE postgres SET default_transaction_read_only = on', 'default_transaction_read_only is on',
	'ALTER ROLE alice IN DATABASE postgres RESET default_transaction_read_only');
SKIP:
{
	skip 'workers may log in without LOGIN', 3 if $node->pg_version >= 17;
	refused('ALTER ROLE alice NOLOGIN', 'role "alice" is not permitted to log in', 'ALTER ROLE alice LOGIN');
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|WARNING:.*leak|signal (6|9|11)/, 'the server did not stumble');
$node->stop;
done_testing();
