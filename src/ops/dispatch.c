/*-------------------------------------------------------------------------
 * dispatch.c
 *		Hand due runs to executors, take back what they leave.
 *
 * A turn reaps what executors have finished or left behind, then reads the
 * queues of the workflows that may have something due, reserves a batch for
 * each executor with room, hands the batches over and flushes the reservation.
 * The dispatcher decides, executors run handlers, and a run's outcome is
 * written by its executor alone while that lives.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/timestamp.h"

#include "base/audit.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/leases.h"
#include "base/shmem.h"
#include "ops/announce.h"
#include "ops/audit.h"
#include "ops/dispatch.h"
#include "ops/expire.h"
#include "ops/lease.h"
#include "ops/pool.h"
#include "ops/positions.h"
#include "ops/queues.h"
#include "ops/recover.h"
#include "ops/suspects.h"
#include "ops/turn.h"
#include "store/installation.h"
#include "store/relations.h"
#include "store/reservation_store.h"
#include "store/workflow_store.h"

#define MAX_BATCH 256			/* runs handed to an executor at once; their
								 * reservation fits into a page */
#define TARGET_US 20000			/* work that may wait in its queue */
#define REST_MS 60000			/* a turn at least so often, whatever happens */

/* runs for one executor, gathered in a turn */
typedef struct Batch
{
	WfExecutor *executor;
	int			n;
	WfItem		items[MAX_BATCH];
	WfReservationKey key;
} Batch;

static bool recovered = false;
static TimestampTz next_sweep = 0;	/* by the system's clock, as the other
									 * stands still when that was set back */
static bool sweeping = false;	/* the last sweep has left something */
static bool reading = false;	/* a queue was left before its end, so that
								 * others are not kept waiting */
static XLogRecPtr swept_at = InvalidXLogRecPtr; /* end of what was written
												 * before the last sweep */
static TimestampTz turned = 0;	/* time of the last turn */

static TimestampTz hand_over(TimestampTz now, bool told);
static TimestampTz fill_batches(WfQueue **queues, int nqueues, TimestampTz now, List **batches);
static bool serve(WfQueue *queue, TimestampTz now, List **batches);

bool
wf_identity_matches(void)
{
	return wf_installation_identity() == WF_IDENTITY_OURS;
}

/* How long until the next sweep?  A clock that was set back makes it due. */
static TimestampTz
until_sweep(void)
{
	TimestampTz wait = next_sweep - GetCurrentTimestamp();

	return wait < 0 || wait > wf_sweep_interval * INT64CONST(1000) ? 0 : wait;
}

static void
sweep(void)
{
	TimestampTz begun = GetCurrentTimestamp();
	TimestampTz done;
	int64		rest = wf_sweep_interval * INT64CONST(1000);

	swept_at = GetLastImportantRecPtr();
	sweeping = wf_expire_in_background();
	done = GetCurrentTimestamp();
	if (sweeping)
		rest = Min(rest, wf_expire_rest(done - begun));
	else
		rest = Min(rest, wf_expire_due() - wf_clock_now());
	next_sweep = done + rest;
}

TimestampTz
wf_dispatch_turn(void)
{
	WfDatabase *database = wf_database_mine();
	TimestampTz now = wf_clock_now();
	TimestampTz wake;
	bool		told;
	bool		sweep_is_due;

	/* contract: nothing is dispatched or cleaned then */
	if (DefaultXactReadOnly)
		return DT_NOEND;

	told = pg_atomic_exchange_u32(&database->work, 0) != 0;
	turned = now;
	if (!recovered)
	{
		wf_recover();
		recovered = true;
	}
	if (pg_atomic_exchange_u32(&database->reread, 0) != 0)
		wf_queues_forget_cursors();
	wake = wf_reap();

	sweep_is_due = until_sweep() == 0;
	if (sweep_is_due || wf_audit_urgent())
		while (wf_audit_write())
			CHECK_FOR_INTERRUPTS();
	if (sweep_is_due)
		sweep();
	wake = Min(wake, wf_lease_sweep(now));
	if (wf_dispatch)
		wake = Min(wake, hand_over(now, told));
	if (wf_positions_look_behind())
		wake = now;
	return Min(wake, now + until_sweep());
}

