# A standby has the extension but no processes, until it is promoted.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$primary->start;
$primary->safe_psql(
	'postgres', q{
	CREATE EXTENSION pg_workflow;
	CREATE FUNCTION prove(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
	SELECT wf_create_workflow('prove', 'prove(jsonb)');
	SELECT wf_pause('prove');
	SELECT wf_enqueue('prove') FROM generate_series(1, 2);
	SELECT wf_enqueue('prove', '{}', 'kept');
	SELECT wf_task_put('done', '"yes"');
});

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

my $processes = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^pg_workflow'};
is($standby->safe_psql('postgres', $processes), 0, 'a standby has no processes');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM wf.workers'),
	0, 'nor does wf.workers show any');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM wf.runs WHERE state = 'queued'}),
	3, 'its views answer');
is($standby->safe_psql('postgres', q{SELECT wf_task_get('done') || to_jsonb(status) FROM wf.tasks WHERE key = 'done'}),
	'["yes", "completed"]', 'and what is stored of tasks is read');
is($standby->safe_psql('postgres', q{SELECT wf_find('prove', 'kept') = run_id FROM wf.keys WHERE key = 'kept'}),
	't', 'keys are looked up');
for my $call (q{wf_enqueue('prove', '{}', 'kept')}, q{wf_enqueue('prove')}, q{wf_claim('{}')})
{
	my (undef, undef, $refused) = $standby->psql('postgres', "SELECT $call", extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
	like($refused, qr/25006/, "$call is refused");
}
my ($status, $out, $err) = $standby->psql('postgres', q{SELECT * FROM wf_task_begin('done')},
	extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
like($err, qr/25006/, 'but nothing is begun');

# --- failover: a handler under way, runs claimed by workers that live on -------

$primary->safe_psql(
	'postgres', q{
	CREATE TABLE effect (run uuid);
	CREATE FUNCTION slow(jsonb) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.effect VALUES (public.wf_current_run());
		PERFORM pg_advisory_xact_lock_shared(1);
	END $$;
	SELECT wf_create_workflow('slow', 'slow(jsonb)', max_attempts => 1), wf_create_workflow('outside');
	SELECT wf_enqueue('outside', '{"lease": "long"}'), wf_enqueue('outside', '{"lease": "short"}', run_at => clock_timestamp() - interval '1 minute');
});
my $gate = $primary->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
my $slow = $primary->safe_psql('postgres', q{SELECT wf_enqueue('slow')});
$primary->poll_query_until('postgres', q{SELECT count(*) = 1 FROM wf.workers WHERE workflow = 'slow' AND run_id IS NOT NULL}) or die 'not under way';
my $short = $primary->safe_psql('postgres', q{SELECT run_id FROM wf_claim('{outside}', 1, '1 second', 'old')});
my $long = $primary->safe_psql('postgres', q{SELECT run_id FROM wf_claim('{outside}', 1, '1 hour', 'old')});
$primary->wait_for_catchup($standby);

$primary->stop('immediate');
eval { $gate->quit };
$standby->promote;
ok( $standby->poll_query_until(
		'postgres',
		q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_workflow dispatcher'}),
	'they start when it is promoted');
$standby->safe_psql('postgres', q{SELECT wf_resume('prove')});
ok( $standby->poll_query_until(
		'postgres', q{SELECT count(*) = 3 FROM wf.runs WHERE workflow = 'prove' AND state = 'completed'}),
	'and execute what was queued on the primary');
ok($standby->poll_query_until('postgres', "SELECT state = 'completed' FROM wf.runs WHERE run_id = '$slow'"),
	'and what was under way there, though it has one attempt');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM effect'), 1, 'whose effects are there once');
is($standby->safe_psql('postgres', "SELECT count(wf_complete('$long', 1))"), 1, 'a lease goes on: its worker completes the run on the new primary');
ok($standby->poll_query_until('postgres', "SELECT count(*) = 1 FROM wf_claim('{outside}', 1, '1 hour', 'new') WHERE run_id = '$short' AND attempt = 2"),
	'one that has ended is over there, too, and the run is claimed again');
is($standby->safe_psql('postgres', "SELECT count(wf_complete('$short', 2))"), 1, 'by one who completes it');
(undef, undef, $err) = $standby->psql('postgres', "SELECT wf_complete('$short', 1)", extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
like($err, qr/WF004/, 'the worker that had it before is told that it has lost it');

$standby->stop;
done_testing();
