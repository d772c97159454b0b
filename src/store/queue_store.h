/*-------------------------------------------------------------------------
 * queue_store.h
 *		Reading the queues: what is due next, of one workflow.
 *-------------------------------------------------------------------------
 */
#ifndef WF_QUEUE_STORE_H
#define WF_QUEUE_STORE_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "base/shmem.h"
#include "base/wakeup.h"

#define WF_POSITIONS 4			/* priorities remembered per stream */

/* Everything before it has been taken, in one priority of one stream. */
typedef struct WfPosition
{
	bool		used;
	int32		priority;
	TimestampTz run_at;
	pg_uuid_t	run_id;
} WfPosition;

/* How far a reader of a workflow's queues has come; zeroes: nowhere yet. */
typedef struct WfCursors
{
	struct WfStream
	{
		TimestampTz idle_until; /* nothing is due before; 0: look */
		TimestampTz skipped;	/* first of the events that were skipped; 0:
								 * none */
		WfPosition	positions[WF_POSITIONS];
		int			oldest;		/* position to be given up next */
	}			streams[WF_STREAMS];
} WfCursors;

/* New entries from run_at on: go back to them. */
extern void wf_cursors_rewind(WfCursors *cursors, TimestampTz run_at, uint32 streams);

/*
 * Go back to the events that were skipped: the run may have been queued again
 * before its reader had noticed that its attempt is over.  True: there are any.
 */
extern bool wf_cursors_reread_skipped(WfCursors *cursors);

/* Have an entry that was taken taken again. */
extern void wf_cursors_put_back(WfCursors *cursors, const WfItem *item);

/*
 * Take up to limit due entries in the order (priority, run_at, run_id), moving
 * the cursors past them.  skip tells which are being executed already.
 * next_due is when there is more to look for: now if the limit was reached,
 * DT_NOEND if nothing is queued.  Runs in a transaction of the caller's.
 */
extern int	wf_queue_take(int32 workflow_id, WfCursors *cursors, TimestampTz now,
						  int limit, bool (*skip) (const pg_uuid_t *run_id),
						  WfItem *items, TimestampTz *next_due);

/* Does the workflow have a run that is queued, or being executed? */
extern bool wf_queue_any(int32 workflow_id);

/* How many there are; reads all of them. */
extern int64 wf_queue_count(int32 workflow_id);

#endif							/* WF_QUEUE_STORE_H */
