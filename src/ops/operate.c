/*-------------------------------------------------------------------------
 * operate.c
 *		wf_cancel, wf_cancel_all, wf_forget, wf_reschedule, wf_erase.
 *
 * Each appends an event, or updates a run, in the caller's transaction, and
 * waits for whoever is about to end the run at the same moment.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/claim_queue.h"
#include "base/clock.h"
#include "base/leases.h"
#include "base/wakeup.h"
#include "ops/access.h"
#include "ops/enqueue.h"
#include "ops/execute.h"
#include "ops/lease.h"
#include "ops/outcome.h"
#include "ops/pool.h"
#include "ops/queue.h"
#include "ops/read.h"
#include "ops/settings.h"
#include "store/queue_store.h"
#include "store/ring.h"
#include "store/run_store.h"

PG_FUNCTION_INFO_V1(wf_cancel);
PG_FUNCTION_INFO_V1(wf_forget);
PG_FUNCTION_INFO_V1(wf_reschedule);
PG_FUNCTION_INFO_V1(wf_cancel_all);
PG_FUNCTION_INFO_V1(wf_erase);

static bool cancel_run(WfRun *run, WfEvent *last, const char *reason);
static void report_active(const WfRun *run, WfEvent *last) pg_attribute_noreturn();

static void
interrupt_executor(const void *run_id)
{
	wf_pool_cancel(run_id);
}

/*
 * wf_cancel(run_id, reason): true, and the run ends as cancelled if the
 * caller's transaction commits; false: it had ended already.
 */
Datum
wf_cancel(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *run_id;
	char	   *reason = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	WfRun		run;
	WfEvent		last;
	WfWorkflow	workflow;

	if (PG_ARGISNULL(0))
		wf_refuse_null("run_id");
	run_id = PG_GETARG_UUID_P(0);
	wf_run_require(run_id, WF_MAY_OPERATE, false, &run, &last, &workflow);
	PreventCommandIfReadOnly("wf_cancel()");
	if (wf_execute_current() != NULL &&
		memcmp(&wf_execute_current()->run_id, run_id, UUID_LEN) == 0)
		wf_execute_cancel_self(reason);
	PG_RETURN_BOOL(cancel_run(&run, &last, reason));
}

static bool
cancel_run(WfRun *run, WfEvent *last, const char *reason)
{
	for (;;)
	{
		WfEvent		event;

		if (wf_state_is_terminal(wf_event_state(last)))
			return false;
		wf_event_follow(&event, last, WF_EVENT_CANCELLED, wf_clock_now());
		event.started_at = last->started_at;
		event.attempt = Max(last->attempt, wf_run_executing(&run->run_id, &event.started_at));
		event.worker = last->worker;
		event.error = (char *) reason;
		wf_run_moves(run, last);
		if (wf_event_append(&run->run_id, run->slice, &event))
			break;
		wf_event_of_run(run, NULL, last);
	}
	if (wf_shared != NULL)
		wf_at_commit(interrupt_executor, &run->run_id, sizeof(run->run_id));
	if (wf_event_state(last) == WF_RUNNING)
	{
		wf_lease_moves(last->lease_until);
		wf_claim_ends(run->workflow_id);
	}
	wf_run_ends(&run->run_id, run->workflow_id, WF_EVENT_CANCELLED);
	return true;
}

static void
report_active(const WfRun *run, WfEvent *last)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("idempotency key is bound to an active run"),
			 errdetail("Run %s is %s.",
					   DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&run->run_id))),
					   wf_run_executing(&run->run_id, &last->started_at) != 0 ? "running" :
					   wf_state_name(wf_event_state(last))),
			 errhint("Cancel the run first, or pass force => true.")));
}

/*
 * wf_forget(name, key, expected_run, force): frees a key and returns the run
 * that it was bound to; NULL: no such binding.
 */
Datum
wf_forget(PG_FUNCTION_ARGS)
{
	const WfWorkflow *workflow;
	text	   *name;
	text	   *key;
	pg_uuid_t	digest;
	WfRun		run;
	WfEvent		last;
	pg_uuid_t  *answer;

	if (PG_ARGISNULL(0))
		wf_refuse_null("name");
	if (PG_ARGISNULL(1))
		wf_refuse_null("key");
	name = PG_GETARG_TEXT_PP(0);
	key = PG_GETARG_TEXT_PP(1);
	workflow = wf_workflow_require(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), WF_MAY_OPERATE);
	PreventCommandIfReadOnly("wf_forget()");

	wf_key_digest(workflow->id, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), &digest);
	do
	{
		if (!wf_run_find_key(&digest, &run))
			PG_RETURN_NULL();
		wf_event_of_run(&run, NULL, &last);
		if (wf_key_expired(&run, &last, wf_clock_now()) ||
			(!PG_ARGISNULL(2) && memcmp(PG_GETARG_UUID_P(2), &run.run_id, UUID_LEN) != 0))
			PG_RETURN_NULL();
		if (!wf_state_is_terminal(wf_event_state(&last)) &&
			(PG_ARGISNULL(3) || !PG_GETARG_BOOL(3)))
			report_active(&run, &last);
	} while (!wf_holder_lock(&run, &last));
	if (!wf_run_release_key(&run))
		PG_RETURN_NULL();
	answer = palloc(sizeof(pg_uuid_t));
	*answer = run.run_id;
	PG_RETURN_UUID_P(answer);
}

