# The ring of slices: what is over goes, keys that are not are carried, and a
# clock that was set back revives nothing.

use strict;
use warnings;
use IPC::Run;
use OneServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = one_server('main', "pg_workflow.sweep_interval = '100ms'");

sql(q{
	SELECT wf_create_workflow('gone', retention => '0', key_ttl => '0');
	SELECT wf_create_workflow('kept', retention => '0');
	SELECT wf_create_workflow('brief', key_ttl => '30 minutes');
	SELECT wf_cancel(wf_enqueue('gone', '1', 'g' || i)) FROM generate_series(1, 100) i;
	SELECT wf_cancel(wf_enqueue('kept', '{"secret": 1}', 'k' || i)) FROM generate_series(1, 5) i;
});
my $kept = sql(q{SELECT wf_find('kept', 'k1')});

ok(make_slice_old(), 'a sweep notes when the slice was opened');
ok(poll(q{SELECT state = 'empty' FROM wf.slice WHERE slice = 0}), 'it turns, and the old slice is emptied');
is(sql(q{SELECT pg_relation_size('wf.run_0') + pg_relation_size('wf.event_0')}), 0, 'its space is given back');
is(sql(q{SELECT count(*), count(payload) FROM wf.run_1}), '5|0', 'keys that outlive their runs were carried, without payloads');
is(sql(q{SELECT run_id, created, state, result FROM wf_submit('kept', '{"secret": 1}', 'k1')}), "$kept|f|purged|", 'they still hold');
isnt($node->psql('postgres', q{SELECT wf_enqueue('kept', '2', 'k1')}), 0, 'also against another payload');
is(sql(q{SELECT created FROM wf_submit('gone', '2', 'g1')}), 't', 'those of runs that are gone are free');

# ---------------------------------------------------------------------------
# filters: a new key is not looked up in slices that cannot have it, and a key
# that one has is found, whatever has happened to slice and server
# ---------------------------------------------------------------------------
sql(q{
	SELECT wf_create_workflow('f', key_ttl => '1 year', on_failed => 'new');
	SELECT wf_create_workflow('g', retention => '0', key_ttl => '0');
});

sub enqueue_keys
{
	my ($workflow, $prefix, $n) = @_;
	return sql("SELECT count(*) FILTER (WHERE created) FROM wf_enqueue_many('$workflow',
		array(SELECT '1'::jsonb FROM generate_series(1, $n)), array(SELECT '$prefix' || i FROM generate_series(1, $n) i))");
}

# The slice that is sealed now, after some keys have come there.
sub fill_and_seal
{
	my ($workflow, $prefix, $n, $then) = @_;
	enqueue_keys($workflow, $prefix, $n);
	sql($then) if $then;
	my $slice = sql(q{SELECT slice FROM wf.slice WHERE state = 'current'});
	make_slice_old();
	ok(poll("SELECT state <> 'current' FROM wf.slice WHERE slice = $slice"), "slice $slice is written to no more");
	return $slice;
}

# How often a new session, with so many new keys, looks into the index of a slice's keys.
my $fresh = 0;

sub lookups
{
	my ($slice, $n) = @_;
	my $count = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'run_${slice}_key'";
	my $flush = 'SELECT pg_stat_force_next_flush()';
	my $before = sql($count);
	$fresh++;
	sql("SELECT count(wf_enqueue('f', '1', 'fresh-$fresh-' || i)) FROM generate_series(1, $n) i; $flush");
	return sql($count) - $before;
}

# Until the filter of a slice is there: then few of 200 new keys are looked up.
sub wait_for_filter
{
	my ($slice) = @_;
	for (1 .. 600)
	{
		return 1 if lookups($slice, 200) < 60;
		select(undef, undef, undef, 0.1);
	}
	return 0;
}

# 30,000: it takes several turns to read them
my $sealed = fill_and_seal('f', 'old-', 30_000);
ok(wait_for_filter($sealed), 'new keys are not looked up in it');

# meanwhile a sample has told that a walk through its runs, which have not ended, is not worth it
my $looks = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'event_${sealed}_id'";
ok(poll("SELECT ($looks) > 0"), 'some of its runs have been looked at');
my $looked = settles($looks);
ok(defined $looked, 'now that is over');
cmp_ok($looked, '<=', 1500, 'few have been');
is(enqueue_keys('f', 'old-', 30_000), 0, 'each of its keys is found there all the same');

