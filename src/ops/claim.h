/*-------------------------------------------------------------------------
 * claim.h
 *		Reading the queues of several workflows, for external workers.
 *-------------------------------------------------------------------------
 */
#ifndef WF_CLAIM_H
#define WF_CLAIM_H

#include "base/claim_queue.h"
#include "store/queue_store.h"
#include "store/workflow_store.h"

/* one workflow that runs are claimed of */
typedef struct WfSource
{
	WfWorkflow	workflow;		/* a copy */
	WfClaimQueue *queue;		/* NULL: the cursors are the backend's own */
	bool		reading;		/* locked, if it has a queue */
	bool		trusted;		/* its entries need no second look */
	bool		looked_back;	/* at what this transaction has enqueued */
	WfCursors  *cursors;		/* while reading; a copy where shared */
	WfClaimed  *claimed;		/* what this transaction has in flight */
	TimestampTz next_due;
} WfSource;

extern WfSource *wf_sources(const int32 *ids, int n);

/* the source of a workflow; NULL: none */
extern WfSource *wf_source_of(WfSource *sources, int n, int32 workflow_id);

/*
 * Take up to limit due entries of all sources in the order (priority, run_at,
 * run_id), palloc'ed, as far as pauses and max_running allow.  Those of a
 * source with a queue are in flight from here on.  more: it has stopped early, so
 * as not to hold the locks for long; call again.
 */
extern int	wf_sources_take(WfSource *sources, int n, TimestampTz now, int limit,
							WfItem **items, bool *more);

/* Is anything due that could be taken?  Takes nothing. */
extern bool wf_sources_ready(WfSource *sources, int n, TimestampTz now);

#endif							/* WF_CLAIM_H */
