# The ring of slices: what is over goes, keys that are not are carried, and a
# clock that was set back revives nothing.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->append_conf('postgresql.conf', "pg_workflow.sweep_interval = '100ms'");
$node->start;

sub sql { return $node->safe_psql('postgres', @_); }
sub poll { return $node->poll_query_until('postgres', @_); }

sql(q{
	CREATE EXTENSION pg_workflow;
	SELECT wf_create_workflow('gone', retention => '0', key_ttl => '0');
	SELECT wf_create_workflow('kept', retention => '0');
	SELECT wf_create_workflow('brief', key_ttl => '30 minutes');
	SELECT wf_cancel(wf_enqueue('gone', '1', 'g' || i)) FROM generate_series(1, 100) i;
	SELECT wf_cancel(wf_enqueue('kept', '{"secret": 1}', 'k' || i)) FROM generate_series(1, 5) i;
});
my $kept = sql(q{SELECT wf_find('kept', 'k1')});

# Make the current slice look old; the second statement has every session read it anew.
sub grow_old
{
	ok(poll(q{SELECT count(*) = 1 FROM wf.slice WHERE state = 'current'}), 'a sweep notes when the slice was opened');
	sql(q{UPDATE wf.slice SET opened_at = '2001-01-01' WHERE state = 'current'});
	sql(q{ALTER TABLE wf.slice SET (autovacuum_enabled = false)});
}

grow_old();
ok(poll(q{SELECT state = 'empty' FROM wf.slice WHERE slice = 0}), 'it turns, and the old slice is emptied');
is(sql(q{SELECT pg_relation_size('wf.run_0') + pg_relation_size('wf.event_0')}), 0, 'its space is given back');
is(sql(q{SELECT count(*), count(payload) FROM wf.run_1}), '5|0', 'keys that outlive their runs were carried, without payloads');
is(sql(q{SELECT run_id, created, state, result FROM wf_submit('kept', '{"secret": 1}', 'k1')}), "$kept|f|purged|", 'they still hold');
isnt($node->psql('postgres', q{SELECT wf_enqueue('kept', '2', 'k1')}), 0, 'also against another payload');
is(sql(q{SELECT created FROM wf_submit('gone', '2', 'g1')}), 't', 'those of runs that are gone are free');

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

$node->stop;
done_testing();
