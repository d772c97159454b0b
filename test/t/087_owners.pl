# Roles come and go while they have workflows, grants, tasks, and runs that are
# queued, running and claimed; the extension's own owner, too.  And where the
# extension is put: schemas made before, odd names, schemas that are dropped.

use strict;
use warnings;
use OneServer qw(poll_at);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('owners');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->append_conf('postgresql.conf', "pg_workflow.sweep_interval = 200");
$node->start;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $database = 'postgres';

sub sql { return $node->safe_psql($database, @_); }

sub poll { return poll_at($node, $database, @_); }

# rows, or the SQLSTATE
sub try
{
	my ($sql) = @_;
	my ($ret, $out, $err) = $node->psql($database, "\\set VERBOSITY sqlstate\n$sql");
	return $out if $ret == 0;
	return $err =~ /(?:ERROR|FATAL):\s+(\w{5})/ ? $1 : $err;
}

sub as { my ($role, $sql) = @_; return try("SET SESSION AUTHORIZATION $role; $sql"); }

sub ends
{
	my ($id, $state) = @_;
	return poll("SELECT state = '$state' FROM wf.runs WHERE run_id = '$id'");
}

my $processes = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('pg_workflow dispatcher', 'pg_workflow executor') AND datname = current_database()};

# --- an owner, and one whom he has granted something -----------------------------

