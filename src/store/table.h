/*-------------------------------------------------------------------------
 * table.h
 *		Direct access to the slices: read by an index, insert a row.
 *
 * What is hot goes this way rather than through SPI; bench/NOTES.md has the
 * figures.  Only files under store/ use it.
 *-------------------------------------------------------------------------
 */
#ifndef WF_TABLE_H
#define WF_TABLE_H

#include "access/genam.h"
#include "access/skey.h"
#include "access/tableam.h"
#include "utils/snapmgr.h"

/*
 * Open an index, by where its OID stands in wf_relations().  Its table is open:
 * before, REINDEX CONCURRENTLY could have put another index in its place.
 */
extern Relation wf_index_open(const Oid *index, LOCKMODE mode);

/* A scan of an index, with its table; ends with wf_scan_end or the transaction. */
typedef struct WfScan
{
	Relation	heap;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	SnapshotData dirty;			/* where wf_scan_begin was given no snapshot */
} WfScan;

/*
 * index: where its OID stands in wf_relations().  snapshot NULL: a dirty one,
 * which also sees what is uncommitted and tells in scan->dirty whose it is.
 */
extern void wf_scan_begin(WfScan *scan, Oid heap, const Oid *index, Snapshot snapshot,
						  ScanKey keys, int nkeys);
extern bool wf_scan_next(WfScan *scan, ScanDirection direction);

/* Begin once more, with other keys, as many as before. */
extern void wf_scan_again(WfScan *scan, ScanKey keys, int nkeys);
extern void wf_scan_end(WfScan *scan);

/* the same, and gives back its locks on the table and the index */
extern void wf_scan_end_unlocked(WfScan *scan);

typedef enum WfRowLock
{
	WF_ROW_LOCKED,
	WF_ROW_BUSY,				/* another transaction has locked or changed
								 * it */
	WF_ROW_CHANGED				/* the row is not there any more */
} WfRowLock;

/*
 * Lock the current row of a dirty scan against any change until the end of
 * the transaction, without waiting.  Where it is busy, *by says by whom, or is
 * invalid if that has just changed: look again.
 */
extern WfRowLock wf_scan_lock_row(WfScan *scan, TransactionId *by);

/* Delete the current row of a scan; false: somebody else is at it. */
extern bool wf_scan_delete(WfScan *scan, Snapshot snapshot);

/*
 * May the caller's snapshot see the current row of a dirty scan?  Its own rows
 * it may, even those of the command that is still running.
 */
extern bool wf_scan_is_visible(WfScan *scan);

/*
 * Who wrote the row; FrozenTransactionId where that is long ago, and nothing
 * may be known of the transaction any more.
 */
extern TransactionId wf_slot_xmin(TupleTableSlot *slot);

/* Has another transaction that has not ended locked the row, or changed it? */
extern bool wf_slot_is_locked(TupleTableSlot *slot);

/*
 * Fetch the row at a place, if there is one by the snapshot, into a slot of the
 * table's; it may be any row of the table.  *buffer: where its block is likely to
 * be, or InvalidBuffer; becomes where it is.  A version that an update has put
 * beside the first one, without index entries of its own, is not found by its place.
 */
extern bool wf_table_fetch(Relation heap, ItemPointerData tid, Buffer *buffer,
						   Snapshot snapshot, TupleTableSlot *slot);

/* the value of a column of the current row */
#define wf_scan_value(scan, attno, isnull) slot_getattr((scan)->slot, attno, isnull)

/* An index entry that goes with a row; the index is one in wf_relations(). */
typedef struct WfIndexEntry
{
	const Oid  *index;
	int			nkeys;
	Datum		keys[4];
	Oid			oid;			/* the index, when the row was inserted */
} WfIndexEntry;

/*
 * Insert a row and its index entries.  The first of them may be unique: if
 * `arbiter`, another row with that key, committed or not, makes the answer
 * false, and nothing is left behind; otherwise it is an error.
 *
 * The last put_off entries are left to wf_table_insert_entries, by the same
 * transaction: with the oid that they are given here, and *place, if that is not NULL.
 */
extern bool wf_table_insert(Oid table, Datum *values, bool *nulls,
							WfIndexEntry *entries, int nentries, int put_off, bool arbiter,
							ItemPointer place);

/*
 * A row to be inserted, and whether it was; its index entries, the first of which is
 * unique, are in the same indexes as those of the others.
 */
typedef struct WfNewRow
{
	Datum	   *values;
	bool	   *nulls;
	WfIndexEntry *entries;
	int			nentries;
	bool		inserted;
	HeapTuple	tuple;			/* meanwhile */
} WfNewRow;

/*
 * Insert rows, with the first entry of each as arbiter: as wf_table_insert does one by
 * one, but in steps that all of them take together.
 */
extern void wf_table_insert_each(Oid table, WfNewRow *rows, int n);

/* Insert entries of one index, by its oid, each for the row at the same position of `places`. */
extern void wf_table_insert_entries(Oid table, WfIndexEntry *entries,
									ItemPointerData *places, int n);

/*
 * Insert some rows at once into a table with one index, which is not unique and
 * has these columns of the rows.  The rows are freed.
 */
extern void wf_table_insert_many(Oid table, HeapTuple *rows, int nrows,
								 const Oid *index, const AttrNumber *columns, int ncolumns);

/*
 * Does a query or cursor of this very session read a table at the moment?
 * Then it cannot be truncated.  The caller has it locked.
 */
extern bool wf_table_in_use(Oid table);

/*
 * What the caller sees at this moment, as its isolation level has it, and what
 * the very command that is running has written; to be unregistered.
 */
extern Snapshot wf_callers_snapshot(void);

/* the same of what is committed now, whatever the isolation level */
extern Snapshot wf_latest_snapshot(void);

/* a snapshot of what is committed now, pushed as active; pop with PopActiveSnapshot */
extern void wf_push_latest_snapshot(void);

/* wait until the transaction that wrote a row is on disk */
extern void wf_flush_writer(TransactionId xmin);

#endif							/* WF_TABLE_H */
