/*-------------------------------------------------------------------------
 * audit_store.c
 *		All access to wf.duplicate and wf.counter.
 *
 * Only the dispatcher writes here, in batches.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"
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

/* rows written at once, and the memory that takes */
#define PIECE 100
#define PIECE_MEMORY (96 * 1024)

#define PURGE_STEP 1000			/* rows deleted in a transaction */

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

/* The plain key of the run or task; NULL where that is not stored any more. */
static text *
find_key(const WfAuditEntry *e, Snapshot snapshot)
{
	WfRun		run;
	WfTask		task;

	if (e->key_length > 0)
		return cstring_to_text_with_len(e->key, e->key_length);
	if (e->workflow_id < 0)
		return wf_task_find(&e->run_id, &task) ?
			cstring_to_text_with_len(task.key, task.key_length) : NULL;
	return wf_run_find(&e->run_id, snapshot, false, &run) && run.key != NULL ?
		cstring_to_text_with_len(run.key, run.key_length) : NULL;
}

/* what the rows of a batch share */
typedef struct Batch
{
	Snapshot	snapshot;
	TupleDesc	descriptor;
	Oid			role;			/* of the last entry, or none */
	NameData	role_name;
} Batch;

/* The name of a role, which is mostly that of the entry before; NULL: dropped. */
static Name
find_role(Batch *batch, Oid role)
{
	if (role != batch->role)
	{
		char	   *found = GetUserNameFromId(role, true);

		batch->role = InvalidOid;
		if (found == NULL)
			return NULL;
		namestrcpy(&batch->role_name, found);
		batch->role = role;
	}
	return &batch->role_name;
}

static HeapTuple
form_duplicate(const WfAuditEntry *e, Batch *batch)
{
	Datum		values[NCOLUMNS] = {0};
	bool		nulls[NCOLUMNS] = {false};
	Name		role = find_role(batch, e->role);
	text	   *key = find_key(e, batch->snapshot);

	values[AT - 1] = TimestampTzGetDatum(e->at);
	values[WORKFLOW_ID - 1] = Int32GetDatum(e->workflow_id);
	values[RUN_ID - 1] = UUIDPGetDatum(&e->run_id);
	values[OUTCOME - 1] = CharGetDatum(e->outcome);
	nulls[ROLE_NAME - 1] = role == NULL;
	values[ROLE_NAME - 1] = NameGetDatum(role);
	values[APPLICATION_NAME - 1] = CStringGetTextDatum(e->application_name);
	nulls[CLIENT_ADDR - 1] = e->client_addr[0] == '\0';
	if (!nulls[CLIENT_ADDR - 1])
		values[CLIENT_ADDR - 1] = DirectFunctionCall1(inet_in, CStringGetDatum(e->client_addr));
	nulls[KEY - 1] = key == NULL;
	values[KEY - 1] = PointerGetDatum(key);
	return heap_form_tuple(batch->descriptor, values, nulls);
}

/*
 * There may be tens of thousands a second, while their callers want the
 * processors: the tables are opened once, and some pages filled at a time.
 */
void
wf_duplicate_insert(const WfAuditEntry *entries, int n)
{
	static const AttrNumber columns[] = {WORKFLOW_ID, AT};
	const WfRelations *r = wf_relations();
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_workflow duplicates",
												  PIECE_MEMORY, PIECE_MEMORY, ALLOCSET_DEFAULT_MAXSIZE);
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rel = table_open(r->duplicate, RowExclusiveLock);
	Batch		batch = {.snapshot = wf_callers_snapshot(), .descriptor = RelationGetDescr(rel)};

	for (int from = 0; from < n; from += PIECE)
	{
		HeapTuple	rows[PIECE];
		int			nrows = Min(PIECE, n - from);

		for (int i = 0; i < nrows; i++)
			rows[i] = form_duplicate(&entries[from + i], &batch);
		wf_table_insert_many(r->duplicate, rows, nrows, &r->duplicate_at, columns, lengthof(columns));
		MemoryContextReset(context);
	}
	table_close(rel, NoLock);
	UnregisterSnapshot(batch.snapshot);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
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

/* The first workflow from *id on that has duplicates; false: none has. */
static bool
find_workflow(int32 *id)
{
	const WfRelations *r = wf_relations();
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData key;
	WfScan		scan;
	bool		found;
	bool		isnull;

	ScanKeyInit(&key, 1, BTGreaterEqualStrategyNumber, F_INT4GE, Int32GetDatum(*id));
	wf_scan_begin(&scan, r->duplicate, &r->duplicate_at, snapshot, &key, 1);
	found = wf_scan_next(&scan, ForwardScanDirection);
	if (found)
		*id = DatumGetInt32(wf_scan_value(&scan, WORKFLOW_ID, &isnull));
	wf_scan_end(&scan);
	UnregisterSnapshot(snapshot);
	return found;
}

/* Delete a workflow's duplicates that are over, up to a limit; how many. */
static int64
purge_workflow(int32 id, int64 limit, bool (*is_over) (int32 workflow_id, TimestampTz at))
{
	const WfRelations *r = wf_relations();
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData key;
	WfScan		scan;
	int64		n = 0;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(id));
	wf_scan_begin(&scan, r->duplicate, &r->duplicate_at, snapshot, &key, 1);
	while (n < limit && wf_scan_next(&scan, ForwardScanDirection))
	{
		bool		isnull;
		TimestampTz at = DatumGetTimestampTz(wf_scan_value(&scan, AT, &isnull));

		CHECK_FOR_INTERRUPTS();
		if (!is_over(id, at))
			break;
		if (wf_scan_delete(&scan, snapshot))
			n++;
	}
	wf_scan_end(&scan);
	UnregisterSnapshot(snapshot);
	return n;
}

/* By the index, oldest first: the table may be large, and little of it over. */
int64
wf_duplicate_purge(bool (*is_over) (int32 workflow_id, TimestampTz at))
{
	int64		n = 0;
	int32		id = PG_INT32_MIN;

	while (n < PURGE_STEP && find_workflow(&id))
	{
		n += purge_workflow(id, PURGE_STEP - n, is_over);
		if (id == PG_INT32_MAX)
			break;
		id++;
	}
	return n;
}
