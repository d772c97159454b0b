/*-------------------------------------------------------------------------
 * workflow_read.h
 *		Definitions of workflows, read from their tables; for workflow_store.c.
 *-------------------------------------------------------------------------
 */
#ifndef WF_WORKFLOW_READ_H
#define WF_WORKFLOW_READ_H

#include "store/workflow_store.h"

/* NULL: there is none; by name, none that is not dropped */
extern WfWorkflow *wf_workflow_read_by_name(const char *name, int length,
											MemoryContext context);
extern WfWorkflow *wf_workflow_read_by_id(int32 id, MemoryContext context);

#endif							/* WF_WORKFLOW_READ_H */
