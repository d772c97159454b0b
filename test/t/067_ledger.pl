# Keys in numbers: many sessions with one key, holders that are killed,
# duplicates that write nothing and are counted all the same, a large batch.

use strict;
use warnings;
use IPC::Run;
use OneServer qw(poll_at);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->append_conf('postgresql.conf', "autovacuum = off\npg_workflow.sweep_interval = '100ms'\nrestart_after_crash = on");
$node->start;

sub sql { return $node->safe_psql('postgres', @_); }
sub poll { return poll_at($node, 'postgres', @_); }

# A session that is given statements one by one.
my @sessions;

sub session
{
	my $s = { in => '', out => '', err => '' };
	$s->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=0', '-d', $node->connstr('postgres') ],
		'<', \$s->{in}, '>', \$s->{out}, '2>', \$s->{err});
	push @sessions, $s;
	return $s;
}

# Give a session a statement, and wait for its answer if told to.
sub order
{
	my ($s, $statement, $wait) = @_;
	$s->{in} .= "$statement;\n" . ($wait ? "\\echo done\n" : '');
	$s->{run}->pump_nb;
	if ($wait)
	{
		$s->{run}->pump until $s->{out} =~ /done\n/;
		$s->{out} =~ s/done\n//;
	}
}

sub finish
{
	my ($s) = @_;
	$s->{in} .= "\\q\n";
	eval { $s->{run}->finish; };
	return $s->{out};
}

my $waiting = q{SELECT count(*) = %d FROM pg_stat_activity WHERE wait_event_type = 'Lock'};

# A first session runs a statement in an open transaction, $n others the same
# one, waiting for it; then the first ends as told.  Returns what they got.
sub crowd
{
	my ($statement, $n, $end) = @_;
	my $first = session();
	order($first, "BEGIN; $statement", 1);
	my @others = map { session() } 1 .. $n;
	order($_, $statement) for @others;
	ok(poll(sprintf($waiting, $n)), "$n sessions wait");
	order($first, $end, 1);
	return (finish($first), map { finish($_) } @others);
}

sql(q{
	CREATE EXTENSION pg_workflow;
	SELECT wf_create_workflow('w');
	SELECT wf_create_workflow('claimed');
});
my $submit = q{SELECT run_id, created FROM wf_submit('w', '1', '%s')};

# ---------------------------------------------------------------------------
# many sessions
# ---------------------------------------------------------------------------

sub count_created
{
	my %ids;
	my $created = 0;
	for (@_)
	{
		next unless /^([0-9a-f-]{36})\|(t|f)$/;
		$ids{$1}++;
		$created++ if $2 eq 't';
	}
	return ($created, join ' ', values %ids);
}

my ($created, $ids) = count_created(crowd(sprintf($submit, 'crowd'), 63, 'COMMIT'));
is("$created $ids", '1 64', '64 sessions with one key: one creates, all get its id');
is(sql(q{SELECT count(*) FROM wf.runs WHERE key = 'crowd'}), 1, 'there is one run');

my @got = crowd(sprintf($submit, 'undone'), 31, 'ROLLBACK');
shift @got;
($created, $ids) = count_created(@got);
is("$created $ids", '1 31', 'rolled back: one of those who waited creates');

# rebinding after a failure: the same, once more
sub fail_run
{
	my ($key) = @_;
	sql(qq{
		SELECT wf_enqueue('claimed', '1', '$key');
		SELECT wf_fail(run_id, attempt, 'broken', terminal => true) FROM wf_claim('{claimed}', 100);
	});
}
fail_run('failed');
($created, $ids) = count_created(crowd(q{SELECT run_id, created FROM wf_submit('claimed', '1', 'failed')}, 31, 'COMMIT'));
is("$created $ids", '1 32', '32 sessions that rebind after a failure: one new run');
fail_run('failed again');
@got = crowd(q{SELECT run_id, created FROM wf_submit('claimed', '1', 'failed again')}, 15, 'ROLLBACK');
shift @got;
($created, $ids) = count_created(@got);
is("$created $ids", '1 15', 'the same after one that is rolled back');
is(sql(q{SELECT count(*) FROM wf.runs WHERE key = 'failed again'}), 2, 'there are two runs of the key, the failed and the new one');

# ---------------------------------------------------------------------------
# a holder that is killed
# ---------------------------------------------------------------------------
my $holder = session();
order($holder, 'BEGIN; ' . sprintf($submit, 'killed'), 1);
my $waiter = session();
order($waiter, sprintf($submit, 'killed'));
ok(poll(sprintf($waiting, 1)), 'one waits');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'});
like(finish($waiter), qr/\|t$/m, 'the holder is terminated: who waited creates');

