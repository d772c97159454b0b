/*-------------------------------------------------------------------------
 * waiters.h
 *		Backends that wait for a run to end, and for work to claim.
 *-------------------------------------------------------------------------
 */
#ifndef WF_WAITERS_H
#define WF_WAITERS_H

#include "utils/uuid.h"

#define WF_MAX_WAITERS 1024

extern Size wf_waiters_shmem_size(void);
extern void wf_waiters_shmem_init(void);

/*
 * Have this backend's latch set when the run ends.  -1: no place is left, or
 * no shared memory; the caller looks now and then instead.
 */
extern int	wf_waiter_enter(const pg_uuid_t *run_id);
extern void wf_waiter_leave(int place);

/* workflows that one backend waits for; more: it is woken for any of its database */
#define WF_WAIT_WORKFLOWS 16

/*
 * Have this backend's latch set when there is work of one of the workflows.
 * -1 as above.  Call again after each wake-up that brought nothing.
 */
extern int	wf_work_waiter_enter(const int32 *workflow_ids, int n);
extern void wf_work_waiter_again(int place);
extern void wf_work_waiter_leave(int place);

/* How many backends wait for work of a workflow and have not been woken? */
extern int	wf_work_waiters(int32 workflow_id);

/* Wake up to n of them, in turns. */
extern void wf_work_waiters_wake(int32 workflow_id, int n);

/* A run has ended, and that has committed.  Does not throw. */
extern void wf_waiters_wake(const pg_uuid_t *run_id);

#endif							/* WF_WAITERS_H */
