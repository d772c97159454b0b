/*-------------------------------------------------------------------------
 * task.h
 *		Tasks: one idempotent step, begun, then completed or failed.
 *-------------------------------------------------------------------------
 */
#ifndef WF_TASK_H
#define WF_TASK_H

#include "store/task_owner.h"
#include "store/task_store.h"

/* the task that a call is about */
typedef struct WfTaskRequest
{
	WfTaskOwner owner;			/* the caller */
	const char *key;			/* not terminated */
	int			key_length;
	pg_uuid_t	task;
	bool		has_fingerprint;	/* a payload was given */
	uint8		fingerprint[WF_FINGERPRINT_LENGTH];
} WfTaskRequest;

typedef enum WfTaskStatus
{
	WF_TASK_EXECUTE,			/* it is the caller's turn */
	WF_TASK_IS_COMPLETED,
	WF_TASK_IN_PROGRESS			/* somebody else's lease lasts */
} WfTaskStatus;

/*
 * What callers may do with a task; all decide by the last row, wait for a
 * transaction that is writing another one (WF003 after pg_workflow.key_wait),
 * and raise 40001 where the caller's snapshot does not see it.
 */

/* Begin: the answer is in task.  WF001 for another payload. */
extern WfTaskStatus wf_task_do_begin(const WfTaskRequest *request,
									 const Interval *lease, WfTask *task);

/* The result that is stored, the given one or an earlier; WF004 for a stale attempt. */
extern Datum wf_task_do_complete(const WfTaskRequest *request, int32 attempt,
								 Datum result, const Interval *ttl);

/* WF004 for a stale attempt, WF005 for one that has completed. */
extern void wf_task_do_fail(const WfTaskRequest *request, int32 attempt, char *error);

/* The result that is stored, the given one or that of a live completed task. */
extern Datum wf_task_do_put(const WfTaskRequest *request, Datum result, const Interval *ttl);

/* False: there was nothing. */
extern bool wf_task_do_forget(const WfTaskRequest *request);

/* The result of a live completed task, as the caller's isolation level has it; 0: none. */
extern Datum wf_task_do_get(const WfTaskRequest *request);

#endif							/* WF_TASK_H */
