/*-------------------------------------------------------------------------
 * pool.c
 *		The executors of this database, as its dispatcher deals with them.
 *
 * A slot belongs to a (database, owner) from when it is taken until the
 * dispatcher has reaped it, however its process ends: what was under way is
 * read from it.  A dispatcher that comes after one that died finds its
 * executors by their slots; of those it has no handles, and gives one that
 * never attaches START_LIMIT.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pidfile.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/guc.h"
#include "ops/pace.h"
#include "ops/pool.h"
#include "store/workflow_store.h"

#define START_LIMIT		(60 * USECS_PER_SEC)	/* to attach */
#define SLOW			(100 * INT64CONST(1000))	/* a run that others
													 * should not wait behind */
#define RETRY_SHORTAGE	USECS_PER_SEC
#define SILENCE			(600 * USECS_PER_SEC)	/* between two complaints */

/* An executor of this database. */
typedef struct Member
{
	WfExecutor *executor;
	BackgroundWorkerHandle *handle; /* NULL: an earlier dispatcher's */
} Member;

WfExecutor *wf_pool_self = NULL;

static Member members[WF_MAX_EXECUTORS];
static int	nmembers = 0;
static TimestampTz retry_at = DT_NOEND;

static void adopt(void);
static bool launch(Member *member);
static const char *database_name(void);
static void note_shortage(bool is_short);
static bool is_gone(const Member *member);
static bool server_is_stopping(void);
static void release(int i);

static uint32
queue_length(WfExecutor *executor)
{
	return pg_atomic_read_u32(&executor->head) -
		pg_atomic_read_u32(&executor->tail);
}

/*
 * Has it been at one run for long?  Entries behind that are not looked at
 * until the run is over, or its executor has ended.
 */
static bool
is_slow(WfExecutor *executor, TimestampTz now)
{
	bool		slow;

	SpinLockAcquire(&executor->mutex);
	slow = executor->busy && now - executor->current.begun_at >= SLOW;
	SpinLockRelease(&executor->mutex);
	return slow;
}

TimestampTz
wf_pool_take_back(WfExecutor *executor, TimestampTz now, uint32 *kept)
{
	TimestampTz slow_at = now + SLOW;

	*kept = pg_atomic_read_u32(&executor->head);
	if (queue_length(executor) <= 1 || executor->pid == 0)
		return DT_NOEND;

	SpinLockAcquire(&executor->mutex);
	if (executor->busy)
	{
		uint32		behind = pg_atomic_read_u32(&executor->tail) + executor->begun;

		slow_at = behind == *kept ? DT_NOEND : executor->current.begun_at + SLOW;
		if (slow_at <= now)
		{
			*kept = behind;
			pg_atomic_write_u32(&executor->head, behind);
			slow_at = DT_NOEND;
		}
	}
	SpinLockRelease(&executor->mutex);
	return slow_at;
}

/* Take over what an earlier dispatcher of this database has left. */
static void
adopt(void)
{
	static bool done = false;

	if (done)
		return;
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		if (wf_shared->executors[i].dbid != MyDatabaseId)
			continue;
		members[nmembers].executor = &wf_shared->executors[i];
		members[nmembers].handle = NULL;
		nmembers++;
	}
	LWLockRelease(wf_shared->lock);
	done = true;
}

WfExecutor *
wf_pool_find(Oid owner)
{
	WfExecutor *best = NULL;
	TimestampTz now = wf_clock_now();

	adopt();
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	for (int i = 0; i < nmembers; i++)
	{
		WfExecutor *executor = members[i].executor;

		if (executor->owner != owner || (executor->attached && executor->pid == 0) ||
			pg_atomic_read_u32(&executor->stop) != WF_STOP_NO ||
			wf_pool_room(executor) == 0 || is_slow(executor, now))
			continue;
		if (best == NULL || queue_length(executor) < queue_length(best))
			best = executor;
	}
	LWLockRelease(wf_shared->lock);
	return best;
}

