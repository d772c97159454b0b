/*-------------------------------------------------------------------------
 * table.c
 *		Direct access to the slices: read by an index, insert a row.
 *
 * The tables have no triggers, rules or generated columns, and every index of
 * ours is known to the caller, so a row is written with what the executor
 * would call in the end, and without what it would do before.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "nodes/execnodes.h"
#include "nodes/makefuncs.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/shmem.h"
#include "store/other_indexes.h"
#include "store/relations.h"
#include "store/table.h"

Relation
wf_index_open(const Oid *index, LOCKMODE mode)
{
	(void) wf_relations();
	return index_open(*index, mode);
}

void
wf_scan_begin(WfScan *scan, Oid heap, const Oid *index, Snapshot snapshot,
			  ScanKey keys, int nkeys)
{
	scan->heap = table_open(heap, AccessShareLock);
	scan->index = wf_index_open(index, AccessShareLock);
	scan->slot = table_slot_create(scan->heap, NULL);
	if (snapshot == NULL)
	{
		InitDirtySnapshot(scan->dirty);
		snapshot = &scan->dirty;
	}
	scan->scan = index_beginscan_compat(scan->heap, scan->index, snapshot, nkeys);
	index_rescan(scan->scan, keys, nkeys, NULL, 0);
}

bool
wf_scan_next(WfScan *scan, ScanDirection direction)
{
	return index_getnext_slot(scan->scan, direction, scan->slot);
}

void
wf_scan_again(WfScan *scan, ScanKey keys, int nkeys)
{
	ExecClearTuple(scan->slot);
	index_rescan(scan->scan, keys, nkeys, NULL, 0);
}

/* The locks stay until the end of the transaction, as those of a query do. */
void
wf_scan_end(WfScan *scan)
{
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, NoLock);
	table_close(scan->heap, NoLock);
}

void
wf_scan_end_unlocked(WfScan *scan)
{
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, AccessShareLock);
	table_close(scan->heap, AccessShareLock);
}

/*
 * Who holds the row is read from it before: nobody but a superuser shares
 * locks on it, and then there is no single holder to name, so wait for all.
 */
WfRowLock
wf_scan_lock_row(WfScan *scan, TransactionId *by)
{
	HeapTupleHeader header = ExecFetchSlotHeapTuple(scan->slot, false, NULL)->t_data;
	bool		shared = (header->t_infomask & HEAP_XMAX_IS_MULTI) != 0;
	ItemPointerData tid = scan->slot->tts_tid;
	TupleTableSlot *slot;
	TM_FailureData failure;
	TM_Result	result;

	*by = TransactionIdIsValid(scan->dirty.xmin) ? scan->dirty.xmin : scan->dirty.xmax;
	if (TransactionIdIsValid(*by))
		return WF_ROW_BUSY;
	if (!shared && !(header->t_infomask & HEAP_XMAX_INVALID))
		*by = HeapTupleHeaderGetRawXmax(header);

	/* the command that is running may have written the row itself */
	LockRelationOid(RelationGetRelid(scan->heap), RowShareLock);
	slot = table_slot_create(scan->heap, NULL);
	result = table_tuple_lock(scan->heap, &tid, GetActiveSnapshot(), slot,
							  GetCurrentCommandId(false) + 1, LockTupleExclusive,
							  shared ? LockWaitBlock : LockWaitSkip, 0, &failure);
	ExecDropSingleTupleTableSlot(slot);
	return result == TM_Ok ? WF_ROW_LOCKED :
		result == TM_WouldBlock ? WF_ROW_BUSY : WF_ROW_CHANGED;
}

bool
wf_scan_delete(WfScan *scan, Snapshot snapshot)
{
	TM_FailureData failure;

	LockRelationOid(RelationGetRelid(scan->heap), RowExclusiveLock);
	return table_tuple_delete(scan->heap, &scan->slot->tts_tid, GetCurrentCommandId(true),
							  snapshot, InvalidSnapshot, false, &failure, false) == TM_Ok;
}

