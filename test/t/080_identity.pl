# As whom a handler runs: the owner of its workflow, logged in, with nobody
# underneath.  Each way out that is known of is tried.  Every function here
# reports who it is; whoever runs as somebody else has got out.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('identity');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->start;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

sub sql { return $node->safe_psql('postgres', @_); }

sub as
{
	my ($role, $sql) = @_;
	return $node->safe_psql('postgres', "SET SESSION AUTHORIZATION $role; $sql");
}

# whoever has reported under a name, each once: session user, current user, superuser?
sub seen
{
	my ($what) = @_;
	return sql("SELECT coalesce(string_agg(DISTINCT who, ', ' ORDER BY who), 'nobody') FROM public.seen WHERE what = '$what'");
}

# state of a run that has ended, with the SQLSTATE of its error
sub outcome
{
	my ($id) = @_;
	$node->poll_query_until('postgres',
		"SELECT state IN ('completed', 'failed', 'cancelled') FROM wf.runs WHERE run_id = '$id'")
	  or return 'not ended';
	return sql("SELECT concat_ws(' ', state, sqlstate) FROM wf.runs WHERE run_id = '$id'");
}

sub run { return outcome(sql("SELECT wf_enqueue('$_[0]')")); }

sql(q{
	CREATE EXTENSION pg_workflow;
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE mallory LOGIN;
	CREATE ROLE friends;
	GRANT friends TO alice;
	CREATE TABLE public.seen (what text, who text);
	GRANT INSERT, SELECT ON public.seen TO PUBLIC;
	CREATE FUNCTION public.report(what text) RETURNS integer LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.seen VALUES (what,
			format('%s %s %s', session_user, current_user, current_setting('is_superuser')));
		RETURN 1;
	END $$;
	CREATE SCHEMA alice AUTHORIZATION alice;
	CREATE SCHEMA shared;
	GRANT ALL ON SCHEMA shared TO alice, bob, mallory;
	SELECT wf_grant_usage('alice'), wf_grant_usage('bob'), wf_grant_usage('mallory');
});

