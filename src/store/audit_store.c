/*-------------------------------------------------------------------------
 * audit_store.c
 *		All access to wf.duplicate and wf.counter.
 *
 * Only the dispatcher writes here, in batches.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/audit_store.h"
#include "store/relations.h"
#include "store/run_store.h"
#include "store/statement.h"
#include "store/table.h"
#include "store/task_store.h"

/* columns of wf.duplicate */
enum
{
	AT = 1, WORKFLOW_ID, RUN_ID, OUTCOME, ROLE_NAME, APPLICATION_NAME, CLIENT_ADDR, KEY,
	NCOLUMNS = KEY
};

static WfStatement add_counter = {
	.purpose = "write counters",
	.sql =
	"INSERT INTO wf.counter AS c "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
	"ON CONFLICT (workflow_id) DO UPDATE "
	"   SET enqueued = c.enqueued OPERATOR(pg_catalog.+) excluded.enqueued, "
	"       duplicates = c.duplicates OPERATOR(pg_catalog.+) excluded.duplicates, "
	"       mismatches = c.mismatches OPERATOR(pg_catalog.+) excluded.mismatches, "
	"       waits = c.waits OPERATOR(pg_catalog.+) excluded.waits, "
	"       completed = c.completed OPERATOR(pg_catalog.+) excluded.completed, "
	"       failed = c.failed OPERATOR(pg_catalog.+) excluded.failed, "
	"       cancelled = c.cancelled OPERATOR(pg_catalog.+) excluded.cancelled, "
	"       lost_audit = c.lost_audit OPERATOR(pg_catalog.+) excluded.lost_audit",
	.nargs = 9,
	.argtypes = (const Oid[]) {INT4OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID},
	.expect = SPI_OK_INSERT,
};

static WfStatement purge_duplicates = {
	.purpose = "forget old duplicates",
	.sql =
	"DELETE FROM wf.duplicate d "
	" WHERE d.ctid OPERATOR(pg_catalog.=) ANY (ARRAY( "
	"       SELECT o.ctid "
	"         FROM (SELECT w.id, w.retention FROM wf.workflow w "
	"               UNION ALL "
	"               SELECT DISTINCT t.number, '7 days'::pg_catalog.interval FROM wf.task_owner t) k, LATERAL ( "
	"              SELECT i.ctid "
	"                FROM wf.duplicate i "
	"               WHERE i.workflow_id OPERATOR(pg_catalog.=) k.id "
	"                 AND i.at OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) "
	"                     least(k.retention, '1000 years'::pg_catalog.interval)) "
	"               LIMIT 1000) o "
	"        LIMIT 1000))",
	.expect = SPI_OK_DELETE,
};

/* The plain key of the run or task, while that is stored; else NULL. */
static text *
find_key(const WfAuditEntry *e, Snapshot snapshot)
{
	WfRun		run;
	WfTask		task;

	if (e->workflow_id < 0)
		return wf_task_find(&e->run_id, &task) ?
			cstring_to_text_with_len(task.key, task.key_length) : NULL;
	return wf_run_find(&e->run_id, snapshot, false, &run) && run.key != NULL ?
		cstring_to_text_with_len(run.key, run.key_length) : NULL;
}

static void
insert_duplicate(const WfAuditEntry *e, Snapshot snapshot)
{
	const WfRelations *r = wf_relations();
	char	   *role = GetUserNameFromId(e->role, true);
	Datum		values[NCOLUMNS] = {0};
	bool		nulls[NCOLUMNS] = {false};
	WfIndexEntry entry;
	NameData	name;
	text	   *key = find_key(e, snapshot);

	values[AT - 1] = TimestampTzGetDatum(e->at);
	values[WORKFLOW_ID - 1] = Int32GetDatum(e->workflow_id);
	values[RUN_ID - 1] = UUIDPGetDatum(&e->run_id);
	values[OUTCOME - 1] = CharGetDatum(e->outcome);
	nulls[ROLE_NAME - 1] = role == NULL;
	if (role != NULL)
	{
		namestrcpy(&name, role);
		values[ROLE_NAME - 1] = NameGetDatum(&name);
	}
	values[APPLICATION_NAME - 1] = CStringGetTextDatum(e->application_name);
	nulls[CLIENT_ADDR - 1] = e->client_addr[0] == '\0';
	if (!nulls[CLIENT_ADDR - 1])
		values[CLIENT_ADDR - 1] = DirectFunctionCall1(inet_in, CStringGetDatum(e->client_addr));
	nulls[KEY - 1] = key == NULL;
	values[KEY - 1] = PointerGetDatum(key);

	entry = (WfIndexEntry) {
		r->duplicate_at, 2, {values[WORKFLOW_ID - 1], values[AT - 1]}
	};
	(void) wf_table_insert(r->duplicate, values, nulls, &entry, 1, false);
}

/* There may be thousands a second: directly, as runs are written. */
void
wf_duplicate_insert(const WfAuditEntry *entries, int n)
{
	Snapshot	snapshot = wf_callers_snapshot();
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_workflow duplicate",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	for (int i = 0; i < n; i++)
	{
		insert_duplicate(&entries[i], snapshot);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	UnregisterSnapshot(snapshot);
}

void
wf_counter_add(int32 workflow_id, const uint64 *counts)
{
	Datum		values[1 + WF_COUNTS];

	values[0] = Int32GetDatum(workflow_id);
	for (int i = 0; i < WF_COUNTS; i++)
		values[1 + i] = Int64GetDatum((int64) counts[i]);
	wf_spi_begin();
	(void) wf_spi_run(&add_counter, values, NULL, 0);
	wf_spi_end();
}

int64
wf_duplicate_purge(void)
{
	uint64		n;

	wf_spi_begin();
	n = wf_spi_run(&purge_duplicates, NULL, NULL, 0);
	wf_spi_end();
	return (int64) n;
}
