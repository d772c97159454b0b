/*-------------------------------------------------------------------------
 * executor.c
 *		An executor: logged in as an owner, executes what is in its queue.
 *
 * There is nobody else underneath: the role it is authenticated as is the
 * owner of the workflows whose handlers it runs, and it is never used for
 * another.  Its slot shows what it is at; when it ends, by whatever means,
 * that stays there for the dispatcher to find.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/resource.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/guc.h"
#include "ops/pool.h"
#include "ops/seat.h"
#include "ops/serve.h"
#include "worker/executor.h"
#include "worker/loop.h"

/* a fresh process now and then keeps small leaks of handlers small */
#define RUNS_PER_PROCESS 100000

static WfExecutor *self = NULL;
static emit_log_hook_type previous_log_hook = NULL;

static void attach(const WfExecutorOrder *order);
static void detach(int code, Datum arg);
static void log_in(const WfExecutorOrder *order);
static void limit_memory(void);
static void serve(MemoryContext context);
static bool may_stay(void);
static void retire(void);

void
wf_executor_main(Datum arg)
{
	WfExecutorOrder order;
	MemoryContext context;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	wf_loop_begin(0);
	attach(&order);
	log_in(&order);

	context = AllocSetContextCreate(TopMemoryContext, "pg_workflow item",
									ALLOCSET_DEFAULT_SIZES);
	serve(context);
	proc_exit(0);
}

/*
 * Take the seat in the slot.  A process that comes too late, for the slot was
 * given up or the database is wanted for DDL, leaves before it connects.
 */
static void
attach(const WfExecutorOrder *order)
{
	WfDatabase *database;
	bool		welcome;

	self = &wf_shared->executors[order->slot];

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	if (self->dbid != order->dbid || self->generation != order->generation ||
		self->attached)
	{
		LWLockRelease(wf_shared->lock);
		proc_exit(0);
	}
	self->attached = true;
	self->pid = MyProcPid;
	self->proc = MyProc;
	self->since = GetCurrentTimestamp();
	on_shmem_exit(detach, 0);

	database = wf_database_find(order->dbid);
	welcome = database != NULL && database->evicted == 0;
	if (!welcome)
		wf_executor_stop(self, WF_STOP_AFTER_THIS);
	LWLockRelease(wf_shared->lock);

	if (!welcome)
		proc_exit(0);
}

/*
 * By now we have left the database, and the transaction is rolled back.  Once
 * the pid is 0 the slot may be freed.
 */
static void
detach(int code, Datum arg)
{
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	self->pid = 0;
	self->proc = NULL;
	wf_seat_wake_dispatcher(self);
	LWLockRelease(wf_shared->lock);

	ConditionVariableBroadcast(&wf_shared->exits);
}

/* What keeps us from serving is left in the slot, for wf_why. */
static void
note_refusal(ErrorData *error)
{
	if (error->elevel >= FATAL && error->message != NULL && !self->connected)
		strlcpy(self->refusal, error->message, WF_REFUSAL);
	if (previous_log_hook)
		previous_log_hook(error);
}

/* Contract: such an owner's runs wait. */
static void
refuse_read_only(void)
{
	if (!DefaultXactReadOnly)
		return;
	ereport(FATAL,
			(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
			 errmsg("default_transaction_read_only is on for an owner of workflows"),
			 errdetail("The runs of its workflows wait.")));
}

/*
 * OID 0 would be the bootstrap superuser.  The dispatcher hears of an executor
 * that can be used, or asked to leave.
 */
static void
log_in(const WfExecutorOrder *order)
{
	if (!OidIsValid(order->owner))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("executor without an owner")));

	previous_log_hook = emit_log_hook;
	emit_log_hook = note_refusal;
	BackgroundWorkerInitializeConnectionByOid(order->dbid, order->owner, WF_LOGIN_FLAGS);
	refuse_read_only();
	wf_loop_pin_role();
	if (!wf_synchronous_commit)
		SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("application_name", WF_EXTENSION, PGC_USERSET, PGC_S_OVERRIDE);

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	self->connected = true;
	wf_seat_wake_dispatcher(self);
	LWLockRelease(wf_shared->lock);
	wf_pool_self = self;
}

/*
 * With a limit, a handler that allocates without end gets an error, where
 * otherwise the kernel might kill a process and so the server.  Set anew
 * whenever it changes.
 */
static void
limit_memory(void)
{
#ifdef RLIMIT_DATA
	static int	in_force = 0;
	struct rlimit limit;

	if (wf_executor_memory_limit == in_force || getrlimit(RLIMIT_DATA, &limit) != 0)
		return;
	limit.rlim_cur = wf_executor_memory_limit == 0 ? limit.rlim_max :
		Min((rlim_t) wf_executor_memory_limit * 1024, limit.rlim_max);
	if (setrlimit(RLIMIT_DATA, &limit) == 0)
		in_force = wf_executor_memory_limit;
#endif
}

/* Execute until told to leave, or idle for too long. */
static void
serve(MemoryContext context)
{
	int			runs = 0;

	for (;;)
	{
		int			n;

		wf_loop_absorb_interrupts();
		limit_memory();
		if (!may_stay())
			return;

		MemoryContextSwitchTo(context);
		n = wf_serve_next();
		MemoryContextSwitchTo(TopMemoryContext);
		MemoryContextReset(context);
		if (n == 0)
		{
			if (!wf_loop_sleep(wf_executor_idle_timeout))
				retire();
			continue;
		}
		pgstat_report_stat(false);
		runs += n;
		if (runs >= RUNS_PER_PROCESS)
			retire();
	}
}

static bool
may_stay(void)
{
	switch ((WfStop) pg_atomic_read_u32(&self->stop))
	{
		case WF_STOP_NO:
			return true;
		case WF_STOP_WHEN_EMPTY:
			pg_memory_barrier();
			return pg_atomic_read_u32(&self->head) != pg_atomic_read_u32(&self->tail);
		case WF_STOP_AFTER_THIS:
			break;
	}
	return false;
}

/* Take no more than what has been handed over already. */
static void
retire(void)
{
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	wf_executor_stop(self, WF_STOP_WHEN_EMPTY);
	LWLockRelease(wf_shared->lock);
}
