/*-------------------------------------------------------------------------
 * report.c
 *		wf_heartbeat, wf_complete, wf_fail, wf_release: what an external
 *		worker says of a run that it has claimed.
 *
 * The attempt's number is what counts: it is current while the run's last
 * event is of that attempt and holds a lease, ended or not.  Each report is
 * one event in the caller's transaction, whose unique index waits for, and
 * decides between, two that come at the same time.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/claim_queue.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/leases.h"
#include "base/uuid7.h"
#include "base/wakeup.h"
#include "ops/access.h"
#include "ops/outcome.h"
#include "ops/read.h"
#include "ops/settings.h"
#include "ops/worker_args.h"

PG_FUNCTION_INFO_V1(wf_heartbeat);
PG_FUNCTION_INFO_V1(wf_complete);
PG_FUNCTION_INFO_V1(wf_fail);
PG_FUNCTION_INFO_V1(wf_release);

/* a run that somebody reports on */
typedef struct Held
{
	pg_uuid_t	run_id;
	int32		attempt;		/* that the caller says it has */
	int			slice;
	WfEvent		last;
	WfWorkflow	workflow;		/* a copy */
} Held;

static void read_held(FunctionCallInfo fcinfo, const char *function, Held *held);
static void find_held(Held *held);
static bool is_current(const Held *held);
static void begin_report(const Held *held, char kind, WfEvent *event);
static bool report(const Held *held, const WfEvent *event);
static void refuse_stale(const Held *held) pg_attribute_noreturn();
static void refuse_other(const Held *held) pg_attribute_noreturn();

/*
 * wf_heartbeat(run_id, attempt, lease): the lease ends `lease` from now, as
 * long as it was claimed for if that is null; until when.
 */
Datum
wf_heartbeat(PG_FUNCTION_ARGS)
{
	Held		held;
	WfEvent		event;
	int64		lease_us = PG_ARGISNULL(2) ? 0 : wf_lease_length(PG_GETARG_INTERVAL_P(2));

	read_held(fcinfo, "wf_heartbeat()", &held);
	do
	{
		find_held(&held);
		if (!is_current(&held))
			refuse_stale(&held);
		begin_report(&held, WF_EVENT_HEARTBEAT, &event);
		event.lease_us = held.last.lease_us;
		event.lease_until = event.at + (lease_us != 0 ? lease_us : held.last.lease_us);
	} while (!report(&held, &event));
	wf_lease_written(event.lease_until);
	PG_RETURN_TIMESTAMPTZ(event.lease_until);
}

static void
check_result_size(Datum result)
{
	Size		size = toast_raw_datum_size(result);
	Size		limit = (Size) wf_max_payload * 1024;

	if (size > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("result is too large"),
				 errdetail("The result has %zu bytes, the limit is %zu.", size, limit),
				 errhint("Store large data in a table of your own, or have pg_workflow.max_payload raised.")));
}

static bool
same_result(Datum a, Datum b)
{
	if (a == (Datum) 0 || b == (Datum) 0)
		return a == b;
	return DatumGetBool(DirectFunctionCall2(jsonb_eq, a, b));
}

/*
 * wf_complete(run_id, attempt, result): quiet where that is what has been
 * reported before.
 */
Datum
wf_complete(PG_FUNCTION_ARGS)
{
	Held		held;
	WfEvent		event;
	Datum		result = (Datum) 0;

	read_held(fcinfo, "wf_complete()", &held);
	if (!PG_ARGISNULL(2))
	{
		result = PG_GETARG_DATUM(2);
		check_result_size(result);
	}
	do
	{
		find_held(&held);
		if (!is_current(&held))
		{
			if (held.last.attempt == held.attempt &&
				held.last.kind == WF_EVENT_COMPLETED && same_result(held.last.result, result))
				PG_RETURN_VOID();
			refuse_other(&held);
		}
		begin_report(&held, WF_EVENT_COMPLETED, &event);
		event.result = result;
	} while (!report(&held, &event));
	wf_claim_ends(held.workflow.id);
	wf_run_ends(&held.run_id, held.workflow.id, event.kind);
	PG_RETURN_VOID();
}

