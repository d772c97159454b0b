/*-------------------------------------------------------------------------
 * queue_store.h
 *		Reading the queues: what is due next, of one workflow.
 *-------------------------------------------------------------------------
 */
#ifndef WF_QUEUE_STORE_H
#define WF_QUEUE_STORE_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "base/cursors.h"
#include "base/shmem.h"

/* New entries from run_at on: go back to them.  True: to before what had been read. */
extern bool wf_cursors_rewind(WfCursors *cursors, TimestampTz run_at, uint32 streams);

/*
 * Go back to the events that were skipped: the run may have been queued again
 * before its reader had noticed that its attempt is over.  True: there are any.
 */
extern bool wf_cursors_reread_skipped(WfCursors *cursors);

/* Everything up to a position has been taken: forward only. */
extern void wf_cursors_advance(WfCursors *cursors, int stream, const WfPosition *to);

/* the stream that an entry is of */
extern int	wf_item_stream(const WfItem *item);

/* Have an entry that was taken taken again. */
extern void wf_cursors_put_back(WfCursors *cursors, const WfItem *item);

/*
 * Take up to limit due entries in the order (priority, run_at, run_id), moving
 * the cursors past them.  next_due is when there is more to look for: now if the limit was reached,
 * DT_NOEND if nothing is queued.  Runs in a transaction of the caller's.
 */
extern int	wf_queue_take(int32 workflow_id, WfCursors *cursors, TimestampTz now,
						  int limit, WfItem *items, TimestampTz *next_due);

/*
 * The same for who has others to serve: it stops where very many entries did
 * not count, with next_due now.  skip tells which are to be passed over, such
 * as those that are being executed already; unchecked does not look whether
 * entries count, as whoever appends the next event to such a run finds out.
 */
extern int	wf_queue_take_step(int32 workflow_id, WfCursors *cursors, TimestampTz now,
							   int limit, bool (*skip) (const WfItem *item), bool unchecked,
							   WfItem *items, TimestampTz *next_due);

/*
 * Does an entry of one priority of a stream count, after from and up to until?
 * Looks at a bounded number of entries, and moves from past them: to until when
 * there are no more.
 */
extern bool wf_queue_look_between(int32 workflow_id, int stream, WfPosition *from,
								  const WfPosition *until, WfItem *item);

/*
 * Lock and open all that wf_queue_take and the reading of leases need, so that
 * these wait for nobody; until the transaction ends.
 */
extern void wf_queue_lock_tables(void);

/* (priority, run_at, run_id), for qsort */
extern int	wf_item_compare(const void *a, const void *b);

/* Does the workflow have a run that is queued, or being executed? */
extern bool wf_queue_any(int32 workflow_id);

/* How many there are; reads all of them. */
extern int64 wf_queue_count(int32 workflow_id);

#endif							/* WF_QUEUE_STORE_H */
