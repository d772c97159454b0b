# A DBA rebuilds our indexes, or adds some, while all of them are written to: each row is in each
# index, no key is given out twice, and nobody meets an index that is gone.

use strict;
use warnings;
use IPC::Run;
use OneServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = one_server('indexes', "pg_workflow.sweep_interval = '100ms'");

plan skip_all => 'amcheck is not installed' unless sql(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'});

sql(q{
	CREATE EXTENSION amcheck;
	CREATE FUNCTION fail_at_times(payload jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(1 / (payload::int % 7)) $$;
	SELECT wf_create_workflow('outside');
	SELECT wf_create_workflow('inside', 'fail_at_times(jsonb)', max_attempts => 2, retry_delay => '0');
});

# new keys, duplicates, claims, tasks: each in a transaction of its own
my $script = $node->basedir . '/work.sql';
append_to_file($script, q{
\set key random(1, 20000)
\set seed random(1, 1000000000)
SELECT wf_enqueue('outside', '1', 'k' || :key);
SELECT wf_enqueue('inside', to_jsonb(:key), 'k' || :key);
SELECT wf_enqueue('outside');
SELECT count(*) FROM wf_enqueue_many('outside', '{1,2,3}', ARRAY['a' || :seed, 'b' || :seed, 'c' || :key], on_conflict => 'replace');
SELECT count(wf_complete(run_id, attempt)) FROM wf_claim('{outside}', 5);
SELECT wf_task_complete('t' || :seed, (SELECT attempt FROM wf_task_begin('t' || :seed)));
});
my $working = IPC::Run::start([ 'pgbench', '-n', '-c', 3, '-T', 120, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'>', \my $out, '2>', \my $err);
ok(poll(q{SELECT count(*) > 500 FROM wf.run}), 'work is under way');

for my $turn (1 .. 3)
{
	sql("REINDEX TABLE CONCURRENTLY wf.$_") for qw(run_0 event_0 task_0 duplicate);
	sql("CREATE INDEX CONCURRENTLY added_$turn ON wf.run_0 (enqueued_at, lower(key)) WHERE key_digest IS NOT NULL");
}
sql('CREATE UNIQUE INDEX unique_added ON wf.event_0 (run_id, seq, at); CREATE INDEX task_added ON wf.task_0 (attempt)');
my $soon = sql('SELECT count(*) + 500 FROM wf.run');
ok(poll("SELECT count(*) > $soon FROM wf.run"), 'and goes on');
$working->signal('TERM');
$working->finish;
unlike($err, qr/error|aborted/i, 'nobody has met an error');
ok(poll(q{SELECT NOT EXISTS (SELECT FROM wf.runs WHERE workflow = 'inside' AND state IN ('queued', 'running'))}), 'all runs with a handler have ended');

is(sql(q{SELECT count(*) FROM pg_index WHERE NOT indisvalid}), 0, 'all indexes are valid');
for my $index (split /\n/, sql(q{SELECT i.indexrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
	WHERE c.relname IN ('run_0', 'event_0', 'task_0', 'duplicate') AND c.relnamespace = 'wf'::regnamespace ORDER BY 1}))
{
	my ($code, undef, $error) = $node->psql('postgres', "SELECT bt_index_check('$index', true)");
	is("$code $error", '0 ', "each row is in $index");
}
is(sql('SELECT count(key_digest) - count(DISTINCT key_digest) FROM wf.run'), 0, 'no key was given to two runs');

# a trigger would not be called, so it is not passed over in silence
sql(q{CREATE TRIGGER added BEFORE INSERT ON wf.run_0 FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()});
is(answer('SELECT 1', q{SELECT wf_enqueue('outside')}), '55000', 'a table with triggers is not written to');
sql('DROP TRIGGER added ON wf.run_0');
isnt(sql(q{SELECT wf_enqueue('outside')}), '', 'without them it is');

$node->stop;
done_testing();
