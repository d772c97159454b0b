/*-------------------------------------------------------------------------
 * waiters.c
 *		Backends that wait for a run to end, and for work to claim.
 *
 * A place is taken before the run's state is looked at, and whoever ends the
 * run looks at the places after its commit: one of the two sees the other.
 * Those who wait for work are woken by the dispatcher, one for each run.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
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

typedef struct WorkWaiters
{
	pg_atomic_uint32 n;			/* places that are taken; a hint */
	slock_t		mutex;
	/* under mutex */
	int			next;			/* place that is looked at first */
	struct
	{
		PGPROC	   *proc;		/* NULL: free */
		Oid			dbid;
		bool		woken;
		int			nworkflows; /* 0: any of the database */
		int32		workflows[WF_WAIT_WORKFLOWS];
	}			places[WF_MAX_WAITERS];
} WorkWaiters;

static Waiters *waiters = NULL;
static WorkWaiters *work_waiters = NULL;

/* this backend's places, -1: none; given back also when it is terminated */
static int	my_place = -1;
static int	my_work_place = -1;
static bool exit_callback_registered = false;

Size
wf_waiters_shmem_size(void)
{
	return add_size(MAXALIGN(sizeof(Waiters)), MAXALIGN(sizeof(WorkWaiters)));
}

void
wf_waiters_shmem_init(void)
{
	bool		found;

	waiters = ShmemInitStruct("pg_workflow waiters", sizeof(Waiters), &found);
	work_waiters = ShmemInitStruct("pg_workflow work waiters", sizeof(WorkWaiters), &found);
	if (found)
		return;
	memset(waiters, 0, sizeof(Waiters));
	pg_atomic_init_u32(&waiters->n, 0);
	SpinLockInit(&waiters->mutex);
	memset(work_waiters, 0, sizeof(WorkWaiters));
	pg_atomic_init_u32(&work_waiters->n, 0);
	SpinLockInit(&work_waiters->mutex);
}

/* FATAL unwinds no PG_FINALLY. */
static void
leave_at_exit(int code, Datum arg)
{
	wf_waiter_leave(my_place);
	wf_work_waiter_leave(my_work_place);
}

static void
register_exit(void)
{
	if (!exit_callback_registered)
		before_shmem_exit(leave_at_exit, (Datum) 0);
	exit_callback_registered = true;
}

int
wf_waiter_enter(const pg_uuid_t *run_id)
{
	int			place = -1;

	if (waiters == NULL)
		return -1;
	register_exit();
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
	my_place = place;
	return place;
}

void
wf_waiter_leave(int place)
{
	if (place < 0)
		return;
	my_place = -1;
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

int
wf_work_waiter_enter(const int32 *workflow_ids, int n)
{
	int			place = -1;

	if (work_waiters == NULL)
		return -1;
	register_exit();
	SpinLockAcquire(&work_waiters->mutex);
	for (int i = 0; i < WF_MAX_WAITERS && place < 0; i++)
		if (work_waiters->places[i].proc == NULL)
			place = i;
	if (place >= 0)
	{
		work_waiters->places[place].proc = MyProc;
		work_waiters->places[place].dbid = MyDatabaseId;
		work_waiters->places[place].woken = false;
		work_waiters->places[place].nworkflows = n <= WF_WAIT_WORKFLOWS ? n : 0;
		if (n <= WF_WAIT_WORKFLOWS)
			memcpy(work_waiters->places[place].workflows, workflow_ids, sizeof(int32) * n);
	}
	SpinLockRelease(&work_waiters->mutex);
	if (place >= 0)
		pg_atomic_fetch_add_u32(&work_waiters->n, 1);
	pg_memory_barrier();
	my_work_place = place;
	return place;
}

void
wf_work_waiter_again(int place)
{
	if (place < 0)
		return;
	SpinLockAcquire(&work_waiters->mutex);
	work_waiters->places[place].woken = false;
	SpinLockRelease(&work_waiters->mutex);
	pg_memory_barrier();
}

void
wf_work_waiter_leave(int place)
{
	if (place < 0)
		return;
	my_work_place = -1;
	SpinLockAcquire(&work_waiters->mutex);
	work_waiters->places[place].proc = NULL;
	SpinLockRelease(&work_waiters->mutex);
	pg_atomic_fetch_sub_u32(&work_waiters->n, 1);
}

/* Does a place wait for a workflow, and was it not woken yet?  Mutex held. */
static bool
waits_for(int place, int32 workflow_id)
{
	int			n = work_waiters->places[place].nworkflows;

	if (work_waiters->places[place].proc == NULL ||
		work_waiters->places[place].woken ||
		work_waiters->places[place].dbid != MyDatabaseId)
		return false;
	for (int i = 0; i < n; i++)
		if (work_waiters->places[place].workflows[i] == workflow_id)
			return true;
	return n == 0;
}

int
wf_work_waiters(int32 workflow_id)
{
	int			found = 0;

	if (work_waiters == NULL || pg_atomic_read_u32(&work_waiters->n) == 0)
		return 0;
	SpinLockAcquire(&work_waiters->mutex);
	for (int i = 0; i < WF_MAX_WAITERS; i++)
		if (waits_for(i, workflow_id))
			found++;
	SpinLockRelease(&work_waiters->mutex);
	return found;
}

void
wf_work_waiters_wake(int32 workflow_id, int n)
{
	SpinLockAcquire(&work_waiters->mutex);
	for (int i = 0; i < WF_MAX_WAITERS && n > 0; i++)
	{
		int			place = (work_waiters->next + i) % WF_MAX_WAITERS;

		if (!waits_for(place, workflow_id))
			continue;
		work_waiters->places[place].woken = true;
		SetLatch(&work_waiters->places[place].proc->procLatch);
		n--;
		if (n == 0)
			work_waiters->next = (place + 1) % WF_MAX_WAITERS;
	}
	SpinLockRelease(&work_waiters->mutex);
}
