# Canonical JSON is byte for byte what JavaScript's `canonicalize` gives, over
# random documents and all that is hard about numbers.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $js = dirname(abs_path($0)) . '/../js';
plan skip_all => 'needs node and npm'
  if system('node --version >/dev/null 2>&1 && npm --version >/dev/null 2>&1') != 0;

# installed beside a copy: the tree may be read only
my $dir = PostgreSQL::Test::Utils::tempdir;
system("cp $js/package.json $js/package-lock.json $js/numbers.js $js/documents.js $js/vectors.js $dir/");
is(system("cd $dir && HOME=$dir npm ci --silent --no-audit --no-fund >/dev/null 2>&1"),
	0, 'canonicalize is installed');

# the vectors in the repository are those that JavaScript makes
is(system("cd $dir && node vectors.js > keys.json"), 0, 'vectors are made');
is(slurp_file("$dir/keys.json"), slurp_file("$js/../vectors/keys.json"),
	'and are those of test/vectors/keys.json');

my $count = $ENV{WF_LONG} || $ENV{WF_TEST_LONG} ? 100_000 : 5_000;
is(system("cd $dir && node documents.js $count > documents.txt"), 0, 'documents are made');

my $node = PostgreSQL::Test::Cluster->new('canonical');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_workflow'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_workflow');
$node->safe_psql('postgres', qq{
	CREATE TABLE document (input text, expected text);
	\\copy document FROM '$dir/documents.txt'
});

cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM document'),
	'>=', $count, 'all documents are there');
is( $node->safe_psql('postgres', q{
		SELECT convert_from(decode(input, 'hex'), 'UTF8'), convert_from(decode(expected, 'hex'), 'UTF8'),
			   wf_canonical_json(convert_from(decode(input, 'hex'), 'UTF8')::jsonb)
		  FROM document
		 WHERE encode(convert_to(wf_canonical_json(convert_from(decode(input, 'hex'), 'UTF8')::jsonb), 'UTF8'), 'hex') <> expected
		 LIMIT 5}),
	'', 'each has the canonical text that JavaScript gives');
is( $node->safe_psql('postgres', q{
		SELECT count(*)
		  FROM document
		 WHERE wf_hash_key(convert_from(decode(input, 'hex'), 'UTF8')::jsonb, 'op')
			   <> encode(sha256('op'::bytea || '\x00'::bytea || decode(expected, 'hex')), 'hex')}),
	'0', 'and the hash key of that text');

$node->stop;
done_testing();
