/*-------------------------------------------------------------------------
 * task_arguments.c
 *		Arguments that the functions of tasks have in common.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/guc.h"
#include "keys/fingerprint.h"
#include "ops/settings.h"
#include "ops/task_arguments.h"

static void
check_key(const char *key, int length)
{
	if (GetDatabaseEncoding() != PG_UTF8 && length > 0)
		length = strlen(pg_server_to_any(pnstrdup(key, length), length, PG_UTF8));
	if (length < 1 || length > WF_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("idempotency key must have 1 to %d bytes", WF_MAX_KEY),
				 errdetail("The key has %d bytes in UTF-8.", length),
				 length == 0 ?
				 errhint("A task always has a key.") :
				 errhint("Pass wf_hash_key() of the long key.")));
}

void
wf_task_request(const char *key, int length, bool writes, WfTaskRequest *request)
{
	memset(request, 0, sizeof(*request));
	check_key(key, length);
	if (writes)
		wf_task_owner_require(&request->owner);
	else
		(void) wf_task_owner_find(&request->owner);
	request->key = key;
	request->key_length = length;
	wf_task_digest(&request->owner.owner, key, length, &request->task);
}

/* 54000 for a value over the limit, judged before anything is expanded. */
static void
check_size(Datum value, const char *what)
{
	Size		size = toast_raw_datum_size(value);

	if (size > (Size) wf_max_payload * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s is too large", what),
				 errdetail("The %s has %zu bytes, the limit is %zu.", what,
						   size, (Size) wf_max_payload * 1024),
				 errhint("Store large data in a table of your own, or have pg_workflow.max_payload raised.")));
}

void
wf_task_set_payload(WfTaskRequest *request, Datum payload)
{
	check_size(payload, "payload");
	request->has_fingerprint = true;
	wf_fingerprint(DatumGetJsonbP(payload), request->fingerprint);
}

Datum
wf_task_result(Datum result, bool isnull)
{
	if (isnull)
		return DirectFunctionCall1(jsonb_in, CStringGetDatum("null"));
	check_size(result, "result");
	return result;
}

Datum
wf_task_read_result(FunctionCallInfo fcinfo, int argument)
{
	return wf_task_result(PG_GETARG_DATUM(argument), PG_ARGISNULL(argument));
}

const Interval *
wf_task_read_ttl(FunctionCallInfo fcinfo, int argument)
{
	const Interval *ttl;

	if (PG_ARGISNULL(argument))
		wf_refuse_null("ttl");
	ttl = PG_GETARG_INTERVAL_P(argument);
	if (wf_interval_is_negative(ttl))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"ttl\""),
				 errdetail("It is %s.",
						   DatumGetCString(DirectFunctionCall1(interval_out,
															   PG_GETARG_DATUM(argument)))),
				 errhint("Pass '0' for a result that is not remembered, and '1000 years' for one that is never forgotten.")));
	return ttl;
}
