# Bad input.  Calls are generated from the catalogue, so that a new function is
# covered by itself: every function of the extension with NULL in every
# argument, with the extreme values of every type, with arrays of every shape,
# and with random ones of all these; by an owner, a superuser, a role without a
# privilege and a stranger; in every kind of transaction and place.  Each ends
# with a right answer or an error that the contract knows: no internal error,
# no crash, no warning of a leak, and nothing is changed that is rolled back.
#
# The seed is fixed.  WF_TEST_LONG=1 runs every call in every place.

use strict;
use warnings;
use OneServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = one_server('bad_input', 'log_statement = none', 'autovacuum = off', 'max_prepared_transactions = 2');

sql(q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE stranger LOGIN;
	SELECT wf_grant_usage('alice'), wf_grant_usage('bob');
	GRANT EXECUTE ON FUNCTION wf_expire(integer) TO alice;
	CREATE SCHEMA h AUTHORIZATION alice;
	GRANT USAGE ON SCHEMA h TO PUBLIC;
	CREATE TABLE h.place (call text);
	GRANT INSERT ON h.place TO PUBLIC;
	CREATE FUNCTION h.do() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE new.call; RETURN NULL; END';
	CREATE TRIGGER place AFTER INSERT ON h.place FOR EACH ROW EXECUTE FUNCTION h.do();
	CREATE TABLE h.many AS SELECT i FROM generate_series(1, 20000) i;
	GRANT SELECT ON h.many TO PUBLIC;
	SET SESSION AUTHORIZATION alice;
	CREATE FUNCTION h.fine(payload jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
	CREATE FUNCTION h.bad(payload jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(1 / 0)';
	SELECT wf_create_workflow('w', on_failed => 'resume'), wf_create_workflow('fine', 'h.fine(jsonb)'), wf_create_workflow('bad', 'h.bad(jsonb)', max_attempts => 1);
	SELECT wf_enqueue('w', '1', 'key'), wf_enqueue('w', '1', 'claimed', priority => -1), wf_enqueue('w', '1', 'cancelled'), wf_enqueue('fine', '1', 'k'), wf_enqueue('bad', '1', 'k');
	SELECT wf_cancel(wf_find('w', 'cancelled'));
	SELECT count(*) FROM wf_claim('{w}', lease => '1 day');
	SELECT status FROM wf_task_begin('key');
	SELECT wf_task_put('done', '1');
});
$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM wf.runs WHERE workflow IN ('fine', 'bad') AND state IN ('completed', 'failed')}) or die;
# nothing that is enqueued below starts
sql(q{SELECT wf_pause('fine'), wf_pause('bad')});
my %run = map { split /\|/ } split /\n/, sql(q{SELECT state, run_id FROM wf.runs});

# --- values -------------------------------------------------------------------

# the first of each is a good one
my %values = (
	text => [ qw('w' 'key' '' 'return' 'replace' 'force' 'skip' 'resume' 'alter' 'enqueue' 'done'), "'no such'", "repeat('x', 200)", "repeat('x', 513)", "repeat('ä', 300)", "E'\\n\\t %s%n'", "repeat('x', 5000000)" ],
	'text[]' => [ qw('{w}' '{}' '{NULL}' '{{w},{w}}' '[5:6]={w,key}' '{read,work}' '{read,bogus}' '{w,w}'), "'{\"\"}'", "array_fill('x'::text, '{10000}')", "array_fill('w'::text, '{2,2,2}')" ],
	jsonb => [ qw('1' '{}' 'null' '[]' '"x"'), q{'{"a": [1, {"b": null}]}'}, q{to_jsonb(1e131071::numeric)}, q{(repeat('[', 6000) || repeat(']', 6000))}, q{to_jsonb(repeat('x', 20000000))}, q{jsonb_build_array(1e131071::numeric, -1e131071::numeric, 1e-16383::numeric)}, q{'[9007199254740993, 1e400, -0.0]'}, q{to_jsonb(array_fill(1, '{100000}'))} ],
	'jsonb[]' => [ qw('{1}' '{}' '{1,NULL}' '{{1},{2}}' '[0:1]={1,2}'), "array_fill('1'::jsonb, '{1000}')", "array_fill('1'::jsonb, '{2,2,2}')" ],
	uuid => [ (map { "'$_'" } map { $run{$_} } sort keys %run), "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'" ],
	integer => [ qw(1 0 -1 2 2147483647 -2147483648 1000000) ],
	bigint => [ qw(1 0 -1 9223372036854775807 -9223372036854775808) ],
	'double precision' => [ qw(1 0 -1 'NaN' 'Infinity' '-Infinity' 1e308 -1e308 1e-308) ],
	interval => [ "'1 second'", "'0'", "'-1 second'", "'1 mon -31 days'", "'178000000 years'", "'-178000000 years'", "'1 microsecond'", "'1000 years'", "'1 day -1 microsecond'" ],
	'timestamp with time zone' => [ "'2100-01-01'", "'infinity'", "'-infinity'", "'epoch'", "'294276-12-31'", "'4713-01-01 BC'" ],
	boolean => [ qw(true false) ],
	regprocedure => [ "'h.fine(jsonb)'", "'-'", "'now()'", "'pg_catalog.lower(text)'", "'pg_catalog.count(\"any\")'", "4294967294::oid", "'h.do()'" ],
	regrole => [ "'bob'", "'-'", "'stranger'", "4294967294::oid", "'pg_read_all_data'" ],
	'"any"' => [ "1", "'x'", "'x'::text", "ARRAY[1,NULL]", "ARRAY[[1],[2]]", "'NaN'::float8", "'NaN'::numeric", "1e131071::numeric", "'infinity'::timestamptz", "'infinity'::date", "'-178000000 years'::interval",
		"ROW(1)", "'1'::jsonb", "'1'::json", "'{}'::text[]", "'(1,2)'::point", "NULL::text", "'\\x00'::bytea", "'24:00'::time", "'w'::name", "repeat('x', 5000000)", "(repeat('[', 6000) || repeat(']', 6000))::jsonb", "'[1,2)'::int4range", "'x'::\"char\"", "1::oid::regclass", "'1.2.3.4'::inet" ]);

