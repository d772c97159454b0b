/*-------------------------------------------------------------------------
 * task_owner.h
 *		Under what the tasks of a role are stored: wf.task_owner.
 *-------------------------------------------------------------------------
 */
#ifndef WF_TASK_OWNER_H
#define WF_TASK_OWNER_H

#include "utils/uuid.h"

typedef struct WfTaskOwner
{
	pg_uuid_t	owner;
	int32		number;			/* in the place of a workflow's, negative */
} WfTaskOwner;

/* The current user's; false: he has never had a task. */
extern bool wf_task_owner_find(WfTaskOwner *owner);

/* The current user's, written where there is none yet. */
extern void wf_task_owner_require(WfTaskOwner *owner);

/* Follow ALTER ROLE ... RENAME and DROP ROLE; how many rows had to. */
extern int64 wf_task_owner_follow(void);

/* This copy is ours from now on: find the roles by their names. */
extern void wf_task_owner_adopt(void);

#endif							/* WF_TASK_OWNER_H */
