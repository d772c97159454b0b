/*-------------------------------------------------------------------------
 * other_indexes.h
 *		Indexes on our tables that are not, or not yet, ours.
 *-------------------------------------------------------------------------
 */
#ifndef WF_OTHER_INDEXES_H
#define WF_OTHER_INDEXES_H

#include "access/htup.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

/*
 * The indexes of a table that wf_relations() does not know, at a moment at which
 * it is up to date; it stays so until the next lock is taken.  The table is open with a lock
 * that says that it is written to, which they outlive.
 */
extern List *wf_other_indexes(Relation heap);

/* Make a row's entries in them. */
extern void wf_insert_into_other_indexes(List *indexes, Relation heap, HeapTuple row, ItemPointer place);

#endif							/* WF_OTHER_INDEXES_H */
