/*-------------------------------------------------------------------------
 * task_store.c
 *		All access to wf.task: what happened to tasks.
 *
 * Rows are only appended, always to the current slice of the ring of tasks;
 * a sealed slice never changes.  A task is what its last row says: that with
 * the highest seq, which is in the newest slice that has one.  Whoever would
 * append has looked before, and with that holds the ring where it is, so all
 * who would append the row with the same seq meet in one unique index.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/digest.h"
#include "store/relations.h"
#include "store/task_ring.h"
#include "store/table.h"
#include "store/task_store.h"

/* columns of wf.task */
enum
{
	TASK = 1, OWNER, AT, EXPIRES_AT, LEASE_UNTIL, SEQ, ATTEMPT, KIND,
	FINGERPRINT, KEY, RESULT, ERROR_TEXT, NCOLUMNS = ERROR_TEXT
};

static bool probe_slice(int slice, const pg_uuid_t *task, bool detoast, WfTask *last,
						WfHolder *holder, bool *in_doubt, bool *invisible);
static void read_slot(TupleTableSlot *slot, int slice, bool detoast, WfTask *row);

void
wf_task_digest(const pg_uuid_t *owner, const char *key, int length, pg_uuid_t *digest)
{
	char	   *utf8 = (char *) key;
	uint8		hash[WF_DIGEST_LENGTH];

	if (GetDatabaseEncoding() != PG_UTF8)
		utf8 = pg_server_to_any(key, length, PG_UTF8);
	if (utf8 != key)
		length = strlen(utf8);

	wf_digest_begin();
	wf_digest_update(owner->data, UUID_LEN);
	wf_digest_update(utf8, length);
	wf_digest_final(hash);
	memcpy(digest->data, hash, UUID_LEN);
}

WfProbe
wf_task_probe(const pg_uuid_t *task, bool detoast, WfTask *last, WfHolder *holder,
			  bool *invisible)
{
	const WfRing *ring = wf_task_ring_for_write();
	bool		in_doubt = false;

	*invisible = false;
	wf_ring_foreach(ring, slice)
	{
		if (probe_slice(slice, task, detoast, last, holder, &in_doubt, invisible))
			return WF_PROBE_FOUND;
		if (in_doubt)
			return WF_PROBE_IN_DOUBT;
	}
	memset(last, 0, sizeof(*last));
	return WF_PROBE_NONE;
}

/* Read with the transaction's snapshot, for the predicate locks alone. */
static void
note_read_dependency(const WfRelations *r, int slice, ScanKey key)
{
	WfScan		scan;

	wf_scan_begin(&scan, r->task_slice[slice], &r->task_id[slice],
				  GetActiveSnapshot(), key, 1);
	(void) wf_scan_next(&scan, BackwardScanDirection);
	wf_scan_end(&scan);
}

/* The rows of a task come the last one first; one is enough. */
static bool
probe_slice(int slice, const pg_uuid_t *task, bool detoast, WfTask *last,
			WfHolder *holder, bool *in_doubt, bool *invisible)
{
	const WfRelations *r = wf_relations();
	ScanKeyData key;
	WfScan		scan;
	bool		found;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(task));
	wf_scan_begin(&scan, r->task_slice[slice], &r->task_id[slice], NULL, &key, 1);
	found = wf_scan_next(&scan, BackwardScanDirection);
	if (found && TransactionIdIsValid(scan.dirty.xmin))
	{
		found = false;
		*in_doubt = true;
		holder->inserter = true;
		holder->xid = scan.dirty.xmin;
		holder->token = scan.dirty.speculativeToken;
		holder->table = r->task_slice[slice];
		holder->tid = scan.slot->tts_tid;
	}
	else if (found)
	{
		read_slot(scan.slot, slice, detoast, last);
		if (IsolationUsesXactSnapshot())
			*invisible = !wf_scan_is_visible(&scan);
	}
	wf_scan_end(&scan);

	if (found && IsolationIsSerializable())
		note_read_dependency(r, slice, &key);
	return found;
}

static TimestampTz
read_time(TupleTableSlot *slot, int column)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column, &isnull);

	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
}

/*
 * Copy the current row out of its buffer; detoast: its result out of the TOAST
 * table too, for who may keep it until after the slice has been truncated.
 */
