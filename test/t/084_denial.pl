# Denial of service: what a role may do must not keep others, or the server, from
# their work.  alice attacks, with her own workflows and with what bob has
# granted her; bob wants his runs.  Whatever alice does, bob's run completes and
# the dispatcher is at work; what is stated besides is said at each test.

use strict;
use warnings;
use OneServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = one_server('denial', 'pg_workflow.sweep_interval = 200', 'log_statement = none');

sub as
{
	my ($role, $sql) = @_;
	return answer("SET SESSION AUTHORIZATION $role; SET statement_timeout = '120s'", $sql);
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

# The dispatcher waits for no transaction of a user's, and goes on when told
# that it has ended: not because it looks now and then.
set_and_reload("pg_workflow.sweep_interval = '1h'");
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

# a run that was cancelled, and is being retried, when the executor ends that would not let go of it
$gate->query_safe('SELECT pg_advisory_lock(2)');
as('alice', q{
	CREATE FUNCTION alice.clings(jsonb) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF wf_current_attempt() = 1 THEN
			PERFORM pg_advisory_xact_lock_shared(1);
		END IF;
	EXCEPTION WHEN query_canceled THEN
		PERFORM pg_advisory_xact_lock_shared(2);
	END $$;
	SELECT wf_alter_workflow('waits', 'alice.clings(jsonb)');
});
my $run = as('alice', q{SELECT wf_enqueue('waits')});
under_way(1);
sql("SELECT wf_cancel('$run')");
poll(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND NOT granted});
my $retrying = session('alice');
$retrying->query_safe("BEGIN; SELECT wf_retry('$run')");
end_executors();
bob_works('an executor ends while a retry of what it was at is not committed');
$retrying->query_safe('COMMIT');
$retrying->quit;
ok(ends($run, 'completed'), 'committed, that is begun');
as('alice', q{SELECT wf_alter_workflow('waits', 'alice.waits(jsonb)')});

