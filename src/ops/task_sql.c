/*-------------------------------------------------------------------------
 * task_sql.c
 *		wf_task_begin and its kin: arguments in, answers out.
 *
 * A task is the current user's: nobody else can name it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/clock.h"
#include "ops/settings.h"
#include "ops/task_arguments.h"

PG_FUNCTION_INFO_V1(wf_task_begin);
PG_FUNCTION_INFO_V1(wf_task_complete);
PG_FUNCTION_INFO_V1(wf_task_fail);
PG_FUNCTION_INFO_V1(wf_task_get);
PG_FUNCTION_INFO_V1(wf_task_put);
PG_FUNCTION_INFO_V1(wf_task_forget);
PG_FUNCTION_INFO_V1(wf_my_tasks);

static void read_request(FunctionCallInfo fcinfo, const char *function, WfTaskRequest *request);
static int32 read_attempt(FunctionCallInfo fcinfo, int argument);
static const Interval *read_lease(FunctionCallInfo fcinfo, int argument);
static char *read_error(FunctionCallInfo fcinfo, int argument);

/*
 * wf_task_begin(key, lease, payload)
 *
 * status 'execute': the caller is to do the step and call wf_task_complete or
 * wf_task_fail with this attempt.  A task that is completed, or in progress
 * elsewhere, is answered without writing anything.
 */
Datum
wf_task_begin(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {
		[WF_TASK_EXECUTE] = "execute",
		[WF_TASK_IS_COMPLETED] = "completed",
		[WF_TASK_IN_PROGRESS] = "in_progress"
	};
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	WfTaskRequest request;
	WfTask		task;
	WfTaskStatus status;
	Datum		values[4];
	bool		nulls[4] = {false};

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	read_request(fcinfo, "wf_task_begin()", &request);
	if (!PG_ARGISNULL(2))
		wf_task_set_payload(&request, PG_GETARG_DATUM(2));

	status = wf_task_do_begin(&request, read_lease(fcinfo, 1), &task);
	values[0] = CStringGetTextDatum(names[status]);
	values[1] = Int32GetDatum(task.attempt);
	values[2] = task.result;
	nulls[2] = task.result == (Datum) 0;
	values[3] = TimestampTzGetDatum(task.lease_until);
	nulls[3] = task.lease_until == DT_NOBEGIN;
	tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	return (Datum) 0;
}

/*
 * wf_task_complete(key, attempt, result, ttl)
 */
Datum
wf_task_complete(PG_FUNCTION_ARGS)
{
	WfTaskRequest request;
	int32		attempt;
	const Interval *ttl;

	read_request(fcinfo, "wf_task_complete()", &request);
	attempt = read_attempt(fcinfo, 1);
	ttl = wf_task_read_ttl(fcinfo, 3);
	PG_RETURN_DATUM(wf_task_do_complete(&request, attempt,
										wf_task_read_result(fcinfo, 2), ttl));
}

/*
 * wf_task_fail(key, attempt, error)
 */
Datum
wf_task_fail(PG_FUNCTION_ARGS)
{
	WfTaskRequest request;

	read_request(fcinfo, "wf_task_fail()", &request);
	wf_task_do_fail(&request, read_attempt(fcinfo, 1), read_error(fcinfo, 2));
	PG_RETURN_VOID();
}

/*
 * wf_task_get(key): works in a read-only transaction, and on a standby.
 */
Datum
wf_task_get(PG_FUNCTION_ARGS)
{
	WfTaskRequest request;
	Datum		result;

	read_request(fcinfo, NULL, &request);
	result = wf_task_do_get(&request);
	if (result == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/*
 * wf_task_put(key, result, ttl)
 */
Datum
wf_task_put(PG_FUNCTION_ARGS)
{
	WfTaskRequest request;
	const Interval *ttl;

	read_request(fcinfo, "wf_task_put()", &request);
	ttl = wf_task_read_ttl(fcinfo, 2);
	PG_RETURN_DATUM(wf_task_do_put(&request, wf_task_read_result(fcinfo, 1), ttl));
}

/*
 * wf_task_forget(key)
 */
Datum
wf_task_forget(PG_FUNCTION_ARGS)
{
	WfTaskRequest request;

	read_request(fcinfo, "wf_task_forget()", &request);
	PG_RETURN_BOOL(wf_task_do_forget(&request));
}

/*
 * wf.my_tasks(): for the views.
 */
Datum
wf_my_tasks(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	WfTaskOwner owner;
	Datum		values[2] = {0};
	bool		nulls[2] = {true, true};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (wf_task_owner_find(&owner))
	{
		values[0] = UUIDPGetDatum(&owner.owner);
		values[1] = Int32GetDatum(owner.number);
		nulls[0] = nulls[1] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* The key, which is the first argument; function: NULL if it only reads. */
static void
read_request(FunctionCallInfo fcinfo, const char *function, WfTaskRequest *request)
{
	text	   *key;

	if (function != NULL)
		PreventCommandIfReadOnly(function);
	if (PG_ARGISNULL(0))
		wf_refuse_null("key");
	key = PG_GETARG_TEXT_PP(0);
	wf_task_request(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), function != NULL, request);
}

static int32
read_attempt(FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		wf_refuse_null("attempt");
	return PG_GETARG_INT32(argument);
}

static const Interval *
read_lease(FunctionCallInfo fcinfo, int argument)
{
	const Interval *lease;
	int64		us;

	if (PG_ARGISNULL(argument))
		wf_refuse_null("lease");
	lease = PG_GETARG_INTERVAL_P(argument);
	us = wf_interval_us(lease);
	if (us <= 0 || us > USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"lease\""),
				 errdetail("It is %s.",
						   DatumGetCString(DirectFunctionCall1(interval_out,
															   PG_GETARG_DATUM(argument)))),
				 errhint("Accepted are intervals above '0' and up to '1 day'.  A task whose lease is over "
						 "can be completed as long as nobody else has begun it.")));
	return lease;
}

/* A text, cut to what is kept of it. */
static char *
read_error(FunctionCallInfo fcinfo, int argument)
{
	text	   *error;
	int			length;

	if (PG_ARGISNULL(argument))
		wf_refuse_null("error");
	error = PG_GETARG_TEXT_PP(argument);
	length = pg_mbcliplen(VARDATA_ANY(error), VARSIZE_ANY_EXHDR(error), WF_MAX_ERROR_TEXT);
	return pnstrdup(VARDATA_ANY(error), length);
}