static void
read_slot(TupleTableSlot *slot, int slice, bool detoast, WfTask *row)
{
	bool		isnull;
	Datum		value;

	slot_getallattrs(slot);		/* at once is faster than one by one */
	memset(row, 0, sizeof(*row));
	row->slice = slice;
	row->task = *DatumGetUUIDP(slot_getattr(slot, TASK, &isnull));
	row->owner = *DatumGetUUIDP(slot_getattr(slot, OWNER, &isnull));
	row->at = read_time(slot, AT);
	row->expires_at = read_time(slot, EXPIRES_AT);
	row->lease_until = read_time(slot, LEASE_UNTIL);
	row->seq = DatumGetInt32(slot_getattr(slot, SEQ, &isnull));
	row->attempt = DatumGetInt32(slot_getattr(slot, ATTEMPT, &isnull));
	row->kind = DatumGetChar(slot_getattr(slot, KIND, &isnull));
	value = slot_getattr(slot, FINGERPRINT, &isnull);
	row->has_fingerprint = !isnull;
	if (!isnull)
		memcpy(row->fingerprint, VARDATA_ANY(DatumGetPointer(value)), WF_FINGERPRINT_LENGTH);
	value = slot_getattr(slot, KEY, &isnull);
	row->key = TextDatumGetCString(value);
	row->key_length = strlen(row->key);
	value = slot_getattr(slot, RESULT, &isnull);
	if (!isnull)
		row->result = detoast ? PointerGetDatum(PG_DETOAST_DATUM_COPY(value)) :
			datumCopy(value, false, -1);
	value = slot_getattr(slot, ERROR_TEXT, &isnull);
	if (!isnull)
		row->error = TextDatumGetCString(value);
	row->xmin = wf_slot_xmin(slot);
}

bool
wf_task_find(const pg_uuid_t *task, WfTask *last)
{
	const WfRelations *r = wf_relations();
	const WfRing *ring = wf_task_ring();
	Snapshot	snapshot = wf_callers_snapshot();
	bool		found = false;

	wf_ring_foreach(ring, slice)
	{
		ScanKeyData key;
		WfScan		scan;

		ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(task));
		wf_scan_begin(&scan, r->task_slice[slice], &r->task_id[slice], snapshot, &key, 1);
		found = wf_scan_next(&scan, BackwardScanDirection);
		if (found)
			read_slot(scan.slot, slice, true, last);
		wf_scan_end(&scan);
		if (found)
			break;
	}
	UnregisterSnapshot(snapshot);
	return found;
}

bool
wf_task_append(const WfTask *row)
{
	const WfRelations *r = wf_relations();
	int			slice = wf_task_ring_for_write()->current;
	Datum		values[NCOLUMNS] = {0};
	bool		nulls[NCOLUMNS] = {false};
	WfIndexEntry entry = {
		&r->task_id[slice], 2, {UUIDPGetDatum(&row->task), Int32GetDatum(row->seq)}
	};
	char		fingerprint[VARHDRSZ + WF_FINGERPRINT_LENGTH];

	SET_VARSIZE(fingerprint, sizeof(fingerprint));
	memcpy(VARDATA(fingerprint), row->fingerprint, WF_FINGERPRINT_LENGTH);

	values[TASK - 1] = UUIDPGetDatum(&row->task);
	values[OWNER - 1] = UUIDPGetDatum(&row->owner);
	values[AT - 1] = TimestampTzGetDatum(row->at);
	values[EXPIRES_AT - 1] = TimestampTzGetDatum(row->expires_at);
	values[LEASE_UNTIL - 1] = TimestampTzGetDatum(row->lease_until);
	nulls[LEASE_UNTIL - 1] = row->lease_until == DT_NOBEGIN;
	values[SEQ - 1] = Int32GetDatum(row->seq);
	values[ATTEMPT - 1] = Int32GetDatum(row->attempt);
	values[KIND - 1] = CharGetDatum(row->kind);
	values[FINGERPRINT - 1] = PointerGetDatum(fingerprint);
	nulls[FINGERPRINT - 1] = !row->has_fingerprint;
	values[KEY - 1] = PointerGetDatum(cstring_to_text_with_len(row->key, row->key_length));
	values[RESULT - 1] = row->result;
	nulls[RESULT - 1] = row->result == (Datum) 0;
	nulls[ERROR_TEXT - 1] = row->error == NULL;
	if (row->error != NULL)
		values[ERROR_TEXT - 1] = CStringGetTextDatum(row->error);
	return wf_table_insert(r->task_slice[slice], values, nulls, &entry, 1, 0, true, NULL);
}

BlockNumber
wf_task_blocks(int slice)
{
	Relation	rel = table_open(wf_relations()->task_slice[slice], AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	table_close(rel, NoLock);
	return blocks;
}

bool
wf_task_walk(int slice, BlockNumber *next, int64 limit,
			 bool (*callback) (const WfTask *row, void *arg), void *arg)
{
	MemoryContext each = AllocSetContextCreate(CurrentMemoryContext, "pg_workflow task",
											   ALLOCSET_DEFAULT_SIZES);
	Relation	rel = table_open(wf_relations()->task_slice[slice], AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan_strat(rel, snapshot, 0, NULL, false, false);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);
	bool		more = *next < blocks;
	int64		seen = 0;

	if (more)
		heap_setscanlimits(scan, *next, blocks - *next);
	while (more && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		BlockNumber block = ItemPointerGetBlockNumber(&slot->tts_tid);
		MemoryContext old;
		WfTask		row;

		CHECK_FOR_INTERRUPTS();
		more = block == *next || seen++ < limit;
		*next = block;
		if (!more)
			break;
		old = MemoryContextSwitchTo(each);
		read_slot(slot, slice, false, &row);
		more = callback(&row, arg);
		MemoryContextSwitchTo(old);
		MemoryContextReset(each);
	}
	if (more)
		*next = blocks;
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	MemoryContextDelete(each);
	return more;
}
