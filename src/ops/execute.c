/*-------------------------------------------------------------------------
 * execute.c
 *		One attempt at a run: its handler, and what is recorded of it.
 *
 * The process is logged in as the workflow's owner, and everything here is
 * done as that role, in a transaction or savepoint of serve.c.  The completion
 * is written by table.c, which runs no code of a user, before the
 * transaction's commit work: if a deferred trigger fails then, the completion
 * goes with it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/audit.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/wakeup.h"
#include "ops/execute.h"
#include "ops/handler.h"
#include "ops/outcome.h"
#include "store/run_store.h"

/* after a time-out, or a cancel that is trapped: the process ends */
#define GRACE_MS 5000

PG_FUNCTION_INFO_V1(wf_current_run);
PG_FUNCTION_INFO_V1(wf_current_attempt);
PG_FUNCTION_INFO_V1(wf_current_key);

static const WfItem *current = NULL;
static MemoryContext current_context;
static WfRun current_run;
static WfWorkflow current_workflow;
static TimestampTz current_start;
static bool cancelled_self = false;
static char *cancel_reason = NULL;
static volatile sig_atomic_t timed_out = false;
static TimeoutId timeout_id = MAX_TIMEOUTS;

static Datum call_handler(bool *isnull);
static void run_what_is_deferred(void);
static void record_completion(Datum result);
static void report_activity(void);

/*
 * First firing: cancel, as pg_cancel_backend does.  Later ones, every
 * GRACE_MS: the handler has trapped that; end the process.
 */
static void
on_timeout(void)
{
	if (timed_out)
		ProcDiePending = true;
	timed_out = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

static void
arm_timeout(void)
{
	int64		us = wf_interval_us(&current_workflow.timeout);

	if (us <= 0)
		return;
	if (timeout_id == MAX_TIMEOUTS)
		timeout_id = RegisterTimeout(USER_TIMEOUT, on_timeout);
	enable_timeout_every(timeout_id,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													 Min(Max(us / 1000, 1), INT_MAX)),
						 GRACE_MS);
}

static void
disarm_timeout(void)
{
	if (timeout_id != MAX_TIMEOUTS)
		disable_timeout(timeout_id, false);
}

/*
 * Read the run and its workflow, as long as it is still to be executed.  The
 * payload has to be whole afterwards: nothing keeps its table as it is.
 */
static bool
find_run(const WfItem *item, bool *in_doubt)
{
	const WfWorkflow *workflow = wf_workflow_by_id(item->workflow_id);
	WfEvent		last;

	*in_doubt = !wf_event_last_settled(&item->run_id, item->slice, &last);
	if (workflow == NULL || workflow->dropped || last.seq != item->seq || *in_doubt ||
		!wf_run_of_item(item, NULL, &current_run))
		return false;
	current_workflow = *workflow;
	if (current_run.has_payload)
		current_run.payload = PointerGetDatum(PG_DETOAST_DATUM(current_run.payload));
	return true;
}

/*
 * The same, with all locks given back: a handler may take long, and what a
 * DBA does to our tables is not to wait for it.
 */
static bool
find_run_unlocked(const WfItem *item, bool *in_doubt)
{
	ResourceOwner outer = CurrentResourceOwner;
	ResourceOwner owner = ResourceOwnerCreate(outer, "pg_workflow run");
	bool		found;

	CurrentResourceOwner = owner;
	found = find_run(item, in_doubt);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, true, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_AFTER_LOCKS, true, false);
	CurrentResourceOwner = outer;
	ResourceOwnerDelete(owner);
	return found;
}

bool
wf_execute_begin(const WfItem *item, bool *in_doubt)
{
	current_start = GetCurrentTimestamp();
	current_context = CurrentMemoryContext;
	cancelled_self = false;
	timed_out = false;
	cancel_reason = NULL;

	if (!find_run_unlocked(item, in_doubt))
		return false;
	current = item;
	report_activity();
	wf_count_latency(item->workflow_id,
					 current_start - Max(item->run_at, current_run.enqueued_at));
	return true;
}

static void
report_activity(void)
{
	char	   *run_id = DatumGetCString(DirectFunctionCall1(uuid_out,
															 UUIDPGetDatum(&current->run_id)));

	pgstat_report_activity(STATE_RUNNING,
						   psprintf("pg_workflow: run %s of workflow %s",
									run_id, current_workflow.name));
}

void
wf_execute_end(void)
{
	wf_execute_disarm();
	current = NULL;
}

void
wf_execute_disarm(void)
{
	disarm_timeout();
	QueryCancelPending = false;
}

/* A handler that has trapped its timeout has failed all the same. */
static void
refuse_late_end(void)
{
	if (timed_out)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("the attempt exceeded the workflow's timeout")));
}

void
wf_execute_handler(void)
{
	Datum		result;
	bool		isnull;

	arm_timeout();
	result = call_handler(&isnull);
	if (!IsSubTransaction())
		run_what_is_deferred();
	disarm_timeout();
	CHECK_FOR_INTERRUPTS();
	if (cancelled_self)
		wf_execute_cancel_self(NULL);
	refuse_late_end();
	record_completion(isnull ? (Datum) 0 : result);
}

