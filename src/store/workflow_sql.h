/*-------------------------------------------------------------------------
 * workflow_sql.h
 *		Changes of workflows and of the grants on them.
 *
 * Every change drops the definitions that backends keep (workflow_store.h),
 * with the transaction that makes it.
 *-------------------------------------------------------------------------
 */
#ifndef WF_WORKFLOW_SQL_H
#define WF_WORKFLOW_SQL_H

#include "datatype/timestamp.h"

#include "pg_workflow.h"

/*
 * The settings of a workflow, in the order of the columns and of the
 * arguments of wf_create_workflow.
 */
enum WfSetting
{
	WF_SETTING_MAX_ATTEMPTS,
	WF_SETTING_RETRY_DELAY,
	WF_SETTING_RETRY_FACTOR,
	WF_SETTING_RETRY_MAX_DELAY,
	WF_SETTING_RETRY_JITTER,
	WF_SETTING_TIMEOUT,
	WF_SETTING_KEY_TTL,
	WF_SETTING_KEY_ANCHOR,
	WF_SETTING_ON_FAILED,
	WF_SETTING_ON_MISMATCH,
	WF_SETTING_MAX_RUNNING,
	WF_SETTING_PRIORITY,
	WF_SETTING_BATCH,
	WF_SETTING_RETENTION,
	WF_SETTING_MAX_QUEUED,
	WF_SETTINGS					/* how many there are */
};

/* What to store; what is not given stays as it is. */
typedef struct WfWorkflowChange
{
	Oid			owner;			/* InvalidOid: not given */
	bool		has_handler;	/* the next two are given */
	const char *handler_schema; /* NULL: no handler */
	const char *handler_name;
	Datum		settings[WF_SETTINGS];
	bool		given[WF_SETTINGS];
} WfWorkflowChange;

/* The words for WF_MAY_..., least bit first. */
#define WF_PRIVILEGES 4
extern const char *const wf_privilege_names[WF_PRIVILEGES];

/* Insert a workflow, of which everything is given; 0: the name is taken. */
extern int32 wf_workflow_insert(const char *name, const WfWorkflowChange *change);

/* Lock the row until the transaction ends; false: it is gone, or dropped. */
extern bool wf_workflow_lock(int32 id);

/* The caller has the lock. */
extern void wf_workflow_update(int32 id, const WfWorkflowChange *change);
extern void wf_workflow_set_paused(int32 id, bool paused);
extern void wf_workflow_set_dropped(int32 id, TimestampTz at);
extern void wf_grant_store(int32 workflow_id, Oid role, int privileges);

/* Follow ALTER ROLE ... RENAME in what is stored; how many rows had to. */
extern int64 wf_workflow_follow_renames(void);

/* The invalidation that goes with every change. */
extern void wf_workflow_changed(void);

#endif							/* WF_WORKFLOW_SQL_H */
