/*-------------------------------------------------------------------------
 * enqueue.c
 *		Find or create the run of a key.
 *
 * First a look: a live key is answered without writing anything.  Only on a
 * miss an id is made and a row inserted, and the unique index has the last
 * word.  No subtransaction, no row lock, no advisory lock.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/snapmgr.h"

#include "base/audit.h"
#include "base/clock.h"
#include "base/uuid7.h"
#include "base/wakeup.h"
#include "ops/enqueue.h"
#include "ops/outcome.h"
#include "ops/queue.h"
#include "store/ring.h"

static void create_run(const WfRequest *request, WfRequestItem *item,
					   const WfRun *replaced, TimestampTz now, WfRun *run);
static bool skip_or_wait(const WfRequest *request, const WfRequestItem *item,
						 const WfHolder *holder, WfAnswer *answer);
static bool answer_duplicate(const WfRequest *request, WfRequestItem *item,
							 WfAnswer *answer, bool invisible);
static bool insert_run(const WfRequest *request, WfRequestItem *item,
					   const WfRun *replaced, WfAnswer *answer);
static bool wait_for_writer(const WfRequest *request, const WfRequestItem *item,
							const WfAnswer *answer);
static bool rebind_key(const WfRequest *request, WfRequestItem *item, WfAnswer *answer);
static bool queue_again(const WfRun *run, WfEvent *last, TimestampTz now);
static bool replace_run(const WfRequest *request, WfRequestItem *item,
						WfAnswer *answer, TimestampTz now);

/*
 * Do what a request asks for one item.  Loops only where another transaction
 * has changed the key meanwhile.
 */
void
wf_enqueue_item(const WfRequest *request, WfRequestItem *item, WfAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	if (item->key == NULL)
	{
		(void) insert_run(request, item, NULL, answer);
		return;
	}

	for (bool thorough = false;; thorough = true)
	{
		WfHolder	holder;
		bool		invisible;

		switch (wf_run_probe_key(&item->digest, thorough, &answer->run, &holder, &invisible))
		{
			case WF_PROBE_NONE:
				if (insert_run(request, item, NULL, answer))
					return;
				break;
			case WF_PROBE_FOUND:
				if (answer_duplicate(request, item, answer, invisible))
					return;
				break;
			case WF_PROBE_IN_DOUBT:
				if (skip_or_wait(request, item, &holder, answer))
					return;
				break;
		}
	}
}

/* Another transaction is at the key.  True: the answer does not wait for it. */
static bool
skip_or_wait(const WfRequest *request, const WfRequestItem *item,
			 const WfHolder *holder, WfAnswer *answer)
{
	if (request->on_conflict == WF_ON_CONFLICT_SKIP)
	{
		answer->skipped = true;
		return true;
	}
	wf_count(request->workflow.id, WF_COUNT_WAITS, 1);
	wf_holder_wait(item->ordinal, holder);
	return false;
}

/* The run that a request asks for, before it is written. */
static void
create_run(const WfRequest *request, WfRequestItem *item,
		   const WfRun *replaced, TimestampTz now, WfRun *run)
{
	memset(run, 0, sizeof(*run));
	run->slice = wf_ring_for_write()->current;
	run->run_id = item->run_id;
	run->enqueued_at = now;
	run->run_at = request->has_run_at ? request->run_at :
		request->batch_at != 0 ? request->batch_at : now;
	run->workflow_id = request->workflow.id;
	run->priority = request->has_priority ? request->priority : request->workflow.priority;
	memcpy(run->fingerprint, wf_item_fingerprint(item), WF_FINGERPRINT_LENGTH);
	run->has_payload = true;
	run->payload = item->payload;
	if (item->key != NULL)
	{
		run->holds_key = true;
		run->digest = item->digest;
		run->key = (char *) item->key;
		run->key_length = item->key_length;
		run->anchor_enqueue = request->workflow.anchor_enqueue;
		run->key_ttl = request->has_key_ttl ? request->key_ttl : request->workflow.key_ttl;
	}
	if (replaced != NULL)
	{
		run->has_replaces = true;
		run->replaces = replaced->run_id;
	}
}

