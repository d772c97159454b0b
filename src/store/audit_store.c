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
#include "utils/array.h"
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
	LAST_AT = 1, WORKFLOW_ID, ROLE_NAME, APPLICATION_NAME, CLIENT_ADDR,
	TIMES, RUN_IDS, OUTCOMES, KEYS,
	NCOLUMNS = KEYS
};

/* duplicates in a row, so that it fits into a page unless keys are long */
#define MOST_TOGETHER 250
#define ROW_SIZE 7800
#define SIZE_WITHOUT_KEY (sizeof(TimestampTz) + UUID_LEN + 1 + VARHDRSZ)

/* rows written at once, and the memory that takes */
#define PIECE 8
#define PIECE_MEMORY (256 * 1024)

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
		return cstring_to_text_with_len(wf_audit_key(e), e->key_length);
	if (e->workflow_id < 0)
		return wf_task_find(&e->run_id, &task) ?
			cstring_to_text_with_len(task.key, task.key_length) : NULL;
	return wf_run_find(&e->run_id, snapshot, false, &run) && run.key != NULL ?
		cstring_to_text_with_len(run.key, run.key_length) : NULL;
}

/* duplicates that are being written */
typedef struct Batch
{
	const WfAuditEntry *entries;
	int			n;
	bool	   *written;		/* or are in a row that will be */
	int			first;			/* all before are */
	Snapshot	snapshot;
} Batch;

/* the elements of a row's arrays */
typedef struct Elements
{
	int			n;
	Datum		times[MOST_TOGETHER];
	Datum		run_ids[MOST_TOGETHER];
	Datum		outcomes[MOST_TOGETHER];
	Datum		keys[MOST_TOGETHER];
	bool		no_key[MOST_TOGETHER];
} Elements;

static bool
is_same_caller(const WfAuditEntry *a, const WfAuditEntry *b)
{
	return a->workflow_id == b->workflow_id && a->role == b->role &&
		a->application_length == b->application_length && a->client_length == b->client_length &&
		memcmp(a->text, b->text, a->application_length + a->client_length) == 0;
}

/* Take what is not written yet and is of the first one's caller, a row's worth. */
static TimestampTz
take_together(Batch *batch, Elements *row)
{
	const WfAuditEntry *first = &batch->entries[batch->first];
	TimestampTz last_at = first->at;
	Size		size = 0;

	row->n = 0;
	for (int i = batch->first; i < batch->n && row->n < MOST_TOGETHER; i++)
	{
		const WfAuditEntry *e = &batch->entries[i];
		text	   *key;

		if (batch->written[i] || !is_same_caller(e, first))
			continue;
		key = find_key(e, batch->snapshot);
		size += SIZE_WITHOUT_KEY + (key == NULL ? 0 : INTALIGN(VARSIZE(key) - VARHDRSZ));
		if (size > ROW_SIZE && row->n > 0)
			break;
		row->times[row->n] = TimestampTzGetDatum(e->at);
		row->run_ids[row->n] = UUIDPGetDatum(&e->run_id);
		row->outcomes[row->n] = CharGetDatum(e->outcome);
		row->keys[row->n] = PointerGetDatum(key);
		row->no_key[row->n] = key == NULL;
		row->n++;
		last_at = Max(last_at, e->at);
		batch->written[i] = true;
	}
	while (batch->first < batch->n && batch->written[batch->first])
		batch->first++;
	return last_at;
}

static Datum
keys_array(Elements *row)
{
	int			lower = 1;

	return PointerGetDatum(construct_md_array(row->keys, row->no_key, 1, &row->n, &lower,
											  TEXTOID, -1, false, TYPALIGN_INT));
}

static HeapTuple
form_duplicates(Batch *batch, TupleDesc descriptor)
{
	const WfAuditEntry *e = &batch->entries[batch->first];
	char	   *role = GetUserNameFromId(e->role, true);
	Datum		values[NCOLUMNS] = {0};
	bool		nulls[NCOLUMNS] = {false};
	NameData	role_name;
	Elements	row;

	values[LAST_AT - 1] = TimestampTzGetDatum(take_together(batch, &row));
	values[WORKFLOW_ID - 1] = Int32GetDatum(e->workflow_id);
	nulls[ROLE_NAME - 1] = role == NULL;
	if (role != NULL)
		namestrcpy(&role_name, role);
	values[ROLE_NAME - 1] = NameGetDatum(&role_name);
	values[APPLICATION_NAME - 1] =
		PointerGetDatum(cstring_to_text_with_len(wf_audit_application(e), e->application_length));
	nulls[CLIENT_ADDR - 1] = e->client_length == 0;
	if (!nulls[CLIENT_ADDR - 1])
		values[CLIENT_ADDR - 1] =
			DirectFunctionCall1(inet_in, CStringGetDatum(pnstrdup(wf_audit_client(e), e->client_length)));
	values[TIMES - 1] = PointerGetDatum(construct_array(row.times, row.n, TIMESTAMPTZOID,
														sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[RUN_IDS - 1] = PointerGetDatum(construct_array(row.run_ids, row.n, UUIDOID,
														  UUID_LEN, false, TYPALIGN_CHAR));
	values[OUTCOMES - 1] = PointerGetDatum(construct_array(row.outcomes, row.n, CHAROID,
														   1, true, TYPALIGN_CHAR));
	values[KEYS - 1] = keys_array(&row);
	return heap_form_tuple(descriptor, values, nulls);
}

/*
 * There may be tens of thousands a second, while their callers want the
 * processors: those of a caller share a row, and some pages are filled at a time.
 */
void
wf_duplicate_insert(const WfAuditEntry *entries, int n)
{
	static const AttrNumber columns[] = {WORKFLOW_ID, LAST_AT};
	const WfRelations *r = wf_relations();
	Batch		batch = {.entries = entries, .n = n, .written = palloc0(sizeof(bool) * Max(n, 1))};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_workflow duplicates",
												  PIECE_MEMORY, PIECE_MEMORY, ALLOCSET_DEFAULT_MAXSIZE);
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rel = table_open(r->duplicate, RowExclusiveLock);

	batch.snapshot = wf_callers_snapshot();
	while (batch.first < n)
	{
		HeapTuple	rows[PIECE];
		int			nrows = 0;

		while (nrows < PIECE && batch.first < n)
			rows[nrows++] = form_duplicates(&batch, RelationGetDescr(rel));
		wf_table_insert_many(r->duplicate, rows, nrows, &r->duplicate_last_at, columns, lengthof(columns));
		MemoryContextReset(context);
	}
	table_close(rel, NoLock);
	UnregisterSnapshot(batch.snapshot);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	pfree(batch.written);
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
	wf_scan_begin(&scan, r->duplicate, &r->duplicate_last_at, snapshot, &key, 1);
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
	wf_scan_begin(&scan, r->duplicate, &r->duplicate_last_at, snapshot, &key, 1);
	while (n < limit && wf_scan_next(&scan, ForwardScanDirection))
	{
		bool		isnull;
		TimestampTz at = DatumGetTimestampTz(wf_scan_value(&scan, LAST_AT, &isnull));

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
