/*-------------------------------------------------------------------------
 * suspects.h
 *		Runs that were under way in a crash: each runs alone.
 *-------------------------------------------------------------------------
 */
#ifndef WF_SUSPECTS_H
#define WF_SUSPECTS_H

#include "base/shmem.h"
#include "ops/queues.h"

/* At the beginning of a turn's handing over: what has ended since the last? */
extern void wf_suspects_look(TimestampTz now);

/*
 * How many runs of the queue may start now?  any: others start in this turn
 * already.
 */
extern int	wf_suspects_limit(const WfQueue *queue, bool any, TimestampTz now);

/* The queue has nothing to start, or may not: nobody waits for it any more. */
extern void wf_suspects_give_up(const WfQueue *queue);

/* Is a run to be passed over for the time being?  For wf_queue_take. */
extern bool wf_suspects_pass_over(const WfItem *item);

/*
 * Of n runs that were taken, how many may start together, the first of them
 * alone if it is a suspect; the others are put back.  any as above.
 */
extern int	wf_suspects_keep_apart(WfQueue *queue, const WfItem *items, int n, bool any,
								   TimestampTz now);

/* When what is said above may change without anything having ended. */
extern TimestampTz wf_suspects_next(TimestampTz now);

#endif							/* WF_SUSPECTS_H */