/* 54000 where max_queued runs have not ended already. */
static void
check_room(const WfRequest *request, const WfRequestItem *item)
{
	const WfWorkflow *workflow = &request->workflow;
	int64		unfinished;

	if (workflow->max_queued == 0)
		return;
	unfinished = wf_count_unfinished(workflow->id, wf_queue_count_unfinished) +
		(int64) wf_wakeup_enqueued(workflow->id);
	if (unfinished >= workflow->max_queued)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many runs of workflow \"%s\" are queued", workflow->name),
				 item->ordinal == 0 ?
				 errdetail("%lld runs have not ended, max_queued is %d.",
						   (long long) unfinished, workflow->max_queued) :
				 errdetail("Item %d: %lld runs have not ended, max_queued is %d.", item->ordinal,
						   (long long) unfinished, workflow->max_queued),
				 errhint("Retry later, or have max_queued raised with wf_alter_workflow().")));
}

/* Insert a new run; false: its key was taken since the probe. */
static bool
insert_run(const WfRequest *request, WfRequestItem *item, const WfRun *replaced,
		   WfAnswer *answer)
{
	TimestampTz now = wf_clock_now();
	WfRun		run;

	check_room(request, item);
	if (!item->has_run_id)
	{
		wf_uuid7(&item->run_id, wf_ring_for_write()->current);
		item->has_run_id = true;
	}
	create_run(request, item, replaced, now, &run);
	if (!wf_run_insert(&run, request->batch))
		return false;

	if (request->workflow.has_handler)
		wf_wakeup_queued(run.workflow_id, run.run_at, WF_STREAM_RUN(run.slice));
	else
		wf_wakeup_unhandled(run.workflow_id, run.run_at, WF_STREAM_RUN(run.slice));
	answer->created = true;
	answer->run = run;
	memset(&answer->last, 0, sizeof(answer->last));
	return true;
}

/* what the audit calls each decision */
static const char outcomes[] = {
	[WF_DECIDE_RETURN] = WF_OUTCOME_RETURNED,
	[WF_DECIDE_SKIP] = WF_OUTCOME_SKIPPED,
	[WF_DECIDE_RESUME] = WF_OUTCOME_RESUMED,
	[WF_DECIDE_REPLACE] = WF_OUTCOME_REPLACED,
	[WF_DECIDE_DUPLICATE] = WF_OUTCOME_ERROR,
	[WF_DECIDE_MISMATCH] = WF_OUTCOME_MISMATCH
};

/*
 * The key has a run: decide what the caller gets, and do it.  False: somebody
 * was faster, look again.
 */
static bool
answer_duplicate(const WfRequest *request, WfRequestItem *item, WfAnswer *answer,
				 bool invisible)
{
	WfRun	   *run = &answer->run;
	WfEvent    *last = &answer->last;
	TimestampTz now = wf_clock_now();
	WfDecision	decision;

	if (invisible)
		wf_report_invisible();
	Assert(run->key_length == item->key_length &&
		   memcmp(run->key, item->key, item->key_length) == 0);

	wf_event_for_caller(run, last);
	decision = wf_decide(request, item, run, last, now);
	if (IsolationUsesXactSnapshot() && decision == WF_DECIDE_REPLACE)
	{
		WfEvent		newest;

		wf_event_of_run(run, NULL, &newest);
		if (newest.seq != last->seq)
			wf_report_invisible();
	}

	/* the run may be of this very batch, and is looked for by its id below */
	if (request->batch != NULL && decision != WF_DECIDE_RETURN && decision != WF_DECIDE_SKIP)
		wf_run_batch_flush(request->batch);
	if (decision == WF_DECIDE_REPLACE && wait_for_writer(request, item, answer))
		return false;
	if (decision == WF_DECIDE_NEW || decision == WF_DECIDE_RESUME)
	{
		WfHolder	holder;

		switch (wf_holder_lock_run(run, last, &holder))
		{
			case WF_ROW_BUSY:
				return skip_or_wait(request, item, &holder, answer);
			case WF_ROW_CHANGED:
				return false;
			case WF_ROW_LOCKED:
				break;
		}

		/*
		 * if its time has come meanwhile it may go with its slice at any
		 * moment
		 */
		if (decision == WF_DECIDE_RESUME &&
			wf_decide(request, item, run, last, wf_clock_now()) != WF_DECIDE_RESUME)
			return false;
	}
	if (decision != WF_DECIDE_NEW)
		wf_audit_record(request->workflow.id, &run->run_id, item->key, item->key_length,
						outcomes[decision], now);

	switch (decision)
	{
		case WF_DECIDE_SKIP:
			answer->skipped = true;
			return true;
		case WF_DECIDE_NEW:
			return rebind_key(request, item, answer);
		case WF_DECIDE_RESUME:
			return queue_again(run, last, now);
		case WF_DECIDE_REPLACE:
			return replace_run(request, item, answer, now);
		case WF_DECIDE_DUPLICATE:
			wf_report_duplicate(request, item, run);
			break;
		case WF_DECIDE_MISMATCH:
			wf_report_mismatch(request, item, run);
			break;
		case WF_DECIDE_RETURN:
			break;
	}
	return true;
}

