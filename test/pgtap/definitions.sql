-- Definitions are read once, and again when they have changed: not when a
-- statement that might have changed some has found nothing to change, as the
-- sweeps' do.  Each statement here is a transaction, which tells what it read.
SELECT no_plan();

CREATE SCHEMA helper;

-- how often a look-up of a key reads definitions after a statement
CREATE FUNCTION helper.reads_after(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	counted text := $q$SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::bigint FROM pg_stat_xact_all_tables
		WHERE schemaname = 'wf' AND relname = 'workflow'$q$;
	before bigint;
	now bigint;
BEGIN
	PERFORM wf_find('definitions.read', 'k');
	EXECUTE statement;
	EXECUTE counted INTO before;
	PERFORM wf_find('definitions.read', 'k');
	EXECUTE counted INTO now;
	RETURN now - before;
END
$$;

SELECT wf_create_workflow('definitions.read') \g /dev/null
SELECT is(helper.reads_after('UPDATE wf.workflow SET owner_name = owner_name WHERE false'), 0::bigint, 'an UPDATE of no workflow');
SELECT is(helper.reads_after('UPDATE wf.workflow_grant SET role_name = role_name WHERE false'), 0::bigint, 'of no grant');
SELECT is(helper.reads_after('UPDATE wf.task_owner SET role_name = role_name WHERE false'), 0::bigint, 'of no owner of tasks');
SELECT is(helper.reads_after('DELETE FROM wf.task_owner WHERE false'), 0::bigint, 'a DELETE of no row');
SELECT cmp_ok(helper.reads_after($$UPDATE wf.workflow SET owner_name = owner_name WHERE name = 'definitions.read'$$), '>', 0::bigint,
	'an UPDATE of a row');

SELECT * FROM finish();
