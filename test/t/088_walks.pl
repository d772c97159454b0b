# Walks through sealed slices: what comes to its end first is looked at first, and
# a row that moves meanwhile to where the walk has been is not lost.

use strict;
use warnings;
use OneServer;
use Test::More;

my $node = one_server('main', "pg_workflow.sweep_interval = '100ms'", 'autovacuum = off');

# what every session reads with the ring
sub clock_ahead
{
	my ($by) = @_;
	sql(qq{
		UPDATE wf.clock SET seen = greatest(seen, clock_timestamp()) + interval '$by';
		ALTER TABLE wf.slice SET (autovacuum_enabled = false);
	});
	return;
}

sub enqueue_and_cancel
{
	my ($workflow, $n, $payload) = @_;
	sql(qq{
		SELECT wf_enqueue('$workflow', $payload) FROM generate_series(1, $n) i;
		SELECT wf_cancel_all('$workflow');
	});
	return;
}

sub seal
{
	ok(poll(q{SELECT count(*) = 1 FROM wf.slice WHERE state = 'current'}), 'a sweep has noted when it was opened');
	my $slice = sql(q{SELECT slice FROM wf.slice WHERE state = 'current'});
	make_slice_old();
	ok(poll("SELECT state = 'sealed' FROM wf.slice WHERE slice = $slice"), 'a slice is sealed');
	return $slice;
}

# Blocks that the walk has left behind: events of so many runs have been looked at.
sub wait_for_walk
{
	my ($slice, $runs) = @_;
	my $looks = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'event_${slice}_id'";
	ok(poll("SELECT ($looks) >= $runs"), "$runs runs have been looked at");
	ok(defined settles($looks), 'now it waits');
	return;
}

# A slice whose first 400 runs have ended half an hour before its last ones.  The first
# leave some room in their blocks, too little for another, but enough for one without a payload.
sub fill_in_halves
{
	enqueue_and_cancel('short', 400, q{jsonb_build_object('pad', repeat('x', 1100))});
	clock_ahead('30 minutes');
	enqueue_and_cancel('short', 100, q{jsonb_build_object('pad', repeat('x', 850))});
	enqueue_and_cancel('long', 60, q{jsonb_build_object('pad', repeat('x', 840 + i))});
	enqueue_and_cancel('short', 100, q{jsonb_build_object('pad', repeat('x', 850))});
	return seal();
}

my $blocks_of_long = q{SELECT r.run_id, (r.ctid::text::point)[0]::int AS block FROM wf.run r JOIN wf.workflow w ON w.id = workflow_id WHERE w.name = 'long'};

my $workflows = q{
	SELECT wf_create_workflow('short', retention => '1 hour');
	SELECT wf_create_workflow('long', retention => '7 days');
};
sql($workflows);
my $slice = fill_in_halves();
my $half = sql("SELECT min(block) FROM ($blocks_of_long) l");
clock_ahead('35 minutes');
wait_for_walk($slice, 400);
is(sql("SELECT state FROM wf.slice WHERE slice = $slice"), 'sealed', 'the first have been looked at before the last are over');

# those that are kept longer are in the last blocks; erased they fit into the first
sql("CREATE TABLE before AS $blocks_of_long; VACUUM wf.run_$slice");
sql('SELECT wf_erase(run_id) FROM before');
my $moved = sql("SELECT count(*) FROM ($blocks_of_long) l WHERE block < $half");
cmp_ok($moved, '>', 0, 'rows have moved to where the walk has been');

clock_ahead('40 minutes');
ok(poll("SELECT state = 'empty' FROM wf.slice WHERE slice = $slice"), 'when the last are over it is emptied');
is(sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'long'}), 60, 'what is kept longer is still there, whether it has moved or not');
is(sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'short'}), 0, 'and nothing else');

# the same for a table that is written anew in the midst of a walk, in another order
sql("DROP EXTENSION pg_workflow; CREATE EXTENSION pg_workflow; $workflows");
$slice = fill_in_halves();
clock_ahead('35 minutes');
wait_for_walk($slice, 400);
sql(qq{
	CREATE INDEX last_first ON wf.run_$slice (workflow_id DESC);
	CLUSTER wf.run_$slice USING last_first;
});
is(sql("SELECT min(block) FROM ($blocks_of_long) l"), 0, 'they have come to the first block');
clock_ahead('40 minutes');
ok(poll("SELECT state = 'empty' FROM wf.slice WHERE slice = $slice"), 'it is emptied');
is(sql(q{SELECT count(*) FROM wf.runs WHERE workflow = 'long'}), 60, 'what is kept longer is still there');

# one that somebody is about to queue again is not over, whatever its last event says
sql("DROP EXTENSION pg_workflow; CREATE EXTENSION pg_workflow; $workflows");
enqueue_and_cancel('short', 300, q{'1'});
my $back = sql(q{SELECT run_id FROM wf.runs ORDER BY run_id OFFSET 150 LIMIT 1});
$slice = seal();
my $session = $node->background_psql('postgres');
is($session->query_safe("BEGIN; SELECT wf_retry('$back')"), 't', 'a run is queued again');
clock_ahead('65 minutes');
my $walks = sql("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'run_$slice'");
ok(poll("SELECT seq_scan > $walks + 3 FROM pg_stat_user_tables WHERE relname = 'run_$slice'"), 'its slice is walked through before that is committed');
$session->query_safe('COMMIT');
$session->quit;
clock_ahead('1 minute');    # a clock that is ahead stands still
# the reload wakes the dispatcher, which has a turn once a minute where there is no work
ok(poll("SELECT pg_reload_conf() AND state = 'empty' FROM wf.slice WHERE slice = $slice"), 'and emptied after it');
is(sql("SELECT state FROM wf.runs WHERE run_id = '$back'"), 'queued', 'the run is there');
is(sql(q{SELECT count(*) FROM wf.run r JOIN wf.workflow w ON w.id = workflow_id WHERE w.name = 'short'}), 1, 'and no other');

$node->stop;
done_testing();
