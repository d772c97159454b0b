/*-------------------------------------------------------------------------
 * access.h
 *		Who may do what: the first question of every call.
 *
 * Always asked of the current user.
 *-------------------------------------------------------------------------
 */
#ifndef WF_ACCESS_H
#define WF_ACCESS_H

#include "store/workflow_store.h"

/* superusers, and who may EXECUTE wf_adopt(); they see and operate all */
extern bool wf_is_administrator(Oid role);

/* bits of WF_MAY_...; 0: the caller is told what he would be told if there were none */
extern int	wf_workflow_rights(const WfWorkflow *workflow);

/* May the caller read the runs of a workflow?  No, if there is none. */
extern bool wf_workflow_readable(int32 id);

/* 42501 unless the caller has one of the privileges */
extern void wf_workflow_check(const WfWorkflow *workflow, int privilege);

/*
 * The workflow of that name; 42704 where there is none, or none the caller
 * may know of; 42501 where he has none of the privileges asked for.
 */
extern const WfWorkflow *wf_workflow_require(const char *name, int length, int privilege);

/*
 * The same, with the workflow's row locked until the transaction ends: for
 * who will change it.
 */
extern const WfWorkflow *wf_workflow_require_locked(const char *name, int length,
													int privilege);

/* 42704 for a number that no run's workflow would have, and as above */
extern const WfWorkflow *wf_workflow_require_id(int32 id, int privilege);

/* 42501 unless the caller is an administrator; what: "hand over a workflow" */
extern void wf_administrator_require(const char *what);

/*
 * 55000 in a restored copy of the database until wf_adopt(): OIDs of roles
 * written here would be taken for those of another server.
 */
extern void wf_adopted_require(void);

/* 42704 unless there is such a role; 22023 for '-' */
extern void wf_role_require(Oid role);

#endif							/* WF_ACCESS_H */