sql(q{
	CREATE EXTENSION pg_workflow;
	CREATE ROLE anna LOGIN;
	CREATE ROLE gert LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE SCHEMA anna AUTHORIZATION anna;
	CREATE SCHEMA bob AUTHORIZATION bob;
	SELECT wf_grant_usage('anna'), wf_grant_usage('gert'), wf_grant_usage('bob');
});
as('bob', q{
	CREATE FUNCTION bob.h(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
	SELECT wf_create_workflow('bobs', 'bob.h(jsonb)')});
as('anna', q{
	CREATE FUNCTION anna.h(jsonb) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN IF $1 = ''"gate"'' THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN $1; END';
	SELECT wf_create_workflow('w', 'anna.h(jsonb)', retry_delay => '0'), wf_create_workflow('manual');
	SELECT wf_grant('w', 'gert', '{enqueue,read}'), wf_grant('manual', 'gert', '{work}');
	SELECT wf_enqueue('manual', '1', 'claimed'), wf_task_put('task', '"annas"')});
is(as('gert', q{SELECT count(*) FROM wf_claim('{manual}', lease => '1 second')}), '1', 'a run is claimed by a role that was granted that');
as('gert', q{SELECT wf_task_put('task', '"gerts"')});
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
my $running = as('anna', q{SELECT wf_enqueue('w', '"gate"')});
poll("SELECT count(*) = 1 FROM wf.workers WHERE run_id = '$running'") or die 'not running';
as('anna', q{SELECT wf_pause('w')});
my $queued = as('anna', q{SELECT wf_enqueue('w', '2', 'k')});

is(try('DROP ROLE anna'), '2BP01', 'DROP ROLE is refused: the role has privileges on functions of the extension');
is(try('DROP ROLE gert'), '2BP01', 'so it is for one who only has grants');

my $definitions = q{SELECT string_agg(concat_ws(' ', name, owner, grants), ', ' ORDER BY name) FROM wf.workflows WHERE name <> 'bobs'};
my $before = sql($definitions);
sql('REASSIGN OWNED BY anna TO bob; REASSIGN OWNED BY gert TO bob');
is(sql($definitions), $before, 'REASSIGN OWNED does not know workflows: they stay as they are');
sql('REASSIGN OWNED BY bob TO bob; ALTER FUNCTION anna.h(jsonb) OWNER TO anna; ALTER SCHEMA anna OWNER TO anna');

# the grantee goes
sql('DROP OWNED BY gert; DROP ROLE gert');
is(sql($definitions), $before, 'nor does DROP OWNED; the name of the role that is gone can be seen');
ok(poll(q{SELECT state = 'queued' FROM wf.runs WHERE key = 'claimed'}), 'what it had claimed comes back when the lease ends');
sql(q{CREATE ROLE gert LOGIN; SELECT wf_grant_usage('gert')});
is(as('gert', q{SELECT wf_enqueue('w')}), '42704', 'a role that gets the name has no grant by it');
is(as('gert', q{SELECT wf_claim('{manual}')}), '42704', 'nor that of claiming');
is(as('gert', q{SELECT (SELECT count(*) FROM wf.runs), (SELECT count(*) FROM wf.workflows), wf_task_get('task')}), '0|0|', 'sees nothing, and has no task by it');
is(as('anna', q{SELECT wf_grant('w', 'gert', '{enqueue}'); SELECT grants FROM wf.workflows WHERE name = 'w'}), "\n" . '{"gert": ["enqueue"]}', 'unless it is granted anew');
is(as('anna', q{SELECT wf_revoke('w', 'gert'), wf_revoke('manual', 'gert'); SELECT wf_enqueue('w', '2', 'k')}), "|\n$queued", 'taking it back leaves the owner his');
is(as('gert', q{SELECT wf_enqueue('w')}), '42704', 'and the grantee without');

# the owner goes, with a run under way
sql('DROP OWNED BY anna; DROP ROLE anna');
$gate->query_safe('SELECT pg_advisory_unlock_all()');
ok(poll("SELECT count(*) = 0 FROM wf.workers WHERE run_id = '$running'"), 'the run that was under way ends');
like(sql("SELECT state FROM wf.runs WHERE run_id = '$running'"), qr/^(completed|queued|failed)$/, 'one way or the other');
sql(q{SELECT wf_resume('w')});
my $bobs = as('bob', q{SELECT wf_enqueue('bobs')});
ok(ends($bobs, 'completed'), 'others are served');
is(sql("SELECT state FROM wf.runs WHERE run_id = '$queued'"), 'queued', 'runs without an owner wait');
like(sql("SELECT string_agg(wf_why, ' ') FROM wf_why('$queued')"), qr/owner of its workflow, role "anna", does not exist/, 'wf_why says so');
is(sql(q{SELECT string_agg(name || ' ' || owner, ', ' ORDER BY name) FROM wf.workflows WHERE name <> 'bobs'}), 'manual anna, w anna', 'administrators see whose they were');
sql(q{CREATE ROLE anna LOGIN; SELECT wf_grant_usage('anna')});
is(as('anna', q{SELECT (SELECT count(*) FROM wf.workflows), (SELECT count(*) FROM wf.runs), (SELECT count(*) FROM wf.tasks), (SELECT count(*) FROM wf.stats), wf_task_get('task')}),
	'0|0|0|0|', 'a role that gets the name is not the owner');
is(as('anna', "SELECT $_"), '42704', "and may not: $_") for (q{wf_enqueue('w')}, q{wf_resume('w')}, "wf_cancel('$queued')", q{wf_alter_workflow('w', priority => 1)}, q{wf_drop_workflow('w', true)});
is(as('anna', q{SELECT wf_create_workflow('w')}), '42710', 'the name is taken');

# administrators take over
is(try(q{SELECT wf_alter_workflow('w', owner => 'bob', handler => 'bob.h(jsonb)')}), '', 'an administrator gives it another owner and handler');
ok(ends($queued, 'completed'), 'and its runs go on');
is(as('bob', q{SELECT wf_enqueue('w', '2', 'k')}), $queued, 'the key is still the run\'s');
is(try(q{SELECT wf_drop_workflow('manual')}), '55006', 'dropping it asks for force, as ever');
is(try(q{SELECT wf_drop_workflow('manual', true)}), '', 'and works then');

# --- renamed ---------------------------------------------------------------------

sql('ALTER ROLE bob RENAME TO robert; CREATE ROLE bob LOGIN');
sql(q{SELECT wf_grant_usage('bob')});
sql(q{SELECT pg_stat_force_next_flush()});
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 AND bool_and(owner_name = 'robert') FROM wf.workflow WHERE owner_oid = 'robert'::regrole}),
	'what is stored of an owner follows his new name, by which a restored dump finds him');