$holder = session();
order($holder, 'BEGIN; ' . sprintf($submit, 'crash'), 1);
my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'});
my $kept = sql(q{SELECT wf_find('w', 'killed')});
kill 'KILL', $pid;
ok(poll('SELECT true'), 'the server comes back after a crash');
is(sql(q{SELECT wf_find('w', 'crash') IS NULL}), 't', 'the uncommitted key is free');
is(sql(q{SELECT wf_find('w', 'killed')}), $kept, 'the committed one is not');
is(sql(q{SELECT created FROM wf_submit('w', '1', 'crash')}), 't', 'and enqueueing goes on');

# ---------------------------------------------------------------------------
# a duplicate writes nothing
# ---------------------------------------------------------------------------
my $dispatcher = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_workflow dispatcher'};
ok(poll(qq{SELECT count(*) = 1 FROM ($dispatcher) d}), 'there is a dispatcher');
sql(q{SELECT count(*) FROM wf_enqueue_many('w',
	(SELECT array_agg('1'::jsonb) FROM generate_series(1, 100)), (SELECT array_agg('d' || i) FROM generate_series(1, 100) i))});
sql('VACUUM');
my $duplicates = q{SELECT count(wf_enqueue('w', '1', 'd' || i %% 100 + 1)) FROM generate_series(1, %d) i};
my $counted = q{SELECT duplicates FROM wf.stats WHERE workflow = 'w'};
my $dead = q{SELECT coalesce(sum(n_dead_tup + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables WHERE relname ~ '^(run|event)'};
sql(sprintf($duplicates, 1000));
sql('CHECKPOINT');
my $stopped = sql($dispatcher);
kill 'STOP', $stopped;

my ($counted_before, $dead_before) = (sql($counted), sql($dead));
my $before = sql('SELECT pg_current_wal_insert_lsn()');
my $xid_before = sql('SELECT pg_snapshot_xmax(pg_current_snapshot())');
my $none = sql(sprintf("BEGIN; $duplicates; SELECT pg_current_xact_id_if_assigned() IS NULL; COMMIT", 10000));
my $xid_after = sql('SELECT pg_snapshot_xmax(pg_current_snapshot())');
my $wal = sql("SELECT pg_current_wal_insert_lsn() - '$before'");
is($none, "10000\nt", '10,000 duplicates take no transaction id');
is($xid_after, $xid_before, 'nor has anybody else taken one');
cmp_ok($wal, '<', 2000, 'they write no WAL, beside what the background notes now and then');
is(sql($dead), $dead_before, 'no row is updated or deleted');
is(sql($counted) - $counted_before, 10000, 'they are counted');

# rolled back: counted, too
$counted_before = sql($counted);
sql(sprintf("BEGIN; $duplicates; ROLLBACK", 100));
is(sql($counted) - $counted_before, 100, 'those that are rolled back are counted, too');

# the ring has 8192 entries; nobody has written them yet
cmp_ok(sql(q{SELECT lost_audit FROM wf.stats WHERE workflow = 'w'}), '>=', 10100 - 8192, 'what overran the ring is counted as lost');
my $shown = sql(q{SELECT count(*) FROM wf.duplicates WHERE workflow = 'w'});
cmp_ok($shown, '<=', 8192 + 1000 + 200, 'and memory is bounded');
kill 'CONT', $stopped;
ok(poll(q{SELECT count(*) > 0 FROM wf.duplicate}), 'the dispatcher writes them when it can');
ok(poll(q{SELECT s.duplicates = d.n + s.lost_audit
			FROM wf.stats s, (SELECT count(*) AS n FROM wf.duplicates WHERE workflow = 'w' AND outcome <> 'mismatch') d
		   WHERE s.workflow = 'w'}),
	'each duplicate is either recorded or counted as lost')
  or diag(sql(q{SELECT s.*, (SELECT count(*) FROM wf.duplicates WHERE workflow = 'w') FROM wf.stats s WHERE workflow = 'w'}));

# each with its key, however long, and with the payload spelled otherwise, too
my $long = 'l' x 500;
sql(qq{SELECT wf_enqueue('w', '{"a": 1, "b": [2]}', '$long')});
sql(qq{SELECT wf_enqueue('w', '{"b": [2.0], "a": 1e0}', '$long')});
my (undef, undef, $error) = $node->psql('postgres', qq{SELECT wf_enqueue('w', '{"b": [2.5], "a": 1}', '$long')});
like($error, qr/bound to a run with another payload/, 'a payload that differs a little is another one');
my $recorded = q{FROM wf.duplicate d JOIN wf.workflow w ON w.id = d.workflow_id, unnest(d.keys) AS key WHERE w.name = 'w'};
ok(poll(qq{SELECT count(*) = 2 $recorded AND key = '$long'}), 'a long key is recorded');
is(sql("SELECT count(*) $recorded AND key IS NULL"), '0', 'none is without its key');

# they go when they are as old as runs may become, many at a time
sql(q{SELECT wf_alter_workflow('w', retention => '1 ms')});
ok(poll("SELECT NOT EXISTS (SELECT $recorded)"), 'duplicates are forgotten after the retention');
sql(q{SELECT wf_alter_workflow('w', retention => '7 days')});

# ---------------------------------------------------------------------------
# many keys in one transaction
# ---------------------------------------------------------------------------
my $items = $ENV{WF_TEST_LONG} ? 1_000_000 : 100_000;
my $batch = "(SELECT array_agg(to_jsonb(i)) FROM generate_series(%d, %d) i), (SELECT array_agg('n' || i) FROM generate_series(%d, %d) i)";
my $chunks = join '; ', map {
	my ($from, $to) = ($_ * $items / 10 + 1, ($_ + 1) * $items / 10);
	'SELECT count(*) FILTER (WHERE created) FROM wf_enqueue_many(\'w\', ' . sprintf($batch, $from, $to, $from, $to) . ')'
} 0 .. 9;

# peak memory of the session that this is run in, in MB
my $peak = q{SELECT (regexp_match(pg_read_file('/proc/' || pg_backend_pid() || '/status'), 'RssAnon:\s+(\d+)'))[1]::integer / 1024};
my $answer = sql("BEGIN; $chunks; $peak; SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid(); COMMIT");
my @lines = split /\n/, $answer;
my ($locks, $memory) = (pop @lines, pop @lines);
is(join(' ', @lines), join(' ', ($items / 10) x 10), "$items keys in one transaction, with default lock settings");
cmp_ok($locks, '<', 200, 'it holds a bounded number of locks');
cmp_ok($memory, '<', 200, 'and little memory');
is(sql(sprintf("SELECT count(*) FILTER (WHERE NOT created) FROM wf_enqueue_many('w', $batch)", 1, $items, 1, $items)),
	$items, 'the same in one call: all of them duplicates');
note("chunks: $memory MB, $locks locks");

# ---------------------------------------------------------------------------
# new ones in one call too; a dump; expiry with nobody cleaning
# ---------------------------------------------------------------------------
is(sql("SELECT count(*) FILTER (WHERE created) FROM wf_enqueue_many('w', (SELECT array_agg(to_jsonb(i)) FROM generate_series(1, $items) i), (SELECT array_agg('once-' || i) FROM generate_series(1, $items) i))"),
	$items, "$items new keys in one call");

my $kept_run = sql(q{SELECT wf_enqueue('w', '1', 'dumped')});
sql('CREATE DATABASE restored');
my $dump = $node->basedir . '/dump';
command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-Fc', '-f', $dump, 'postgres' ], 'dump');
command_ok([ 'pg_restore', '-h', $node->host, '-p', $node->port, '-d', 'restored', $dump ], 'restore');
is($node->safe_psql('restored', q{SELECT wf_enqueue('w', '1', 'dumped')}), $kept_run, 'keys survive a dump');
is($node->safe_psql('restored', q{SELECT count(*) FROM wf.runs}), sql(q{SELECT count(*) FROM wf.runs}), 'and so do runs');

sql(q{ALTER SYSTEM SET pg_workflow.dispatch = off});
$node->restart;
sql(q{SELECT wf_create_workflow('short', key_ttl => '200 ms')});
my $short = sql(q{SELECT wf_enqueue('short', '1', 'k')});
sql(q{SELECT wf_complete(run_id, attempt) FROM wf_claim('{short}')});
is(sql(q{SELECT wf_find('short', 'none') IS NULL}), 't', 'a key that is not there');
ok(poll(q{SELECT wf_find('short', 'k') IS NULL AND NOT EXISTS (SELECT FROM wf.keys WHERE workflow = 'short')}), 'a key expires by the clock alone');
isnt(sql(q{SELECT wf_enqueue('short', '2', 'k')}), $short, 'and is free, for another payload too');

$node->stop;
done_testing();
