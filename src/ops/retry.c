/*-------------------------------------------------------------------------
 * retry.c
 *		wf_retry and wf_retry_all: runs that have failed, or were cancelled, are
 *		queued again.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/wakeup.h"
#include "ops/access.h"
#include "ops/enqueue.h"
#include "ops/outcome.h"
#include "ops/read.h"
#include "ops/settings.h"
#include "store/ring.h"
#include "store/run_store.h"

PG_FUNCTION_INFO_V1(wf_retry);
PG_FUNCTION_INFO_V1(wf_retry_all);

static bool is_over(const WfEvent *last);
static bool retry_run(WfRun *run, WfEvent *last);
static void take_key_again(WfRun *run);
static void report_newer_run(const WfRun *holder) pg_attribute_noreturn();

/*
 * wf_retry(run_id): true, and a failed or cancelled run is queued again with
 * max_attempts further attempts; false: it is in another state.
 */
Datum
wf_retry(PG_FUNCTION_ARGS)
{
	WfRun		run;
	WfEvent		last;
	WfWorkflow	workflow;

	if (PG_ARGISNULL(0))
		wf_refuse_null("run_id");
	wf_run_require(PG_GETARG_UUID_P(0), WF_MAY_OPERATE, false, &run, &last, &workflow);
	PreventCommandIfReadOnly("wf_retry()");
	if (is_over(&last) && !run.has_payload)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run can't be retried"),
				 errdetail("Its payload has been erased."),
				 errhint("Enqueue a new run.")));
	PG_RETURN_BOOL(retry_run(&run, &last));
}

/*
 * A run that has lost its key takes it again; WF002 if another run has it.  A
 * key is only ever bound in the current slice, so the run moves there.
 */
static void
take_key_again(WfRun *run)
{
	WfHolder	doubt;
	WfRun		whole;
	WfRun		holder;
	WfEvent		last;
	bool		invisible;

	wf_run_take_out(run, &whole);
	whole.holds_key = true;
	wf_key_digest(run->workflow_id, run->key, run->key_length, &whole.digest);
	whole.slice = wf_ring_for_write()->current;
	for (;;)
	{
		switch (wf_run_probe_key(&whole.digest, true, &holder, &doubt, &invisible))
		{
			case WF_PROBE_NONE:
				if (!wf_run_insert(&whole, NULL))
					break;
				if (whole.slice != run->slice)
					wf_event_carry(&run->run_id, run->slice, whole.slice, false);
				run->slice = whole.slice;
				return;
			case WF_PROBE_FOUND:
				wf_event_of_run(&holder, NULL, &last);
				if (!wf_key_expired(&holder, &last, wf_clock_now()))
					report_newer_run(&holder);
				if (wf_holder_lock(&holder, &last))
					(void) wf_run_release_key(&holder);
				break;
			case WF_PROBE_IN_DOUBT:
				wf_holder_wait(0, &doubt);
				break;
		}
	}
}

static void
report_newer_run(const WfRun *holder)
{
	ereport(ERROR,
			(errcode(ERRCODE_WF_DUPLICATE),
			 errmsg("idempotency key of the run is bound to a newer run"),
			 errdetail("The key is bound to run %s.",
					   DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&holder->run_id)))),
			 errhint("Retry that run, or free the key with wf_forget().")));
}

/* What has become of a run by now; false: it is gone. */
static bool
look_again(WfRun *run, WfEvent *last)
{
	pg_uuid_t	run_id = run->run_id;

	if (!wf_run_find(&run_id, NULL, false, run))
		return false;
	wf_event_of_run(run, NULL, last);
	return true;
}

static bool
retry_run(WfRun *run, WfEvent *last)
{
	WfEvent		event;
	bool		locked;

	/* whether it has its key must not change from here on */
	do
	{
		if (!is_over(last))
			return false;
		locked = wf_holder_lock(run, last);
		if (!locked && !look_again(run, last))
			return false;
	} while (!locked);

	/* a run whose time has come meanwhile may go with its slice at any moment */
	if (wf_run_purged(run, last, wf_clock_now()))
		return false;
	wf_event_follow(&event, last, WF_EVENT_REQUEUED, wf_clock_now());
	event.tries = 0;
	event.crashes = 0;
	event.run_at = event.at;
	event.sqlstate = last->sqlstate;
	event.error = last->error;
	if (!wf_event_append(&run->run_id, run->slice, &event))
		return false;
	if (run->key != NULL && !run->holds_key)
		take_key_again(run);
	wf_run_reopens(run->workflow_id);
	wf_wakeup_queued(run->workflow_id, event.run_at, WF_STREAM_EVENT(run->slice));
	return true;
}

static bool
is_over(const WfEvent *last)
{
	return wf_event_state(last) == WF_FAILED || wf_event_state(last) == WF_CANCELLED;
}

/* May a key be taken again, as far as can be seen now? */
static bool
key_is_free(const WfRun *run)
{
	pg_uuid_t	digest;
	WfRun		holder;
	WfEvent		last;

	if (run->key == NULL || run->holds_key)
		return true;
	wf_key_digest(run->workflow_id, run->key, run->key_length, &digest);
	if (!wf_run_find_key(&digest, &holder))
		return true;
	wf_event_of_run(&holder, NULL, &last);
	return wf_key_expired(&holder, &last, wf_clock_now());
}

/* One run that an index says has failed at some time, or was cancelled. */
static void
retry_one(const pg_uuid_t *run_id, void *arg)
{
	int64	   *retried = arg;
	WfRun		run;
	WfEvent		last;

	CHECK_FOR_INTERRUPTS();
	if (!wf_run_find(run_id, NULL, false, &run))
		return;
	wf_event_of_run(&run, NULL, &last);
	if (is_over(&last) && run.has_payload && !wf_run_purged(&run, &last, wf_clock_now()) &&
		key_is_free(&run) && retry_run(&run, &last))
		(*retried)++;
}

/*
 * wf_retry_all(workflow): wf_retry of every run of a workflow that has failed
 * or was cancelled, but for those whose key a newer run has; how many.
 */
Datum
wf_retry_all(PG_FUNCTION_ARGS)
{
	const WfWorkflow *workflow;
	text	   *name;
	int64		retried = 0;

	if (PG_ARGISNULL(0))
		wf_refuse_null("workflow");
	name = PG_GETARG_TEXT_PP(0);
	workflow = wf_workflow_require(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), WF_MAY_OPERATE);
	PreventCommandIfReadOnly("wf_retry_all()");
	wf_event_each_failed(workflow->id, retry_one, &retried);
	PG_RETURN_INT64(retried);
}