is(as('bob', q{SELECT count(*) FROM wf.workflows}), '0', 'a role renamed: who gets the old name has nothing');
is(as('robert', q{SELECT string_agg(name || ' ' || owner, ', ' ORDER BY name) FROM wf.workflows}), 'bobs robert, w robert', 'the workflows are his by the new name');
$bobs = as('robert', q{SELECT wf_enqueue('bobs')});
ok(ends($bobs, 'completed'), 'and his runs are executed');
$gate->quit;

# --- made again: numbers of workflows begin anew, and nothing is inherited by them ---

sql('DROP EXTENSION pg_workflow; CREATE EXTENSION pg_workflow');
sql(q{SELECT wf_create_workflow('first', max_queued => 5); SELECT count(wf_enqueue('first', '1', 'k' || i)) FROM generate_series(1, 5) i; SELECT wf_enqueue('first', '1', 'k1')});
is(try(q{SELECT wf_enqueue('first', '1', 'k6')}), '54000', 'the limit of a workflow is reached');
sql('DROP EXTENSION pg_workflow; CREATE EXTENSION pg_workflow');
sql(q{SELECT wf_create_workflow('first', max_queued => 5)});
is(sql(q{SELECT count(wf_enqueue('first', '1', 'k' || i)) FROM generate_series(1, 5) i}), '5', 'extension made again: the limit counts from nothing');
is(sql(q{SELECT enqueued, duplicates, queued FROM wf.stats}), '5|0|5', 'so do the counters');
is(sql(q{SELECT count(*) FROM wf.duplicates}), '0', 'and no duplicate is listed');
is(sql(q{SELECT wf_enqueue('first', '1', 'k1') IS NOT NULL; SELECT count(*) FROM wf.duplicates}), "t\n1", 'but those of now');

# --- the extension's owner ---------------------------------------------------------

sql('DROP EXTENSION pg_workflow; CREATE ROLE installer SUPERUSER LOGIN');
is(try('SET SESSION AUTHORIZATION installer; CREATE EXTENSION pg_workflow'), '', 'an extension of another superuser\'s');
sql(q{GRANT ALL ON SCHEMA bob TO robert; SELECT wf_grant_usage('robert')});
as('robert', q{SELECT wf_create_workflow('bobs', 'bob.h(jsonb)')});
my $session = $node->background_psql('postgres');
$session->query_safe(q{SET SESSION AUTHORIZATION robert; SELECT wf_enqueue('bobs', '1', 'k')});
for my $change ('ALTER ROLE installer NOSUPERUSER', "REASSIGN OWNED BY installer TO $superuser", 'DROP OWNED BY installer; DROP ROLE installer')
{
	sql($change);
	$bobs = as('robert', q{SELECT wf_enqueue('bobs')});
	ok(ends($bobs, 'completed'), "$change: runs are executed");
	is($session->query_safe(q{SELECT count(DISTINCT wf_enqueue('bobs', '1', 'k')) FROM generate_series(1, 3)}), '1', 'and an old session works');
	is(as('robert', q{SELECT wf_task_put('t', '1'); SELECT count(*) > 0 FROM wf.runs}), "1\nt", 'as do new ones');
	is(try('SELECT wf_expire() >= 0'), 't', 'and cleaning');
}
$session->quit;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:/, 'nobody stumbled');

# --- where it is put ---------------------------------------------------------------

