/*-------------------------------------------------------------------------
 * task_run.c
 *		wf_task_run: call a function once for a key and remember its result.
 *
 * Begin, call and completion are in the caller's transaction, and the
 * function runs as the caller.  Who comes second while the first has not
 * committed waits for that; so the lease, which a crash or rollback takes
 * away with all the rest, only matters to a task begun by wf_task_begin().
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "ops/execute.h"
#include "ops/handler.h"
#include "ops/settings.h"
#include "ops/task_arguments.h"

PG_FUNCTION_INFO_V1(wf_task_run);

static char *key_in_run(Oid handler);
static Datum call(Oid handler, Datum payload, bool *isnull);
static Datum call_once(const WfTaskRequest *request, Oid handler, Datum payload,
					   const Interval *ttl);
static void report_in_progress(const WfTask *task) pg_attribute_noreturn();

/*
 * wf_task_run(handler, payload, key, ttl)
 *
 * Without a key: in a run, once for each run and handler; elsewhere the
 * function is called each time, and nothing is stored.
 */
Datum
wf_task_run(PG_FUNCTION_ARGS)
{
	Oid			handler;
	const Interval *ttl;
	char	   *key;
	WfTaskRequest request;

	PreventCommandIfReadOnly("wf_task_run()");
	if (PG_ARGISNULL(0))
		wf_refuse_null("handler");
	if (PG_ARGISNULL(1))
		wf_refuse_null("payload");
	handler = PG_GETARG_OID(0);
	wf_handler_check_callable(handler);
	ttl = wf_task_read_ttl(fcinfo, 3);

	if (!PG_ARGISNULL(2))
		key = text_to_cstring(PG_GETARG_TEXT_PP(2));
	else if (wf_execute_current() != NULL)
		key = key_in_run(handler);
	else
	{
		bool		isnull;
		Datum		result = call(handler, PG_GETARG_DATUM(1), &isnull);

		if (isnull)
			PG_RETURN_NULL();
		PG_RETURN_DATUM(result);
	}
	wf_task_request(key, strlen(key), true, &request);
	wf_task_set_payload(&request, PG_GETARG_DATUM(1));
	PG_RETURN_DATUM(call_once(&request, handler, PG_GETARG_DATUM(1), ttl));
}

/* "01a20bac-9aba-77e2-812f-3422cc2c455b/public.send" */
static char *
key_in_run(Oid handler)
{
	const pg_uuid_t *run_id = &wf_execute_current()->run_id;

	return psprintf("%s/%s",
					DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(run_id))),
					quote_qualified_identifier(get_namespace_name(get_func_namespace(handler)),
											   get_func_name(handler)));
}

static Datum
call_once(const WfTaskRequest *request, Oid handler, Datum payload, const Interval *ttl)
{
	static const Interval lease = {.time = 5 * USECS_PER_MINUTE};
	WfTask		task;
	Datum		result;
	bool		isnull;

	switch (wf_task_do_begin(request, &lease, &task))
	{
		case WF_TASK_IS_COMPLETED:
			return task.result;
		case WF_TASK_IN_PROGRESS:
			report_in_progress(&task);
			break;
		case WF_TASK_EXECUTE:
			break;
	}
	result = call(handler, payload, &isnull);
	return wf_task_do_complete(request, task.attempt, wf_task_result(result, isnull), ttl);
}

static Datum
call(Oid handler, Datum payload, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo	fn;
	Datum		result;

	check_stack_depth();
	fmgr_info(handler, &fn);
	InitFunctionCallInfoData(*fcinfo, &fn, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = payload;
	fcinfo->args[0].isnull = false;
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull || get_func_rettype(handler) == VOIDOID;
	return result;
}

static void
report_in_progress(const WfTask *task)
{
	ereport(ERROR,
			(errcode(ERRCODE_WF_KEY_BUSY),
			 errmsg("task is in progress"),
			 errdetail("Attempt %d has it until %s.", task->attempt,
					   timestamptz_to_str(task->lease_until)),
			 errhint("Retry after that, or when wf_task_complete() or wf_task_fail() has ended the attempt.")));
}
