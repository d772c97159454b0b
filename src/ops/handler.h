/*-------------------------------------------------------------------------
 * handler.h
 *		Which functions may be handlers, and finding them again.
 *-------------------------------------------------------------------------
 */
#ifndef WF_HANDLER_H
#define WF_HANDLER_H

#include "fmgr.h"

#include "store/workflow_store.h"

/*
 * Raise an error unless the function may be the handler of workflows of this
 * owner, and, where it matters, the owner may log in.
 */
extern void wf_handler_check(Oid function, Oid owner);

/* The same for the handler that a workflow has, were it this owner's. */
extern void wf_handler_check_present(const WfWorkflow *workflow, Oid owner);

/*
 * Raise an error unless the function has a handler's arguments and result,
 * and the current user may execute it: for wf_task_run, which calls it in the
 * caller's own session.
 */
extern void wf_handler_check_callable(Oid function);

/*
 * Find a workflow's handler and check it again, which is cheap while nothing
 * has changed.  fn lives as long as context.  True: it returns jsonb; false:
 * void, and its result is to be taken for NULL.  Raises 42883 where it is
 * missing, 55000 where the workflow has no handler or no owner.
 */
extern bool wf_handler_resolve(const WfWorkflow *workflow, FmgrInfo *fn,
							   MemoryContext context);

#endif							/* WF_HANDLER_H */