static char *
read_error(FunctionCallInfo fcinfo, int argument)
{
	text	   *error;

	if (PG_ARGISNULL(argument))
		wf_refuse_null("error");
	error = PG_GETARG_TEXT_PP(argument);
	return pnstrdup(VARDATA_ANY(error),
					pg_mbcliplen(VARDATA_ANY(error), VARSIZE_ANY_EXHDR(error), WF_MAX_ERROR_TEXT));
}

/* The workflow's rule, but for what the worker knows better. */
static void
decide_failure(FunctionCallInfo fcinfo, const Held *held, WfEvent *event)
{
	event->tries--;				/* which wf_outcome_failed counts */
	wf_outcome_failed(&held->workflow, event);
	if (!PG_ARGISNULL(4) && PG_GETARG_BOOL(4))
	{
		event->kind = WF_EVENT_FAILED;
		event->run_at = DT_NOBEGIN;
	}
	else if (event->kind == WF_EVENT_RETRY && !PG_ARGISNULL(3))
		event->run_at = wf_clock_add(event->at, PG_GETARG_INTERVAL_P(3));
}

static bool
same_failure(const Held *held, const char *error, bool terminal)
{
	char		kind = held->last.kind;

	return held->last.attempt == held->attempt && held->last.error != NULL &&
		strcmp(held->last.error, error) == 0 &&
		(kind == WF_EVENT_FAILED || (kind == WF_EVENT_RETRY && !terminal));
}

static Datum
state_of(const WfEvent *event)
{
	return CStringGetTextDatum(wf_state_name(wf_event_state(event)));
}

/*
 * wf_fail(run_id, attempt, error, retry_in, terminal): the new state, queued
 * or failed.  Quiet where that is what has been reported before.
 */
Datum
wf_fail(PG_FUNCTION_ARGS)
{
	Held		held;
	WfEvent		event;
	char	   *error;

	read_held(fcinfo, "wf_fail()", &held);
	error = read_error(fcinfo, 2);
	if (!PG_ARGISNULL(3) && wf_interval_is_negative(PG_GETARG_INTERVAL_P(3)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"retry_in\""),
				 errdetail("It is %s.",
						   DatumGetCString(DirectFunctionCall1(interval_out, PG_GETARG_DATUM(3)))),
				 errhint("Accepted is '0' or more; NULL for the workflow's delay.")));
	do
	{
		find_held(&held);
		if (!is_current(&held))
		{
			if (same_failure(&held, error, !PG_ARGISNULL(4) && PG_GETARG_BOOL(4)))
				PG_RETURN_DATUM(state_of(&held.last));
			refuse_other(&held);
		}
		begin_report(&held, WF_EVENT_RETRY, &event);
		event.sqlstate = "P0001";
		event.error = error;
		decide_failure(fcinfo, &held, &event);
	} while (!report(&held, &event));
	wf_claim_ends(held.workflow.id);
	if (event.run_at != DT_NOBEGIN)
		wf_wakeup_queued(held.workflow.id, event.run_at, WF_STREAM_EVENT(held.slice));
	wf_run_ends(&held.run_id, held.workflow.id, event.kind);
	PG_RETURN_DATUM(state_of(&event));
}

/*
 * wf_release(run_id, attempt): back to the queue, and the attempt does not
 * count.
 */
