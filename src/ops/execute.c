/*-------------------------------------------------------------------------
 * execute.c
 *		Execute one run: handler and completion in one transaction.
 *
 * The process is logged in as the workflow's owner, and everything here is
 * done as that role.  The completion is written by table.c, which runs no
 * code of a user, before the transaction's commit work: if a deferred
 * trigger fails then, the completion goes with it.  A failure is recorded in
 * a transaction of its own.
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
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/audit.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/wakeup.h"
#include "ops/execute.h"
#include "ops/handler.h"
#include "ops/outcome.h"
#include "ops/pool.h"
#include "ops/session.h"
#include "ops/turn.h"
#include "store/run_store.h"

/* after a time-out, or a cancel that is trapped: the process ends */
#define GRACE_MS 5000

PG_FUNCTION_INFO_V1(wf_current_run);
PG_FUNCTION_INFO_V1(wf_current_attempt);
PG_FUNCTION_INFO_V1(wf_current_key);

static const WfItem *current = NULL;
static WfRun current_run;
static TimestampTz current_start;
static bool cancelled_self = false;
static char *cancel_reason = NULL;
static volatile sig_atomic_t timed_out = false;
static TimeoutId timeout_id = MAX_TIMEOUTS;

static bool execute(const WfItem *item);
static Datum call_handler(const WfWorkflow *workflow, bool *isnull);
static void run_what_is_deferred(void);
static void record_completion(const WfItem *item, Datum result);
static void record_failure(const WfItem *item, const ErrorData *error);
static void note_time(void);
static void try_to_record(const WfItem *item, const ErrorData *error);
static ErrorData *catch_error(MemoryContext context);

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
arm_timeout(const WfWorkflow *workflow)
{
	int64		us = wf_interval_us(&workflow->timeout);

	timed_out = false;
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

void
wf_execute_item(const WfItem *item)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pg_workflow run",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ErrorData  *error = NULL;

	cancelled_self = false;
	cancel_reason = NULL;
	current = item;
	PG_TRY();
	{
		(void) execute(item);
	}
	PG_CATCH();
	{
		error = catch_error(context);
	}
	PG_END_TRY();
	disarm_timeout();
	QueryCancelPending = false;
	current = NULL;
	note_time();

	if (error != NULL)
		try_to_record(item, error);
	wf_session_reset();
	pgstat_report_stat(false);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* A moving average, for the dispatcher to know how many runs to hand over. */
static void
note_time(void)
{
	int64		us = GetCurrentTimestamp() - current_start;
	uint32		average = pg_atomic_read_u32(&wf_pool_self->average_us);

	us = Min(Max(us, 1), INT_MAX);
	if (average != 0)
		us = Max((average * INT64CONST(7) + us) / 8, 1);
	pg_atomic_write_u32(&wf_pool_self->average_us, (uint32) us);
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
		cancel_reason = MemoryContextStrdup(TopMemoryContext, reason);
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("run has cancelled itself")));
}

/* End the transaction that failed and keep what is to be told of it. */
static ErrorData *
catch_error(MemoryContext context)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	disarm_timeout();
	QueryCancelPending = false;
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(context);
	RESUME_INTERRUPTS();
	return error;
}

/* False: the run is not to be executed any more. */
static bool
execute(const WfItem *item)
{
	const WfWorkflow *found;
	WfWorkflow	workflow;
	WfEvent		last;
	Datum		result;
	bool		isnull;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	wf_turn_lock_extension();
	PushActiveSnapshot(GetTransactionSnapshot());
	current_start = GetCurrentTimestamp();

	found = wf_workflow_by_id(item->workflow_id);
	wf_event_last(&item->run_id, item->slice, NULL, &last);
	if (found == NULL || found->dropped || last.seq != item->seq ||
		!wf_run_find(&item->run_id, NULL, true, &current_run))
	{
		PopActiveSnapshot();
		CommitTransactionCommand();
		return false;
	}
	workflow = *found;
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("pg_workflow: run %s of workflow %s",
									DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&item->run_id))),
									workflow.name));

	wf_count_latency(item->workflow_id,
					 current_start - Max(item->run_at, current_run.enqueued_at));

	arm_timeout(&workflow);
	result = call_handler(&workflow, &isnull);
	run_what_is_deferred();
	disarm_timeout();
	CHECK_FOR_INTERRUPTS();
	if (cancelled_self)
		wf_execute_cancel_self(NULL);

	record_completion(item, isnull ? (Datum) 0 : result);
	PopActiveSnapshot();
	CommitTransactionCommand();
	wf_run_ended(&item->run_id, item->workflow_id, WF_EVENT_COMPLETED);
	pgstat_report_activity(STATE_IDLE, NULL);
	return true;
}

static Datum
call_handler(const WfWorkflow *workflow, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo	fn;
	Datum		result;

	wf_handler_resolve(workflow, &fn, CurrentMemoryContext);
	InitFunctionCallInfoData(*fcinfo, &fn, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = current_run.payload;
	fcinfo->args[0].isnull = !current_run.has_payload;
	*isnull = true;
	if (fn.fn_strict && fcinfo->args[0].isnull)
		return (Datum) 0;
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull || get_func_rettype(fn.fn_oid) == VOIDOID;
	if (!*isnull && toast_raw_datum_size(result) > (Size) wf_max_payload * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("result is too large"),
				 errdetail("The result has %zu bytes, the limit is %zu.",
						   toast_raw_datum_size(result), (Size) wf_max_payload * 1024),
				 errhint("Store large data in a table of your own, or have pg_workflow.max_payload raised.")));
	return result;
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

static void
record_completion(const WfItem *item, Datum result)
{
	WfEvent		event = {0};

	event.at = GetCurrentTimestamp();
	event.seq = item->seq + 1;
	event.attempt = item->attempt;
	event.workflow_id = item->workflow_id;
	event.priority = item->priority;
	event.tries = item->tries + 1;
	event.crashes = item->crashes;
	event.kind = WF_EVENT_COMPLETED;
	event.run_at = DT_NOBEGIN;
	event.lease_until = DT_NOBEGIN;
	event.started_at = current_start;
	event.result = result;
	wf_event_append_or_fail(&item->run_id, item->slice, &event);
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

static void
record_failure(const WfItem *item, const ErrorData *error)
{
	const WfWorkflow *workflow;
	WfEvent		last;
	WfEvent		event = {0};

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	workflow = wf_workflow_by_id(item->workflow_id);
	wf_event_last(&item->run_id, item->slice, NULL, &last);
	if (workflow != NULL && last.seq == item->seq)
	{
		wf_event_follow(&event, &last, WF_EVENT_CANCELLED, GetCurrentTimestamp());
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
		if (wf_event_append(&item->run_id, item->slice, &event) &&
			event.run_at != DT_NOBEGIN)
			wf_wakeup_queued(item->workflow_id, event.run_at, WF_STREAM_EVENT(item->slice));
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	wf_run_ended(&item->run_id, item->workflow_id, event.kind);
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
		uint32		tail = pg_atomic_read_u32(&wf_pool_self->tail);

		ereport(LOG,
				(errcode(second->sqlerrcode),
				 errmsg("could not record the failure of a run: %s", second->message)));
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1000, PG_WAIT_EXTENSION);
		wf_pool_self->items[tail % WF_EXECUTOR_QUEUE].unrecorded = true;
	}
	PG_END_TRY();
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
