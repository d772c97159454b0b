/*-------------------------------------------------------------------------
 * settle.h
 *		What becomes of a run that nobody executes any more.
 *-------------------------------------------------------------------------
 */
#ifndef WF_SETTLE_H
#define WF_SETTLE_H

#include "base/shmem.h"

/* how a run was left */
typedef enum WfLeft
{
	WF_LEFT_UNRECORDED,			/* by a living executor, that wrote nothing of
								 * it: as if it had not begun */
	WF_LEFT_LOST,				/* its executor ended while it was at it */
	WF_LEFT_UNDONE,				/* its executor ended, at another run of the
								 * same transaction */
	WF_LEFT_STOPPED,			/* the server was shut down */
	WF_LEFT_CRASHED				/* the server crashed */
} WfLeft;

/*
 * Record it, in a transaction of the dispatcher's.  Waits for nobody: while
 * another transaction is writing the run's next event, the run is held, and
 * counts as handed over, until wf_settle_held finds that that has ended.
 */
extern void wf_settle(const WfItem *item, WfLeft how);

/* the same for one that was left unrecorded, outside a transaction */
extern void wf_settle_later(const WfItem *item);

/*
 * Look at what is held, in a transaction of its own, if anybody has told that
 * he has ended; returns when to all the same.
 */
extern TimestampTz wf_settle_held(void);

extern bool wf_settle_holds(const pg_uuid_t *run_id);

/* A run that nothing has been written of is to be read from its queue again. */
extern void wf_queue_again(const WfItem *item);

#endif							/* WF_SETTLE_H */
