/*-------------------------------------------------------------------------
 * worker_args.h
 *		The arguments that the functions for external workers share.
 *-------------------------------------------------------------------------
 */
#ifndef WF_WORKER_ARGS_H
#define WF_WORKER_ARGS_H

#include "datatype/timestamp.h"
#include "fmgr.h"

/*
 * The workflows named in an array argument, each once: those whose runs the
 * caller may claim.  A null argument is all of them.  42704, 42501 as
 * everywhere; 22023 for a workflow with a handler, a null or odd array.
 */
extern int	wf_workflows_to_work(FunctionCallInfo fcinfo, int argument, int32 **ids);

/* microseconds of a lease: more than zero, at most a day; 22023 */
extern int64 wf_lease_length(const Interval *lease);

#endif							/* WF_WORKER_ARGS_H */