# the current slice has a filter, too, which who binds a key keeps up to date
my $current = sql(q{SELECT slice FROM wf.slice WHERE state = 'current'});
ok(wait_for_filter($current), 'new keys are not looked up in the current slice');
cmp_ok(lookups($current, 200), '<', 60, 'nor after more of them');
is(enqueue_keys('f', 'now-', 500), 500, 'new keys come there');
is(enqueue_keys('f', 'now-', 500), 0, 'and are found there');
is(sql(q{BEGIN; SELECT wf_enqueue('f', '1', 'undone') IS NOT NULL; ROLLBACK; SELECT created FROM wf_submit('f', '1', 'undone')}), "t\nt",
	'one that was rolled back is free');
sql(qq{
	CREATE TABLE taken_out AS SELECT * FROM wf.run_$current;
	TRUNCATE wf.run_$current;
});
ok(wait_for_filter($current), 'truncated by hand it gets another');
sql(qq{INSERT INTO wf.run_$current SELECT * FROM taken_out; DROP TABLE taken_out});
is(enqueue_keys('f', 'now-', 500), 0, 'keys that it does not know are found all the same');

# keys only disappear from a sealed slice: what takes one over, gives it back or frees it
my $first = sql(q{SELECT wf_find('f', 'old-1')});
sql("SELECT wf_cancel('$first')");
my $taken = sql(q{SELECT wf_enqueue('f', '2', 'old-1', on_conflict => 'force')});
isnt($taken, $first, 'a key of it can be taken over');
is(sql(q{SELECT wf_enqueue('f', '2', 'old-1')}), $taken, 'its new run is found, in the current slice');
sql(qq{SELECT wf_cancel('$taken'); SELECT wf_forget('f', 'old-1')});
is(sql("SELECT wf_retry('$first')"), 't', 'the old run is queued again');
is(sql(q{SELECT wf_enqueue('f', '1', 'old-1')}), $first, 'with its key, in the current slice');
my $replaced = sql(q{SELECT wf_enqueue('f', '5', 'old-2', on_conflict => 'replace')});
is(sql(q{SELECT wf_enqueue('f', '5', 'old-2')}), $replaced, 'a run of it can be replaced, and keeps its key');
is(sql("BEGIN; SELECT wf_enqueue('f', '5', 'old-3', on_conflict => 'force') IS NOT NULL; ROLLBACK; SELECT created FROM wf_submit('f', '1', 'old-3')"), "t\nf",
	'one that was taken over and rolled back is still there');

# a restart, a crash: the filter is made anew; before that, keys are found without it
for my $how ('fast', 'immediate')
{
	$node->stop($how);
	$node->start;
	is(sql(q{SELECT count(*) FILTER (WHERE created) FROM generate_series(4, 203) i, wf_submit('f', '1', 'old-' || i)}), 0, "after a stop ($how) its keys are found");
	ok(wait_for_filter($sealed), 'and it gets a filter again');
	is(sql(q{SELECT count(*) FILTER (WHERE created) FROM generate_series(4, 203) i, wf_submit('f', '1', 'old-' || i)}), 0, 'they are still found');
}

# rows taken out and put back by hand, as a restore of data does
sql(qq{
	CREATE TABLE aside AS SELECT * FROM wf.run_$sealed;
	TRUNCATE wf.run_$sealed;
});
is(sql(q{SELECT created FROM wf_submit('f', '1', 'old-300')}), 't', 'a slice truncated by hand has no keys');
sql(qq{SELECT wf_forget('f', 'old-300', force => true); INSERT INTO wf.run_$sealed SELECT * FROM aside});
is(sql(q{SELECT count(*) FILTER (WHERE created) FROM generate_series(301, 500) i, wf_submit('f', '1', 'old-' || i)}), 0, 'one that was filled again by hand has them');

