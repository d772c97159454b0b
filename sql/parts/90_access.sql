-- ---------------------------------------------------------------------------
-- Who may use what was made above
--
-- Nobody but the extension's owner, until wf_grant_usage() or GRANT says
-- otherwise.  All of it is looked up, so that nothing can be forgotten here;
-- so is what ALTER DEFAULT PRIVILEGES has given to others.
-- ---------------------------------------------------------------------------

DO $access$
DECLARE
	for_public CONSTANT text[] = '{wf_key,wf_hash_key,wf_canonical_json,wf_version,wf_current_run,wf_current_attempt,wf_current_key}';
	statement text;
BEGIN
	FOR statement IN
		WITH member AS (
			SELECT d.classid, d.objid
			  FROM pg_depend d
			 WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_extension'::regclass
			   AND d.refobjid OPERATOR(pg_catalog.=) (SELECT e.oid FROM pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'pg_workflow')
			   AND d.deptype OPERATOR(pg_catalog.=) 'e'),
		object AS (
			SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END OPERATOR(pg_catalog.||) c.oid::regclass::text AS name,
				   c.relacl AS acl, c.relowner AS owner,
				   false AS public
			  FROM member m
			  JOIN pg_class c ON c.oid OPERATOR(pg_catalog.=) m.objid AND m.classid OPERATOR(pg_catalog.=) 'pg_class'::regclass
			 UNION ALL
			SELECT 'ROUTINE ' OPERATOR(pg_catalog.||) p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner,
				   p.proname OPERATOR(pg_catalog.=) ANY (for_public::name[])
			  FROM member m
			  JOIN pg_proc p ON p.oid OPERATOR(pg_catalog.=) m.objid AND m.classid OPERATOR(pg_catalog.=) 'pg_proc'::regclass
			 UNION ALL
			SELECT 'SCHEMA ' OPERATOR(pg_catalog.||) quote_ident(n.nspname), n.nspacl, n.nspowner, false
			  FROM member m
			  JOIN pg_namespace n ON n.oid OPERATOR(pg_catalog.=) m.objid AND m.classid OPERATOR(pg_catalog.=) 'pg_namespace'::regclass)
		SELECT DISTINCT format('REVOKE ALL ON %s FROM %s', o.name,
							   CASE WHEN a.grantee OPERATOR(pg_catalog.=) 0::oid THEN 'PUBLIC'
									ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
		  FROM object o
		 CROSS JOIN aclexplode(o.acl) a
		 WHERE a.grantee OPERATOR(pg_catalog.<>) o.owner
		   AND NOT (o.public AND a.grantee OPERATOR(pg_catalog.=) 0::oid)
	LOOP
		EXECUTE statement;
	END LOOP;
END
$access$;

-- Whoever may create functions in the schema of wf_... can have an untyped
-- call like wf_enqueue('name', '{}', 'key') resolved to his own function.
DO $warning$
DECLARE
	functions CONSTANT oid = (SELECT e.extnamespace FROM pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'pg_workflow');
	owner CONSTANT oid = (SELECT e.extowner FROM pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'pg_workflow');
	others text;
BEGIN
	SELECT 'PUBLIC'
	  INTO others
	  FROM pg_namespace n
	 CROSS JOIN aclexplode(n.nspacl) a
	 WHERE n.oid OPERATOR(pg_catalog.=) functions
	   AND a.grantee OPERATOR(pg_catalog.=) 0::oid
	   AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE';
	IF others IS NULL THEN
		SELECT string_agg(quote_ident(r.rolname), ', ' ORDER BY r.rolname)
		  INTO others
		  FROM pg_roles r
		 WHERE r.oid OPERATOR(pg_catalog.<>) owner
		   AND NOT r.rolsuper
		   AND NOT starts_with(r.rolname, 'pg_')
		   AND has_schema_privilege(r.oid, functions, 'CREATE');
	END IF;
	IF others IS NOT NULL THEN
		RAISE WARNING 'other roles may create functions in the schema of pg_workflow''s functions'
			USING DETAIL = format('In schema %I: %s. A call with untyped arguments could be led to a function of theirs.',
								  (SELECT n.nspname FROM pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) functions), others),
				  HINT = 'REVOKE CREATE ON SCHEMA from them, or create the extension in a schema of its own: CREATE EXTENSION pg_workflow SCHEMA ...';
	END IF;
END
$warning$;

DO $warning$
DECLARE
	preloaded CONSTANT text = current_setting('shared_preload_libraries');
BEGIN
	IF NOT EXISTS (
		SELECT
		  FROM regexp_split_to_table(preloaded, ',') library
		 WHERE btrim(library, ' "') OPERATOR(pg_catalog.~) '^(\$libdir/)?pg_workflow(\.[a-z]+)?$')
	THEN
		RAISE WARNING 'pg_workflow is not in shared_preload_libraries'
			USING DETAIL = 'Enqueueing, claiming and all other functions work; but no handler is executed, '
						   'no key or run expires and no lost lease is found by itself, and duplicates are not counted.',
				  HINT = format('Set shared_preload_libraries = %L in postgresql.conf and restart the server.',
								concat_ws(', ', nullif(preloaded, ''), 'pg_workflow'));
	END IF;
END
$warning$;
