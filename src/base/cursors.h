/*-------------------------------------------------------------------------
 * cursors.h
 *		How far a reader of a workflow's queues has come.
 *
 * The dispatcher has cursors of its own; claimers of a workflow share one
 * set (claim_queue.h).  queue_store.c moves them.
 *-------------------------------------------------------------------------
 */
#ifndef WF_CURSORS_H
#define WF_CURSORS_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

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

/* zeroes: nowhere yet */
typedef struct WfCursors
{
	struct WfStream
	{
		TimestampTz idle_until; /* nothing is due before; 0: look */
		TimestampTz skipped;	/* first of the events that were skipped; 0:
								 * none */
		WfPosition	positions[WF_POSITIONS];
		int			oldest;		/* position to be given up next */
		bool		floored;	/* all of this priority and below has been
								 * taken, and nothing more in them is due
								 * before floor_due */
		int32		floor;
		TimestampTz floor_due;
		bool		passed;		/* all of any priority that was due before
								 * passed_at has been taken */
		TimestampTz passed_at;
	}			streams[WF_STREAMS];
	uint32		dead;			/* entries met that did not count any more */
} WfCursors;

#endif							/* WF_CURSORS_H */