/* Does more than one role have workflows with handlers here? */
static bool
several_owners(void)
{
	static uint64 epoch = 0;
	static bool several = false;
	Oid			first = InvalidOid;
	int32	   *ids;
	int			n;

	if (epoch == wf_workflow_epoch())
		return several;
	n = wf_workflow_ids(&ids);
	epoch = wf_workflow_epoch();
	several = false;
	for (int i = 0; i < n && !several; i++)
	{
		const WfWorkflow *workflow = wf_workflow_by_id(ids[i]);

		if (workflow == NULL || workflow->dropped || !workflow->has_handler ||
			!OidIsValid(workflow->owner))
			continue;
		several = OidIsValid(first) && workflow->owner != first;
		first = workflow->owner;
	}
	return several;
}

/*
 * Handlers that do not end may take all places but one, so that other owners
 * have their turn.
 */
static bool
has_share(Oid owner)
{
	int			n = 0;

	for (int i = 0; i < nmembers; i++)
		n += members[i].executor->owner == owner ? 1 : 0;
	return n >= Max(wf_max_executors - 1, 1) && several_owners();
}

/* An executor is at one run, so that their number bounds that of runs. */
static bool
is_at_limit(Oid owner)
{
	int			n = 0;

	if (wf_max_running_per_role == 0)
		return false;
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
		if (OidIsValid(wf_shared->executors[i].dbid) && wf_shared->executors[i].owner == owner)
			n++;
	LWLockRelease(wf_shared->lock);
	return n >= wf_max_running_per_role;
}

bool
wf_pool_owner_has_enough(Oid owner)
{
	return is_at_limit(owner) || has_share(owner);
}

bool
wf_pool_owner_has_any(Oid owner)
{
	for (int i = 0; i < nmembers; i++)
		if (members[i].executor->owner == owner &&
			pg_atomic_read_u32(&members[i].executor->stop) == WF_STOP_NO)
			return true;
	return false;
}

WfExecutor *
wf_pool_start(Oid owner)
{
	WfExecutor *executor = NULL;
	Member	   *member;

	Assert(OidIsValid(owner));
	adopt();
	if (wf_pace_next(owner) > wf_clock_now())
	{
		wf_pool_retry_by(wf_pace_next(owner));
		return NULL;
	}
	if (nmembers >= Min(wf_max_executors, WF_MAX_EXECUTORS) || has_share(owner))
		return NULL;
	if (is_at_limit(owner))
	{
		/* those of another database do not wake us when they go */
		wf_pool_retry_by(wf_clock_now() + RETRY_SHORTAGE);
		return NULL;
	}

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	executor = wf_executor_take(MyDatabaseId, owner);
	LWLockRelease(wf_shared->lock);
	if (executor == NULL)
	{
		wf_pool_retry_by(wf_clock_now() + RETRY_SHORTAGE);
		return NULL;
	}

	member = &members[nmembers++];
	member->executor = executor;
	member->handle = NULL;
	if (launch(member))
		return executor;

	release(nmembers - 1);
	wf_pool_retry_by(wf_clock_now() + RETRY_SHORTAGE);
	return NULL;
}

TimestampTz
wf_pool_retry_at(void)
{
	TimestampTz time = retry_at;

	retry_at = DT_NOEND;
	return time;
}

void
wf_pool_retry_by(TimestampTz time)
{
	retry_at = Min(retry_at, time);
}

/* Have the postmaster start the process; false: it has no room for it. */
static bool
launch(Member *member)
{
	BackgroundWorker worker = {
		.bgw_type = "pg_workflow executor",
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_library_name = WF_EXTENSION,
		.bgw_function_name = "wf_executor_main",
		.bgw_notify_pid = MyProcPid
	};
	WfExecutorOrder order = {
		.slot = member->executor - wf_shared->executors,
		.generation = member->executor->generation,
		.dbid = member->executor->dbid,
		.owner = member->executor->owner
	};
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		started;

	StaticAssertStmt(sizeof(order) <= BGW_EXTRALEN, "order fits bgw_extra");
	snprintf(worker.bgw_name, BGW_MAXLEN, "pg_workflow executor of database \"%s\"",
			 database_name());
	memcpy(worker.bgw_extra, &order, sizeof(order));
	started = RegisterDynamicBackgroundWorker(&worker, &member->handle);
	MemoryContextSwitchTo(old);
	note_shortage(!started);
	return started;
}

