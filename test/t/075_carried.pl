# Runs that are due in a year do not keep the ring of slices from turning: they
# go with it, with their keys, attempts, payloads, whoever is at them.

use strict;
use warnings;
use OneServer;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = one_server('carried', "pg_workflow.sweep_interval = '100ms'");

sql(q{
	CREATE FUNCTION fail_once(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		IF wf_current_attempt() = 1 THEN
			RAISE EXCEPTION 'not at the first attempt';
		END IF;
		RETURN payload;
	END $$;
	SELECT wf_create_workflow('gone', retention => '0', key_ttl => '0');
	SELECT wf_create_workflow('later', 'fail_once(jsonb)', retry_delay => '1 year', retry_max_delay => '1 year', retention => '0');
	SELECT wf_create_workflow('outside');
	SELECT wf_enqueue('later', '{"n": 1}', 'never tried', run_at => now() + interval '1 year');
	SELECT wf_enqueue('later', '{"n": 2}', 'tried once');
	SELECT wf_enqueue('outside', '{"n": 3}', 'unclaimed');
});
ok(poll(q{SELECT count(*) = 1 FROM wf.attempts JOIN wf.runs USING (run_id) WHERE key = 'tried once'}), 'one has had an attempt');
my $what = q{SELECT string_agg(concat_ws(' ', key, r.run_id, r.state, payload, r.attempt, r.error, run_at,
	(SELECT count(*) FROM wf.attempts a WHERE a.run_id = r.run_id), wf_find(workflow, key)), E'\n' ORDER BY key)
	FROM wf.runs r WHERE workflow IN ('later', 'outside')};
my $before = sql($what);

# others are at runs like that all the while
sql(q{
	SELECT wf_create_workflow('touched', 'fail_once(jsonb)');
	CREATE TABLE touched AS SELECT n, wf_enqueue('touched', '{"n": 0}', 't' || n, run_at => now() + interval '1 year') AS run_id
	  FROM generate_series(1, 20) n;
});
my $script = $node->basedir . '/touch.sql';
append_to_file($script, q{
\set n random(1, 20)
\set m random(1, 1000)
SELECT wf_reschedule(run_id, now() + interval '1 year' + :m * interval '1 second', :m % 5) FROM touched WHERE n = :n;
SELECT wf_enqueue('touched', jsonb_build_object('n', :m), 't' || :n, on_conflict => 'replace', run_at => now() + interval '1 year');
BEGIN;
SELECT wf_cancel(run_id) FROM touched WHERE n = :n;
ROLLBACK;
});
my $touching = IPC::Run::start([ 'pgbench', '-n', '-c', 4, '-T', 20, '-f', $script,
		'-h', $node->host, '-p', $node->port, 'postgres' ], '>', \my $out, '2>', \my $err);

# sessions that have looked at such runs, and keep their slice from being truncated, before these are carried
sql(q{
	SELECT wf_create_workflow('swollen');
	SELECT wf_create_workflow('old', max_queued => 3);
	CREATE TABLE old AS SELECT n, wf_enqueue('old', '{}', 'o' || n, run_at => now() + interval '1 year') AS run_id
	  FROM generate_series(1, 3) n;
});
my $count = q{SELECT enqueued FROM wf.stats WHERE workflow = 'old'};
is(sql($count), 3, 'three runs are counted');
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
$_->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT wf_handle(run_id) FROM old') for @sessions;

# the first slice is mostly what is dead, and such runs are at its end
my $swell = q{SELECT count(wf_enqueue('swollen', jsonb_build_object('n', n, 'much', repeat('x', 1000)), 's' || n % 20,
	on_conflict => 'replace', run_at => now() + interval '1 year')) FROM generate_series(1, 3000) n};

my %seen;
for my $turn (1 .. 9)
{
	my $in = sql(q{SELECT max(tableoid::regclass::text) FROM wf.run WHERE key IN ('never tried', 'tried once', 'unclaimed')});
	sql(qq{SELECT wf_cancel(wf_enqueue('gone', '1', 'g$turn' || i)) FROM generate_series(1, 300) i});
	sql($swell) if $turn == 1;
	ok(make_slice_old(), 'a sweep notes when the slice was opened');
	# a slice that somebody was at is looked at again after a minute, or when a definition has changed
	my $carried = 0;
	for (my $i = 0; $i < 60 && !$carried; $i++)
	{
		sql("SELECT wf_alter_workflow('gone', max_attempts => 1 + $i % 2), pg_sleep(0.5)");
		$carried = sql(qq{SELECT count(DISTINCT tableoid) = 1 AND min(tableoid::regclass::text) <> '$in'
			FROM wf.run WHERE key IN ('never tried', 'tried once', 'unclaimed')}) eq 't';
	}
	ok($carried, "turn $turn: they are carried");
	is(sql($what), $before, 'and are what they were');
	$seen{$in} = 1;
	next if $turn > 1;

	# what is told that it has been done has been done
	my $cancelled = $sessions[0]->query_safe('SELECT wf_cancel(run_id) FROM old WHERE n = 1');
	my $moved = $sessions[1]->query_safe("SELECT wf_reschedule(run_id, '2100-01-01') FROM old WHERE n = 2");
	is("$cancelled $moved", 't t', 'an older snapshot keeps nobody from moving a run that was carried');
	$_->query_safe('COMMIT'), $_->quit for @sessions;
	is(sql(q{SELECT string_agg(concat_ws(' ', n, state, extract(year FROM run_at) = 2100), ', ' ORDER BY n) FROM old JOIN wf.runs USING (run_id)}),
		'1 cancelled f, 2 queued t, 3 queued f', 'and it stands');
}
is(sql($count), 3, 'a run that is carried is not another one');
like(sql(q{SELECT wf_enqueue('old', '{}', 'one more', run_at => now() + interval '1 year')}), qr/^[-0-9a-f]{36}$/, 'nor is there less room for others');
$touching->finish;
is($touching->result(0), 0, 'nobody who was at such a run has met an error') or diag $err;
is(sql(q{SELECT count(*) FROM touched t JOIN wf.keys k USING (run_id) WHERE k.key = 't' || n AND state = 'queued'}), 20,
	'and each key still has its run');
cmp_ok(scalar keys %seen, '>=', 5, 'they have been all around the ring');
cmp_ok(sql(q{SELECT count(*) FROM wf.slice WHERE state = 'sealed'}), '<=', 2, 'in which slices are emptied');
is(sql(q{SELECT count(wf_reschedule(run_id, now())) FROM wf.runs WHERE workflow = 'later'}), 2, 'moved to now');
ok(poll(q{SELECT count(*) = 3 FROM wf.attempts WHERE outcome = 'completed' OR (outcome = 'failed' AND attempt = 1 AND error ~ 'not at')}), 'they are executed');
is(sql(q{SELECT string_agg(key || ' ' || state, ', ' ORDER BY key) FROM wf.keys WHERE workflow = 'later'}),
	'never tried queued, tried once purged', 'each as far as it has come');
is(sql(q{SELECT payload || to_jsonb(attempt) FROM wf_claim('{outside}')}), '[{"n": 3}, 1]', 'and claimed');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'the server did not stumble');
$node->stop;
done_testing();