$database = 'places';
$node->safe_psql('postgres', 'CREATE DATABASE places; CREATE ROLE builder LOGIN; GRANT CREATE ON DATABASE places TO builder');
as('builder', q{CREATE SCHEMA wf});
is(try('CREATE EXTENSION pg_workflow'), '42P06', 'a schema wf of somebody else\'s is not adopted');
as('builder', q{DROP SCHEMA wf; CREATE SCHEMA made;
	CREATE FUNCTION made.wf_find(name text, key text) RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'});
is(try('CREATE EXTENSION pg_workflow SCHEMA made'), '42723', 'nor is a function made before');
is(try(q{SELECT proowner::regrole FROM pg_proc WHERE proname = 'wf_find'}), 'builder', 'which stays whose it was');
is(try(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'wf'}), '0', 'and nothing is left behind');
as('builder', q{DROP FUNCTION made.wf_find(text, text); CREATE FUNCTION made.wf_find(name name, key name) RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'});
my ($ret, $out, $err) = $node->psql($database, 'CREATE EXTENSION pg_workflow SCHEMA made');
like($err, qr/WARNING:  other roles may create functions in the schema.*builder/s, 'an overload that is there already: a warning');
is(try(q{SELECT count(*) FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid AND p.pronamespace = 'made'::regnamespace WHERE proowner = 'builder'::regrole AND deptype = 'e'}), '0', 'and it does not become part of the extension');
is(as('builder', 'ALTER SCHEMA made RENAME TO elsewhere'), '', 'its owner may rename the schema');
is(try(q{SELECT wf_create_workflow IS NULL FROM elsewhere.wf_create_workflow('x'); SELECT elsewhere.wf_enqueue('x') IS NOT NULL}), "f\nt", 'and all goes on');
is(as('builder', 'DROP SCHEMA elsewhere CASCADE'), '', 'and drop it: the server lets the owner of a schema drop what others have in it');
is(try(q{SELECT count(*) FROM pg_extension WHERE extname = 'pg_workflow'}), '0', 'which is the extension, too');

for my $name ('My odd.Schema; %s %n', 'select', 'ünüblich', 'x' x 63)
{
	sql(qq{CREATE SCHEMA "$name"; CREATE EXTENSION pg_workflow SCHEMA "$name"});
	sql(qq{CREATE FUNCTION "$name"."h h"(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT \$1';
		SET search_path = "$name";
		SELECT wf_create_workflow('w', '"h h"(jsonb)')});
	my $id = sql(qq{SELECT "$name".wf_enqueue('w', '1', 'k')});
	ok(ends($id, 'completed'), "in schema $name: a run is executed");
	is(sql(qq{SELECT wf_grant_usage IS NULL FROM "$name".wf_grant_usage('robert'); SELECT count(*) > 0 FROM "$name".wf_why('$id');
		SELECT (SELECT count(*) FROM wf.runs), (SELECT count(*) FROM wf.keys), (SELECT count(*) FROM wf.stats), "$name".wf_revoke_usage('robert')}), "f\nt\n1|1|1|", 'and functions and views work');
	is(try('ALTER EXTENSION pg_workflow SET SCHEMA public'), '0A000', 'the extension is not to be moved');
	is(try('DROP SCHEMA wf CASCADE'), '2BP01', 'its tables cannot be dropped without it');
	sql(qq{DROP SCHEMA "$name" CASCADE});
	is(try(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'wf'}), '0', 'it goes with the schema that it was put in');
	ok(poll($processes, '0'), 'and so do its processes');
}
# characters that the server itself does not let be put into scripts
sql(qq{CREATE SCHEMA "$_"}) for ('a""b', 'a\'b', 'a$b', 'a\\b');
like(try(qq{CREATE EXTENSION pg_workflow SCHEMA "$_"}), qr/^[0-9A-Z]{5}$/, "in schema $_: refused") for ('a""b', 'a\'b', 'a$b', 'a\\b');
is(try(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'wf'}), '0', 'and nothing is left behind');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP:/, 'nobody stumbled');
$node->stop;
done_testing();
