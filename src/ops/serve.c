/*-------------------------------------------------------------------------
 * serve.c
 *		Execute what is in an executor's queue, alone or sharing a transaction.
 *
 * A run has one transaction, with its completion; a failure is recorded in
 * one of its own.  Runs of a workflow with a batch share one: each has a
 * savepoint, in which settings and session state are put back before it is
 * released, and a failure is recorded in the transaction that goes on.  If
 * that one fails as a whole, as it does when a deferred constraint of any of
 * them is violated, nothing has happened, and each is executed alone.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "ops/execute.h"
#include "ops/outcome.h"
#include "ops/pool.h"
#include "ops/seat.h"
#include "ops/serve.h"
#include "ops/session.h"
#include "ops/turn.h"

static int	alone = 0;			/* so many runs ahead share no transaction */

static int	shared_length(const WfItem *first);
static void serve_alone(const WfItem *item);
static char execute_alone(const WfItem *item);
static void try_to_record(const WfItem *item, const ErrorData *error);
static bool serve_together(int n);
static int	execute_together(int n, WfItem *items, char *kinds);
static char execute_in_savepoint(const WfItem *item);
static void make_attempt(void);
static ErrorData *catch_error(MemoryContext context);
static void note_time(TimestampTz begin, int n);

int
wf_serve_next(void)
{
	TimestampTz begin = GetCurrentTimestamp();
	WfItem		first;
	int			n;

	if (!wf_seat_look(0, &first))
		return 0;
	n = alone > 0 ? 1 : shared_length(&first);
	if (n > 1 && !serve_together(n))
	{
		alone = n;
		return n;
	}
	if (n == 1)
		serve_alone(&first);
	alone = Max(alone - n, 0);
	note_time(begin, n);
	wf_session_reset();
	return n;
}

/* How many runs at the head of the queue are to share a transaction? */
static int
shared_length(const WfItem *first)
{
	WfItem		next;
	int			n = 1;

	while (n < first->batch && !first->alone && wf_seat_look(n, &next) &&
		   next.workflow_id == first->workflow_id && !next.alone)
		n++;
	return n;
}

/* A moving average, for the dispatcher to know how many runs to hand over. */
static void
note_time(TimestampTz begin, int n)
{
	int64		us = (GetCurrentTimestamp() - begin) / n;
	uint32		average = pg_atomic_read_u32(&wf_pool_self->average_us);

	us = Min(Max(us, 1), INT_MAX);
	if (average != 0)
		us = Max((average * INT64CONST(7) + us) / 8, 1);
	pg_atomic_write_u32(&wf_pool_self->average_us, (uint32) us);
}

/* End the transaction that failed and keep what is to be told of it. */
static ErrorData *
catch_error(MemoryContext context)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	wf_execute_disarm();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(context);
	RESUME_INTERRUPTS();
	return error;
}

static void
begin_transaction(MemoryContext context)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	wf_turn_lock_extension();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end_transaction(MemoryContext context)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

/*
 * Load a run, and see to it that its reservation outlives a crash of its
 * handler.  If another transaction has it in hand, as to cancel it, nobody
 * waits for that here: the dispatcher is to look at it again.
 */
static bool
begin_run(int nth, const WfItem *item)
{
	bool		in_doubt;
	bool		there = wf_execute_begin(item, &in_doubt);

	if (in_doubt)
		wf_seat_unrecorded(nth);
	if (there)
		XLogFlush(item->reserved);
	return there;
}

static void
serve_alone(const WfItem *item)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;
	volatile char kind = WF_EVENT_NONE;

	wf_seat_begin(0);
	PG_TRY();
	{
		kind = execute_alone(item);
	}
	PG_CATCH();
	{
		error = catch_error(context);
	}
	PG_END_TRY();
	wf_execute_end();

	if (error != NULL)
		try_to_record(item, error);
	else
		wf_run_ended(&item->run_id, item->workflow_id, kind);
	wf_seat_done(1);
}

static char
execute_alone(const WfItem *item)
{
	MemoryContext context = CurrentMemoryContext;
	bool		there;

	begin_transaction(context);
	there = begin_run(0, item);
	if (there)
		wf_execute_handler();
	end_transaction(context);
	return there ? WF_EVENT_COMPLETED : WF_EVENT_NONE;
}

static void
record_failure(const WfItem *item, const ErrorData *error)
{
	MemoryContext context = CurrentMemoryContext;
	char		kind;

	begin_transaction(context);
	kind = wf_execute_record_failure(item, error);
	end_transaction(context);
	wf_run_ended(&item->run_id, item->workflow_id, kind);
}

/*
 * If a failure cannot be recorded, as on a full disk, the run stays queued;
 * the dispatcher is told to look at it again, after a pause.
 */
static void
try_to_record(const WfItem *item, const ErrorData *error)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		record_failure(item, error);
	}
	PG_CATCH();
	{
		ErrorData  *second = catch_error(context);

		ereport(LOG,
				(errcode(second->sqlerrcode),
				 errmsg("could not record the failure of a run: %s", second->message)));
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1000, PG_WAIT_EXTENSION);
		wf_seat_unrecorded(0);
	}
	PG_END_TRY();
}

/* False: all of it is undone. */
static bool
serve_together(int n)
{
	MemoryContext context = CurrentMemoryContext;
	WfItem	   *items = palloc(sizeof(WfItem) * n);
	char	   *kinds = palloc0(n);
	ErrorData  *volatile error = NULL;
	volatile int begun = 0;

	PG_TRY();
	{
		begun = execute_together(n, items, kinds);
	}
	PG_CATCH();
	{
		error = catch_error(context);
	}
	PG_END_TRY();
	wf_execute_end();

	if (error != NULL)
	{
		wf_seat_undo();
		wf_session_reset();
		ereport(DEBUG1,
				(errmsg_internal("%d runs could not share a transaction: %s", n, error->message)));
		return false;
	}
	for (int i = 0; i < begun; i++)
		wf_run_ended(&items[i].run_id, items[i].workflow_id, kinds[i]);
	wf_seat_done(begun);
	return true;
}

/* Returns how many have begun: the others may be taken back meanwhile. */
static int
execute_together(int n, WfItem *items, char *kinds)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext one = AllocSetContextCreate(context, "pg_workflow run of a batch",
											  ALLOCSET_SMALL_SIZES);
	int			i;

	begin_transaction(context);
	for (i = 0; i < n && wf_seat_look(i, &items[i]); i++)
	{
		wf_seat_begin(i);
		MemoryContextSwitchTo(one);
		if (begin_run(i, &items[i]))
			kinds[i] = execute_in_savepoint(&items[i]);
		wf_execute_end();
		wf_seat_pause();
		MemoryContextSwitchTo(context);
		MemoryContextReset(one);
		if (ProcDiePending)
			CHECK_FOR_INTERRUPTS();
	}
	wf_execute_deferred();
	end_transaction(context);
	return i;
}

static char
execute_in_savepoint(const WfItem *item)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		make_attempt();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		wf_execute_disarm();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error == NULL)
		return WF_EVENT_COMPLETED;

	wf_seat_pause();
	return wf_execute_record_failure(item, error);
}

/* The handler, then an end to what it has made of the session. */
static void
make_attempt(void)
{
	int			settings = NewGUCNestLevel();

	PushActiveSnapshot(GetTransactionSnapshot());
	wf_execute_handler();
	PopActiveSnapshot();
	AtEOXact_GUC(false, settings);
	wf_session_reset_within();
}
