# A schema of traps: every function, operator, common type and catalog of
# pg_catalog is shadowed by one of mallory's, on the search_path of the database
# (which her friend owns) and of the roles, through the whole life of the
# extension, in the background as well.  Whatever of it is used says so in the
# server's log.  Nothing of ours may touch it.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('traps');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->append_conf('postgresql.conf', "pg_workflow.sweep_interval = 50\nlog_min_messages = warning\nlog_statement = none");
$node->start;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $db = 'trapped';

# in a session that the traps are not in the way of
sub calm
{
	local $ENV{PGOPTIONS} = '-c search_path=pg_catalog';
	return $node->safe_psql($db, @_);
}

sub calm_until
{
	my ($query) = @_;
	local $ENV{PGOPTIONS} = '-c search_path=pg_catalog';
	return $node->poll_query_until($db, $query);
}

# What is said here goes through the traps, and must name everything in full.
sub within
{
	my ($role, $sql) = @_;
	my ($ret, $out, $err) = $node->psql($db, "SET SESSION AUTHORIZATION $role;\n$sql", on_error_stop => 0);
	return $out;
}

sub sprung
{
	my ($since) = @_;
	my $log = slurp_file($node->logfile, $since);
	my %traps;
	$traps{$1}++ while $log =~ /sprung: (.*)/g;
	return join "\n", map { "$_ ($traps{$_} times)" } sort keys %traps;
}

$node->safe_psql('postgres', q{
	CREATE ROLE dbo LOGIN;
	CREATE ROLE mallory LOGIN;
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE keeper LOGIN;
	CREATE DATABASE trapped OWNER dbo;
	ALTER ROLE alice SET search_path = evil, pg_catalog;
	ALTER ROLE keeper SET search_path = evil, pg_catalog;
});
$node->safe_psql('postgres', "ALTER ROLE $superuser SET search_path = evil, pg_catalog");
calm('GRANT CREATE ON DATABASE trapped TO mallory; SET SESSION AUTHORIZATION dbo; ALTER DATABASE trapped SET search_path = evil, pg_catalog');
calm(q{
SET SESSION AUTHORIZATION mallory;
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.sprung(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RAISE LOG 'sprung: % as % of session %', what, current_user, session_user;
	RETURN true;
END $$;
DO $do$
DECLARE
	r record;
BEGIN
	FOR r IN
		SELECT p.proname, p.pronargs, format_type(p.prorettype, NULL) AS result, p.provolatile, p.proretset,
			   (SELECT string_agg(format_type(t, NULL), ',' ORDER BY o) FROM unnest(p.proargtypes) WITH ORDINALITY u(t, o)) AS arguments,
			   (SELECT string_agg('$' || i, ',') FROM generate_series(1, p.pronargs) i) AS passed
		  FROM pg_proc p
		 WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND provariadic = 0 AND proargmodes IS NULL
	LOOP
		BEGIN
			IF r.proretset THEN
				EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS SETOF %s LANGUAGE plpgsql AS %L', r.proname, r.arguments, r.result,
					format('begin perform evil.sprung(%L); return query select pg_catalog.%I(%s); end', 'function ' || r.proname, r.proname, r.passed));
			ELSE
				EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', r.proname, r.arguments, r.result,
					format('begin perform evil.sprung(%L); return pg_catalog.%I(%s); end', 'function ' || r.proname, r.proname, r.passed));
			END IF;
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	FOR r IN
		SELECT o.oprname, p.proname, CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END AS l, format_type(o.oprright, NULL) AS r
		  FROM pg_operator o
		  JOIN pg_proc p ON p.oid = o.oprcode
		 WHERE o.oprnamespace = 'pg_catalog'::regnamespace
	LOOP
		BEGIN
			EXECUTE format('CREATE OPERATOR evil.%s (PROCEDURE = evil.%I, %s RIGHTARG = %s)', r.oprname, r.proname,
						   coalesce('LEFTARG = ' || r.l || ',', ''), r.r);
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	-- aggregates, types and catalogs
	FOR r IN SELECT unnest('{text,jsonb,uuid,timestamptz,oid,name,bytea,inet,regrole,regprocedure,regclass,regnamespace,regproc}'::text[]) AS name LOOP
		EXECUTE format('CREATE DOMAIN evil.%1$I AS pg_catalog.%1$I CHECK (evil.sprung(%2$L))', r.name, 'type ' || r.name);
	END LOOP;
	FOR r IN SELECT relname AS name FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')
				 AND relname !~ 'statistic|attribute$|pg_stats'
	LOOP
		EXECUTE format('CREATE VIEW evil.%1$I AS SELECT * FROM pg_catalog.%1$I WHERE evil.sprung(%2$L)', r.name, 'catalog ' || r.name);
		EXECUTE format('GRANT SELECT ON evil.%I TO PUBLIC', r.name);
	END LOOP;
END $do$;
CREATE AGGREGATE evil.count(*) (SFUNC = evil.int8inc, STYPE = bigint, INITCOND = '0');
});
cmp_ok(calm(q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'evil'::regnamespace}), '>', 2000, 'functions');
cmp_ok(calm(q{SELECT count(*) FROM pg_operator WHERE oprnamespace = 'evil'::regnamespace}), '>', 600, 'operators');

