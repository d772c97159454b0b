/*-------------------------------------------------------------------------
 * recover.c
 *		What executors have finished, or have left behind.
 *
 * While an executor lives it writes the outcome of its runs itself.  Where
 * it has ended, the run it was at is a failed attempt, and those behind it
 * go back to the queue having lost nothing.  Where the whole server has
 * ended, wf.reservation tells what was under way: after a crash each of
 * these is a suspect, after an orderly shutdown just queued again.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "ops/pool.h"
#include "ops/positions.h"
#include "ops/queues.h"
#include "ops/recover.h"
#include "ops/settle.h"
#include "ops/turn.h"
#include "store/reservation_store.h"
#include "store/run_store.h"

/* a reservation that is done when the executor's tail has passed until */
typedef struct Expected
{
	uint32		until;
	WfReservationKey key;
} Expected;

/* what this dispatcher knows of each executor's slot */
typedef struct Known
{
	uint32		generation;
	uint32		tail;			/* runs up to here have been taken note of */
	List	   *expected;		/* of Expected */
} Known;

static Known known[WF_MAX_EXECUTORS];

static void note_progress(WfExecutor *executor, List **done);
static void executor_ended(WfExecutor *executor, void *arg);
static TimestampTz take_back_what_waits(WfExecutor *executor, TimestampTz now);
static void forget_reservations(List *done);

static Known *
known_of(WfExecutor *executor)
{
	Known	   *k = &known[executor - wf_shared->executors];

	if (k->generation != executor->generation)
	{
		k->generation = executor->generation;
		k->tail = 0;
		k->expected = NIL;
	}
	return k;
}

void
wf_reap_expect(WfExecutor *executor, const WfReservationKey *reservation)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Known	   *k = known_of(executor);
	Expected   *expected = palloc(sizeof(Expected));

	expected->until = pg_atomic_read_u32(&executor->head);
	expected->key = *reservation;
	k->expected = lappend(k->expected, expected);
	MemoryContextSwitchTo(old);
}

TimestampTz
wf_reap(void)
{
	List	   *done = NIL;
	TimestampTz again = DT_NOEND;
	TimestampTz now = wf_clock_now();

	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		WfExecutor *executor = &wf_shared->executors[i];

		if (executor->dbid != MyDatabaseId)
			continue;
		note_progress(executor, &done);
		again = Min(again, take_back_what_waits(executor, now));
		again = Min(again, wf_pool_end_cancelled(executor));
	}
	(void) wf_pool_reap(executor_ended, &done);
	forget_reservations(done);
	return Min(again, wf_settle_held());
}

/* Runs that an executor is done with are not outstanding any more. */
static void
note_progress(WfExecutor *executor, List **done)
{
	Known	   *k = known_of(executor);
	uint32		tail = pg_atomic_read_u32(&executor->tail);

	pg_read_barrier();
	for (; k->tail != tail; k->tail++)
	{
		WfItem	   *item = &executor->items[k->tail % WF_EXECUTOR_QUEUE];

		wf_outstanding_remove(item);
		if (item->unrecorded)
			wf_settle_later(item);
	}

	while (k->expected != NIL)
	{
		Expected   *first = linitial(k->expected);

		if ((int32) (first->until - tail) > 0)
			break;
		*done = lappend(*done, first);
		k->expected = list_delete_first(k->expected);
	}
}

static void
forget_reservations(List *done)
{
	ListCell   *lc;

	if (done == NIL)
		return;
	wf_turn_begin();
	foreach(lc, done)
		wf_reservation_delete(&((Expected *) lfirst(lc))->key);
	wf_turn_end();
	list_free_deep(done);
}

/*
 * Of the runs of an executor only those before kept stay with it: they get a
 * reservation of their own, so that a crash makes no suspects of the others.
 */
static void
reserve_what_stays(WfExecutor *executor, Known *k, uint32 kept)
{
	int			n = (int) (kept - k->tail);
	WfItem	   *items = palloc(sizeof(WfItem) * n);
	WfReservationKey key;
	ListCell   *lc;

	for (int i = 0; i < n; i++)
		items[i] = executor->items[(k->tail + i) % WF_EXECUTOR_QUEUE];

	wf_turn_begin();
	foreach(lc, k->expected)
	{
		Expected   *expected = lfirst(lc);

		if ((int32) (expected->until - kept) <= 0)
			continue;
		wf_reservation_delete(&expected->key);
		k->expected = foreach_delete_current(k->expected, lc);
		pfree(expected);
	}
	wf_reservation_insert(executor - wf_shared->executors, items, n, &key);
	wf_turn_end();
	wf_reap_expect(executor, &key);
	pfree(items);
}

