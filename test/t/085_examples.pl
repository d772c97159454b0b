# The workers in examples/: each sends what there is once, is told of failures,
# loses its place when it is stopped for too long, and ends when it is told to.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Socket::INET;
use IPC::Run;
use OneServer qw(poll_at);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $here = dirname(abs_path($0));
my $examples = "$here/../../examples";
my $python = $ENV{PYTHON} || 'python3';
my $limit = $PostgreSQL::Test::Utils::timeout_default;

my $node = PostgreSQL::Test::Cluster->new('examples');
$node->init;
$node->append_conf('postgresql.conf', slurp_file('test/pg_workflow.conf'));
$node->start;
my $connection = 'host=' . $node->host . ' port=' . $node->port . ' dbname=postgres user=' . getpwuid($<);
$node->safe_psql('postgres', 'CREATE EXTENSION pg_workflow');
$node->safe_psql('postgres', slurp_file("$examples/worker.sql"));

sub sql { return $node->safe_psql('postgres', @_); }
sub poll { return poll_at($node, 'postgres', @_); }

# ---------------------------------------------------------------------------
# A receiver on the loopback: writes down the keys that it is sent, and refuses
# the first attempt at every third mail
# ---------------------------------------------------------------------------

my $listener = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', Proto => 'tcp')
  or die "no socket: $!";
my $url = 'http://127.0.0.1:' . $listener->sockport . '/';
my $received = PostgreSQL::Test::Utils::tempdir . '/received';
append_to_file($received, '');
my $begun = 0;					# requests that had come when the receiver was held
my $receiver = fork() // die;
if ($receiver == 0)
{
	my %seen;
	while (my $client = $listener->accept)
	{
		my ($key, $length) = ('', 0);
		while (my $line = <$client>)
		{
			$key = $1 if $line =~ /^Idempotency-Key: *(\S+)/i;
			$length = $1 if $line =~ /^Content-Length: *(\d+)/i;
			last if $line =~ /^\r?\n$/;
		}
		read($client, my $body, $length) if $length;
		append_to_file("$received.begun", "$key\n");
		while (-e "$received.hold") { select(undef, undef, undef, 0.02); }
		my ($n) = ($body // '') =~ /"n": ?(\d+)/;
		my $refuse = defined $n && $n % 3 == 0 && !$seen{$key}++;
		append_to_file($received, "$key\n") unless $refuse;
		print $client 'HTTP/1.1 ' . ($refuse ? '503 Busy' : '200 OK') . "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
		close $client;
	}
	exit 0;
}
close $listener;
END { kill 'KILL', $receiver if $receiver; }

# the receiver answers nothing while it is told to hold
sub hold
{
	my ($on) = @_;
	if ($on) { append_to_file("$received.hold", ''); }
	else { unlink "$received.hold"; }
	$begun = lines("$received.begun") if $on;
	return;
}

sub lines { my ($file) = @_; return -e $file ? scalar(split /\n/, slurp_file($file)) : 0; }

sub wait_for_request
{
	for (1 .. $limit * 50)
	{
		return if lines("$received.begun") > $begun;
		select(undef, undef, undef, 0.02);
	}
	die 'nothing is sent';
}

my $mails = 0;
sub enqueue
{
	my ($n) = @_;
	sql("SELECT count(wf_enqueue('example-mail', jsonb_build_object('n', i, 'to', 'user-' || i), 'mail-' || i)) FROM generate_series($mails + 1, $mails + $n) i");
	$mails += $n;
	return;
}

sub all_done
{
	return poll(q{SELECT NOT EXISTS (SELECT FROM wf.runs WHERE workflow = 'example-mail' AND state <> 'completed')});
}

# ---------------------------------------------------------------------------
# Each worker
# ---------------------------------------------------------------------------

sub try_worker
{
	my ($name, @command) = @_;
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGDATABASE} = 'postgres';
	my $start = sub { return IPC::Run::start([@command], '<', \undef, '>', \my $out, '2>', \my $err); };
	my $pid_of = sub { return $_[0]->{KIDS}[0]{PID}; };

	enqueue(12);
	my $worker = $start->();
	ok(all_done(), "$name: all is done, what was refused at first too");
	is(sql('SELECT count(*), count(DISTINCT run_id) FROM example_mail.sent'), "$mails|$mails", "$name: each is noted once");
	my @keys = split /\n/, slurp_file($received);
	my %distinct = map { $_ => 1 } @keys;
	is(scalar(@keys) - scalar(keys %distinct), 0, "$name: and received once");

	# stopped while it waits, with its answer on the way: others do what it was woken for
	ok(poll(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'CALL wf_wait_for_work%' AND state = 'active'}),
		"$name: it waits for work");
	kill 'STOP', $pid_of->($worker);
	enqueue(2);
	# the server has answered its CALL, and the worker does not see it: somebody else works meanwhile
	sql(q{SELECT count(*) FROM (SELECT wf_complete(run_id, attempt) FROM wf_claim('{example-mail}', 10)) v});
	kill 'CONT', $pid_of->($worker);
	ok(all_done(), "$name: what others did while it was stopped it does not do");
	is(sql('SELECT count(*) FROM example_mail.sent'), $mails - 2, "$name: nor note");
	sql(q{INSERT INTO example_mail.sent SELECT run_id, key, 'test' FROM wf.runs r WHERE NOT EXISTS (SELECT FROM example_mail.sent s WHERE s.run_id = r.run_id)});
	append_to_file($received, join('', map { "$_\n" } split /\n/, sql(q{SELECT run_id FROM example_mail.sent WHERE worker = 'test'})));
	sql(q{UPDATE example_mail.sent SET worker = 'done' WHERE worker = 'test'});

	# its connection is cut
	sql(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'CALL wf_wait_for_work%'});
	enqueue(2);
	ok(all_done(), "$name: cut off, it connects again");

	# stopped in the middle of a run, which somebody else takes over meanwhile: the
	# receiver is at work on it until it is told to go on
	hold(1);
	enqueue(1);
	ok(poll(q{SELECT count(*) = 1 FROM wf.runs WHERE workflow = 'example-mail' AND state = 'running'}), "$name: a run is under way");
	wait_for_request();
	kill 'STOP', $pid_of->($worker);
	sql(q{SELECT wf_heartbeat(run_id, attempt, '1 us') FROM wf.runs WHERE workflow = 'example-mail' AND state = 'running'});
	ok(poll(q{SELECT count(wf_complete(run_id, attempt)) = 1 FROM wf_claim('{example-mail}', 1)}), "$name: another takes it over");
	hold(0);
	kill 'CONT', $pid_of->($worker);
	sql(q{INSERT INTO example_mail.sent SELECT run_id, key, 'done' FROM wf.runs r WHERE NOT EXISTS (SELECT FROM example_mail.sent s WHERE s.run_id = r.run_id)});
	enqueue(1);
	ok(all_done(), "$name: it goes on");
	is(sql('SELECT count(*), count(DISTINCT run_id) FROM example_mail.sent'), "$mails|$mails", "$name: and has not noted what it had lost");

	# told to end
	ok(poll(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'CALL wf_wait_for_work%' AND state = 'active'}),
		"$name: it waits again");
	kill 'TERM', $pid_of->($worker);
	my $ended = eval { local $SIG{ALRM} = sub { die }; alarm $limit; $worker->finish; alarm 0; 1; };
	ok($ended, "$name: it ends when it is told to");
	$worker->kill_kill unless $ended;
	ok(poll(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE 'CALL wf_wait_for_work%' AND state = 'active'}),
		"$name: and waits no more");
	return;
}

