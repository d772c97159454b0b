/*-------------------------------------------------------------------------
 * other_indexes.h
 *		Indexes on our tables that are not, or not yet, ours.
 *-------------------------------------------------------------------------
 */
#ifndef WF_OTHER_INDEXES_H
#define WF_OTHER_INDEXES_H

#include "access/htup.h"
#include "utils/relcache.h"

/*
 * Make a row's entries in the indexes of its table that wf_relations() does not
 * know.  The table was opened with a lock that says that it is written to.
 */
extern void wf_insert_into_other_indexes(Relation heap, HeapTuple row, ItemPointer place);

#endif							/* WF_OTHER_INDEXES_H */
