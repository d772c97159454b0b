# A dispatcher that starts goes on where the queues had been taken to, and
# misses nothing that is before.

use strict;
use warnings;
use OneServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = one_server('positions', 'pg_workflow.max_executors = 1', 'pg_workflow.sweep_interval = 100');

sql(q{
	CREATE FUNCTION handle(payload jsonb) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
	SELECT wf_create_workflow('inside', 'handle(jsonb)'), wf_create_workflow('outside');
});

# as if a workflow's queue had been taken up to these runs, in their
# priorities, since the slice was opened at that time
sub move_positions
{
	my ($workflow, $opened_at, @runs) = @_;
	sql(sprintf qq{UPDATE wf.queue_position SET (streams, priorities, opened_at, run_at, run_ids) =
		(SELECT array_agg(0), array_agg(priority), array_agg(($opened_at)), array_agg(run_at), array_agg(run_id) FROM wf.run WHERE run_id IN ('%s'))
		WHERE workflow_id = (SELECT id FROM wf.workflow WHERE name = '$workflow')}, join "', '", @runs);
	return;
}

sub order_of
{
	return sql(sprintf q{SELECT string_agg(run_id::text, ' ' ORDER BY started_at) FROM wf.runs WHERE run_id IN ('%s')}, join "', '", @_);
}

my $opened = q{SELECT opened_at FROM wf.slice WHERE slice = 0};

# --- stored as the queues are taken -------------------------------------------

my @inside = split /\n/, sql(q{SELECT wf_enqueue('inside') FROM generate_series(1, 20)});
my @outside = split /\n/, sql(q{SELECT wf_enqueue('outside') FROM generate_series(1, 20)});
ok(poll(q{SELECT count(*) = 20 FROM wf.runs WHERE workflow = 'inside' AND state = 'completed'}), 'all handled');
is(sql(q{SELECT count(wf_complete(run_id, attempt)) FROM wf_claim('{outside}', 20)}), 20, 'all claimed');
ok(poll(qq{SELECT count(*) = 2 FROM wf.queue_position WHERE run_ids = ARRAY['$inside[-1]'::uuid] OR run_ids = ARRAY['$outside[-1]'::uuid]}),
	'the positions of both queues are stored');

# --- what is after a position comes first, what is before is not lost ---------

set_and_reload('pg_workflow.dispatch = off');
poll(q{SELECT setting = 'off' FROM pg_settings WHERE name = 'pg_workflow.dispatch'});
my @four = map { sql(qq{SELECT wf_enqueue('inside', priority => $_)}) } 0, 0, 1, 1;
my @claimable = map { sql(q{SELECT wf_enqueue('outside')}) } 1 .. 2;
move_positions('inside', $opened, @four[0, 2]);
move_positions('outside', $opened, $claimable[0]);
$node->append_conf('postgresql.conf', 'pg_workflow.dispatch = on');
$node->restart;
is(ended($_), 'completed', 'nothing is lost') for @four;
like(order_of(@four), qr/^$four[1]/, 'the reader begins at the positions, and comes back to what is before them');

ok(poll(q{SELECT sum(n) = 2 FROM (SELECT count(*) AS n FROM wf_claim('{outside}', 2) UNION ALL
	SELECT count(*) FROM wf.runs WHERE workflow = 'outside' AND state = 'running') v}), 'claimers miss nothing');

# --- a position in a slice that was emptied since -----------------------------

set_and_reload('pg_workflow.dispatch = off');
poll(q{SELECT setting = 'off' FROM pg_settings WHERE name = 'pg_workflow.dispatch'});
my @two = map { sql(q{SELECT wf_enqueue('inside')}) } 1 .. 2;
move_positions('inside', q{SELECT '2001-01-01'::timestamptz}, $two[0]);
$node->append_conf('postgresql.conf', 'pg_workflow.dispatch = on');
$node->restart;
ended($_) for @two;
is(order_of(@two), "$two[0] $two[1]", 'does not count');

# --- a workflow that is gone --------------------------------------------------

sql(q{SELECT wf_drop_workflow('inside')});
sql('ALTER DATABASE postgres SET default_transaction_read_only = on');
$node->restart;
ok(poll(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_workflow dispatcher' AND wait_event_type = 'Extension'}),
	'has one still where nothing may be written');
sql('SET default_transaction_read_only = off; ALTER DATABASE postgres RESET default_transaction_read_only');
ok(poll(q{SELECT count(*) = 1 FROM wf.queue_position}), 'has no position after the next start');

$node->stop;
done_testing();
