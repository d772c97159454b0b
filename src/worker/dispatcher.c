/*-------------------------------------------------------------------------
 * dispatcher.c
 *		The dispatcher of one database: a loop around wf_dispatch_turn.
 *
 * Connected as the bootstrap superuser, and runs no code of any user.  Leaves
 * in order where the extension is missing, when DDL wants the database for
 * itself, or to come back with fresh settings; after an error it just ends,
 * and the launcher paces its return.  One per database: the slot has room
 * for one pid.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "ops/dispatch.h"
#include "ops/pool.h"
#include "store/relations.h"
#include "worker/dispatcher.h"
#include "worker/loop.h"

/* which database the slot was given to when the process was asked for */
typedef struct Order
{
	Oid			dbid;
	uint32		generation;
} Order;

/* what a look around finds */
typedef enum Sight
{
	OURS,						/* dispatch; the extension is locked */
	HELD,						/* a copy: nothing is dispatched */
	BUSY						/* somebody is dropping the extension */
} Sight;

#define DDL_DELAY 100			/* ms until we look again */

static WfDatabase *mine = NULL;
static LOCKTAG extension_lock;

static void attach(int slot);
static void detach(int code, Datum arg);
static void name_database_in_errors(void);
static void turn(MemoryContext context);
static bool rest_until(MemoryContext context, TimestampTz next);
static void leave_if_told(void);
static void leave(bool no_extension) pg_attribute_noreturn();
static Sight look_around(void);
static bool lock_extension(Oid extension);
static void unlock_extension(void);
static void mark_ready(void);

BackgroundWorkerHandle *
wf_dispatcher_start(int slot, const char *database)
{
	BackgroundWorkerHandle *handle = NULL;
	BackgroundWorker worker = {
		.bgw_type = "pg_workflow dispatcher",
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_library_name = WF_EXTENSION,
		.bgw_function_name = "wf_dispatcher_main",
		.bgw_main_arg = Int32GetDatum(slot),
		.bgw_notify_pid = MyProcPid
	};
	Order		order = {
		.dbid = wf_shared->databases[slot].dbid,
		.generation = wf_shared->databases[slot].generation
	};
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	snprintf(worker.bgw_name, BGW_MAXLEN, "pg_workflow dispatcher of database \"%s\"", database);
	memcpy(worker.bgw_extra, &order, sizeof(order));
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		handle = NULL;
	MemoryContextSwitchTo(old);
	return handle;
}

void
wf_dispatcher_main(Datum arg)
{
	MemoryContext context;

	wf_loop_begin(0);
	attach(DatumGetInt32(arg));
	name_database_in_errors();
	BackgroundWorkerInitializeConnectionByOid(mine->dbid, InvalidOid, 0);
	wf_loop_pin_settings();

	context = AllocSetContextCreate(TopMemoryContext, "pg_workflow turn",
									ALLOCSET_DEFAULT_SIZES);
	for (;;)
		turn(context);
}

/* Take the seat in the slot; end at once if it is no longer meant for us. */
static void
attach(int slot)
{
	Order		order;
	bool		meant_for_us;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	mine = &wf_shared->databases[slot];

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	meant_for_us = mine->dbid == order.dbid &&
		mine->generation == order.generation &&
		mine->dispatcher_pid == 0 && mine->evicted == 0;
	if (meant_for_us)
	{
		mine->dispatcher_pid = MyProcPid;
		mine->dispatcher = MyProc;
		mine->dispatcher_since = GetCurrentTimestamp();
		mine->attached = true;
		mine->ready = mine->in_order = false;
		mine->no_extension = mine->restart = false;
		on_shmem_exit(detach, 0);
	}
	LWLockRelease(wf_shared->lock);

	if (!meant_for_us)
		proc_exit(0);
}

/* By now we have left the database: its DDL may go on. */
static void
detach(int code, Datum arg)
{
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	mine->dispatcher_pid = 0;
	mine->dispatcher = NULL;
	LWLockRelease(wf_shared->lock);

	ConditionVariableBroadcast(&wf_shared->exits);
	wf_wake_launcher();
}