# the next number of a fixed sequence, below n
my $state = 20240229;
sub pick
{
	my ($n) = @_;
	$state = ($state * 1103515245 + 12345) % 2147483648;
	return int($state / 65536) % $n;
}

my @calls;
my @unknown;
for (split /\n/, sql(q{
	SELECT format('%s|%I.%I|%s|%s', p.prokind, n.nspname, p.proname, p.provariadic <> 0,
				  (SELECT string_agg(format_type(t, NULL), ';' ORDER BY o) FROM unnest(p.proargtypes) WITH ORDINALITY u(t, o)))
	  FROM pg_proc p
	  JOIN pg_namespace n ON n.oid = p.pronamespace
	  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'pg_workflow'
	 ORDER BY n.nspname, p.proname, p.oid}))
{
	my ($kind, $name, $variadic, $types) = split /\|/;
	my @types = split /;/, $types // '';
	push @types, ('"any"') x 2 if $variadic eq 't';
	push @unknown, map { "$name: $_" } grep { !$values{$_} } @types;
	$values{$_} //= ['NULL'] for @types;
	my $literal = sub {
		my ($type, $value) = @_;
		return $type eq '"any"' ? $value : "($value)::$type";
	};
	my $add = sub {
		my ($n, @arguments) = @_;
		my $list = join ', ', @arguments;
		push @calls, $kind eq 'p' ? "CALL $name($list)" : $n % 2 ? "SELECT $name($list)" : "SELECT * FROM $name($list)";
	};
	my $good = sub { return map { $literal->($_, $values{$_}[0]) } @types };

	$add->(0, $good->());
	$add->(1, map { $literal->($_, 'NULL') } @types) if @types;
	for my $i (0 .. $#types)
	{
		my @a = $good->();
		for my $value ('NULL', @{ $values{ $types[$i] } })
		{
			$a[$i] = $literal->($types[$i], $value);
			$add->($i, @a);
		}
	}
	for my $n (1 .. 6 * @types)
	{
		$add->($n, map { $literal->($_, pick(6) ? $values{$_}[ pick(scalar @{ $values{$_} }) ] : 'NULL') } @types);
	}
}
is(join(', ', @unknown), '', 'there are values for every type of argument');
note scalar(@calls) . ' calls';

# --- places -------------------------------------------------------------------

sub quoted { return "'" . ($_[0] =~ s/'/''/gr) . "'"; }

# each is rolled back
my %places = (
	'a transaction' => sub { "BEGIN; $_[0]; ROLLBACK;" },
	'a read-only transaction' => sub { "BEGIN READ ONLY; $_[0]; ROLLBACK;" },
	'REPEATABLE READ' => sub { "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; $_[0]; ROLLBACK;" },
	'SERIALIZABLE' => sub { "BEGIN ISOLATION LEVEL SERIALIZABLE; $_[0]; ROLLBACK;" },
	'a subtransaction' => sub { "BEGIN; SAVEPOINT s; $_[0]; ROLLBACK TO s; $_[0]; ROLLBACK TO s; SELECT 1; ROLLBACK;" },
	'twice in a transaction' => sub { "BEGIN; SAVEPOINT s; $_[0]; RELEASE s; $_[0]; ROLLBACK;" },
	'a trigger' => sub { 'BEGIN; INSERT INTO h.place VALUES (' . quoted($_[0]) . '); ROLLBACK;' },
	'a DO block' => sub { 'BEGIN; DO ' . quoted("BEGIN EXECUTE " . quoted($_[0]) . "; EXECUTE " . quoted($_[0]) . "; EXCEPTION WHEN SQLSTATE '42704' THEN NULL; END") . '; ROLLBACK;' },
	'a cursor' => sub { $_[0] =~ /^CALL/ ? "SELECT 1;" : "BEGIN; DECLARE c CURSOR WITH HOLD FOR $_[0]; FETCH 1 FROM c; FETCH ALL FROM c; ROLLBACK;" },
	'a parallel query' => sub {
		my ($call) = @_;
		return 'SELECT 1;' if $call =~ /^CALL/;
		(my $expression = $call) =~ s/^SELECT (\* FROM )?//;
		return "BEGIN; SET LOCAL force_parallel_mode = on; SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0; SELECT count(x) FROM (SELECT $expression AS x FROM h.many WHERE i <= 3) y; ROLLBACK;"
		  =~ s/force_parallel_mode/$node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode'/er;
	},
	'a prepared transaction' => sub { "BEGIN; $_[0]; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p';" });

my %allowed = map { $_ => 1 } qw(
  WF001 WF002 WF003 WF004 WF005 42704 42501 54000 22023 42710 55006 55000 0A000 25006 25001 40001
  22003 22008 57014 54001 22012 P0001 42804 42809 42883);
# what follows in the same line
my %follows = map { $_ => 1 } qw(25P02 3B001 34000 25P01);

# what a rolled back call might have changed
my $contents;

sub digest
{
	$contents //= sql(q{
		SELECT string_agg(format('SELECT %L, md5(string_agg(t::text, %L ORDER BY t::text)) FROM %s t', relname, ',', c.oid::regclass), ' UNION ALL ' ORDER BY relname)
		  FROM pg_class c
		 WHERE c.relnamespace = 'wf'::regnamespace AND relkind = 'r'
		   -- these are written in the background
		   AND relname NOT IN ('counter', 'duplicate', 'reservation', 'clock', 'queue_position', 'slice', 'task_slice')});
	return sql($contents);
}

sub try
{
	my ($role, $place, @chosen) = @_;
	my $wrap = $places{$place} // sub { "$_[0];" };
	my @lines = map { $wrap->($_) } @chosen;
	my ($ret, $out, $err);
	my $preamble = "\\set VERBOSITY verbose\n\\o /dev/null\nSET SESSION AUTHORIZATION $role;\nSET statement_timeout = '400ms';\nSET pg_workflow.key_wait = 20;\nSET client_min_messages = warning;\n";
	my $before = () = $preamble =~ /\n/g;
	# by file: one process for all of them
	$ret = $node->psql('postgres', $preamble . join("\n", @lines) . "\n", stderr => \$err, on_error_stop => 0, timeout => 300);
	my @bad;
	while ($err =~ /^psql:<stdin>:(\d+): (\w+):\s+(\w{5}): (.*)/mg)
	{
		my ($line, $severity, $code, $text) = ($1, $2, $3, $4);
		next if $severity eq 'ERROR' && ($allowed{$code} || $follows{$code});
		next if $severity eq 'WARNING' && $text !~ /leak|not closed|still|reference|snapshot|alloc set/;
		push @bad, "$severity $code $text: " . substr($lines[ $line - 1 - $before ] // '?', 0, 300);
	}
	push @bad, 'lost connection: ' . substr($err, -300) if $ret > 1 && $ret != 3;
	my %seen;
	@bad = grep { !$seen{ s/:.*//sr }++ } @bad;
	is(join("\n", @bad[ 0 .. ($#bad > 9 ? 9 : $#bad) ]), '', "$role in $place: " . scalar(@lines) . ' calls');
	return;
}

sub sample
{
	my ($share) = @_;
	return @calls if $ENV{WF_TEST_LONG};
	return map { $calls[ pick(scalar @calls) ] } 1 .. $share;
}

my $before = digest();
try('alice', 'a transaction', @calls);
try('alice', $_, sample(120)) for grep { $_ ne 'a transaction' } sort keys %places;
for my $role ('bob', 'stranger', sql('SELECT current_user'))
{
	try($role, $_, sample(60)) for 'a transaction', 'a subtransaction', 'a trigger', 'a parallel query', 'a read-only transaction';
}
is(digest(), $before, 'what was rolled back has changed nothing');
is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), '0', 'and has left no lock');

# --- and for good -------------------------------------------------------------

# waiting for ever is no answer here; neither is a workflow dropped under the next call
my @for_good = grep { !/wf_wait|wf_drop_workflow|wf_adopt|usage/ } sample(300);
try('alice', 'sessions of their own', @for_good);
try('bob', 'sessions of their own', grep { !/wf_wait|wf_adopt/ } sample(100));

# the extension works on: shared memory has kept its balance
sql(q{SET SESSION AUTHORIZATION alice; SELECT wf_create_workflow('after'), wf_create_workflow('after2', 'h.fine(jsonb)')});
sql(q{SELECT wf_enqueue('after') FROM generate_series(1, 20)});
is(sql(q{SELECT count(*) FROM wf_claim('{after}', 100)}), '20', 'runs can be claimed');
my $id = sql(q{SELECT wf_enqueue('after2')});
ok($node->poll_query_until('postgres', "SELECT state = 'completed' FROM wf.runs WHERE run_id = '$id'"), 'and are executed');
my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP:|terminated by signal/, 'nothing has crashed');
unlike($log, qr/XX000|reference leak|snapshot .*still active|could not find block/, 'and nothing leaks');
$node->stop;
done_testing();