/* Renaming a database ends its dispatcher, so the name can be kept. */
static const char *
database_name(void)
{
	static NameData name;
	bool		outside = !IsTransactionState();

	if (NameStr(name)[0] != '\0')
		return NameStr(name);

	if (outside)
		StartTransactionCommand();
	namestrcpy(&name, get_database_name(MyDatabaseId));
	if (outside)
		CommitTransactionCommand();
	return NameStr(name);
}

/* Remember for wf_why, and say now and then, that no process is to be had. */
static void
note_shortage(bool is_short)
{
	static TimestampTz told = 0;
	WfDatabase *mine = wf_database_mine();
	TimestampTz now = GetCurrentTimestamp();

	if (mine != NULL)
		pg_atomic_write_u32(&mine->short_of_processes, is_short);
	if (!is_short || (told != 0 && now - told < SILENCE))
		return;
	told = now;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("pg_workflow could not start an executor: no background worker slot is free"),
			 errhint("Executors are shared in turns until then; you might need to increase max_worker_processes.")));
}

int
wf_pool_reap(void (*dead) (WfExecutor *executor, void *arg), void *arg)
{
	int			reaped = 0;

	adopt();
	for (int i = nmembers - 1; i >= 0; i--)
	{
		WfExecutor *executor = members[i].executor;

		if (!is_gone(&members[i]))
			continue;
		if (executor->begun > 0 && server_is_stopping())
			continue;

		if (executor->connected)
			wf_pace_started(executor->owner);
		else if (pg_atomic_read_u32(&executor->stop) == WF_STOP_NO)
			wf_pace_failed(executor);
		dead(executor, arg);
		release(i);
		reaped++;
	}
	return reaped;
}

/* Once true, nobody else touches the slot until we free it. */
static bool
is_gone(const Member *member)
{
	const WfExecutor *executor = member->executor;
	bool		gone;
	pid_t		pid;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	if (executor->pid != 0)
		gone = false;
	else if (executor->attached)
		gone = true;
	else if (member->handle != NULL)
		gone = GetBackgroundWorkerPid(member->handle, &pid) == BGWH_STOPPED;
	else
		gone = GetCurrentTimestamp() - executor->since > START_LIMIT;
	LWLockRelease(wf_shared->lock);
	return gone;
}

/*
 * Only the postmaster knows; it writes it to its lock file before it tells
 * its children.
 */
static bool
server_is_stopping(void)
{
	FILE	   *file = AllocateFile("postmaster.pid", "r");
	char		line[MAXPGPATH];
	bool		stopping = false;

	if (file == NULL)
		return true;
	for (int i = 1; fgets(line, sizeof(line), file) != NULL; i++)
	{
		if (i == LOCK_FILE_LINE_PM_STATUS)
			stopping = strncmp(line, PM_STATUS_STOPPING, strlen(PM_STATUS_STOPPING)) == 0;
	}
	FreeFile(file);
	return stopping;
}

/* Free the slot of a member, and forget the member. */
static void
release(int i)
{
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	wf_executor_free(members[i].executor);
	LWLockRelease(wf_shared->lock);

	if (members[i].handle != NULL)
		pfree(members[i].handle);
	members[i] = members[--nmembers];
}

int
wf_pool_room(WfExecutor *executor)
{
	return WF_EXECUTOR_QUEUE - (int) queue_length(executor);
}

void
wf_pool_push(WfExecutor *executor, const WfItem *item)
{
	uint32		head = pg_atomic_read_u32(&executor->head);

	Assert(wf_pool_room(executor) > 0);
	executor->items[head % WF_EXECUTOR_QUEUE] = *item;
	pg_write_barrier();
	pg_atomic_write_u32(&executor->head, head + 1);
}

/* A long queue is refilled before it is empty. */
void
wf_pool_kick(WfExecutor *executor)
{
	uint32		length = queue_length(executor);

	pg_atomic_write_u32(&executor->refill, length >= 8 ? length / 2 : 0);
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	if (executor->proc != NULL)
		SetLatch(&executor->proc->procLatch);
	LWLockRelease(wf_shared->lock);
}

int
wf_pool_under_way(void)
{
	int			n = 0;

	adopt();
	for (int i = 0; i < nmembers; i++)
		n += queue_length(members[i].executor);
	return n;
}
