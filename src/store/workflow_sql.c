/*-------------------------------------------------------------------------
 * workflow_sql.c
 *		Changes of workflows and of the grants on them.
 *
 * Owners and grantees are stored as OID and name: the OID counts within this
 * server, the name is how wf_adopt() finds the role elsewhere.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/timestamp.h"

#include "store/installation.h"
#include "store/relations.h"
#include "store/statement.h"
#include "store/workflow_sql.h"
#include "store/workflow_store.h"

const char *const wf_privilege_names[WF_PRIVILEGES] = {
	"enqueue", "work", "read", "operate"
};

/* types of the settings, which end the parameters of insert and update */
#define SETTING_TYPES \
	INT4OID, INTERVALOID, FLOAT8OID, INTERVALOID, FLOAT8OID, INTERVALOID, \
	INTERVALOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT4OID, INT4OID, \
	INTERVALOID, INT4OID

#define INSERT_FIXED 5
#define UPDATE_FIXED 6

/* A second creator waits for the first: committed, it inserts nothing. */
static WfStatement insert_workflow = {
	.purpose = "insert a workflow",
	.sql =
	"INSERT INTO wf.workflow "
	"       (id, name, owner_oid, owner_name, handler_schema, handler_name, "
	"        max_attempts, retry_delay, retry_factor, retry_max_delay, "
	"        retry_jitter, timeout, key_ttl, key_anchor, on_failed, "
	"        on_mismatch, max_running, priority, batch, retention, max_queued) "
	"VALUES (pg_catalog.nextval('wf.workflow_id_seq'), "
	"        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, "
	"        $16, $17, $18, $19, $20) "
	"ON CONFLICT (name) WHERE dropped_at IS NULL DO NOTHING "
	"RETURNING id",
	.nargs = INSERT_FIXED + WF_SETTINGS,
	.argtypes = (const Oid[]) {TEXTOID, OIDOID, NAMEOID, NAMEOID, NAMEOID, SETTING_TYPES},
	.expect = SPI_OK_INSERT_RETURNING,
};

static WfStatement lock_workflow = {
	.purpose = "lock a workflow",
	.sql =
	"SELECT FROM wf.workflow "
	" WHERE id OPERATOR(pg_catalog.=) $1 AND dropped_at IS NULL "
	"   FOR NO KEY UPDATE",
	.nargs = 1,
	.argtypes = (const Oid[]) {INT4OID},
	.expect = SPI_OK_SELECT,
};

/* NULL leaves a column as it is; $4 tells whether $5 and $6 are given. */
static WfStatement update_workflow = {
	.purpose = "update a workflow",
	.sql =
	"UPDATE wf.workflow "
	"   SET owner_oid = coalesce($2, owner_oid), "
	"       owner_name = coalesce($3, owner_name), "
	"       handler_schema = CASE WHEN $4 THEN $5 ELSE handler_schema END, "
	"       handler_name = CASE WHEN $4 THEN $6 ELSE handler_name END, "
	"       max_attempts = coalesce($7, max_attempts), "
	"       retry_delay = coalesce($8, retry_delay), "
	"       retry_factor = coalesce($9, retry_factor), "
	"       retry_max_delay = coalesce($10, retry_max_delay), "
	"       retry_jitter = coalesce($11, retry_jitter), "
	"       timeout = coalesce($12, timeout), "
	"       key_ttl = coalesce($13, key_ttl), "
	"       key_anchor = coalesce($14, key_anchor), "
	"       on_failed = coalesce($15, on_failed), "
	"       on_mismatch = coalesce($16, on_mismatch), "
	"       max_running = coalesce($17, max_running), "
	"       priority = coalesce($18, priority), "
	"       batch = coalesce($19, batch), "
	"       retention = coalesce($20, retention), "
	"       max_queued = coalesce($21, max_queued) "
	" WHERE id OPERATOR(pg_catalog.=) $1",
	.nargs = UPDATE_FIXED + WF_SETTINGS,
	.argtypes = (const Oid[]) {INT4OID, OIDOID, NAMEOID, BOOLOID, NAMEOID, NAMEOID, SETTING_TYPES},
	.expect = SPI_OK_UPDATE,
};