/*
 * wf_reschedule(run_id, run_at, priority): a queued run gets another time or
 * priority, NULL leaving it; false: it is not queued.
 */
Datum
wf_reschedule(PG_FUNCTION_ARGS)
{
	WfRun		run;
	WfEvent		last;
	WfEvent		event;
	WfWorkflow	workflow;

	if (PG_ARGISNULL(0))
		wf_refuse_null("run_id");
	wf_run_require(PG_GETARG_UUID_P(0), WF_MAY_OPERATE, false, &run, &last, &workflow);
	PreventCommandIfReadOnly("wf_reschedule()");
	for (;;)
	{
		if (wf_event_state(&last) != WF_QUEUED ||
			wf_run_executing(&run.run_id, &last.started_at) != 0)
			PG_RETURN_BOOL(false);
		wf_event_follow(&event, &last, WF_EVENT_RESCHEDULED, wf_clock_now());
		event.sqlstate = last.sqlstate;
		event.error = last.error;
		event.run_at = PG_ARGISNULL(1) ? last.run_at : Max(PG_GETARG_TIMESTAMPTZ(1), MIN_TIMESTAMP);
		if (!PG_ARGISNULL(2))
			event.priority = PG_GETARG_INT32(2);
		wf_run_moves(&run, &last);
		if (wf_event_append(&run.run_id, run.slice, &event))
			break;
		wf_event_of_run(&run, NULL, &last);
	}
	wf_wakeup_queued(run.workflow_id, event.run_at, WF_STREAM_EVENT(run.slice));
	PG_RETURN_BOOL(true);
}

bool
wf_queue_has_unfinished(int32 workflow_id)
{
	WfLease    *leases;

	return wf_queue_any(workflow_id) || wf_lease_held(workflow_id, &leases) > 0;
}

int64
wf_queue_count_unfinished(int32 workflow_id)
{
	WfLease    *leases;

	return wf_queue_count(workflow_id) + wf_lease_held(workflow_id, &leases);
}

static int64
cancel_by_id(const pg_uuid_t *run_id, const char *reason)
{
	WfRun		run;
	WfEvent		last;

	CHECK_FOR_INTERRUPTS();
	if (!wf_run_find(run_id, NULL, false, &run))
		return 0;
	wf_event_of_run(&run, NULL, &last);
	return cancel_run(&run, &last, reason) ? 1 : 0;
}

static int64
cancel_leased(int32 workflow_id, const char *reason)
{
	WfLease    *leases;
	int			n = wf_lease_held(workflow_id, &leases);
	int64		cancelled = 0;

	for (int i = 0; i < n; i++)
		cancelled += cancel_by_id(&leases[i].run_id, reason);
	return cancelled;
}

/* Cancel whatever is queued, executed or leased, a batch at a time. */
int64
wf_queue_cancel_all(int32 workflow_id, const char *reason)
{
	WfCursors  *cursors = palloc0(sizeof(WfCursors));
	WfItem	   *items = palloc(sizeof(WfItem) * 1000);
	TimestampTz next_due;
	int64		cancelled = 0;
	int			n;

	while ((n = wf_queue_take(workflow_id, cursors, DT_NOEND, 1000, items, &next_due)) > 0)
	{
		for (int i = 0; i < n; i++)
			cancelled += cancel_by_id(&items[i].run_id, reason);
	}
	return cancelled + cancel_leased(workflow_id, reason);
}

/*
 * wf_cancel_all(workflow): cancel every run of a workflow that has not ended;
 * how many.
 */
Datum
wf_cancel_all(PG_FUNCTION_ARGS)
{
	const WfWorkflow *workflow;
	text	   *name;

	if (PG_ARGISNULL(0))
		wf_refuse_null("workflow");
	name = PG_GETARG_TEXT_PP(0);
	workflow = wf_workflow_require(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), WF_MAY_OPERATE);
	PreventCommandIfReadOnly("wf_cancel_all()");
	PG_RETURN_INT64(wf_queue_cancel_all(workflow->id, NULL));
}

/*
 * wf_erase(run_id): payload, result and errors of a run that has ended are
 * removed; what its key does stays as it is.  55000 if it has not ended.
 */
Datum
wf_erase(PG_FUNCTION_ARGS)
{
	WfRun		run;
	WfEvent		last;
	WfWorkflow	workflow;

	if (PG_ARGISNULL(0))
		wf_refuse_null("run_id");
	wf_run_require(PG_GETARG_UUID_P(0), WF_MAY_OPERATE, false, &run, &last, &workflow);
	PreventCommandIfReadOnly("wf_erase()");
	if (!wf_state_is_terminal(wf_event_state(&last)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run has not ended"),
				 errdetail("It is %s.",
						   wf_run_executing(&run.run_id, &last.started_at) != 0 ? "running" :
						   wf_state_name(wf_event_state(&last))),
				 errhint("Wait for it, or cancel it with wf_cancel() first.")));
	wf_run_erase(&run);
	wf_event_erase(&run.run_id, run.slice);
	PG_RETURN_VOID();
}
