-- Every function, relation and schema of the extension, and every column of a
-- table or view, says what it is.
BEGIN;
SELECT plan(4);

CREATE TEMP VIEW member AS
SELECT d.classid, d.objid
  FROM pg_depend d
 WHERE d.refclassid = 'pg_extension'::regclass
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_workflow')
   AND d.deptype = 'e';

SELECT is_empty($$
	SELECT objid::regprocedure FROM member
	 WHERE classid = 'pg_proc'::regclass
	   AND obj_description(objid, 'pg_proc') IS NULL
	   -- called by triggers and aggregates, not by people
	   AND (SELECT prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
			  FROM pg_proc WHERE oid = objid)
	 ORDER BY 1::text
$$, 'functions have comments');

-- the slices wf.run_N, wf.event_N are what their parents' comments say
SELECT is_empty($$
	SELECT c.oid::regclass FROM member JOIN pg_class c ON c.oid = objid
	 WHERE classid = 'pg_class'::regclass
	   AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
	   AND obj_description(c.oid, 'pg_class') IS NULL
	   AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid)
	 ORDER BY 1::text
$$, 'tables, views and sequences have comments');

SELECT is_empty($$
	SELECT format('%s.%I', c.oid::regclass, a.attname)
	  FROM member JOIN pg_class c ON c.oid = objid
	  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	 WHERE classid = 'pg_class'::regclass
	   AND c.relkind IN ('r', 'p', 'v', 'm')
	   AND col_description(c.oid, a.attnum) IS NULL
	   AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid)
	 ORDER BY 1
$$, 'their columns have comments');

SELECT is_empty($$
	SELECT objid::regnamespace FROM member
	 WHERE classid = 'pg_namespace'::regclass
	   AND obj_description(objid, 'pg_namespace') IS NULL
$$, 'schemas have comments');

SELECT * FROM finish();
ROLLBACK;
