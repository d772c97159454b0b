-- ---------------------------------------------------------------------------
-- Workflows
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.wf_create_workflow(
	name text,
	handler regprocedure DEFAULT NULL,
	max_attempts integer DEFAULT 3,
	retry_delay interval DEFAULT '1 second',
	retry_factor float8 DEFAULT 2,
	retry_max_delay interval DEFAULT '1 hour',
	retry_jitter float8 DEFAULT 0.1,
	timeout interval DEFAULT '0',
	key_ttl interval DEFAULT '24 hours',
	key_anchor text DEFAULT 'completion',
	on_failed text DEFAULT 'new',
	on_mismatch text DEFAULT 'error',
	max_running integer DEFAULT 0,
	priority integer DEFAULT 0,
	batch integer DEFAULT 1,
	retention interval DEFAULT '7 days',
	max_queued integer DEFAULT 0,
	on_exists text DEFAULT 'error')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_create_workflow';
COMMENT ON FUNCTION @extschema@.wf_create_workflow(
	text, regprocedure, integer, interval, float8, interval, float8, interval, interval,
	text, text, text, integer, integer, integer, interval, integer, text) IS
'create a workflow, which belongs to the caller; its handler is a function (jsonb), or none where external workers claim the runs';

CREATE FUNCTION @extschema@.wf_alter_workflow(
	name text,
	handler regprocedure DEFAULT NULL,
	max_attempts integer DEFAULT NULL,
	retry_delay interval DEFAULT NULL,
	retry_factor float8 DEFAULT NULL,
	retry_max_delay interval DEFAULT NULL,
	retry_jitter float8 DEFAULT NULL,
	timeout interval DEFAULT NULL,
	key_ttl interval DEFAULT NULL,
	key_anchor text DEFAULT NULL,
	on_failed text DEFAULT NULL,
	on_mismatch text DEFAULT NULL,
	max_running integer DEFAULT NULL,
	priority integer DEFAULT NULL,
	batch integer DEFAULT NULL,
	retention interval DEFAULT NULL,
	max_queued integer DEFAULT NULL,
	owner regrole DEFAULT NULL)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_alter_workflow';
COMMENT ON FUNCTION @extschema@.wf_alter_workflow(
	text, regprocedure, integer, interval, float8, interval, float8, interval, interval,
	text, text, text, integer, integer, integer, interval, integer, regrole) IS
'change those settings of a workflow that are given; handler => ''-'' removes the handler, an administrator may hand it over to another owner';

CREATE FUNCTION @extschema@.wf_drop_workflow(name text, force boolean DEFAULT false)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_drop_workflow';
COMMENT ON FUNCTION @extschema@.wf_drop_workflow(text, boolean) IS
'drop a workflow; its unfinished runs are cancelled if forced, and refuse that otherwise';

CREATE FUNCTION @extschema@.wf_pause(name text)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_pause';
COMMENT ON FUNCTION @extschema@.wf_pause(text) IS
'let no run of a workflow start until wf_resume; enqueueing goes on';

CREATE FUNCTION @extschema@.wf_resume(name text)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_resume';
COMMENT ON FUNCTION @extschema@.wf_resume(text) IS
'let the runs of a paused workflow start again';

-- ---------------------------------------------------------------------------
-- Who may do what
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.wf_grant(
	workflow text,
	role regrole,
	privileges text[] DEFAULT '{enqueue}')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_grant';
COMMENT ON FUNCTION @extschema@.wf_grant(text, regrole, text[]) IS
'grant privileges on a workflow, of enqueue, work, read and operate; role ''-'' is PUBLIC';

CREATE FUNCTION @extschema@.wf_revoke(
	workflow text,
	role regrole,
	privileges text[] DEFAULT '{enqueue,work,read,operate}')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_revoke';
COMMENT ON FUNCTION @extschema@.wf_revoke(text, regrole, text[]) IS
'revoke privileges on a workflow; role ''-'' is PUBLIC';

CREATE FUNCTION @extschema@.wf_grant_usage(role regrole)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_grant_usage';
COMMENT ON FUNCTION @extschema@.wf_grant_usage(regrole) IS
'let a role use pg_workflow: all functions but the administrators'', and the views';

CREATE FUNCTION @extschema@.wf_revoke_usage(role regrole)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_revoke_usage';
COMMENT ON FUNCTION @extschema@.wf_revoke_usage(regrole) IS
'take back what wf_grant_usage has granted';

CREATE FUNCTION @extschema@.wf_adopt()
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_adopt';
COMMENT ON FUNCTION @extschema@.wf_adopt() IS
'make this copy of the database (restored, cloned, upgraded) the one that dispatches; who may execute it is an administrator';

-- ---------------------------------------------------------------------------
-- Rows that come by another way than these functions: a dump that is restored
-- while backends have read definitions already
-- ---------------------------------------------------------------------------

CREATE FUNCTION wf.definitions_changed()
RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'wf_definitions_changed';
COMMENT ON FUNCTION wf.definitions_changed() IS 'has every backend read the definitions of workflows anew';

CREATE TRIGGER definitions_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wf.installation
FOR EACH STATEMENT EXECUTE FUNCTION wf.definitions_changed();
CREATE TRIGGER definitions_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wf.workflow
FOR EACH STATEMENT EXECUTE FUNCTION wf.definitions_changed();
CREATE TRIGGER definitions_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wf.workflow_grant
FOR EACH STATEMENT EXECUTE FUNCTION wf.definitions_changed();