bool
wf_dispatch_may_rest(TimestampTz *until)
{
	WfDatabase *database = wf_database_mine();
	TimestampTz now = wf_clock_now();

	*until = TimestampTzPlusMilliseconds(turned, REST_MS);
	*until = Min(*until, wf_leases_next(&database->leases));
	if (wf_dispatch)
		*until = Min(*until, wf_queues_next());
	return *until > now && turned <= now && !sweeping && swept_at == GetLastImportantRecPtr() &&
		wf_outstanding_count() == 0 && !wf_queues_any_behind() &&
		pg_atomic_read_u32(&database->work) == 0 &&
		pg_atomic_read_u32(&database->reread) == 0 &&
		pg_atomic_read_u32(&database->any_notice) == 0 && wf_audit_idle();
}

/*
 * Read the queues, reserve, push, flush; returns when more will be due.  The
 * executors wake up and look for their runs meanwhile, and wait for the flush
 * before they call a handler.
 */
static TimestampTz
hand_over(TimestampTz now, bool told)
{
	List	   *batches = NIL;
	WfQueue   **queues;
	TimestampTz wake;
	XLogRecPtr	reserved;
	ListCell   *lc;
	int			nqueues;

	/* idle is idle: a transaction only if there may be something */
	if (!told && wf_queues_next() > now &&
		pg_atomic_read_u32(&wf_database_mine()->any_notice) == 0)
		return wf_queues_next();

	wf_turn_begin();
	nqueues = wf_queues_refresh(&queues);
	wf_queues_take_notices();
	wake = fill_batches(queues, nqueues, now, &batches);

	foreach(lc, batches)
	{
		Batch	   *batch = lfirst(lc);

		if (batch->n > 0)
			wf_reservation_insert(batch->executor - wf_shared->executors,
								  batch->items, batch->n, &batch->key);
	}
	wf_announce_end();
	wf_turn_end();
	reserved = XactLastCommitEnd;

	foreach(lc, batches)
	{
		Batch	   *batch = lfirst(lc);

		if (batch->n == 0)
			continue;
		for (int i = 0; i < batch->n; i++)
		{
			batch->items[i].reserved = reserved;
			wf_pool_push(batch->executor, &batch->items[i]);
		}
		wf_reap_expect(batch->executor, &batch->key);
		wf_pool_kick(batch->executor);
	}
	if (batches != NIL)
		XLogFlush(reserved);
	return wake;
}

/*
 * One batch after the other, workflow by workflow in turns, until nothing is
 * due or no executor has room.
 */
static TimestampTz
fill_batches(WfQueue **queues, int nqueues, TimestampTz now, List **batches)
{
	TimestampTz wake = DT_NOEND;
	bool		any = true;

	wf_suspects_look(now);
	reading = false;
	while (any)
	{
		any = false;
		for (int i = 0; i < nqueues; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (queues[i]->ready_at <= now && serve(queues[i], now, batches))
				any = true;
		}
	}
	for (int i = 0; i < nqueues; i++)
		wake = Min(wake, queues[i]->ready_at);

	if (reading)
		return now;

	/* what is due and found no room is looked at when an executor wakes us */
	if (wake <= now)
		wake = TimestampTzPlusMilliseconds(now, wf_sweep_interval);
	return Min(Min(wake, wf_pool_retry_at()), wf_suspects_next(now));
}

/*
 * How many more runs an executor's queue should hold: some time's work, but
 * not less than a transaction takes.
 */
static int
wanted(const WfExecutor *executor, int queued, int batch)
{
	uint32		average = pg_atomic_read_u32((pg_atomic_uint32 *) &executor->average_us);
	int			depth = average == 0 ? 1 : TARGET_US / average;

	return Min(Max(depth, batch), MAX_BATCH) - queued;
}