Datum
wf_release(PG_FUNCTION_ARGS)
{
	Held		held;
	WfEvent		event;

	read_held(fcinfo, "wf_release()", &held);
	do
	{
		find_held(&held);
		if (!is_current(&held))
		{
			if (held.last.attempt == held.attempt && held.last.kind == WF_EVENT_RELEASED)
				PG_RETURN_VOID();
			refuse_stale(&held);
		}
		begin_report(&held, WF_EVENT_RELEASED, &event);
		event.tries--;
		event.run_at = event.at;
	} while (!report(&held, &event));
	wf_claim_ends(held.workflow.id);
	wf_wakeup_queued(held.workflow.id, event.run_at, WF_STREAM_EVENT(held.slice));
	PG_RETURN_VOID();
}

/* ---- what they are made of ---- */

static void
read_held(FunctionCallInfo fcinfo, const char *function, Held *held)
{
	if (PG_ARGISNULL(0))
		wf_refuse_null("run_id");
	if (PG_ARGISNULL(1))
		wf_refuse_null("attempt");
	PreventCommandIfReadOnly(function);
	memset(held, 0, sizeof(*held));
	held->run_id = *PG_GETARG_UUID_P(0);
	held->attempt = PG_GETARG_INT32(1);
}

/*
 * The run's last event, as it is now, whatever the caller's snapshot.  Where
 * the run is held, as it mostly is, the event says all that is needed.
 */
static void
find_held(Held *held)
{
	int			hint = wf_uuid7_slice(&held->run_id) % WF_SLICES;
	const WfWorkflow *workflow;
	WfRun		run;

	CHECK_FOR_INTERRUPTS();
	AcceptInvalidationMessages();	/* of a REVOKE, as in wf_workflow_require */
	held->slice = hint;
	wf_event_last(&held->run_id, hint, NULL, &held->last);
	if (wf_event_state(&held->last) == WF_RUNNING)
	{
		workflow = wf_workflow_by_id(held->last.workflow_id);
		if (workflow != NULL && !workflow->dropped && wf_workflow_rights(workflow) != 0)
		{
			wf_workflow_check(workflow, WF_MAY_WORK);
			held->workflow = *workflow;
			return;
		}
	}
	wf_run_require(&held->run_id, WF_MAY_WORK, false, &run, &held->last, &held->workflow);
	held->slice = run.slice;
	wf_event_of_run(&run, NULL, &held->last);
}

static bool
is_current(const Held *held)
{
	return wf_event_state(&held->last) == WF_RUNNING && held->last.attempt == held->attempt;
}

static void
begin_report(const Held *held, char kind, WfEvent *event)
{
	wf_event_follow(event, &held->last, kind, wf_clock_now());
	event->workflow_id = held->workflow.id;
	event->started_at = held->last.started_at;
	event->worker = held->last.worker;
	wf_lease_moves(held->last.lease_until);
}

/* False: another report, a cancel or the end of the lease was faster. */
static bool
report(const Held *held, const WfEvent *event)
{
	return wf_event_append(&held->run_id, held->slice, event);
}

static char *
run_text(const Held *held)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&held->run_id)));
}

static void
refuse_stale(const Held *held)
{
	ereport(ERROR,
			(errcode(ERRCODE_WF_STALE_ATTEMPT),
			 errmsg("attempt %d is not current", held->attempt),
			 errdetail("Run %s is %s, its last attempt is %d.", run_text(held),
					   wf_state_name(wf_event_state(&held->last)), held->last.attempt),
			 errhint("The run has been taken over, released, cancelled or finished: drop this attempt.")));
}

/* This attempt has finished the run in another way, or it is stale. */
static void
refuse_other(const Held *held)
{
	char		kind = held->last.kind;

	if (held->last.attempt != held->attempt ||
		(kind != WF_EVENT_COMPLETED && kind != WF_EVENT_FAILED))
		refuse_stale(held);
	ereport(ERROR,
			(errcode(ERRCODE_WF_OTHER_OUTCOME),
			 errmsg("run is finished with another outcome"),
			 errdetail("Attempt %d of run %s has been reported as %s.", held->attempt, run_text(held),
					   wf_state_name(wf_event_state(&held->last))),
			 errhint("wf_handle() tells the outcome that is stored.")));
}