# a server that is made read-only: everything pauses, nothing ends
my $paused = as('alice', q{SELECT wf_enqueue('waits')});
under_way(1);
my $dispatcher = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_workflow dispatcher'};
my $pid = sql($dispatcher);
set_and_reload('default_transaction_read_only = on');
poll(q{SELECT setting = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only'});
end_executors();
my $since = sql('SELECT clock_timestamp()');
ok(poll("SELECT query_start > '$since' FROM pg_stat_activity WHERE pid = $pid"), 'an executor has ended, and the dispatcher has looked');
set_and_reload('default_transaction_read_only = off');
under_way(1);
is(sql($dispatcher), $pid, 'it has stayed, and goes on when it may write');
sql("SELECT wf_cancel('$paused')");
ok(ends($paused, 'cancelled'), 'with the run that was under way');

# the same with a prepared transaction, over a crash of the server
$run = as('alice', q{SELECT wf_enqueue('waits')});
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
set_and_reload('pg_workflow.max_executors = 4', "pg_workflow.sweep_interval = '10s'");

# --- a key that is held open ---------------------------------------------------

$open = session('alice');
$open->query_safe(q{BEGIN; SELECT wf_enqueue('given', '1', 'open')});
is(as('bob', qq{SET pg_workflow.key_wait = $_; SELECT wf_enqueue('given', '1', 'open')}), 'WF003', "waits for key_wait ($_ ms) and no longer")
  for (0, 300);
is(as('bob', q{SET pg_workflow.key_wait = 300; SELECT count(*) FROM wf_enqueue_many('given', '{1,1}', '{x,open}')}), 'WF003', 'in a batch, too');
is(as('bob', q{SET pg_workflow.key_wait = 0; SELECT wf_enqueue('given', '1', 'another') IS NOT NULL, wf_enqueue('bobs', '1', 'open') IS NOT NULL}),
	't|t', 'other keys, and other workflows, are free');
is(as('bob', q{SELECT wf_enqueue('given', '1', 'open', on_conflict => 'skip')}), '', 'who does not want to wait need not');
is(as('bob', q{SELECT coalesce(wf_find('given', 'open')::text, 'none'), (SELECT string_agg(verdict, ' ') FROM wf_explain_key('given', 'open')) IS NOT NULL}), 'none|t', 'nor who only looks');

# somebody waits, and nobody queues up behind him
my $waits = session('bob');
$waits->query_until(qr/waiting/, "\\echo waiting\nSELECT wf_enqueue('given', '1', 'open');\n");
poll(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted}) or die 'nobody waits';
bob_works('a key is held open, and another waits for it');
is(sql(q{SET lock_timeout = '20s'; SELECT wf_expire() >= 0}), 't', 'cleaning goes on');
is(as('bob', q{SET lock_timeout = '20s';
	SELECT wf_alter_workflow('given', priority => 1), wf_pause('given'), wf_resume('given'), wf_create_workflow('passing'), wf_drop_workflow('passing');
	SELECT 'done'}), "||||\ndone", 'and so does changing workflows, even this one');
$open->query_safe('COMMIT');
like($waits->query_safe('SELECT 1'), qr/1/, 'the one who waited is through');
is(as('bob', q{SELECT count(*) FROM wf.runs WHERE workflow = 'given' AND key = 'open'}), '1', 'there is one run');
$waits->quit;
$open->quit;

# --- advisory locks of applications --------------------------------------------

# Ranges in both key spaces, of the session and of the transaction; among them
# OIDs and numbers of everything here.
$open = session('alice');
$open->query_safe(q{
	SELECT count(pg_advisory_lock(i)) FROM generate_series(-500, 500) i;
	SELECT count(pg_advisory_lock(i, j)) FROM generate_series(-20, 20) i, generate_series(-20, 20) j;
	SELECT count(pg_advisory_lock(oid::bigint)) FROM pg_class WHERE relnamespace = 'wf'::regnamespace;
	SELECT count(pg_advisory_lock(oid::integer, 0)), count(pg_advisory_lock(1259, oid::integer)) FROM pg_class WHERE relnamespace = 'wf'::regnamespace;
	SELECT count(pg_advisory_lock(oid::bigint)), count(pg_advisory_lock(oid::integer, 0)) FROM pg_database;
	BEGIN;
	SELECT count(pg_advisory_xact_lock(x)) FROM unnest('{-9223372036854775808,9223372036854775807,4294967296}'::bigint[]) x;
	SELECT count(pg_advisory_xact_lock(i * 4294967296)) FROM generate_series(1, 200) i;
});
bob_works('advisory locks are held');
is(as('bob', q{SET lock_timeout = '20s';
	SELECT count(wf_enqueue('given', '1', 'k' || i)) FROM generate_series(1, 200) i;
	SELECT status FROM wf_task_begin('t'); SELECT wf_task_complete('t', 1)}), "200\nexecute\nnull", 'keys and tasks do not meet them');
is(sql(q{SET lock_timeout = '20s'; SELECT wf_expire() >= 0}), 't', 'nor does cleaning');
$open->query_safe('ROLLBACK');

# All locks that there are: what needs one gets an error, a new session too,
# and it is over when they are given back, without anybody's help.
$waits = $node->background_psql('postgres', on_error_stop => 0);
$waits->query_safe('SET SESSION AUTHORIZATION bob');
$open->query_safe(q{
	DO $$ BEGIN FOR i IN 1..1000000 LOOP PERFORM pg_advisory_lock(5, i); END LOOP;
	EXCEPTION WHEN out_of_memory THEN NULL; END $$});
$waits->query(q{SELECT wf_enqueue('bobs') FROM generate_series(1, 5)});
like($waits->{stderr}, qr/^\s*$|out of shared memory/, 'the lock table is full: an error at the most');
$waits->quit;
$open->query_safe('SELECT pg_advisory_unlock_all()');
$open->quit;
bob_works('after the lock table was full');

# --- payload bombs --------------------------------------------------------------

# Each is a right answer or an error of the contract, ends when it is told to,
# and needs no memory that its size would not explain.
my @bombs = (
	q{to_jsonb(1e131071::numeric)}, q{jsonb_build_array(-1e131071::numeric, 1e-16383::numeric)},
	q{(SELECT jsonb_agg(1e131071::numeric) FROM generate_series(1, 500))}, q{(SELECT jsonb_agg(repeat('9', 100000)::numeric) FROM generate_series(1, 20))},
	q{(repeat('[', 6000) || repeat(']', 6000))::jsonb}, q{(repeat('{"a":', 5000) || '1' || repeat('}', 5000))::jsonb},
	q{(SELECT jsonb_object_agg('k' || i, i) FROM generate_series(1, 50000) i)}, q{(SELECT jsonb_object_agg(repeat('k', 100000) || i, i) FROM generate_series(1, 20) i)},
	q{to_jsonb(repeat('x', 16000000))}, q{to_jsonb(repeat('x', 60000000))}, q{(SELECT jsonb_agg(i) FROM generate_series(1, 300000) i)},
	q{to_jsonb(repeat(E'\\\\"', 3000000))});
my @uses = (
	q{wf_enqueue('bobs manual', p) IS NULL}, q{wf_enqueue('bobs manual', jsonb_build_array(p, 1), 'bomb', on_conflict => 'force') IS NULL},
	q{wf_enqueue('bobs manual', jsonb_build_array(p, 2), 'bomb') IS NULL}, q{wf_hash_key(p) IS NULL}, q{wf_canonical_json(p) IS NULL}, q{wf_key(p, p) IS NULL},
	q{wf_key(p, p) = wf_enqueue('bobs manual', '1', wf_key(p))::text}, q{wf_task_put('bomb', p) IS NULL});
# of the session, in kB; needs what Linux has
my $peak = -r "/proc/$$/status" ? q{substring(pg_read_file('/proc/' || pg_backend_pid() || '/status') FROM 'VmHWM:\s+(\d+)')} : '0';
sql(q{GRANT pg_read_server_files TO bob; GRANT EXECUTE ON FUNCTION pg_read_file(text) TO bob;
	CREATE TABLE public.bombs (n integer, p jsonb); GRANT SELECT ON public.bombs TO PUBLIC});
sql("INSERT INTO public.bombs SELECT $_, $bombs[$_]") for 0 .. $#bombs;
my %bombed;
for my $n (0 .. $#bombs)
{
	for my $use (@uses)
	{
		my ($ret, $out, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION bob; SET statement_timeout = '60s';\n\\set VERBOSITY sqlstate\n" .
			"SELECT $use FROM public.bombs WHERE n = $n;\nSELECT $peak;", on_error_stop => 0);
		my $answer = $err =~ /ERROR:\s+(\w{5})/ ? $1 : 'answer';
		my ($most) = $out =~ /(\d+)\s*\z/;
		$bombed{$answer}++;
		$bombed{memory}++ if !defined $most || $most > 700000;
		diag("$answer from $use of $bombs[$n], which takes $most kB: $err")
		  if $bombed{memory} || $answer !~ /^(answer|22003|22023|54000|54001|WF001)$/;
	}
}
is(join(' ', grep { !/^(answer|22003|22023|54000|54001|WF001)$/ } sort keys %bombed), '', 'bombs: an answer, or an error of the contract, and not much memory');
note(join ', ', map { "$_: $bombed{$_}" } sort keys %bombed);
is(as('bob', q{SET statement_timeout = 1; SELECT wf_canonical_json(to_jsonb(array_fill(1, '{3000000}')))}), '57014', 'they can be cancelled');
bob_works('after payload bombs');

# --- audit floods ---------------------------------------------------------------

# Duplicates are kept in memory of a fixed size; all are counted, and what is
# overrun before it is written is counted, too, for whose it was.
as('bob', q{SELECT wf_enqueue('bobs manual', '1', 'mine') FROM generate_series(1, 11)});
as('alice', q{SELECT wf_enqueue('alices manual', '1', 'flood'); SELECT count(wf_enqueue('alices manual', '1', 'flood')) FROM generate_series(1, 100000)});
is(as('alice', q{SELECT duplicates FROM wf.stats WHERE workflow = 'alices manual'}), '100000', 'a flood of duplicates: each is counted');
my $listed = q{SELECT (SELECT count(*) FROM wf.duplicates WHERE workflow = '%1$s' AND outcome = 'returned') + lost_audit FROM wf.stats WHERE workflow = '%1$s'};
ok(poll(sprintf("SELECT ($listed) = 100000", 'alices manual')), 'listed, or counted as lost');
is(as('bob', sprintf("SELECT ($listed) >= 10", 'bobs manual')), 't', 'bob\'s ten are, too');
bob_works('after a flood of duplicates');

# There are 4,096 places for counters; those of workflows that are gone are given
# back, so that nobody uses them up.
as('alice', q{DO $$ BEGIN FOR i IN 1..2200 LOOP PERFORM wf_create_workflow('w' || i), wf_enqueue('w' || i), wf_drop_workflow('w' || i, true); COMMIT; END LOOP; END $$}) for 1 .. 2;
ok(poll(q{SELECT count(*) < 2200 FROM wf.unwritten_counters()}), 'counters of dropped workflows are forgotten');
as('bob', q{SELECT wf_create_workflow('counted'), wf_enqueue('counted', '1', 'k'), wf_enqueue('counted', '1', 'k')});
is(as('bob', q{SELECT enqueued, duplicates FROM wf.stats WHERE workflow = 'counted'}), '1|1', 'and others are counted');

# --- handlers -------------------------------------------------------------------

# a workflow of alice's with a handler of this body
sub workflow
{
	my ($name, $body, $more) = @_;
	my $out = as('alice', qq{
		CREATE FUNCTION alice.$name(payload jsonb) RETURNS void LANGUAGE plpgsql AS \$handler\$ $body \$handler\$;
		SELECT wf_create_workflow('$name', 'alice.$name(jsonb)'${\($more // ', max_attempts => 1')});
	});
	die $out if $out ne '';
	return;
}

sub outcome
{
	my ($id) = @_;
	poll("SELECT state IN ('completed', 'failed', 'cancelled') FROM wf.runs WHERE run_id = '$id'") or return 'not ended';
	return sql("SELECT concat_ws(' ', state, sqlstate) FROM wf.runs WHERE run_id = '$id'");
}

sub alices { return as('alice', "SELECT wf_enqueue('$_[0]')"); }

# until a run is at work
sub begins
{
	my ($id) = @_;
	poll("SELECT count(*) = 1 FROM wf.workers WHERE run_id = '$id'") or die 'does not begin';
	return $id;
}

# without an end
workflow('endless', 'BEGIN LOOP END LOOP; END');
workflow('too_long', 'BEGIN LOOP END LOOP; END', q{, max_attempts => 1, timeout => '500 ms'});
workflow('quick', 'BEGIN END');
is(outcome(alices('too_long')), 'failed 57014', 'an endless handler is ended by its timeout');
$run = begins(alices('endless'));
sql("SELECT wf_cancel('$run')");
is(outcome($run), 'cancelled', 'by wf_cancel');
$run = begins(alices('endless'));
sql("SELECT pg_terminate_backend(pid) FROM wf.workers WHERE run_id = '$run'");
is(outcome($run), 'failed 57P01', 'by pg_terminate_backend');

# as many as there are places: one is kept for other owners
my @endless = map { alices('endless') } 1 .. 8;
poll(q{SELECT count(*) = 3 FROM wf.workers WHERE workflow = 'endless'}) or die 'not at work';
bob_works('endless handlers');
is(sql(q{SELECT count(*) FROM wf.workers WHERE workflow = 'endless'}), '3', 'which have all places but one');
sql("SELECT wf_cancel_all('endless')");
is(sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'endless' AND state IN ('queued', 'running')}), '0', 'all are cancelled');

# one that does not end holds nothing up that could run elsewhere
workflow('now_and_then', q{BEGIN IF payload ? 'stop' THEN LOOP END LOOP; END IF; END});
workflow('batched', q{BEGIN IF payload ? 'stop' THEN LOOP END LOOP; END IF; END}, ', batch => 100');
for my $name ('now_and_then', 'batched')
{
	as('alice', "SELECT count(wf_enqueue('$name')) FROM generate_series(1, 300)");
	poll("SELECT count(*) = 0 FROM wf.runs WHERE workflow = '$name' AND state <> 'completed'") or die 'not through';
	# of one transaction, so that they are handed over together
	($run) = split /\n/, as('alice', qq{BEGIN; SELECT wf_enqueue('$name', '{"stop": 1}'); SELECT count(wf_enqueue('$name')) FROM generate_series(1, 200); COMMIT});
	begins($run);
	ok(poll("SELECT count(*) = 500 FROM wf.runs WHERE workflow = '$name' AND state = 'completed'"), "$name: those behind an endless run are executed by others");
	is(outcome(alices('quick')), 'completed', "$name: and those of another workflow");
	is(sql("SELECT state FROM wf.runs WHERE run_id = '$run'"), 'running', "$name: while it goes on");
	sql("SELECT wf_cancel('$run')");
	is(outcome($run), 'cancelled', "$name: until it is cancelled");
}

# trapping what should end it: a second interruption, some seconds later, cannot be trapped
workflow('traps_timeout', q{BEGIN LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END}, q{, max_attempts => 1, timeout => '200 ms'});
workflow('traps_cancel', q{BEGIN LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END});
is(outcome(alices('traps_timeout')), 'failed 57P01', 'a handler that traps its timeout: its process ends');
$run = begins(alices('traps_cancel'));
sql("SELECT wf_cancel('$run')");
is(outcome($run), 'cancelled', 'one that traps wf_cancel is cancelled');
ok(poll(q{SELECT count(*) = 0 FROM wf.workers WHERE workflow = 'traps_cancel'}), 'and its process ends, too');
bob_works('after handlers that trap interruptions');

# deeper than the stack
workflow('deep', 'BEGIN PERFORM alice.deep(payload); END');
is(outcome(alices('deep')), 'failed 54001', 'endless recursion is an error');
# ends its own process
workflow('ends_itself', 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10); END', q{, max_attempts => 3, retry_delay => '0'});
as('alice', q{SELECT count(wf_enqueue('ends_itself')) FROM generate_series(1, 5)});
bob_works('handlers that end their process');
ok(poll(q{SELECT count(*) = 5 FROM wf.runs WHERE workflow = 'ends_itself' AND state = 'failed' AND attempt = 3}), 'fail after their attempts');

# memory
$node->append_conf('postgresql.conf', "pg_workflow.executor_memory_limit = '200MB'");
$node->reload;
workflow('hungry', q{DECLARE a text[]; BEGIN FOR i IN 1..100 LOOP a := array_append(a, repeat('x', 20000000)); END LOOP; END});
is(outcome(alices('hungry')), 'failed 53200', 'one that eats memory gets an error');
is(outcome(alices('quick')), 'completed', 'the next one in that process does not');
bob_works('after one that eats memory');
$node->append_conf('postgresql.conf', 'pg_workflow.executor_memory_limit = 0');
$node->reload;

# a thousand of whatever a session can have
$node->append_conf('postgresql.conf', 'pg_workflow.max_executors = 1');
$node->reload;
workflow('leaves', q{BEGIN
	FOR i IN 1..1000 LOOP
		EXECUTE format('DECLARE c%s CURSOR WITH HOLD FOR SELECT %s', i, i);
		EXECUTE format('PREPARE p%s AS SELECT %s', i, i);
		PERFORM pg_advisory_lock(7, i), set_config('my.s' || i, 'x', false);
		IF i <= 200 THEN EXECUTE format('CREATE TEMPORARY TABLE t%s (x integer)', i); END IF;
	END LOOP;
	INSERT INTO public.seen VALUES ('leaves');
END});
workflow('finds', q{BEGIN
	INSERT INTO public.seen VALUES ('finds');
	INSERT INTO public.seen SELECT 'cursor' FROM pg_cursors WHERE name LIKE 'c%';
	INSERT INTO public.seen SELECT 'prepared' FROM pg_prepared_statements WHERE name LIKE 'p%';
	INSERT INTO public.seen SELECT 'lock' FROM pg_locks WHERE locktype = 'advisory' AND classid = 7;
	INSERT INTO public.seen SELECT 'table' FROM pg_class WHERE relnamespace = pg_my_temp_schema();
	INSERT INTO public.seen SELECT 'setting' FROM generate_series(1, 1000) i WHERE current_setting('my.s' || i, true) <> '';
END});
is(outcome(alices('leaves')), 'completed', 'a thousand cursors, statements, locks, settings, and tables');
is(outcome(alices('finds')), 'completed', 'the next run');
is(sql(q{SELECT count(DISTINCT pid) FROM public.seen}), '1', 'is in the same process');
is(sql(q{SELECT string_agg(DISTINCT what, ' ' ORDER BY what) FROM public.seen}), 'finds leaves', 'and finds nothing of them');
is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7}), '0', 'nobody holds a lock of them');

