/*-------------------------------------------------------------------------
 * task_arguments.h
 *		Arguments that the functions of tasks have in common.
 *
 * A bad one is an error 22023, a payload or result over
 * pg_workflow.max_payload 54000.
 *-------------------------------------------------------------------------
 */
#ifndef WF_TASK_ARGUMENTS_H
#define WF_TASK_ARGUMENTS_H

#include "fmgr.h"

#include "ops/task.h"

/* The caller's task of that key; writes: his place in wf.task_owner is made. */
extern void wf_task_request(const char *key, int length, bool writes,
							WfTaskRequest *request);

extern void wf_task_set_payload(WfTaskRequest *request, Datum payload);

/* a result, a null one as JSON null */
extern Datum wf_task_read_result(FunctionCallInfo fcinfo, int argument);
extern Datum wf_task_result(Datum result, bool isnull);

extern const Interval *wf_task_read_ttl(FunctionCallInfo fcinfo, int argument);

#endif							/* WF_TASK_ARGUMENTS_H */