/*
 * Runs behind one that takes long are taken back, for another executor, or
 * for later.  Returns when there will be something to take back, if it goes on
 * like this.
 */
static TimestampTz
take_back_what_waits(WfExecutor *executor, TimestampTz now)
{
	Known	   *k = known_of(executor);
	uint32		head = pg_atomic_read_u32(&executor->head);
	uint32		kept;
	TimestampTz slow_at = wf_pool_take_back(executor, now, &kept);

	for (uint32 i = kept; i != head; i++)
	{
		WfItem	   *item = &executor->items[i % WF_EXECUTOR_QUEUE];

		wf_outstanding_remove(item);
		wf_queue_again(item);
	}
	if (kept != head)
		reserve_what_stays(executor, k, kept);
	return slow_at;
}

/* Called for each executor that is gone, before its slot is free. */
static void
executor_ended(WfExecutor *executor, void *arg)
{
	List	  **done = arg;
	Known	   *k = known_of(executor);
	uint32		head = pg_atomic_read_u32(&executor->head);
	uint32		tail = pg_atomic_read_u32(&executor->tail);

	note_progress(executor, done);
	for (; k->tail != head; k->tail++)
	{
		WfItem		item = executor->items[k->tail % WF_EXECUTOR_QUEUE];
		int			nth = (int) (k->tail - tail);

		wf_outstanding_remove(&item);
		if (nth < executor->begun)
		{
			wf_turn_begin();
			wf_settle(&item, executor->busy && nth == executor->begun - 1 ?
					  WF_LEFT_LOST : WF_LEFT_UNDONE);
			wf_turn_end();
		}
		wf_queue_again(&item);
	}
	*done = list_concat(*done, k->expected);
	k->expected = NIL;
}

/* True: an executor that has outlived the former dispatcher is still at it. */
static bool
adopted(const WfReservation *r)
{
	for (int i = 0; i < r->n; i++)
		if (wf_outstanding_has(&r->run_ids[i]))
			return true;
	return false;
}

/* Executors that have outlived a former dispatcher go on. */
static void
adopt_executors(void)
{
	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		WfExecutor *e = &wf_shared->executors[i];
		Known	   *k = known_of(e);

		if (e->dbid != MyDatabaseId)
			continue;
		k->tail = pg_atomic_read_u32(&e->tail);
		for (uint32 t = k->tail; t != pg_atomic_read_u32(&e->head); t++)
			wf_outstanding_add(&e->items[t % WF_EXECUTOR_QUEUE]);
	}
}

/* In the queue again, or a suspect. */
static void
recover_run(const pg_uuid_t *run_id, int32 seq, bool crashed)
{
	WfItem		item = {0};
	WfRun		run;

	if (!wf_run_find(run_id, NULL, false, &run))
		return;
	item.run_id = *run_id;
	item.workflow_id = run.workflow_id;
	item.run_at = run.run_at;
	item.slice = run.slice;
	item.source = 'e';
	item.seq = seq;
	wf_settle(&item, crashed ? WF_LEFT_CRASHED : WF_LEFT_STOPPED);
}

void
wf_recover(void)
{
	WfReservation *reservations;
	int			n;

	wf_turn_begin();
	wf_positions_load();
	adopt_executors();
	n = wf_reservation_all(&reservations);
	for (int i = 0; i < n; i++)
	{
		WfReservation *r = &reservations[i];
		bool		crashed = !wf_shared->clean_start && r->key.reserved_at < wf_shared->started;

		if (r->executor >= 0 && r->executor < WF_MAX_EXECUTORS && adopted(r))
		{
			wf_reap_expect(&wf_shared->executors[r->executor], &r->key);
			continue;
		}
		for (int j = 0; j < r->n; j++)
			recover_run(&r->run_ids[j], r->seqs[j], crashed);
		wf_reservation_delete(&r->key);
	}
	ForceSyncCommit();
	wf_turn_end();
}