# a slice that goes all the way round has another filter then
sql(q{SELECT wf_cancel_all('gone')});
sql(q{SELECT wf_drop_workflow('f', force => true); SELECT wf_create_workflow('f', key_ttl => '1 year')});
ok(poll(q{SELECT count(*) = 0 FROM wf.slice WHERE state = 'sealed'}), 'the slices of a dropped workflow are emptied');
my $round = fill_and_seal('f', 'first-', 2000);
ok(wait_for_filter($round), 'a slice gets its filter');
sql(q{SELECT wf_drop_workflow('f', force => true); SELECT wf_create_workflow('f', key_ttl => '1 year')});
ok(poll("SELECT state = 'empty' FROM wf.slice WHERE slice = $round"), 'and is emptied');
for my $n (1 .. 8)
{
	last if sql(q{SELECT slice FROM wf.slice WHERE state = 'current'}) == $round;
	my $next = fill_and_seal('g', "g-$n-", 50, q{SELECT wf_cancel_all('g')});
	ok(poll("SELECT state = 'empty' FROM wf.slice WHERE slice = $next"), 'one further');
}
is(fill_and_seal('f', 'second-', 2000), $round, 'the same slice is sealed again');
is(enqueue_keys('f', 'second-', 2000), 0, 'its keys of now are found at once');
ok(wait_for_filter($round), 'it gets a filter again');
is(enqueue_keys('f', 'second-', 2000), 0, 'and they are found with it');