/* Is somebody else about to move the run that is to be moved?  Then wait. */
static bool
wait_for_writer(const WfRequest *request, const WfRequestItem *item, const WfAnswer *answer)
{
	WfHolder	writer;

	if (!wf_event_peek(&answer->run.run_id, answer->run.slice, answer->last.seq + 1, &writer) ||
		!TransactionIdIsValid(writer.xid))
		return false;
	wf_count(request->workflow.id, WF_COUNT_WAITS, 1);
	wf_holder_wait(item->ordinal, &writer);
	return true;
}

/*
 * A new run takes the key over: the one update that a key ever gets.  The old
 * run is locked, so that nobody else can do the same or queue it again.
 */
static bool
rebind_key(const WfRequest *request, WfRequestItem *item, WfAnswer *answer)
{
	WfRun		replaced = answer->run;

	if (!wf_run_release_key(&replaced))
		return false;
	if (!insert_run(request, item, &replaced, answer))
		return false;
	return true;
}

/* A failed run, which is locked, gets further attempts (on_failed => 'resume'). */
static bool
queue_again(const WfRun *run, WfEvent *last, TimestampTz now)
{
	WfEvent		event;

	wf_event_follow(&event, last, WF_EVENT_REQUEUED, now);
	event.tries = 0;
	event.crashes = 0;
	event.run_at = now;
	event.sqlstate = last->sqlstate;
	event.error = last->error;
	if (!wf_event_append(&run->run_id, run->slice, &event))
		return false;
	wf_run_reopens(run->workflow_id);
	wf_wakeup_queued(run->workflow_id, now, WF_STREAM_EVENT(run->slice));
	*last = event;
	return true;
}

/*
 * A queued run gets the new payload and what else was given.  The event comes
 * first: it decides against whoever starts the run at this moment.
 */
static bool
replace_run(const WfRequest *request, WfRequestItem *item, WfAnswer *answer,
			TimestampTz now)
{
	WfRun	   *run = &answer->run;
	WfEvent		event;

	wf_event_follow(&event, &answer->last, WF_EVENT_RESCHEDULED, now);
	event.run_at = request->has_run_at ? request->run_at : answer->last.run_at;
	event.sqlstate = answer->last.sqlstate;
	event.error = answer->last.error;
	if (request->has_priority)
		event.priority = request->priority;
	wf_run_moves(run, &answer->last);
	if (!wf_event_append(&run->run_id, run->slice, &event))
		return false;

	memcpy(run->fingerprint, wf_item_fingerprint(item), WF_FINGERPRINT_LENGTH);
	run->payload = item->payload;
	if (request->has_key_ttl)
		run->key_ttl = request->key_ttl;
	if (!wf_run_replace(run))
		elog(ERROR, "run that was to be replaced is gone");
	wf_wakeup_queued(run->workflow_id, event.run_at, WF_STREAM_EVENT(run->slice));
	answer->last = event;
	return true;
}
