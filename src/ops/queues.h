/*-------------------------------------------------------------------------
 * queues.h
 *		The dispatcher's memory: workflows, runs handed over.
 *-------------------------------------------------------------------------
 */
#ifndef WF_QUEUES_H
#define WF_QUEUES_H

#include "base/shmem.h"
#include "store/queue_store.h"
#include "store/workflow_store.h"

/* A workflow, as its dispatcher sees it. */
typedef struct WfQueue
{
	int32		workflow_id;	/* hash key */
	WfCursors  *cursors;
	TimestampTz ready_at;		/* look at it then; DT_NOEND: when told */
	int			outstanding;	/* runs handed over and not finished */
	bool		listed;			/* found when the list was last read */
	bool		announcing;		/* external workers are told of its runs */
	bool		announced;		/* the cursors are past runs of which no more
								 * than that has been done */
	struct WfBehind *behind;	/* before positions that were loaded, to be
								 * read once more; NULL: done (positions.c) */
	uint64		saved;			/* what was stored of positions last */
} WfQueue;

/* the workflows, in an order that rotates from turn to turn */
extern int	wf_queues_refresh(WfQueue ***queues);
extern WfQueue *wf_queues_find(int32 workflow_id);	/* NULL: not listed */
extern bool wf_queues_any_behind(void);
extern TimestampTz wf_queues_next(void);	/* when one of them is to be
											 * looked at */
extern void wf_queues_take_notices(void);
extern void wf_queues_forget_cursors(void);
extern void wf_queues_reread_skipped(void); /* wf_cursors_reread_skipped */

/* what has been handed over */
extern void wf_outstanding_add(const WfItem *item);
extern void wf_outstanding_remove(const WfItem *item);
extern bool wf_outstanding_has(const pg_uuid_t *run_id);
extern int	wf_outstanding_count(void);

#endif							/* WF_QUEUES_H */