/* The batch that this turn gathers for an executor. */
static Batch *
batch_of(WfExecutor *executor, List **batches)
{
	ListCell   *lc;
	Batch	   *batch;

	foreach(lc, *batches)
	{
		batch = lfirst(lc);
		if (batch->executor == executor)
			return batch;
	}
	batch = palloc0(sizeof(Batch));
	batch->executor = executor;
	*batches = lappend(*batches, batch);
	return batch;
}

/* An executor that should get more of the workflow, and how much. */
static Batch *
find_room(const WfWorkflow *workflow, List **batches, int *room)
{
	Oid			owner = workflow->owner;
	WfExecutor *executor = wf_pool_find(owner);
	Batch	   *batch;
	int			queued;

	/* one that is idle is best; else another process, if there may be one */
	if (executor != NULL)
	{
		queued = WF_EXECUTOR_QUEUE - wf_pool_room(executor);
		batch = batch_of(executor, batches);
		*room = wanted(executor, queued + batch->n, workflow->batch);
		if (queued == 0 && batch->n == 0)
			return batch;
	}
	else
		batch = NULL;

	executor = wf_pool_start(owner);
	if (executor != NULL)
	{
		batch = batch_of(executor, batches);
		*room = wanted(executor, batch->n, workflow->batch);
	}
	else if (batch == NULL && !wf_pool_owner_has_enough(owner))
		(void) wf_pool_retire_idle(owner, !wf_pool_owner_has_any(owner));
	return batch != NULL && *room > 0 ? batch : NULL;
}

/* Executors are started, and others retired, only for a run that is there. */
static bool
anything_due(WfQueue *queue, TimestampTz now)
{
	WfItem		item;

	if (wf_queue_take_step(queue->workflow_id, queue->cursors, now, 1, wf_suspects_pass_over,
						   false, &item, &queue->ready_at) == 0)
	{
		reading |= queue->ready_at <= now;
		return false;
	}
	wf_cursors_put_back(queue->cursors, &item);
	queue->ready_at = now;
	return true;
}

/* May runs of the workflow be handed over at all? */
static bool
may_run(const WfQueue *queue, const WfWorkflow *workflow)
{
	return workflow != NULL && !workflow->dropped && !workflow->paused &&
		workflow->has_handler && OidIsValid(workflow->owner) &&
		(workflow->max_running == 0 || queue->outstanding < workflow->max_running);
}

/* Read what is due of one workflow into a batch; false: not now. */
static bool
serve(WfQueue *queue, TimestampTz now, List **batches)
{
	const WfWorkflow *found = wf_workflow_by_id(queue->workflow_id);
	WfWorkflow	workflow;
	bool		any = *batches != NIL;
	int			limit = wf_suspects_limit(queue, any, now);
	int			room;
	int			n;
	Batch	   *batch;

	if (found != NULL && !found->dropped && !found->paused && !found->has_handler)
	{
		wf_announce(queue, found, now);
		return false;
	}
	if (!may_run(queue, found))
	{
		wf_suspects_give_up(queue);
		queue->ready_at = DT_NOEND; /* until told, or one of them ends */
		return false;
	}
	workflow = *found;
	if (limit == 0)
		return false;
	if (queue->announced)
	{
		memset(queue->cursors, 0, sizeof(WfCursors));
		queue->announcing = queue->announced = false;
	}
	if (!anything_due(queue, now))
	{
		wf_suspects_give_up(queue);
		return false;
	}
	if ((batch = find_room(&workflow, batches, &room)) == NULL)
		return false;

	limit = Min(limit, Min(room, MAX_BATCH - batch->n));
	if (workflow.max_running > 0)
		limit = Min(limit, workflow.max_running - queue->outstanding);
	n = wf_queue_take_step(queue->workflow_id, queue->cursors, now, limit,
						   wf_suspects_pass_over, false, batch->items + batch->n, &queue->ready_at);
	n = wf_suspects_keep_apart(queue, batch->items + batch->n, n, any, now);

	/* counted from here on, so that no other batch of this turn takes them */
	for (int i = 0; i < n; i++)
	{
		batch->items[batch->n + i].batch = workflow.batch;
		wf_outstanding_add(&batch->items[batch->n + i]);
	}
	batch->n += n;
	return n > 0;
}
