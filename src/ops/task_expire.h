/*-------------------------------------------------------------------------
 * task_expire.h
 *		Give back the space of tasks that are over.
 *-------------------------------------------------------------------------
 */
#ifndef WF_TASK_EXPIRE_H
#define WF_TASK_EXPIRE_H

/* One step in the background, in the caller's transaction; true: there may be more to do. */
extern bool wf_task_expire_step(void);

/* All that can be done at once, until about max_rows are removed; how many were. */
extern int64 wf_task_expire_now(int64 max_rows);

#endif							/* WF_TASK_EXPIRE_H */