# many at the same keys while the ring turns and filters come: none is given out twice
sql(q{SELECT wf_create_workflow('crowd', key_ttl => '1 year'); CREATE TABLE made (key integer, run_id uuid)});
my $script = "$PostgreSQL::Test::Utils::tmp_check/crowd.sql";
append_to_file($script, <<'END');
\set key random(1, 60000)
\set way random(1, 10)
BEGIN;
INSERT INTO made SELECT :key, s.run_id FROM wf_submit('crowd', '1', :key::text) s WHERE s.created;
\if :way = 1
ROLLBACK;
\else
COMMIT;
\endif
END
my $crowd = IPC::Run::start([ 'pgbench', '-n', '-c', 4, '-T', 300, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'>', \my $out, '2>', \my $err);
for (1 .. 3)
{
	my $slice = sql(q{SELECT slice FROM wf.slice WHERE state = 'current'});
	make_slice_old();
	ok(poll("SELECT slice <> $slice FROM wf.slice WHERE state = 'current'"), "the ring turns away from $slice");
}
$crowd->signal('TERM');
$crowd->finish;
ok(poll(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'}), 'all that time they were at it');
unlike($err, qr/error|aborted/i, 'they are all served');
is(sql(q{SELECT count(*) - count(DISTINCT key) FROM made}), 0, 'no key was given to two runs');
is(sql(q{SELECT count(*) FROM made m FULL JOIN (SELECT run_id FROM wf.runs WHERE workflow = 'crowd') r USING (run_id) WHERE m.key IS NULL OR r.run_id IS NULL}), 0,
	'and the runs are those');
cmp_ok(sql(q{SELECT count(DISTINCT r.tableoid) FROM wf.run r JOIN made USING (run_id)}), '>=', 2, 'they are in several slices');

# what was written just before a turn that does not sweep is not forgotten until
# the dispatcher's next turn without cause, after a minute
set_and_reload("pg_workflow.sweep_interval = '2s'");
my $seen = sql('SELECT seen FROM wf.clock');
sql(q{SELECT wf_enqueue('crowd')});
ok(poll("SELECT seen > '$seen' FROM wf.clock"), 'a sweep has just been');
my $standing = sql(q{SELECT slice FROM wf.slice WHERE state = 'current'});
make_slice_old();
set_and_reload("pg_workflow.sweep_interval = '2s'");
{
	local $PostgreSQL::Test::Utils::timeout_default = 40;
	ok(poll("SELECT state <> 'current' FROM wf.slice WHERE slice = $standing"), 'the next comes soon after, though nobody writes');
}
set_and_reload("pg_workflow.sweep_interval = '100ms'");

# one that somebody has locked when it is over is emptied soon after that has ended
sql(q{SELECT wf_cancel(wf_enqueue('gone', '1', 'l' || i)) FROM generate_series(1, 50) i});
my $locked = sql(q{SELECT slice FROM wf.slice WHERE state = 'current'});
my $reader = $node->background_psql('postgres');
$reader->query_safe("BEGIN; LOCK TABLE wf.run_$locked IN ACCESS SHARE MODE");
sql(q{SELECT wf_drop_workflow(w, force => true) FROM unnest('{crowd,g,brief,f}'::text[]) w; SELECT wf_create_workflow('brief', key_ttl => '30 minutes')});
make_slice_old();
ok(poll("SELECT state = 'sealed' FROM wf.slice WHERE slice = $locked"), 'a slice that somebody reads is sealed');
my $walks = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'run_$locked'";
ok(defined settles($walks), 'and walked through, once');
$reader->query_safe('COMMIT');
$reader->quit;
{
	local $PostgreSQL::Test::Utils::timeout_default = 40;
	ok(poll("SELECT state = 'empty' FROM wf.slice, wf_enqueue('gone') WHERE slice = $locked"), 'and emptied when nobody reads it any more, if there is work');
}

# a clock that is set back while the server is down: the same as one that was ahead
sql(q{SELECT wf_cancel(wf_enqueue('brief', '1', 'b'))});
is(sql(q{SELECT wf_find('brief', 'b') IS NOT NULL}), 't', 'a key that has half an hour');
sql(q{UPDATE wf.clock SET seen = seen + interval '1 hour'});
$node->stop('immediate');
$node->start;
is(sql(q{SELECT wf_find('brief', 'b') IS NULL, (SELECT count(*) FROM wf.keys WHERE workflow = 'brief')}), 't|0',
	'has expired by the latest time seen, which outlives a crash');
is(sql(q{SELECT created FROM wf_submit('brief', '2', 'b')}), 't', 'so it is free');
is(sql(q{SELECT enqueued_at > now() + interval '50 minutes' FROM wf.runs WHERE workflow = 'brief' AND state = 'queued'}), 't',
	'what happens now is after that');
$standing = sql(q{SELECT slice FROM wf.slice WHERE state = 'current'});
make_slice_old();
ok(poll("SELECT state <> 'current' FROM wf.slice WHERE slice = $standing"), 'and sweeps go on');

# a slice that has to stay, since a run in it is claimed, is passed over
sql('DROP EXTENSION pg_workflow');
sql('CREATE EXTENSION pg_workflow');
sql(q{
	SELECT wf_create_workflow('stays');
	SELECT wf_create_workflow('goes', retention => '0');
	SELECT wf_enqueue('stays');
});
is(sql(q{SELECT count(*) FROM wf_claim('{stays}')}), 1, 'claimed');
for my $turn (1 .. 9)
{
	sql(q{SELECT wf_cancel(wf_enqueue('goes'))});
	poll(q{SELECT count(*) = 1 FROM wf.slice WHERE state = 'current'});
	my $slice = sql(q{SELECT slice FROM wf.slice WHERE state = 'current'});
	make_slice_old();
	ok(poll("SELECT slice <> $slice FROM wf.slice WHERE state = 'current'"), "turn $turn");
}
is(sql(q{SELECT state FROM wf.slice WHERE slice = 0}), 'sealed', 'and stays');

# a dump may be restored in any order, and take its time: meanwhile nobody makes
# a row that another of the dump's would meet
my $dump = $node->backup_dir . '/slices.dump';
mkdir $node->backup_dir;
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'dump');
my @contents = split /^/, (run_command([ 'pg_restore', '-l', $dump ]))[0];
my %parts = (
	runs => [ grep { !/ TABLE DATA / || / wf run_\d / } @contents ],
	others => [ grep { / TABLE DATA / && !/ wf run_\d / } @contents ]);
append_to_file("$dump.$_", join '', @{ $parts{$_} }) for keys %parts;
sub restore
{
	my ($part) = @_;
	$node->command_ok([ 'pg_restore', '-L', "$dump.$part", '-d', $node->connstr('restored'), $dump ], "restore of $part");
}

sql('CREATE DATABASE restored');
restore('runs');
my $dispatcher = q{FROM pg_stat_activity WHERE datname = 'restored' AND backend_type = 'pg_workflow dispatcher'};
for my $turn (1 .. 3)
{
	ok($node->poll_query_until('restored', "SELECT count(*) = 1 $dispatcher AND state = 'idle'"), 'the dispatcher is there');
	my $last = $node->safe_psql('restored', "SELECT query_start $dispatcher");
	ok($node->poll_query_until('restored', "SELECT query_start > '$last' $dispatcher"), 'it looks');
}
restore('others');
my $slices = 'SELECT slice, state, opened_at, sealed_at FROM wf.slice ORDER BY slice';
is($node->safe_psql('restored', $slices), sql($slices), 'and leaves everything to the dump');
is($node->safe_psql('restored', 'SELECT count(*) FROM wf.keys'), sql('SELECT count(*) FROM wf.keys'), 'every key is there');

$node->stop;
done_testing();
