/*-------------------------------------------------------------------------
 * workflow_store.h
 *		Definitions of workflows, as every backend keeps them.
 *-------------------------------------------------------------------------
 */
#ifndef WF_WORKFLOW_STORE_H
#define WF_WORKFLOW_STORE_H

#include "datatype/timestamp.h"

#include "pg_workflow.h"

/* what a role may do on a workflow; bits */
#define WF_MAY_ENQUEUE	0x01
#define WF_MAY_WORK		0x02
#define WF_MAY_READ		0x04
#define WF_MAY_OPERATE	0x08
#define WF_MAY_ALL		0x0f
#define WF_MAY_OWN		0x10	/* alter, drop, grant */

typedef enum WfOnFailed
{
	WF_ON_FAILED_NEW,
	WF_ON_FAILED_RETURN,
	WF_ON_FAILED_RESUME
} WfOnFailed;

typedef struct WfGrant
{
	Oid			role;			/* InvalidOid: PUBLIC */
	int			privileges;		/* WF_MAY_... */
} WfGrant;

typedef struct WfWorkflow
{
	int32		id;
	char		name[WF_MAX_NAME + 1];
	Oid			owner;			/* InvalidOid: dropped, renamed away or of
								 * another cluster */
	NameData	owner_name;
	bool		has_handler;
	NameData	handler_schema;
	NameData	handler_name;
	int32		max_attempts;
	Interval	retry_delay;
	float8		retry_factor;
	Interval	retry_max_delay;
	float8		retry_jitter;
	Interval	timeout;
	Interval	key_ttl;
	bool		anchor_enqueue; /* key_anchor = 'enqueue' */
	WfOnFailed	on_failed;
	bool		mismatch_return;	/* on_mismatch = 'return' */
	int32		max_running;
	int32		priority;
	int32		batch;
	Interval	retention;
	int32		max_queued;
	bool		paused;
	bool		dropped;
	int			ngrants;
	WfGrant    *grants;
} WfWorkflow;

/*
 * Kept definitions.  NULL: there is none (by_name never finds a dropped one).
 * A pointer is good until the next call that may receive invalidations: copy
 * what is needed for longer.
 */
extern const WfWorkflow *wf_workflow_by_name(const char *name, int length);
extern const WfWorkflow *wf_workflow_by_id(int32 id);

/* every workflow that is not dropped, for the dispatcher; palloc'ed array of ids */
extern int	wf_workflow_ids(int32 **ids);

/* bits of WF_MAY_... that the role has, through membership too */
extern int	wf_workflow_privileges(const WfWorkflow *workflow, Oid role);

/* bumped whenever kept definitions were dropped; cheap way to notice a change */
extern uint64 wf_workflow_epoch(void);

#endif							/* WF_WORKFLOW_STORE_H */
