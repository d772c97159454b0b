/*-------------------------------------------------------------------------
 * evict.c
 *		Clear a database of our processes, for a statement that wants it for
 *		itself.
 *
 * An eviction is a count in the database's slot: neither launcher nor
 * dispatcher nor executor starts there while it is above zero.  It ends with
 * the transaction, not with the statement: only then is the new name, or the
 * end of the database, what others see.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/shmem.h"
#include "worker/evict.h"

#define PATIENCE	3000		/* ms until the statement tries its luck */
#define GRACE		1000		/* ms until a dispatcher is ended */

/* databases that this transaction keeps us away from */
static List *evicted = NIL;

static bool begin(Oid dbid, bool by_force);
static void wait_until_gone(Oid dbid, bool by_force);
static bool is_occupied(Oid dbid);
static void end_processes(Oid dbid, bool dispatcher, bool executors);

void
wf_evict(Oid dbid, bool by_force)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	List	   *longer = lappend_oid(list_copy(evicted), dbid);

	MemoryContextSwitchTo(old);
	if (!begin(dbid, by_force))
	{
		list_free(longer);
		return;
	}
	list_free(evicted);
	evicted = longer;
	wait_until_gone(dbid, by_force);
}

/* False: there is nothing of ours, and no slot to keep us away with. */
static bool
begin(Oid dbid, bool by_force)
{
	WfDatabase *database;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	database = wf_database_find(dbid);
	if (database == NULL)
		database = wf_database_take(dbid);
	if (database != NULL)
	{
		database->evicted++;
		if (database->dispatcher != NULL)
			SetLatch(&database->dispatcher->procLatch);
	}
	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		if (wf_shared->executors[i].dbid == dbid)
			wf_executor_stop(&wf_shared->executors[i], WF_STOP_AFTER_THIS);
	}
	LWLockRelease(wf_shared->lock);
	return database != NULL;
}

static void
wait_until_gone(Oid dbid, bool by_force)
{
	uint32		wait_event = WaitEventExtensionNew("PgWorkflowEvict");
	instr_time	start;
	instr_time	waited;
	bool		ended = false;

	if (by_force)
		end_processes(dbid, false, true);

	INSTR_TIME_SET_CURRENT(start);
	ConditionVariablePrepareToSleep(&wf_shared->exits);
	while (is_occupied(dbid))
	{
		ConditionVariableTimedSleep(&wf_shared->exits, 100, wait_event);

		INSTR_TIME_SET_CURRENT(waited);
		INSTR_TIME_SUBTRACT(waited, start);
		if (INSTR_TIME_GET_MILLISEC(waited) > PATIENCE)
			break;
		if (INSTR_TIME_GET_MILLISEC(waited) > GRACE && !ended)
		{
			end_processes(dbid, true, by_force);
			ended = true;
		}
	}
	ConditionVariableCancelSleep();
}

static bool
is_occupied(Oid dbid)
{
	WfDatabase *database;
	bool		occupied;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	database = wf_database_find(dbid);
	occupied = database != NULL && database->dispatcher_pid != 0;
	for (int i = 0; i < WF_MAX_EXECUTORS && !occupied; i++)
		occupied = wf_shared->executors[i].dbid == dbid &&
			wf_shared->executors[i].pid != 0;
	LWLockRelease(wf_shared->lock);
	return occupied;
}

/* The lock keeps the pids those of our processes. */
static void
end_processes(Oid dbid, bool dispatcher, bool executors)
{
	WfDatabase *database;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	database = wf_database_find(dbid);
	if (dispatcher && database != NULL && database->dispatcher_pid != 0)
		(void) kill(database->dispatcher_pid, SIGTERM);
	for (int i = 0; i < WF_MAX_EXECUTORS && executors; i++)
	{
		WfExecutor *executor = &wf_shared->executors[i];

		if (executor->dbid == dbid && executor->pid != 0)
			(void) kill(executor->pid, SIGTERM);
	}
	LWLockRelease(wf_shared->lock);
}

void
wf_evict_end(void)
{
	ListCell   *cell;

	if (evicted == NIL)
		return;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	foreach(cell, evicted)
	{
		WfDatabase *database = wf_database_find(lfirst_oid(cell));

		Assert(database != NULL && database->evicted > 0);
		database->evicted--;
	}
	LWLockRelease(wf_shared->lock);

	list_free(evicted);
	evicted = NIL;
	pg_atomic_write_u32(&wf_shared->relist, 1);
	wf_wake_launcher();
}
