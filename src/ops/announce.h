/*-------------------------------------------------------------------------
 * announce.h
 *		Tell external workers of runs that are due.
 *-------------------------------------------------------------------------
 */
#ifndef WF_ANNOUNCE_H
#define WF_ANNOUNCE_H

#include "ops/queues.h"

/*
 * For the dispatcher, in a transaction of its own: look what is due of a
 * workflow without a handler, and wake as many of those who wait for it;
 * sets queue->ready_at.
 */
extern void wf_announce(WfQueue *queue, const WfWorkflow *workflow, TimestampTz now);

/* At the end of the turn: notify the channel, once, if there was anything. */
extern void wf_announce_end(void);

#endif							/* WF_ANNOUNCE_H */