static WfStatement set_paused = {
	.purpose = "pause or resume a workflow",
	.sql =
	"UPDATE wf.workflow "
	"   SET paused = $2 "
	" WHERE id OPERATOR(pg_catalog.=) $1",
	.nargs = 2,
	.argtypes = (const Oid[]) {INT4OID, BOOLOID},
	.expect = SPI_OK_UPDATE,
};

static WfStatement set_dropped = {
	.purpose = "drop a workflow",
	.sql =
	"UPDATE wf.workflow "
	"   SET dropped_at = $2 "
	" WHERE id OPERATOR(pg_catalog.=) $1",
	.nargs = 2,
	.argtypes = (const Oid[]) {INT4OID, TIMESTAMPTZOID},
	.expect = SPI_OK_UPDATE,
};

static WfStatement store_grant = {
	.purpose = "store a grant",
	.sql =
	"INSERT INTO wf.workflow_grant (workflow_id, role_oid, role_name, privileges) "
	"VALUES ($1, $2, $3, $4) "
	"ON CONFLICT (workflow_id, role_oid) DO UPDATE "
	"   SET role_name = excluded.role_name, privileges = excluded.privileges",
	.nargs = 4,
	.argtypes = (const Oid[]) {INT4OID, OIDOID, NAMEOID, TEXTARRAYOID},
	.expect = SPI_OK_INSERT,
};

static WfStatement delete_grant = {
	.purpose = "delete a grant",
	.sql =
	"DELETE FROM wf.workflow_grant "
	" WHERE workflow_id OPERATOR(pg_catalog.=) $1 "
	"   AND role_oid OPERATOR(pg_catalog.=) $2",
	.nargs = 2,
	.argtypes = (const Oid[]) {INT4OID, OIDOID},
	.expect = SPI_OK_DELETE,
};

/* waits for nobody who is changing a definition: there is a next time */
static WfStatement rename_owners = {
	.purpose = "follow renamed owners",
	.sql =
	"WITH renamed AS MATERIALIZED ( "
	"	SELECT w.id, r.rolname "
	"	  FROM wf.workflow w JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) w.owner_oid "
	"	 WHERE r.rolname OPERATOR(pg_catalog.<>) w.owner_name "
	"	   FOR NO KEY UPDATE OF w SKIP LOCKED) "
	"UPDATE wf.workflow w SET owner_name = renamed.rolname FROM renamed "
	" WHERE renamed.id OPERATOR(pg_catalog.=) w.id",
	.expect = SPI_OK_UPDATE,
};

static WfStatement rename_grantees = {
	.purpose = "follow renamed roles of grants",
	.sql =
	"WITH renamed AS MATERIALIZED ( "
	"	SELECT g.workflow_id, g.role_oid, r.rolname "
	"	  FROM wf.workflow_grant g JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) g.role_oid "
	"	 WHERE r.rolname OPERATOR(pg_catalog.<>) g.role_name "
	"	   FOR NO KEY UPDATE OF g SKIP LOCKED) "
	"UPDATE wf.workflow_grant g SET role_name = renamed.rolname FROM renamed "
	" WHERE renamed.workflow_id OPERATOR(pg_catalog.=) g.workflow_id "
	"   AND renamed.role_oid OPERATOR(pg_catalog.=) g.role_oid",
	.expect = SPI_OK_UPDATE,
};

static uint64 run_change(WfStatement *statement, Datum *values, const char *nulls);
static void bind_name(Datum *value, char *null, Name name, const char *given);
static void bind_settings(Datum *values, char *nulls, const WfWorkflowChange *change);
static ArrayType *privileges_array(int privileges);

int32
wf_workflow_insert(const char *name, const WfWorkflowChange *change)
{
	Datum		values[INSERT_FIXED + WF_SETTINGS];
	char		nulls[INSERT_FIXED + WF_SETTINGS];
	NameData	owner;
	NameData	schema;
	NameData	function;
	int32		id = 0;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = CStringGetTextDatum(name);
	values[1] = ObjectIdGetDatum(change->owner);
	bind_name(&values[2], &nulls[2], &owner, GetUserNameFromId(change->owner, false));
	bind_name(&values[3], &nulls[3], &schema, change->handler_schema);
	bind_name(&values[4], &nulls[4], &function, change->handler_name);
	bind_settings(&values[INSERT_FIXED], &nulls[INSERT_FIXED], change);

	wf_installation_note_use();
	wf_spi_begin();
	if (wf_spi_run(&insert_workflow, values, nulls, 0) > 0)
	{
		bool		isnull;

		id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
	}
	wf_spi_end();
	if (id != 0)
		wf_workflow_changed();
	else
		AcceptInvalidationMessages();	/* of whoever took the name */
	return id;
}

