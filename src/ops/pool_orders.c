/*-------------------------------------------------------------------------
 * pool_orders.c
 *		What executors are told from outside: to leave, to interrupt a run.
 *
 * Goes by the slots in shared memory alone, so that it works in any backend
 * and for executors that an earlier dispatcher has started.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "ops/pool.h"
#include "ops/seat.h"

#define TURN	(100 * INT64CONST(1000))	/* of an owner, where others wait */
#define GRACE	(5 * USECS_PER_SEC) /* after a cancel that is trapped */

static WfExecutor *find_idle(Oid other_than_owner);
static WfExecutor *find_longest(Oid other_than_owner);

bool
wf_pool_retire_idle(Oid other_than_owner, bool also_busy)
{
	WfExecutor *executor;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	executor = find_idle(other_than_owner);
	if (executor == NULL && also_busy)
		executor = find_longest(other_than_owner);
	if (executor != NULL)
		wf_executor_stop(executor, WF_STOP_WHEN_EMPTY);
	LWLockRelease(wf_shared->lock);
	return executor != NULL;
}

/* Can it be asked, for the sake of somebody else? */
static bool
may_be_asked(WfExecutor *executor)
{
	return executor->connected && executor->pid != 0 &&
		pg_atomic_read_u32(&executor->stop) == WF_STOP_NO;
}

static WfExecutor *
find_idle(Oid other_than_owner)
{
	WfDatabase *mine = wf_database_find(MyDatabaseId);
	bool		anywhere = mine != NULL &&
		pg_atomic_read_u32(&mine->short_of_processes) != 0;
	WfExecutor *idle = NULL;

	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		WfExecutor *executor = &wf_shared->executors[i];
		bool		ours = executor->dbid == MyDatabaseId;

		if (!may_be_asked(executor) || wf_pool_room(executor) < WF_EXECUTOR_QUEUE ||
			(ours ? executor->owner == other_than_owner : !anywhere))
			continue;
		idle = executor;
		if (ours)
			break;
	}
	return idle;
}

/*
 * None but one in a while is asked, lest all of them go for the sake of one
 * owner.
 */
static WfExecutor *
find_longest(Oid other_than_owner)
{
	static TimestampTz asked = 0;
	TimestampTz now = GetCurrentTimestamp();
	WfExecutor *longest = NULL;

	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		WfExecutor *executor = &wf_shared->executors[i];

		if (executor->dbid == MyDatabaseId && may_be_asked(executor) &&
			executor->owner != other_than_owner &&
			(longest == NULL || executor->since < longest->since))
			longest = executor;
	}
	if (longest == NULL)
		return NULL;

	if (Max(asked, longest->since) > now - TURN && asked <= now)
	{
		wf_pool_retry_by(wf_clock_now() + TURN);
		return NULL;
	}
	asked = now;
	return longest;
}

void
wf_pool_stop_all(void)
{
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		if (wf_shared->executors[i].dbid == MyDatabaseId)
			wf_executor_stop(&wf_shared->executors[i], WF_STOP_AFTER_THIS);
	}
	LWLockRelease(wf_shared->lock);
}

/*
 * The lock keeps the pid that of the executor, the mutex keeps the run its
 * current one: the signal is sent under both, for it must not meet the next
 * run.  Sending it is one system call that does not wait.
 */
void
wf_pool_cancel(const pg_uuid_t *run_id)
{
	TimestampTz now = GetCurrentTimestamp();

	if (wf_shared == NULL)
		return;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		WfExecutor *executor = &wf_shared->executors[i];
		bool		found;

		if (executor->dbid != MyDatabaseId || executor->pid == 0)
			continue;
		SpinLockAcquire(&executor->mutex);
		found = executor->busy &&
			memcmp(&executor->current.run_id, run_id, sizeof(pg_uuid_t)) == 0;
		if (found)
		{
			executor->cancel = true;
			executor->cancelled_at = now;
			(void) kill(executor->pid, SIGINT);
		}
		SpinLockRelease(&executor->mutex);
		if (found)
			wf_seat_wake_dispatcher(executor);
	}
	LWLockRelease(wf_shared->lock);
}

TimestampTz
wf_pool_end_cancelled(WfExecutor *executor)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end_at = DT_NOEND;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	SpinLockAcquire(&executor->mutex);
	if (executor->busy && executor->cancel && executor->pid != 0)
	{
		end_at = executor->cancelled_at + GRACE;
		if (end_at <= now)
		{
			(void) kill(executor->pid, SIGTERM);
			executor->cancelled_at = now;
			end_at = now + GRACE;
		}
	}
	SpinLockRelease(&executor->mutex);
	LWLockRelease(wf_shared->lock);
	return end_at;
}