bool
wf_scan_is_visible(WfScan *scan)
{
	return TransactionIdIsCurrentTransactionId(wf_slot_xmin(scan->slot)) ||
		table_tuple_satisfies_snapshot(scan->heap, scan->slot, GetActiveSnapshot());
}

/* The table may be shorter by now, or another file. */
static bool
pin_block(Relation heap, BlockNumber block, Buffer *buffer)
{
	if (*buffer > 0 && *buffer <= NBuffers &&
		ReadRecentBuffer(heap->rd_locator, MAIN_FORKNUM, block, *buffer))
		return true;
	if (block >= RelationGetNumberOfBlocks(heap))
		return false;
	*buffer = ReadBuffer(heap, block);
	return true;
}

bool
wf_table_fetch(Relation heap, ItemPointerData tid, Buffer *buffer, Snapshot snapshot,
			   TupleTableSlot *slot)
{
	HeapTuple	tuple = &((BufferHeapTupleTableSlot *) slot)->base.tupdata;
	bool		found;

	Assert(TTS_IS_BUFFERTUPLE(slot));
	if (!pin_block(heap, ItemPointerGetBlockNumber(&tid), buffer))
		return false;
	LockBuffer(*buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&tid, heap, *buffer, snapshot, tuple, NULL, true);
	LockBuffer(*buffer, BUFFER_LOCK_UNLOCK);
	if (found)
		ExecStorePinnedBufferHeapTuple(tuple, slot, *buffer);
	else
		ReleaseBuffer(*buffer);
	return found;
}

TransactionId
wf_slot_xmin(TupleTableSlot *slot)
{
	return HeapTupleHeaderGetXmin(ExecFetchSlotHeapTuple(slot, false, NULL)->t_data);
}

bool
wf_slot_is_locked(TupleTableSlot *slot)
{
	HeapTupleHeader header = ExecFetchSlotHeapTuple(slot, false, NULL)->t_data;
	TransactionId xmax = HeapTupleHeaderGetRawXmax(header);

	if (header->t_infomask & HEAP_XMAX_INVALID)
		return false;
	if (header->t_infomask & HEAP_XMAX_IS_MULTI)
		return MultiXactIdIsRunning(xmax, HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask));
	return !TransactionIdIsCurrentTransactionId(xmax) && TransactionIdIsInProgress(xmax);
}

/* What index_insert wants to be told beside the values: nothing, for a btree. */
static IndexInfo *
index_info(void)
{
	static IndexInfo *info = NULL;

	if (info == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		info = makeNode(IndexInfo);
		MemoryContextSwitchTo(old);
	}
	return info;
}

/* Insert one index entry; false: it is unique, and its key may be there. */
static bool
insert_into(Relation index, Relation heap, WfIndexEntry *entry, ItemPointer tid,
			IndexUniqueCheck check)
{
	bool		isnull[lengthof(entry->keys)] = {false};
	bool		unique = index->rd_index->indisunique;
	bool		fine;

	fine = index_insert(index, entry->keys, isnull, tid, heap,
						unique ? check : UNIQUE_CHECK_NO, false, index_info());
	return fine || check != UNIQUE_CHECK_PARTIAL || !unique;
}

static bool
insert_entry(Relation heap, WfIndexEntry *entry, ItemPointer tid,
			 IndexUniqueCheck check)
{
	Relation	index = index_open(entry->oid, RowExclusiveLock);
	bool		fine = insert_into(index, heap, entry, tid, check);

	index_close(index, NoLock);
	return fine;
}

static void
insert_with_token(Relation heap, HeapTuple tuple, uint32 token)
{
	HeapTupleHeaderSetSpeculativeToken(tuple->t_data, token);
	heap_insert(heap, tuple, GetCurrentCommandId(true), HEAP_INSERT_SPECULATIVE, NULL);
}

/* The row is there for good, or was never there. */
static void
confirm(Relation heap, HeapTuple tuple, bool won)
{
	if (won)
		heap_finish_speculative(heap, &tuple->t_self);
	else
		heap_abort_speculative(heap, &tuple->t_self);
}