/*
 * What the handler has put off to the commit is run under its timeout, and
 * before the completion is written, so that wf_cancel does not wait for it.
 * Cursors WITH HOLD would be read to their end only to be closed.
 */
static void
run_what_is_deferred(void)
{
	AfterTriggerFireDeferred();
	PortalHashTableDeleteAll();
}

void
wf_execute_deferred(void)
{
	arm_timeout();
	run_what_is_deferred();
	disarm_timeout();
	CHECK_FOR_INTERRUPTS();
}

static Datum
call_handler(bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo	fn;
	bool		returns_jsonb;
	Datum		result;

	returns_jsonb = wf_handler_resolve(&current_workflow, &fn, CurrentMemoryContext);
	InitFunctionCallInfoData(*fcinfo, &fn, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = current_run.payload;
	fcinfo->args[0].isnull = !current_run.has_payload;
	*isnull = true;
	if (fn.fn_strict && fcinfo->args[0].isnull)
		return (Datum) 0;
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull || !returns_jsonb;
	if (!*isnull && toast_raw_datum_size(result) > (Size) wf_max_payload * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("result is too large"),
				 errdetail("The result has %zu bytes, the limit is %zu.",
						   toast_raw_datum_size(result), (Size) wf_max_payload * 1024),
				 errhint("Store large data in a table of your own, or have pg_workflow.max_payload raised.")));
	return result;
}

static void
record_completion(Datum result)
{
	WfEvent		event = {0};

	event.at = wf_clock_now();
	event.seq = current->seq + 1;
	event.attempt = current->attempt;
	event.workflow_id = current->workflow_id;
	event.priority = current->priority;
	event.tries = current->tries + 1;
	event.crashes = current->crashes;
	event.kind = WF_EVENT_COMPLETED;
	event.run_at = DT_NOBEGIN;
	event.lease_until = DT_NOBEGIN;
	event.started_at = current_start;
	event.result = result;
	wf_event_append_or_fail(&current->run_id, current->slice, &event);
}

/* A text, cut to what is kept of it. */
static char *
clipped(const char *text)
{
	int			length;

	if (text == NULL)
		return NULL;
	length = pg_mbcliplen(text, strlen(text), WF_MAX_ERROR_TEXT);
	return pnstrdup(text, length);
}

static void
describe_error(WfEvent *event, const ErrorData *error)
{
	event->sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	event->error = timed_out ? "the attempt exceeded the workflow's timeout" : clipped(error->message);
	event->detail = clipped(error->detail);
	event->context = clipped(error->context);
}

char
wf_execute_record_failure(const WfItem *item, const ErrorData *error)
{
	const WfWorkflow *workflow = wf_workflow_by_id(item->workflow_id);
	WfEvent		last;
	WfEvent		event;

	wf_event_last(&item->run_id, item->slice, NULL, &last);
	if (workflow == NULL || last.seq != item->seq)
	{
		(void) wf_event_use_up_attempt(&item->run_id, item->slice, item->attempt, true);
		return WF_EVENT_NONE;
	}
	wf_event_follow(&event, &last, WF_EVENT_CANCELLED, wf_clock_now());
	event.workflow_id = item->workflow_id;
	event.priority = item->priority;
	event.attempt = item->attempt;
	event.started_at = current_start;
	if (cancelled_self)
		event.error = cancel_reason;
	else
	{
		describe_error(&event, error);
		wf_outcome_failed(workflow, &event);
	}
	if (!wf_event_append(&item->run_id, item->slice, &event))
		return WF_EVENT_NONE;
	if (event.run_at != DT_NOBEGIN)
		wf_wakeup_queued(item->workflow_id, event.run_at, WF_STREAM_EVENT(item->slice));
	return event.kind;
}

const WfItem *
wf_execute_current(void)
{
	return current;
}

void
wf_execute_cancel_self(const char *reason)
{
	cancelled_self = true;
	if (reason != NULL)
		cancel_reason = MemoryContextStrdup(current_context, reason);
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("run has cancelled itself")));
}

/*
 * wf_current_run(): the run this session executes; NULL elsewhere.
 */
Datum
wf_current_run(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *run_id;

	if (current == NULL)
		PG_RETURN_NULL();
	run_id = palloc(sizeof(pg_uuid_t));
	*run_id = current->run_id;
	PG_RETURN_UUID_P(run_id);
}

/*
 * wf_current_attempt(): number of the attempt; 0 elsewhere.
 */
Datum
wf_current_attempt(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(current == NULL ? 0 : current->attempt);
}

/*
 * wf_current_key(): its idempotency key; NULL where it has none, or elsewhere.
 */
Datum
wf_current_key(PG_FUNCTION_ARGS)
{
	if (current == NULL || current_run.key == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(current_run.key, current_run.key_length));
}