# a workflow of a role's with a handler of this body
sub workflow
{
	my ($name, $body, $role, $more) = @_;
	$role //= 'alice';
	my $schema = $role eq 'alice' ? 'alice' : 'shared';
	as($role, qq{
		CREATE FUNCTION $schema.$name(payload jsonb) RETURNS void LANGUAGE plpgsql AS \$handler\$ $body \$handler\$;
		SELECT wf_create_workflow('$name', '$schema.$name(jsonb)', max_attempts => 1${\($more // '')});
	});
	return;
}

# --- what a handler may say ---------------------------------------------------

as('alice', q{
	CREATE TABLE alice.checked (x integer);
	CREATE FUNCTION alice.check() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		RESET ROLE;
		PERFORM public.report('deferred trigger');
		RETURN NULL;
	END $$;
	CREATE CONSTRAINT TRIGGER later AFTER INSERT ON alice.checked
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION alice.check();
	CREATE FUNCTION alice.expression(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		PERFORM public.report('index expression');
		RETURN x;
	END $$;
	CREATE TABLE alice.indexed (x integer);
	INSERT INTO alice.indexed VALUES (1);
	CREATE FUNCTION alice.definer() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$SELECT public.report('definer')$$;
	CREATE FUNCTION alice.trap() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = alice AS $$
	BEGIN
		PERFORM public.report('definer with settings');
	END $$;
});
sql('ALTER FUNCTION alice.definer() OWNER TO friends; GRANT EXECUTE ON FUNCTION alice.definer() TO alice; GRANT USAGE ON SCHEMA alice TO friends');

my $alice = 'alice alice off';
my @attempts = (
	# name, body, outcome, who has reported under the name
	[ plain => q{BEGIN PERFORM public.report('plain'); END}, 'completed', $alice ],
	[ reset_role => q{BEGIN RESET ROLE; PERFORM public.report('reset_role'); END}, 'completed', $alice ],
	[ role_none => q{BEGIN PERFORM set_config('role', 'none', false); PERFORM public.report('role_none'); END}, 'completed', $alice ],
	[ role_local => q{BEGIN SET LOCAL ROLE NONE; PERFORM public.report('role_local'); END}, 'completed', $alice ],
	[ reset_all => q{BEGIN RESET ALL; PERFORM public.report('reset_all'); END}, 'completed', $alice ],
	[ set_role => qq{BEGIN SET ROLE $superuser; PERFORM public.report('set_role'); END}, 'failed 42501', 'nobody' ],
	[ set_local_role => qq{BEGIN SET LOCAL ROLE $superuser; PERFORM public.report('set_local_role'); END}, 'failed 42501', 'nobody' ],
	[ set_bob => q{BEGIN SET ROLE bob; PERFORM public.report('set_bob'); END}, 'failed 42501', 'nobody' ],
	[ set_friends => q{BEGIN SET ROLE friends; PERFORM public.report('set_friends'); END}, 'completed', 'alice friends off' ],
	[ session_super => qq{BEGIN SET SESSION AUTHORIZATION $superuser; PERFORM public.report('session_super'); END}, 'failed 42501', 'nobody' ],
	[ session_bob => q{BEGIN PERFORM set_config('session_authorization', 'bob', true); PERFORM public.report('session_bob'); END}, 'failed 42501', 'nobody' ],
	[ session_default => q{BEGIN SET SESSION AUTHORIZATION DEFAULT; PERFORM public.report('session_default'); END}, 'completed', $alice ],
	[ is_superuser => q{BEGIN SET is_superuser = on; END}, 'failed 55P02', 'nobody' ],
	[ ends_itself => q{BEGIN COMMIT; PERFORM public.report('ends_itself'); END}, 'failed 2D000', 'nobody' ],
	[ caught => qq{BEGIN
		BEGIN SET ROLE $superuser; EXCEPTION WHEN OTHERS THEN PERFORM public.report('caught'); END;
		BEGIN SET SESSION AUTHORIZATION $superuser; EXCEPTION WHEN OTHERS THEN PERFORM public.report('caught'); END; END}, 'completed', $alice ],
	[ 'deferred trigger' => q{BEGIN INSERT INTO alice.checked VALUES (1); END}, 'completed', $alice ],
	[ held_cursor => q{BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT public.report(''held_cursor'')'; END}, 'completed', 'nobody' ],
	[ 'index expression' => q{BEGIN CREATE INDEX ON alice.indexed (alice.expression(x)); END}, 'completed', $alice ],
	[ on_commit => q{BEGIN
		CREATE TEMPORARY TABLE cleared (x integer) ON COMMIT DELETE ROWS;
		CREATE INDEX ON cleared (alice.expression(x));
		INSERT INTO cleared VALUES (1);
		CREATE TEMPORARY TABLE gone ON COMMIT DROP AS SELECT 1; END}, 'completed', 'nobody' ],
	[ definer => q{BEGIN PERFORM alice.definer(); PERFORM public.report('after definer'); END}, 'completed', 'alice friends off' ],
	[ 'definer with settings' => q{BEGIN PERFORM alice.trap(); PERFORM public.report('after definer'); END}, 'completed', $alice ],
	[ reads_tables => q{BEGIN PERFORM FROM wf.workflow; END}, 'failed 42501', 'nobody' ],
	[ writes_tables => q{BEGIN UPDATE wf.workflow SET owner_oid = 10; END}, 'failed 42501', 'nobody' ],
	[ unpinned => q{BEGIN SET LOCAL pg_workflow.allow_superuser_workflows = on; END}, 'failed 42501', 'nobody' ]);

for my $attempt (@attempts)
{
	my ($what, $body, $outcome, $who) = @$attempt;
	(my $name = $what) =~ s/ /_/g;
	workflow($name, $body);
	is(run($name), $outcome, "$what: ends as it should");
	is(seen($what), $who, "$what: who runs");
}
is(seen('index expression'), $alice, 'also at ON COMMIT');
is(seen('after definer'), $alice, 'after a SECURITY DEFINER function it is the owner again');
is(sql(q{SELECT string_agg(DISTINCT usename, ' ') FROM pg_stat_activity WHERE backend_type = 'pg_workflow executor'}),
	'alice', 'the process is logged in as the owner');

# --- event triggers -----------------------------------------------------------

sql(q{
	CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
	BEGIN PERFORM public.report('event trigger'); END $$;
	CREATE EVENT TRIGGER starts ON ddl_command_start EXECUTE FUNCTION public.on_ddl();
	CREATE EVENT TRIGGER drops ON sql_drop EXECUTE FUNCTION public.on_ddl();
});
workflow('ddl', q{BEGIN CREATE TEMPORARY TABLE t (x integer); END});
sql('TRUNCATE public.seen');
is(run('ddl'), 'completed', 'a handler with a temporary table');
is(run('ddl'), 'completed', 'which is gone in the next run');
is(seen('event trigger'), $alice, 'event triggers run as the owner');
sql('DROP EVENT TRIGGER starts; DROP EVENT TRIGGER drops');

# --- settings of role and database --------------------------------------------

sql(qq{
	ALTER DATABASE postgres SET role = mallory;
	ALTER ROLE alice SET role = friends;
	ALTER DATABASE postgres SET search_path = shared, pg_catalog;
	ALTER ROLE alice IN DATABASE postgres SET search_path = alice, public;
	ALTER DATABASE postgres SET session_preload_libraries = 'no_such_library';
	ALTER DATABASE postgres SET local_preload_libraries = 'no_such_library';
	ALTER DATABASE postgres SET lock_timeout = 1;
	ALTER DATABASE postgres SET default_transaction_isolation = serializable;
	ALTER DATABASE postgres SET session_replication_role = replica;
	ALTER DATABASE postgres SET row_security = off;
});
$node->restart;
# a session of ours that those settings do not hit
sub quiet
{
	local $ENV{PGOPTIONS} =
	  '-c role=none -c search_path="$user",public -c session_preload_libraries= -c local_preload_libraries= -c default_transaction_isolation=read\ committed -c session_replication_role=origin -c row_security=on -c lock_timeout=0';
	return $_[0]->();
}
quiet(sub {
	sql('TRUNCATE public.seen');
	is(run('plain'), 'completed', 'settings of role and database: a run');
	is(seen('plain'), $alice, 'role is none whatever they say');
	workflow('paths', q{BEGIN INSERT INTO public.seen VALUES ('path', current_setting('search_path')); END});
	is(run('paths'), 'completed', 'a run that looks at its search_path');
	is(seen('path'), 'alice, public', 'handlers have the settings of a fresh login');
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM wf.workers WHERE kind = 'dispatcher'}),
		'the dispatcher has come up');
});
quiet(sub { sql(q{ALTER DATABASE postgres RESET ALL; ALTER ROLE alice RESET ALL; ALTER ROLE alice IN DATABASE postgres RESET ALL}) });

# --- nothing of a run's session outlives it -----------------------------------

# one executor, so that the second run is in the first one's process
$node->append_conf('postgresql.conf', 'pg_workflow.max_executors = 1');
$node->restart;
as('alice', 'CREATE SEQUENCE alice.s');
workflow('leaves', q{BEGIN
	PERFORM set_config('my.secret', 'x', false), set_config('work_mem', '64kB', false), setseed(0.5), nextval('alice.s'), pg_advisory_lock(7);
	SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
	SET lock_timeout = 1;
	EXECUTE 'PREPARE kept AS SELECT 1';
	EXECUTE 'DECLARE kept CURSOR WITH HOLD FOR SELECT 1';
	CREATE TEMPORARY TABLE kept AS SELECT 1 AS x;
	INSERT INTO public.seen VALUES ('pid', pg_backend_pid());
END});
workflow('finds', q{DECLARE value bigint; BEGIN
	INSERT INTO public.seen VALUES ('pid', pg_backend_pid());
	INSERT INTO public.seen SELECT 'setting', name FROM pg_settings WHERE source IN ('session');
	INSERT INTO public.seen SELECT 'custom', current_setting('my.secret', true) WHERE current_setting('my.secret', true) <> '';
	INSERT INTO public.seen SELECT 'seed', 'known' WHERE random() IN (SELECT r FROM public.known);
	INSERT INTO public.seen SELECT 'prepared', name FROM pg_prepared_statements;
	INSERT INTO public.seen SELECT 'cursor', name FROM pg_cursors WHERE is_holdable;
	INSERT INTO public.seen SELECT 'temporary', to_regclass('kept')::text WHERE to_regclass('kept') IS NOT NULL;
	INSERT INTO public.seen SELECT 'lock', locktype FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
	value := currval('alice.s');
	INSERT INTO public.seen VALUES ('currval', value);
EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; END});
sql(q{CREATE TABLE public.known AS SELECT 0.0::float8 AS r LIMIT 0; GRANT SELECT ON public.known TO PUBLIC;
	SELECT setseed(0.5); INSERT INTO public.known SELECT random() FROM generate_series(1, 5)});
sql('TRUNCATE public.seen');
is(run('leaves'), 'completed', 'a run that leaves what it can');
is(run('finds'), 'completed', 'the next one in the same process');
is(sql(q{SELECT count(DISTINCT who) FROM public.seen WHERE what = 'pid'}), '1', 'it was the same process');
is(sql(q{SELECT string_agg(what || ' ' || who, ', ') FROM public.seen WHERE what <> 'pid'}), '', 'and finds nothing');

# --- workflows of superusers --------------------------------------------------

workflow('becomes_bob', q{BEGIN SET SESSION AUTHORIZATION bob; PERFORM public.report('becomes_bob'); END}, $superuser);
workflow('of_super', q{BEGIN PERFORM public.report('of_super'); END}, $superuser);
is(run('becomes_bob'), 'completed', 'a superuser may become anybody');
is(seen('becomes_bob'), 'bob bob off', 'for the run');
is(run('of_super'), 'completed', 'the run after that');
is(seen('of_super'), "$superuser $superuser on", 'is the superuser again');
sql('ALTER FUNCTION shared.of_super(jsonb) OWNER TO alice');
is(run('of_super'), 'failed 42501', 'a superuser runs no function that somebody else could change');
sql("ALTER FUNCTION shared.of_super(jsonb) OWNER TO $superuser");
is(run('of_super'), 'completed', 'only a superuser\'s');
$node->append_conf('postgresql.conf', 'pg_workflow.allow_superuser_workflows = off');
$node->reload;
is(run('of_super'), 'failed 42501', 'and none where the setting says no');
$node->append_conf('postgresql.conf', 'pg_workflow.allow_superuser_workflows = on');
$node->reload;
workflow('promoted', q{BEGIN PERFORM public.report('promoted'); END});
sql('ALTER FUNCTION alice.promoted(jsonb) OWNER TO friends; ALTER ROLE alice SUPERUSER');
is(run('promoted'), 'failed 42501', 'an owner who is made a superuser does not run others\' functions');
sql('ALTER ROLE alice NOSUPERUSER');
is(run('promoted'), 'completed', 'until he is none again');
is(seen('promoted'), $alice, 'as himself');

# --- handing over -------------------------------------------------------------

# an administrator who is no superuser would be one by this
sql(q{GRANT EXECUTE ON FUNCTION wf_adopt() TO mallory; GRANT EXECUTE ON FUNCTION shared.of_super(jsonb) TO mallory});
my ($ret, $out, $err);
as('mallory', q{SELECT wf_create_workflow('handed over', 'shared.of_super(jsonb)')});
($ret, $out, $err) = $node->psql('postgres', qq{SET SESSION AUTHORIZATION mallory; SELECT wf_alter_workflow('handed over', owner => '$superuser')});
like($err, qr/permission denied/, 'only a superuser hands a workflow over to a superuser');
as('mallory', q{SELECT wf_alter_workflow('handed over', owner => 'bob')});
is(sql(q{SELECT owner FROM wf.workflows WHERE name = 'handed over'}), 'bob', 'any administrator to another role');
sql(q{REVOKE EXECUTE ON FUNCTION wf_adopt() FROM mallory});

# --- handlers that are not what they were -------------------------------------

sub again { my ($name, $change, $outcome, $what) = @_; sql($change); is(run($name), $outcome, $what); return; }

sub captive
{
	my ($name) = @_;
	as('alice', qq{
		CREATE FUNCTION shared.$name(payload jsonb) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM public.report(''$name''); END';
		SELECT wf_create_workflow('$name', 'shared.$name(jsonb)', max_attempts => 1);
	});
	is(run($name), 'completed', "$name: as it was set");
	sql('TRUNCATE public.seen');
	return;
}
captive('dropped');
as('mallory', q{
	CREATE FUNCTION shared.dropped(anyelement) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM public.report(''trap''); END';
	CREATE FUNCTION shared.dropped(payload json) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM public.report(''trap''); END';
	CREATE FUNCTION shared.dropped(payload jsonb, VARIADIC more text[]) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM public.report(''trap''); END';
});
again('dropped', 'DROP FUNCTION shared.dropped(jsonb)', 'failed 42883', 'a handler that was dropped is not replaced by an overload');
is(sql(qq{SELECT count(*) > 0 FROM wf_why((SELECT run_id FROM wf.runs WHERE workflow = 'dropped' LIMIT 1))}), 't', 'and wf_why does not stumble');
as('mallory', q{CREATE FUNCTION shared.dropped(payload jsonb) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM public.report(''trap''); END'});
is(run('dropped'), 'failed 42501', 'nor by one of the same signature that is somebody else\'s');
captive('moved');
sql('CREATE SCHEMA elsewhere AUTHORIZATION mallory');
as('mallory', q{CREATE FUNCTION elsewhere.moved(payload jsonb) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM public.report(''trap''); END'; GRANT USAGE ON SCHEMA elsewhere TO PUBLIC});
again('moved', 'ALTER SCHEMA shared RENAME TO before; ALTER SCHEMA elsewhere RENAME TO shared', 'failed 42501', 'another schema of the name does not help');
sql('ALTER SCHEMA shared RENAME TO elsewhere; ALTER SCHEMA before RENAME TO shared');
captive('procedure');
again('procedure', q{DROP FUNCTION shared.procedure(jsonb); SET ROLE alice; CREATE PROCEDURE shared.procedure(payload jsonb) LANGUAGE sql AS 'SELECT public.report(''trap'')'},
	'failed 22023', 'a procedure in its place is refused');
captive('revoked');
again('revoked', 'REVOKE ALL ON FUNCTION shared.revoked(jsonb) FROM PUBLIC, alice', 'failed 42501', 'EXECUTE is asked for at each start');
captive('given');
again('given', 'ALTER FUNCTION shared.given(jsonb) OWNER TO mallory', 'failed 42501', 'so is whose function it is');
again('given', 'ALTER FUNCTION shared.given(jsonb) OWNER TO friends', 'completed', 'a role that the owner is a member of may have it');
again('given', 'REVOKE friends FROM alice', 'failed 42501', 'as long as he is');
sql('GRANT friends TO alice');
captive('language');
$node->append_conf('postgresql.conf', 'pg_workflow.handler_languages = sql');
$node->reload;
is(run('language'), 'failed 22023', 'a language that is not allowed any more');
$node->append_conf('postgresql.conf', "pg_workflow.handler_languages = 'sql, plpgsql'");
$node->reload;
is(seen('trap'), 'nobody', 'no function of somebody else has run');

# --- owners that are not what they were ---------------------------------------

sql('CREATE ROLE dora LOGIN; GRANT ALL ON SCHEMA shared TO dora');
sql("SELECT wf_grant_usage('dora')");
workflow('doras', q{BEGIN PERFORM public.report('doras'); END}, 'dora');
sql("ALTER ROLE dora RENAME TO theodora; CREATE ROLE dora LOGIN");
sql('TRUNCATE public.seen');
is(run('doras'), 'completed', 'an owner who is renamed stays the owner');
is(seen('doras'), 'theodora theodora off', 'by his new name');
sql(q{SELECT wf_pause('doras')});
my $queued = sql(q{SELECT wf_enqueue('doras')});
sql('GRANT EXECUTE ON FUNCTION shared.doras(jsonb) TO PUBLIC');
sql("ALTER FUNCTION shared.doras(jsonb) OWNER TO $superuser; DROP OWNED BY theodora; DROP ROLE theodora; ALTER ROLE dora RENAME TO theodora");
sql(q{SELECT wf_resume('doras')});
is(run('plain'), 'completed', 'a workflow whose owner was dropped stops nobody else');
is(sql(qq{SELECT state FROM wf.runs WHERE run_id = '$queued'}), 'queued', 'its runs wait');
like(sql(qq{SELECT wf_why('$queued')}), qr/owner .* does not exist/, 'wf_why says so');
is(seen('doras'), 'theodora theodora off', 'a role that has the name now has not run it');
is(as('theodora', q{SELECT count(*) FROM pg_catalog.pg_proc WHERE proname = 'wf_enqueue' AND has_function_privilege(oid, 'EXECUTE')}), '0', 'and may nothing');

# OID 0 would be the bootstrap superuser
sql(q{TRUNCATE public.seen; UPDATE wf.workflow SET owner_oid = 0 WHERE name = 'doras'});
is(run('plain'), 'completed', 'an owner of OID 0 stops nobody else');
is(sql(qq{SELECT state FROM wf.runs WHERE run_id = '$queued'}), 'queued', 'and is nobody');
is(seen('doras'), 'nobody', 'nothing of it has run');
sql(q{SELECT wf_alter_workflow('doras', owner => 'bob')});
is(outcome($queued), 'completed', 'handed over, its runs go on');
is(seen('doras'), 'bob bob off', 'as the new owner');

# --- everything that ran, ran as one of these ----------------------------------

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|executor without an owner/, 'nobody stumbled');
$node->stop;
done_testing();