SKIP:
{
	skip 'needs curl', 14 if system('curl --version >/dev/null 2>&1') != 0;
	try_worker('shell', 'bash', "$examples/worker.sh", $url);
}
SKIP:
{
	skip 'needs psycopg2', 14 if system("$python -c 'import psycopg2' 2>/dev/null") != 0;
	try_worker('Python', $python, "$examples/worker.py", $connection, $url);
}
SKIP:
{
	my $js = PostgreSQL::Test::Utils::tempdir;
	skip 'needs node and npm', 15
	  if system('node --version >/dev/null 2>&1 && npm --version >/dev/null 2>&1') != 0;
	system("cp $here/../js/package.json $here/../js/package-lock.json $examples/worker.js $js/");
	is(system("cd $js && HOME=$js npm ci --silent --no-audit --no-fund >/dev/null 2>&1"), 0, 'the driver pg is installed');
	my $uri = 'postgres://' . getpwuid($<) . '@/postgres?host=' . $node->host . '&port=' . $node->port;
	try_worker('JavaScript', 'node', "$js/worker.js", $uri, $url);
}

# what was sent back and forth was counted
is(sql(q{SELECT count(*) FROM wf.attempts WHERE outcome = 'failed' AND error LIKE '%503%'}) > 0, 1, 'refusals are failed attempts, with what the receiver said');

# --- those in SQL, as a role that may use the extension and nothing more ------

sql(q{CREATE ROLE author LOGIN; GRANT CREATE ON DATABASE postgres TO author; SELECT wf_grant_usage('author')});
for my $example (qw(outbox webhook))
{
	my ($status, undef, $err) = $node->psql('postgres', slurp_file("$examples/$example.sql"),
		on_error_die => 0, on_error_stop => 1, extra_params => [ '-U', 'author' ]);
	is($status, 0, "$example.sql runs to its end") or diag $err;
}
ok(poll(q{SELECT count(*) > 0 FROM example_webhook.mail}), 'the webhook\'s event is handled');
is(sql(q{SELECT count(*) > 0 AND count(*) = count(DISTINCT key) FROM wf.runs WHERE workflow = 'example-order-events'}), 't',
	'the outbox has told each change once');

$node->stop;
done_testing();