bool
wf_workflow_lock(int32 id)
{
	Datum		values[] = {Int32GetDatum(id)};
	bool		found;

	wf_spi_begin();
	found = wf_spi_run(&lock_workflow, values, NULL, 0) > 0;
	wf_spi_end();

	/* whoever had the lock may have changed what we keep */
	AcceptInvalidationMessages();
	return found;
}

void
wf_workflow_update(int32 id, const WfWorkflowChange *change)
{
	Datum		values[UPDATE_FIXED + WF_SETTINGS];
	char		nulls[UPDATE_FIXED + WF_SETTINGS];
	NameData	owner;
	NameData	schema;
	NameData	function;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int32GetDatum(id);
	values[1] = ObjectIdGetDatum(change->owner);
	bind_name(&values[2], &nulls[2], &owner,
			  OidIsValid(change->owner) ? GetUserNameFromId(change->owner, false) : NULL);
	nulls[1] = nulls[2];
	values[3] = BoolGetDatum(change->has_handler);
	bind_name(&values[4], &nulls[4], &schema, change->handler_schema);
	bind_name(&values[5], &nulls[5], &function, change->handler_name);
	bind_settings(&values[UPDATE_FIXED], &nulls[UPDATE_FIXED], change);
	run_change(&update_workflow, values, nulls);
}

void
wf_workflow_set_paused(int32 id, bool paused)
{
	Datum		values[] = {Int32GetDatum(id), BoolGetDatum(paused)};

	run_change(&set_paused, values, NULL);
}

void
wf_workflow_set_dropped(int32 id, TimestampTz at)
{
	Datum		values[] = {Int32GetDatum(id), TimestampTzGetDatum(at)};

	run_change(&set_dropped, values, NULL);
}

/* privileges 0: the grant goes. */
void
wf_grant_store(int32 workflow_id, Oid role, int privileges)
{
	Datum		values[4];
	NameData	name;
	char		unused;

	values[0] = Int32GetDatum(workflow_id);
	values[1] = ObjectIdGetDatum(role);
	if (privileges == 0)
	{
		run_change(&delete_grant, values, NULL);
		return;
	}
	bind_name(&values[2], &unused, &name,
			  OidIsValid(role) ? GetUserNameFromId(role, false) : "public");
	values[3] = PointerGetDatum(privileges_array(privileges));
	run_change(&store_grant, values, NULL);
}

int64
wf_workflow_follow_renames(void)
{
	/* elsewhere the OIDs are those of other roles */
	if (wf_installation_identity() != WF_IDENTITY_OURS)
		return 0;
	return run_change(&rename_owners, NULL, NULL) +
		run_change(&rename_grantees, NULL, NULL);
}

/*
 * The invalidation reaches the others when we commit; ourselves at the next
 * command, and again if this (sub)transaction is rolled back.
 */
void
wf_workflow_changed(void)
{
	CacheInvalidateRelcacheByRelid(wf_relations()->workflow);
	CommandCounterIncrement();
}

static uint64
run_change(WfStatement *statement, Datum *values, const char *nulls)
{
	uint64		rows;

	wf_spi_begin();
	rows = wf_spi_run(statement, values, nulls, 0);
	wf_spi_end();
	if (rows > 0)
		wf_workflow_changed();
	return rows;
}

static void
bind_name(Datum *value, char *null, Name name, const char *given)
{
	*null = given == NULL ? 'n' : ' ';
	if (given != NULL)
		namestrcpy(name, given);
	*value = NameGetDatum(name);
}

static void
bind_settings(Datum *values, char *nulls, const WfWorkflowChange *change)
{
	for (int i = 0; i < WF_SETTINGS; i++)
	{
		values[i] = change->settings[i];
		nulls[i] = change->given[i] ? ' ' : 'n';
	}
}

static ArrayType *
privileges_array(int privileges)
{
	Datum		words[WF_PRIVILEGES];
	int			n = 0;

	for (int i = 0; i < WF_PRIVILEGES; i++)
		if (privileges & (1 << i))
			words[n++] = CStringGetTextDatum(wf_privilege_names[i]);
	return construct_array(words, n, TEXTOID, -1, false, TYPALIGN_INT);
}
