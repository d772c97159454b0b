/*-------------------------------------------------------------------------
 * settle.c
 *		What becomes of a run that nobody executes any more.
 *
 * The dispatcher waits for no transaction of a user's, or whoever may cancel
 * a run could stop all others by leaving that uncommitted.  A run whose next
 * event another transaction is writing is held: it is not handed over again,
 * and looked at when that transaction has ended, of which it tells
 * (wf_wakeup_at_end).  Meanwhile wf.reservation has it, so that it is found
 * after a crash.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/wakeup.h"
#include "ops/outcome.h"
#include "ops/queues.h"
#include "ops/settle.h"
#include "ops/turn.h"
#include "store/event_store.h"
#include "store/reservation_store.h"
#include "store/run_store.h"

typedef struct Held
{
	WfItem		item;
	WfLeft		how;
	WfReservationKey key;		/* of its reservation; tid invalid: none */
} Held;

static List *held = NIL;
static TimestampTz next_look = 0;	/* when nobody has told */

static bool settle(const WfItem *item, WfLeft how);
static bool record_lost(const WfItem *item, bool was_at);
static bool record_left(const WfItem *item, bool crashed);
static void hold(const WfItem *item, WfLeft how, bool reserve);

void
wf_settle(const WfItem *item, WfLeft how)
{
	if (!settle(item, how))
		hold(item, how, true);
}

/* It may be that nobody has it in hand. */
void
wf_settle_later(const WfItem *item)
{
	hold(item, WF_LEFT_UNRECORDED, false);
}

static void
hold(const WfItem *item, WfLeft how, bool reserve)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Held	   *h = palloc0(sizeof(Held));

	h->item = *item;
	h->how = how;
	held = lappend(held, h);
	MemoryContextSwitchTo(old);

	/* who ends now tells us; who has just ended may not have */
	pg_atomic_write_u32(&wf_database_mine()->holding, 1);
	pg_memory_barrier();
	next_look = 0;

	if (reserve)
		wf_reservation_insert(-1, item, 1, &h->key);
	wf_outstanding_add(item);
}

TimestampTz
wf_settle_held(void)
{
	WfDatabase *database = wf_database_mine();
	TimestampTz now = wf_clock_now();
	ListCell   *lc;

	if (held == NIL)
		return DT_NOEND;
	if (pg_atomic_exchange_u32(&database->moved, 0) == 0 && next_look > now)
		return next_look;
	next_look = TimestampTzPlusMilliseconds(now, wf_sweep_interval);

	wf_turn_begin();
	foreach(lc, held)
	{
		Held	   *h = lfirst(lc);

		if (!settle(&h->item, h->how))
			continue;
		if (ItemPointerIsValid(&h->key.tid))
			wf_reservation_delete(&h->key);
		wf_outstanding_remove(&h->item);
		wf_queue_again(&h->item);
		held = foreach_delete_current(held, lc);
		pfree(h);
	}
	wf_turn_end();
	if (held == NIL)
		pg_atomic_write_u32(&database->holding, 0);
	return held == NIL ? DT_NOEND : next_look;
}

bool
wf_settle_holds(const pg_uuid_t *run_id)
{
	ListCell   *lc;

	foreach(lc, held)
	{
		if (memcmp(&((Held *) lfirst(lc))->item.run_id, run_id, UUID_LEN) == 0)
			return true;
	}
	return false;
}

void
wf_queue_again(const WfItem *item)
{
	wf_notice_post(wf_database_mine(), item->workflow_id, item->run_at, (uint32) 1 << wf_item_stream(item));
}

/* Is another transaction writing an event of that number? */
static bool
in_doubt(const pg_uuid_t *run_id, int slice, int32 seq)
{
	WfHolder	writer;

	return wf_event_peek(run_id, slice, seq, &writer) && TransactionIdIsValid(writer.xid);
}

/* False: another transaction has the run in hand. */
static bool
settle(const WfItem *item, WfLeft how)
{
	switch (how)
	{
		case WF_LEFT_UNRECORDED:
			return !in_doubt(&item->run_id, item->slice, item->seq + 1);
		case WF_LEFT_LOST:
		case WF_LEFT_UNDONE:
			return record_lost(item, how == WF_LEFT_LOST);
		case WF_LEFT_STOPPED:
		case WF_LEFT_CRASHED:
			return record_left(item, how == WF_LEFT_CRASHED);
	}
	return true;
}

/* Append an event to a run, unless somebody has been quicker. */
static bool
append(const pg_uuid_t *run_id, int slice, const WfEvent *event)
{
	if (!wf_event_try_append(run_id, slice, event))
		return false;
	if (event->run_at != DT_NOBEGIN)
		wf_wakeup_queued(event->workflow_id, event->run_at, WF_STREAM_EVENT(slice));
	wf_run_ends(run_id, event->workflow_id, event->kind);
	return true;
}

/*
 * A run that an executor had begun when it ended: the attempt of the one that
 * it was at has failed, that of another in the same transaction has just come
 * to nothing.
 */
static bool
record_lost(const WfItem *item, bool was_at)
{
	const WfWorkflow *workflow = wf_workflow_by_id(item->workflow_id);
	WfRun		run;
	WfEvent		last;
	WfEvent		event;

	if (workflow == NULL || !wf_run_find(&item->run_id, NULL, false, &run))
		return true;
	wf_event_of_run(&run, NULL, &last);
	if (in_doubt(&run.run_id, run.slice, last.seq + 1))
		return false;
	if (last.seq != item->seq)
		return wf_event_use_up_attempt(&run.run_id, run.slice, item->attempt, false);
	wf_event_follow(&event, &last, WF_EVENT_RETRY, wf_clock_now());
	event.workflow_id = item->workflow_id;
	event.priority = item->priority;
	event.attempt = item->attempt;
	event.started_at = item->begun_at;
	event.sqlstate = "57P01";
	event.error = "the executor was terminated during the attempt";
	if (was_at)
		wf_outcome_failed(workflow, &event);
	else
	{
		event.kind = WF_EVENT_RELEASED;
		event.run_at = item->run_at;
	}
	return append(&run.run_id, run.slice, &event);
}

/*
 * A run that was reserved when the server ended, and has no event since.  Its
 * attempt's number is used up, since it may have begun.
 */
static bool
record_left(const WfItem *item, bool crashed)
{
	WfRun		run;
	WfEvent		last;
	WfEvent		event;

	if (!wf_run_find(&item->run_id, NULL, false, &run))
		return true;
	wf_event_of_run(&run, NULL, &last);
	if (in_doubt(&run.run_id, run.slice, last.seq + 1))
		return false;
	if (last.seq != item->seq)
	{
		/* it may have begun before it was cancelled or rescheduled */
		return (last.kind != WF_EVENT_CANCELLED && last.kind != WF_EVENT_REQUEUED &&
				last.kind != WF_EVENT_RESCHEDULED) ||
			wf_event_use_up_attempt(&run.run_id, run.slice, last.attempt + 1, false);
	}
	wf_event_follow(&event, &last, WF_EVENT_RELEASED, wf_clock_now());
	event.attempt++;
	if (crashed)
		wf_outcome_crashed(&event);
	else
		event.run_at = event.at;
	return append(&run.run_id, run.slice, &event);
}