static void
describe_database(void *arg)
{
	errcontext("%s", MyBgworkerEntry->bgw_name);
}

static void
name_database_in_errors(void)
{
	static ErrorContextCallback callback = {.callback = describe_database};

	callback.previous = error_context_stack;
	error_context_stack = &callback;
}

/*
 * work is cleared before we look, so that what comes later wakes us again;
 * where we may look at the queues it is the turn's to clear.  The first look
 * finds what was committed while nobody was here.
 */
static void
turn(MemoryContext context)
{
	static bool away = true;
	static bool woken = true;
	TimestampTz next = DT_NOEND;
	bool		told;

	wf_loop_absorb_interrupts();
	leave_if_told();

	MemoryContextSwitchTo(context);
	if (!woken && !away && wf_dispatch_may_rest(&next))
	{
		woken = rest_until(context, next);
		return;
	}
	wf_loop_report("dispatching");
	told = pg_atomic_exchange_u32(&mine->work, 0) != 0;
	switch (look_around())
	{
		case OURS:
			if (told || away)
				pg_atomic_write_u32(&mine->work, 1);
			away = false;
			next = wf_dispatch_turn();
			unlock_extension();
			break;
		case HELD:
			away = true;
			break;
		case BUSY:
			away = true;
			next = TimestampTzPlusMilliseconds(wf_clock_now(), DDL_DELAY);
			break;
	}

	woken = rest_until(context, next);
}

/* True: somebody has set the latch. */
static bool
rest_until(MemoryContext context, TimestampTz next)
{
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextReset(context);
	return wf_loop_sleep_until(next);
}

static void
leave_if_told(void)
{
	bool		told;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	told = mine->evicted > 0 || mine->restart;
	LWLockRelease(wf_shared->lock);
	if (told)
		leave(false);
}

static void
leave(bool no_extension)
{
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	mine->in_order = true;
	mine->no_extension = no_extension;
	LWLockRelease(wf_shared->lock);
	proc_exit(0);
}

/* Remembered until an invalidation; the catalog has no cache for extensions. */
static Oid
find_extension(void)
{
	const WfRelations *relations = wf_relations_if_any();

	return relations != NULL ? relations->extension : get_extension_oid(WF_EXTENSION, true);
}

/*
 * Is the extension here, and its queue this database's own?  If so, keep the
 * extension from being dropped during the turn.  Ends the process where it is
 * not here, or no longer the one that we have served so far: nothing that we
 * remember holds for another.
 */
static Sight
look_around(void)
{
	static Oid	served = InvalidOid;
	MemoryContext context = CurrentMemoryContext;
	Sight		sight = BUSY;
	Oid			found;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	found = find_extension();
	if (OidIsValid(found) && (served == found || !OidIsValid(served)) &&
		lock_extension(found))
	{
		(void) wf_relations();
		sight = wf_identity_matches() ? OURS : HELD;
		if (sight == HELD)
			unlock_extension();
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);

	if (!OidIsValid(found) || (OidIsValid(served) && served != found))
	{
		wf_pool_stop_all();
		leave(!OidIsValid(found));
	}
	if (sight != BUSY && !OidIsValid(served))
	{
		served = found;
		mark_ready();
	}
	return sight;
}

/*
 * Lock the extension against DROP, for the session: the turn has transactions
 * of its own.  False: somebody is dropping it, or has; we do not stand in the
 * queue with them.
 */
static bool
lock_extension(Oid extension)
{
	SET_LOCKTAG_OBJECT(extension_lock, MyDatabaseId, ExtensionRelationId, extension, 0);
	if (LockAcquire(&extension_lock, AccessShareLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;

	AcceptInvalidationMessages();
	if (find_extension() == extension)
		return true;
	unlock_extension();
	return false;
}

static void
unlock_extension(void)
{
	LockRelease(&extension_lock, AccessShareLock, true);
}

/* The launcher waits for this before it starts many more. */
static void
mark_ready(void)
{
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	mine->ready = true;
	LWLockRelease(wf_shared->lock);
	wf_wake_launcher();
}