/*
 * Insert a row speculatively, as INSERT ... ON CONFLICT does: whoever meets
 * it before it is confirmed waits for that, not for our transaction.
 */
static bool
insert_speculatively(Relation heap, HeapTuple tuple, WfIndexEntry *arbiter)
{
	TransactionId xid = GetCurrentTransactionId();
	bool		won;

	insert_with_token(heap, tuple, SpeculativeInsertionLockAcquire(xid));
	won = insert_entry(heap, arbiter, &tuple->t_self, UNIQUE_CHECK_PARTIAL);
	confirm(heap, tuple, won);
	SpeculativeInsertionLockRelease(xid);
	return won;
}

/*
 * Open a table for new rows.  They are refused where somebody relies on a
 * trigger for each of them, which would not be called.
 */
static Relation
open_for_insert(Oid table)
{
	Relation	heap = table_open(table, RowExclusiveLock);
	const TriggerDesc *triggers = heap->trigdesc;

	if (triggers != NULL && (triggers->trig_insert_before_row || triggers->trig_insert_after_row))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s.%s\" has triggers",
						get_namespace_name(RelationGetNamespace(heap)),
						RelationGetRelationName(heap)),
				 errdetail("Rows are written to it without calling triggers."),
				 errhint("Drop the triggers.")));
	wf_note_writing();
	return heap;
}

bool
wf_table_insert(Oid table, Datum *values, bool *nulls,
				WfIndexEntry *entries, int nentries, int put_off, bool arbiter,
				ItemPointer place)
{
	Relation	heap = open_for_insert(table);
	List	   *others = wf_other_indexes(heap);
	HeapTuple	tuple;
	int			next = 0;
	bool		inserted = true;

	/* at the same moment; from here on each index is what it is now */
	for (int i = 0; i < nentries; i++)
		entries[i].oid = *entries[i].index;

	tuple = heap_form_tuple(RelationGetDescr(heap), values, nulls);
	tuple->t_tableOid = table;
	if (arbiter)
	{
		inserted = insert_speculatively(heap, tuple, &entries[0]);
		next = 1;
	}
	else
		heap_insert(heap, tuple, GetCurrentCommandId(true), 0, NULL);

	for (int i = next; inserted && i < nentries - put_off; i++)
		insert_entry(heap, &entries[i], &tuple->t_self, UNIQUE_CHECK_YES);
	if (inserted)
		wf_insert_into_other_indexes(others, heap, tuple, &tuple->t_self);

	if (place != NULL)
		*place = tuple->t_self;
	heap_freetuple(tuple);
	table_close(heap, NoLock);
	return inserted;
}

/* Make the k-th entries of all rows that are inserted. */
static void
insert_entries_of(Relation heap, WfNewRow *rows, int n, int k, IndexUniqueCheck check)
{
	Relation	index = index_open(rows[0].entries[k].oid, RowExclusiveLock);

	for (int i = 0; i < n; i++)
		if (rows[i].inserted)
			rows[i].inserted = insert_into(index, heap, &rows[i].entries[k],
										   &rows[i].tuple->t_self, check);
	index_close(index, NoLock);
}

/*
 * One token for all of them: who meets a row before it is confirmed waits until all are.
 */
void
wf_table_insert_each(Oid table, WfNewRow *rows, int n)
{
	Relation	heap = open_for_insert(table);
	List	   *others = wf_other_indexes(heap);
	TransactionId xid = GetCurrentTransactionId();
	uint32		token;

	/* at the same moment, as in wf_table_insert */
	for (int k = 0; k < rows[0].nentries; k++)
		rows[0].entries[k].oid = *rows[0].entries[k].index;

	token = SpeculativeInsertionLockAcquire(xid);
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = heap_form_tuple(RelationGetDescr(heap), rows[i].values, rows[i].nulls);

		Assert(rows[i].nentries == rows[0].nentries);
		tuple->t_tableOid = table;
		insert_with_token(heap, tuple, token);
		rows[i].tuple = tuple;
		rows[i].inserted = true;
	}
	insert_entries_of(heap, rows, n, 0, UNIQUE_CHECK_PARTIAL);
	for (int i = 0; i < n; i++)
		confirm(heap, rows[i].tuple, rows[i].inserted);
	SpeculativeInsertionLockRelease(xid);

	for (int k = 1; k < rows[0].nentries; k++)
		insert_entries_of(heap, rows, n, k, UNIQUE_CHECK_YES);
	for (int i = 0; i < n; i++)
	{
		if (rows[i].inserted)
			wf_insert_into_other_indexes(others, heap, rows[i].tuple, &rows[i].tuple->t_self);
		heap_freetuple(rows[i].tuple);
	}
	table_close(heap, NoLock);
}

