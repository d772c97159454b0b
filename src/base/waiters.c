/*-------------------------------------------------------------------------
 * waiters.c
 *		Backends that wait for a run to end.
 *
 * A place is taken before the run's state is looked at, and whoever ends the
 * run looks at the places after its commit: one of the two sees the other.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#include "base/waiters.h"

typedef struct Waiters
{
	pg_atomic_uint32 n;			/* places that are taken; a hint */
	slock_t		mutex;
	struct
	{
		/* under mutex */
		PGPROC	   *proc;		/* NULL: free */
		Oid			dbid;
		pg_uuid_t	run_id;
	}			places[WF_MAX_WAITERS];
} Waiters;

static Waiters *waiters = NULL;

Size
wf_waiters_shmem_size(void)
{
	return MAXALIGN(sizeof(Waiters));
}

void
wf_waiters_shmem_init(void)
{
	bool		found;

	waiters = ShmemInitStruct("pg_workflow waiters", sizeof(Waiters), &found);
	if (found)
		return;
	memset(waiters, 0, sizeof(Waiters));
	pg_atomic_init_u32(&waiters->n, 0);
	SpinLockInit(&waiters->mutex);
}

int
wf_waiter_enter(const pg_uuid_t *run_id)
{
	int			place = -1;

	if (waiters == NULL)
		return -1;
	SpinLockAcquire(&waiters->mutex);
	for (int i = 0; i < WF_MAX_WAITERS && place < 0; i++)
		if (waiters->places[i].proc == NULL)
			place = i;
	if (place >= 0)
	{
		waiters->places[place].proc = MyProc;
		waiters->places[place].dbid = MyDatabaseId;
		waiters->places[place].run_id = *run_id;
	}
	SpinLockRelease(&waiters->mutex);
	if (place >= 0)
		pg_atomic_fetch_add_u32(&waiters->n, 1);
	pg_memory_barrier();
	return place;
}

void
wf_waiter_leave(int place)
{
	if (place < 0)
		return;
	SpinLockAcquire(&waiters->mutex);
	waiters->places[place].proc = NULL;
	SpinLockRelease(&waiters->mutex);
	pg_atomic_fetch_sub_u32(&waiters->n, 1);
}

void
wf_waiters_wake(const pg_uuid_t *run_id)
{
	if (waiters == NULL)
		return;
	pg_memory_barrier();
	if (pg_atomic_read_u32(&waiters->n) == 0)
		return;

	/* a latch may be set for nothing, never missed: a set latch is harmless */
	SpinLockAcquire(&waiters->mutex);
	for (int i = 0; i < WF_MAX_WAITERS; i++)
	{
		PGPROC	   *proc = waiters->places[i].proc;

		if (proc != NULL && waiters->places[i].dbid == MyDatabaseId &&
			memcmp(&waiters->places[i].run_id, run_id, UUID_LEN) == 0)
			SetLatch(&proc->procLatch);
	}
	SpinLockRelease(&waiters->mutex);
}
