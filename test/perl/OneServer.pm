# One server with the extension, and what a test of its processes asks it all
# the time.
#
#   use OneServer;
#   my $node = one_server('name', 'setting = value', ...);

package OneServer;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(one_server sql poll poll_at settles settles_at answer make_slice_old set_and_reload ended all_ended why pids at_gate gate memory_of);

my $node;

# A started server whose database postgres has the extension.
sub one_server
{
	my ($name, @settings) = @_;
	$node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
	$node->append_conf('postgresql.conf', $_) for @settings;
	$node->start;
	sql('CREATE EXTENSION pg_workflow');
	return $node;
}

sub sql { return $node->safe_psql('postgres', @_); }

# Until the query says true, or another value; false when it takes too long.
sub poll { return poll_at($node, 'postgres', @_); }

# The same on any server.  While that is away psql may end before it has read
# the query, which IPC::Run takes for an exception.
sub poll_at
{
	my ($at, @query) = @_;
	my $answer;
	until (eval { $answer = $at->poll_query_until(@query); 1 })
	{
		die $@ unless $@ =~ /Broken pipe/;
	}
	return $answer;
}

# What the query says when it has said the same for two seconds; undefined when
# it goes on changing.
sub settles { return settles_at($node, @_, 0.1, 20, 1200); }

# The same on any server: so often the same, with so many seconds in between, in
# so many readings at most.
sub settles_at
{
	my ($at, $query, $pause, $times, $most) = @_;
	my ($before, $same) = ('', 0);
	for (1 .. $most)
	{
		my $now = $at->safe_psql('postgres', $query);
		$same = $now eq $before ? $same + 1 : 0;
		return $now if $same == $times;
		$before = $now;
		select(undef, undef, undef, $pause);
	}
	return undef;
}

# rows, or the SQLSTATE, after statements that set the session up
sub answer
{
	my ($setup, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "$setup;\n\\set VERBOSITY sqlstate\n$sql");
	return $out if $status == 0;
	return $err =~ /(?:ERROR|FATAL):\s+(\w{5})/ ? $1 : $err;
}

# So that the ring turns, once a sweep has noted when the slice was opened; the
# last statement has every session read it anew.  False where none has noted it.
sub make_slice_old
{
	my $noted = poll(q{SELECT count(*) = 1 FROM wf.slice WHERE state = 'current'});
	sql(q{UPDATE wf.slice SET opened_at = '2001-01-01' WHERE state = 'current'});
	sql(q{ALTER TABLE wf.slice SET (autovacuum_enabled = false)});
	return $noted;
}

sub set_and_reload
{
	$node->append_conf('postgresql.conf', $_) for @_;
	$node->reload;
	return;
}

# until a run has come to its end; says its state, and the SQLSTATE if any
sub ended
{
	my ($id) = @_;
	poll("SELECT state IN ('completed', 'failed', 'cancelled') FROM wf.runs WHERE run_id = '$id'");
	return sql("SELECT concat_ws(' ', state, sqlstate) FROM wf.runs WHERE run_id = '$id'");
}

sub all_ended
{
	return poll(q{SELECT NOT EXISTS (SELECT FROM wf.runs WHERE state IN ('queued', 'running'))});
}

sub why
{
	my ($id) = @_;
	return sql("SELECT wf_why('$id')");
}

# of processes of a kind: launcher, dispatcher, executor; of one owner if given
sub pids
{
	my ($kind, $owner) = @_;
	my $of = defined $owner ? "AND usename = '$owner'" : '';
	return split /\n/,
	  sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_workflow $kind' $of ORDER BY pid");
}

# a session that holds the advisory lock 1, for which handlers then wait
sub gate
{
	my $session = $node->background_psql('postgres');
	$session->query_safe('SELECT pg_advisory_lock(1)');
	return $session;
}

# until so many handlers wait for the gate
sub at_gate
{
	my ($n) = @_;
	poll("SELECT count(*) = $n FROM pg_stat_activity WHERE backend_type = 'pg_workflow executor' AND wait_event_type = 'Lock'")
	  or die "there are not $n handlers at the gate";
	return;
}

# private memory of a process in kB; undefined where the system doesn't tell
sub memory_of
{
	my ($pid) = @_;
	return undef unless -r "/proc/$pid/status";
	return slurp_file("/proc/$pid/status") =~ /RssAnon:\s+(\d+)/ ? $1 : undef;
}

1;
