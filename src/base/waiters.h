/*-------------------------------------------------------------------------
 * waiters.h
 *		Backends that wait for a run to end.
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

/* A run has ended, and that has committed.  Does not throw. */
extern void wf_waiters_wake(const pg_uuid_t *run_id);

#endif							/* WF_WAITERS_H */
