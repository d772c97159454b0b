/*-------------------------------------------------------------------------
 * queue.h
 *		The runs of one workflow, taken together.
 *-------------------------------------------------------------------------
 */
#ifndef WF_QUEUE_H
#define WF_QUEUE_H

#include "pg_workflow.h"

/* Is there a queued or running run? */
extern bool wf_queue_has_unfinished(int32 workflow_id);

/* How many there are; reads all of them. */
extern int64 wf_queue_count_unfinished(int32 workflow_id);

/* Cancel all of them; how many there were. */
extern int64 wf_queue_cancel_all(int32 workflow_id, const char *reason);

#endif							/* WF_QUEUE_H */
