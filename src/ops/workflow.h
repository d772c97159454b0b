/*-------------------------------------------------------------------------
 * workflow.h
 *		Create, alter, drop, pause and resume workflows.
 *-------------------------------------------------------------------------
 */
#ifndef WF_WORKFLOW_H
#define WF_WORKFLOW_H

/* What may start has changed: have the dispatcher look, after commit. */
extern void wf_wake_at_commit(void);

#endif							/* WF_WORKFLOW_H */
