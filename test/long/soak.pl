# Memory and storage stay as they are under hours of load: W6.
#
# WF_SOAK_MINUTES (default 10): runs by SQL handlers, external claims,
# duplicates, failures and tasks, with a retention of seconds.

use strict;
use warnings;
use OneServer;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Test::More;

my $minutes = $ENV{WF_SOAK_MINUTES} || 10;

my $node = one_server('soak', "pg_workflow.executor_idle_timeout = '1h'", 'autovacuum_naptime = 10s');
sql(q{
	CREATE FUNCTION handle(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		IF (payload ->> 'n')::int % 50 = 0 AND wf_current_attempt() = 1 THEN
			RAISE EXCEPTION 'not at the first attempt';
		END IF;
		PERFORM wf_task_put('task ' || (payload ->> 'n'), payload);
		RETURN payload;
	END $$;
	SELECT wf_create_workflow('sql', 'handle(jsonb)', retry_delay => '10 ms', retention => '5 s', key_ttl => '5 s');
	SELECT wf_create_workflow('batched', 'handle(jsonb)', retry_delay => '10 ms', retention => '5 s', key_ttl => '5 s', batch => 20);
	SELECT wf_create_workflow('outside', retention => '5 s', key_ttl => '5 s');
});
my $script = $node->basedir . '/load.sql';
append_to_file($script, q{
\set n random(1, 20000)
SELECT wf_enqueue('sql', jsonb_build_object('n', :n::int), 'k' || :n::int, on_conflict => 'force');
SELECT wf_enqueue('batched', jsonb_build_object('n', :n::int), 'k' || :n::int, on_conflict => 'force');
SELECT wf_enqueue('outside', jsonb_build_object('n', :n::int), 'k' || :n::int, on_conflict => 'force');
SELECT count(wf_complete(run_id, attempt, payload)) FROM wf_claim('{outside}', 5);
});

my $load = IPC::Run::start([ 'pgbench', '-n', '-M', 'prepared', '-c', 4, '-T', $minutes * 60, '-f', $script,
		'-h', $node->host, '-p', $node->port, 'postgres' ], '>', \my $out, '2>', \my $err);

# memory of our processes in kB, of all relations in MB, runs that were completed
sub sample
{
	my %memory;
	$memory{$_} = memory_of((pids($_))[0] // 0) // 0 for qw(launcher dispatcher executor);
	my ($size, $done) = split /\|/, sql(q{SELECT (SELECT sum(pg_total_relation_size(oid)) / 1048576 FROM pg_class
		WHERE relnamespace = 'wf'::regnamespace AND relkind = 'r')::int, (SELECT sum(completed) FROM wf.stats)});
	note "completed $done, relations $size MB, memory " . join ', ', map { "$_ $memory{$_} kB" } sort keys %memory;
	return { %memory, size => $size, done => $done };
}

my @samples;
for (1 .. $minutes * 3 - 1)
{
	sql('SELECT pg_sleep(20)');
	push @samples, sample();
}
$load->finish;
is($load->result(0), 0, 'no client has met an error') or diag $err;
ok(all_ended(), 'all runs end');
cmp_ok(scalar @samples, '>=', 3, 'there are samples');
my ($early, $late) = @samples[ int(@samples / 3), -1 ];
cmp_ok($late->{done}, '>', $early->{done}, 'work is done');
for my $kind (qw(launcher dispatcher executor))
{
	cmp_ok($late->{$kind}, '<', $early->{$kind} * 1.2 + 2000, "memory of the $kind does not grow");
}
cmp_ok($late->{size}, '<', $early->{size} * 1.5 + 64, 'nor does storage');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|deadlock/, 'the server did not stumble');
$node->stop;
done_testing();