# the traps work: what is said without care falls into them
my $since = -s $node->logfile;
within($superuser, q{SELECT 1 = 1, lower('A'), 'x'::text, count(*) FROM pg_class});
my $caught = sprung($since);
like($caught, qr/$_/, "trap: $_") for ('function int4eq', 'function lower', 'type text', 'catalog pg_class', 'function int8inc');
like($caught, qr/as $superuser of session $superuser/, 'and would run as the superuser');

# --- the whole life -----------------------------------------------------------

$since = -s $node->logfile;
within($superuser, 'CREATE EXTENSION pg_workflow SCHEMA public');
is(calm(q{SELECT count(*) FROM pg_extension WHERE extname = 'pg_workflow'}), '1', 'CREATE EXTENSION');
is(sprung($since), '', 'CREATE EXTENSION springs nothing');

calm(q{
	CREATE SCHEMA alice AUTHORIZATION alice;
	GRANT EXECUTE ON FUNCTION public.wf_adopt(), public.wf_expire(integer), public.wf_grant_usage(regrole) TO keeper;
	SET SESSION AUTHORIZATION alice;
	CREATE TABLE alice.log (x jsonb);
	CREATE FUNCTION alice.good(payload jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = pg_catalog AS
		'BEGIN INSERT INTO alice.log VALUES (payload); RETURN payload; END';
	CREATE FUNCTION alice.bad(payload jsonb) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS
		'BEGIN RAISE EXCEPTION ''no''; END';
	CREATE FUNCTION alice.slow(payload jsonb) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS
		'BEGIN PERFORM pg_sleep(600); END';
});
within($superuser, q{SELECT public.wf_grant_usage('alice'), public.wf_grant_usage('bob'), public.wf_grant_usage('keeper'), public.wf_revoke_usage('bob'), public.wf_grant_usage('bob')});
within('keeper', q{SELECT public.wf_grant_usage('bob')});
is(sprung($since), '', 'grants of usage');

within('alice', q{
	SELECT public.wf_create_workflow('good', 'alice.good(pg_catalog.jsonb)', batch => 10);
	SELECT public.wf_create_workflow('bad', 'alice.bad(pg_catalog.jsonb)', max_attempts => 2, retry_delay => '0', key_ttl => '0', retention => '0', on_failed => 'resume');
	SELECT public.wf_create_workflow('slow', 'alice.slow(pg_catalog.jsonb)', timeout => '50 milliseconds', max_attempts => 1);
	SELECT public.wf_create_workflow('manual', max_queued => 5000, retention => '0', key_ttl => '0');
	SELECT public.wf_create_workflow('manual', on_exists => 'alter', max_queued => 5000, retention => '0', key_ttl => '0');
	SELECT public.wf_create_workflow('gone'), public.wf_drop_workflow('gone', true);
	SELECT public.wf_alter_workflow('good', priority => 3, handler => 'alice.good(pg_catalog.jsonb)');
	SELECT public.wf_grant('good', 'bob', '{enqueue,read,work,operate}'), public.wf_grant('manual', 'bob'), public.wf_revoke('manual', 'bob', '{work}'), public.wf_grant('bad', '-', '{enqueue}');
	SELECT public.wf_pause('good'), public.wf_resume('good');
});
within($superuser, q{SELECT public.wf_alter_workflow('manual', owner => 'alice')});
is(calm('SELECT count(*) FROM wf.workflows'), '4', 'workflows are there');
is(sprung($since), '', 'definitions and grants');

for my $role ('alice', 'bob', $superuser)
{
	within($role, qq{
		SELECT public.wf_enqueue('good', '{"a": [1, 2]}', 'k $role');
		SELECT public.wf_enqueue('good', '{"a": [1, 2.0]}', 'k $role');
		SELECT public.wf_enqueue('good', '{"a": [1, 3]}', 'k $role');
		SELECT public.wf_enqueue('good', '{}', 'k $role', on_conflict => 'error');
		SELECT public.wf_enqueue('good', '{}', 'k $role', on_conflict => 'skip');
		SELECT public.wf_enqueue('manual', '1', 'r', run_at => '2100-01-01');
		SELECT public.wf_enqueue('manual', '2', 'r', on_conflict => 'replace');
		SELECT public.wf_enqueue('manual', '2', 'r', on_conflict => 'force', key_ttl => '1 day', priority => 1);
		SELECT * FROM public.wf_submit('bad', '{}', 'b');
		SELECT * FROM public.wf_enqueue_many('good', '{1,2,3}', '{a,b,NULL}');
		SELECT public.wf_enqueue('slow');
		SELECT public.wf_find('good', 'k $role'), public.wf_find('good', 'none');
		SELECT * FROM public.wf_explain_key('good', 'k $role');
		BEGIN; SELECT public.wf_enqueue('manual', '1', 'rolled back'); ROLLBACK;
		BEGIN; SAVEPOINT s; SELECT public.wf_enqueue('manual', '1', 'rolled back'); ROLLBACK TO s; COMMIT;
		BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT public.wf_enqueue('manual', '1', 'serial $role'); COMMIT;
		SELECT public.wf_key(1, 'a', true, 1.5, '{"a": 1}'::pg_catalog.jsonb, pg_catalog.now(), '{1,2}'::pg_catalog.int4[], NULL, '\\x00'::pg_catalog.bytea, '00000000-0000-0000-0000-000000000000'::pg_catalog.uuid, '1 day'::pg_catalog.interval);
		SELECT public.wf_hash_key('{"b": [1.5, "x", null]}', 'op'), public.wf_canonical_json('{"b": 1e3}'), public.wf_version();
		SELECT public.wf_current_run(), public.wf_current_attempt(), public.wf_current_key();
	});
}
is(sprung($since), '', 'enqueueing and looking up');
ok(calm_until(q{SELECT count(*) = 0 FROM wf.runs WHERE workflow IN ('good', 'bad', 'slow') AND state IN ('queued', 'running')}),
	'handlers are executed, fail, time out');
is(calm(q{SELECT count(*) > 3 FROM alice.log}), 't', 'and have worked');
is(sprung($since), '', 'in the background nothing springs a trap');

# one run of each state, passed as a literal
my %run = map { split /\|/ } split /\n/, calm(q{
	SELECT DISTINCT ON (1) workflow || ' ' || state, run_id FROM wf.runs WHERE workflow IN ('good', 'slow', 'manual')});
my ($good) = map { $run{$_} } grep { /good/ } keys %run;
my ($slow) = map { $run{$_} } grep { /slow/ } keys %run;
my ($manual) = map { $run{$_} } grep { /manual/ } keys %run;
ok($good && $slow && $manual, 'runs to look at');
my @relations = split /\n/, calm(q{SELECT c.oid::regclass FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_workflow') WHERE relkind = 'v' AND d.classid = 'pg_class'::regclass});
cmp_ok(scalar @relations, '>', 7, 'views to look at');
for my $role ('bob', 'alice', $superuser)
{
	within($role, join ";\n", (map { "SELECT * FROM $_" } @relations),
		(map { "SELECT public.wf_handle('$_'); SELECT public.wf_result('$_'); SELECT public.wf_why('$_'); CALL public.wf_wait('$_', '0')" } $good, $slow, $manual),
		"SELECT public.wf_reschedule('$manual', '2100-01-02', 4)",
		"SELECT public.wf_cancel('$manual', 'because'); SELECT public.wf_retry('$manual'); SELECT public.wf_retry('$slow')",
		"SELECT public.wf_forget('manual', 'r'); SELECT public.wf_forget('manual', 'r', force => true)",
		"SELECT public.wf_cancel_all('manual')",
		"SELECT public.wf_forget('good', 'k $role')", '');
}
is(sprung($since), '', 'reading and operating');
within('keeper', q{SELECT public.wf_expire(), public.wf_adopt()});
within($superuser, q{SELECT public.wf_expire(10)});
my $passes = calm('SELECT pg_stat_get_db_xact_commit(oid) FROM pg_database WHERE datname = current_database()');
ok(calm_until("SELECT pg_stat_get_db_xact_commit(oid) > $passes + 20 FROM pg_database WHERE datname = current_database()"),
	'the sweep comes by');
within($superuser, q{SELECT public.wf_drop_workflow('manual', true); SELECT public.wf_drop_workflow('bad', true)});
is(sprung($since), '', 'expiry, by hand and in the background');

# --- every other function, as the catalogue has them ---------------------------

my @calls = split /\n/, calm(q{
	SELECT format('%s %I.%I(%s)', CASE prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT * FROM' END, n.nspname, p.proname,
				  (SELECT string_agg('NULL', ',') FROM generate_series(1, pronargs)))
	  FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
	  JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
	  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_workflow'
	 WHERE prorettype <> 'trigger'::regtype AND provariadic = 0});
for my $role ('bob', $superuser)
{
	within($role, join ";\n", @calls, '');
}
is(sprung($since), '', 'no function with NULLs');

# --- and its end --------------------------------------------------------------

within($superuser, 'ALTER EXTENSION pg_workflow UPDATE');
within($superuser, 'DROP EXTENSION pg_workflow');
is(calm(q{SELECT count(*) FROM pg_extension WHERE extname = 'pg_workflow'}), '0', 'DROP EXTENSION');
is(sprung($since), '', 'springs nothing');

# where mallory may create in the schema of the functions, a warning says so
my ($ret, $out, $err) = $node->psql($db, 'CREATE EXTENSION pg_workflow SCHEMA evil');
is($ret, 0, 'CREATE EXTENSION within the trap schema itself');
like($err, qr/WARNING:  other roles may create functions in the schema.*mallory/s, 'warns');
is(sprung($since), '', 'and springs nothing');
ok(calm_until(q{SELECT count(*) = 1 FROM wf.workers WHERE kind = 'dispatcher' AND database = current_database()}), 'a dispatcher comes up');
within($superuser, 'DROP EXTENSION pg_workflow');
is(sprung($since), '', 'which springs nothing either');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP:/, 'nobody stumbled');
$node->stop;
done_testing();