void
wf_table_insert_entries(Oid table, WfIndexEntry *entries, ItemPointerData *places, int n)
{
	Relation	heap = table_open(table, RowExclusiveLock);
	Relation	index = index_open(entries[0].oid, RowExclusiveLock);

	for (int i = 0; i < n; i++)
		insert_into(index, heap, &entries[i], &places[i], UNIQUE_CHECK_YES);
	index_close(index, NoLock);
	table_close(heap, NoLock);
}

void
wf_table_insert_many(Oid table, HeapTuple *rows, int nrows,
					 const Oid *index, const AttrNumber *columns, int ncolumns)
{
	Relation	heap = open_for_insert(table);
	List	   *others = wf_other_indexes(heap);
	WfIndexEntry entry = {.nkeys = ncolumns};
	Relation	ours = index_open(*index, RowExclusiveLock);
	TupleTableSlot **slots = palloc(sizeof(*slots) * nrows);

	for (int i = 0; i < nrows; i++)
	{
		slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(heap), &TTSOpsHeapTuple);
		ExecStoreHeapTuple(rows[i], slots[i], true);
	}
	table_multi_insert(heap, slots, nrows, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < nrows; i++)
	{
		for (int k = 0; k < ncolumns; k++)
		{
			bool		isnull;

			entry.keys[k] = slot_getattr(slots[i], columns[k], &isnull);
			Assert(!isnull);
		}
		insert_into(ours, heap, &entry, &slots[i]->tts_tid, UNIQUE_CHECK_NO);
		wf_insert_into_other_indexes(others, heap, rows[i], &slots[i]->tts_tid);
		ExecDropSingleTupleTableSlot(slots[i]);
	}
	pfree(slots);
	index_close(ours, NoLock);
	table_close(heap, NoLock);
}

bool
wf_table_in_use(Oid table)
{
	Relation	rel = table_open(table, NoLock);
	bool		in_use = rel->rd_refcnt > 1;

	table_close(rel, NoLock);
	return in_use;
}

/* A copy that sees what the command that is running has done so far, too. */
static Snapshot
with_own_changes(Snapshot snapshot)
{
	PushCopiedSnapshot(snapshot);
	snapshot = GetActiveSnapshot();
	snapshot->curcid = GetCurrentCommandId(false) + 1;
	snapshot = RegisterSnapshot(snapshot);
	PopActiveSnapshot();
	return snapshot;
}

Snapshot
wf_callers_snapshot(void)
{
	return with_own_changes(IsolationUsesXactSnapshot() ? GetActiveSnapshot() : GetLatestSnapshot());
}

Snapshot
wf_latest_snapshot(void)
{
	return with_own_changes(GetLatestSnapshot());
}

void
wf_push_latest_snapshot(void)
{
	PushActiveSnapshot(GetLatestSnapshot());
}

/*
 * Executors do not wait for their commits to reach the disk.  Who is told of
 * a completion must: it would be undone by a crash.
 */
void
wf_flush_writer(TransactionId xmin)
{
	XLogRecPtr	lsn;

	if (!TransactionIdIsNormal(xmin) || RecoveryInProgress() ||
		TransactionIdIsCurrentTransactionId(xmin))
		return;
	lsn = TransactionIdGetCommitLSN(xmin);
	if (!XLogRecPtrIsInvalid(lsn))
		XLogFlush(lsn);
}
