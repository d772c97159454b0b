# A key whose run is replaced by many at the same time has one run, also where that is
# stored in a slice to which no keys are added any more, so that no index says no to another.

use strict;
use warnings;
use OneServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = one_server('replaced', "pg_workflow.sweep_interval = '100ms'");

sql(q{
	SELECT wf_create_workflow('w');
	SELECT count(wf_enqueue('w', to_jsonb(repeat('x', 500)), 'k' || n, run_at => now() + interval '1 year')) FROM generate_series(1, 20) n;
});
ok(make_slice_old(), 'a sweep notes when the slice was opened');
ok(poll(q{SELECT state = 'sealed' FROM wf.slice WHERE slice = 0}), 'it is sealed');

# a snapshot that sees the old versions of a row, so that new ones come to other pages, with
# entries of their own in the index
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM wf.run');
my $script = $node->basedir . '/replace.sql';
append_to_file($script, q{
\set n random(1, 3)
\set m random(1, 1000)
SELECT wf_enqueue('w', jsonb_build_object('m', :m::int, 'much', repeat('y', 500)), 'k' || :n::int,
	on_conflict => 'replace', run_at => now() + interval '1 year');
});
command_ok([ 'pgbench', '-n', '-c', 8, '-j', 2, '-t', 2000, '-M', 'prepared', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'the runs of three keys are replaced, 16,000 times in all');
is(sql(q{SELECT count(*), count(DISTINCT key), min(tableoid::regclass::text), max(tableoid::regclass::text) FROM wf.run}), '20|20|wf.run_0|wf.run_0',
	'each key has the run that it had');
$holder->query_safe('COMMIT');
$holder->quit;

$node->stop;
done_testing();