# --- floods ---------------------------------------------------------------------

# Stated as an order: bob's first run is over while most of alice's are queued.
workflow('flood', 'BEGIN PERFORM pg_sleep(0.002); END');
as('alice', q{SELECT count(wf_enqueue('flood')) FROM generate_series(1, 50000)});
for my $limit (0, 1)
{
	$node->append_conf('postgresql.conf', "pg_workflow.max_running_per_role = $limit\npg_workflow.max_executors = " . (1 + $limit));
	$node->reload;
	poll(q{SELECT count(*) > 0 FROM wf.workers WHERE workflow = 'flood'}) or die 'no flood';
	bob_works("a flood, max_running_per_role = $limit");
	cmp_ok(sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'flood' AND state = 'queued'}), '>', 25000, 'while most of it is queued');
}
is(sql(q{SELECT count(*) FROM wf.workers WHERE workflow = 'flood' AND run_id IS NOT NULL} ) <= 1, 1, 'which is executed one by one');
sql("SELECT wf_drop_workflow('flood', force => true)");

# those that are claimed
as('alice', q{SELECT wf_grant('alices manual', 'bob', '{work}'); SELECT count(wf_enqueue('alices manual')) FROM generate_series(1, 50000)});
is(as('bob', q{SELECT wf_create_workflow('fresh', max_running => 1); SELECT wf_enqueue('fresh') \gset
	SELECT run_id = :'wf_enqueue' FROM wf_claim('{fresh}')}), "\nt", 'a flood of runs to be claimed: bob gets his own at once');
is(as('bob', q{SELECT wf_enqueue('bobs manual', priority => -1) \gset
	SELECT run_id = :'wf_enqueue' FROM wf_claim('{alices manual,bobs manual}')}), 't', 'and before the flood, if he says so, where he works for both');

# A flood of priorities, too: those that have been through are not read again, in
# claims (where the reads can be counted) as in the dispatcher.
is(as('alice', q{SELECT wf_create_workflow('priorities');
	SELECT count(wf_enqueue('priorities', priority => i)) FROM generate_series(1, 3000) i;
	BEGIN;
	DO $$ BEGIN FOR i IN 1..60 LOOP PERFORM count(*) FROM wf_claim('{priorities}', 50); END LOOP; END $$;
	SELECT sum(pg_stat_get_xact_numscans(oid)) < 30000 FROM pg_class WHERE relnamespace = 'wf'::regnamespace AND relname ~ '^run_[0-9]_queue$';
	COMMIT;
	SELECT count(*), bool_and(state = 'running') FROM wf.runs WHERE workflow = 'priorities'}), "\n3000\nt\n3000|t", 'thousands of priorities: each is read a few times');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP:/, 'nobody stumbled');
$node->stop;
done_testing();
