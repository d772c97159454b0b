/*-------------------------------------------------------------------------
 * enqueue_sql.c
 *		wf_enqueue, wf_submit, wf_enqueue_many: arguments in, answers out.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/uuid7.h"
#include "ops/access.h"
#include "ops/enqueue.h"
#include "ops/read.h"
#include "ops/settings.h"
#include "store/ring.h"

PG_FUNCTION_INFO_V1(wf_enqueue);
PG_FUNCTION_INFO_V1(wf_submit);
PG_FUNCTION_INFO_V1(wf_enqueue_many);

/* positions of the arguments that follow payload and key */
#define ARG_RUN_AT 3
#define ARG_PRIORITY 4
#define ARG_KEY_TTL 5
#define ARG_ON_CONFLICT 6

static void read_request(FunctionCallInfo fcinfo, const char *function, WfRequest *request);
static void read_item(Datum payload, text *key, int ordinal, WfRequestItem *item);
static void refuse_null_payload(int ordinal) pg_attribute_noreturn();
static void enqueue_one(FunctionCallInfo fcinfo, const char *function,
						WfRequest *request, WfAnswer *answer);

/*
 * wf_enqueue(name, payload, key, run_at, priority, key_ttl, on_conflict)
 *
 * The run bound to a key, made if there is none.  NULL: on_conflict is 'skip'
 * and the key is taken.
 */
Datum
wf_enqueue(PG_FUNCTION_ARGS)
{
	WfRequest	request;
	WfAnswer	answer;
	pg_uuid_t  *run_id;

	enqueue_one(fcinfo, "wf_enqueue()", &request, &answer);
	if (answer.skipped)
		PG_RETURN_NULL();
	run_id = palloc(sizeof(pg_uuid_t));
	*run_id = answer.run.run_id;
	PG_RETURN_UUID_P(run_id);
}

/*
 * wf_submit(the same arguments): the same, and where the run is by now.
 */
Datum
wf_submit(PG_FUNCTION_ARGS)
{
	WfRequest	request;
	WfAnswer	answer;
	Datum		values[6] = {0};
	bool		nulls[6] = {false};

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	enqueue_one(fcinfo, "wf_submit()", &request, &answer);
	memset(nulls, answer.skipped, sizeof(nulls));
	values[0] = UUIDPGetDatum(&answer.run.run_id);
	values[1] = BoolGetDatum(answer.created);
	nulls[1] = false;
	if (!answer.skipped)
	{
		WfSight		sight;

		wf_sight(&answer.run, &answer.last, request.may_read, &sight);
		values[2] = CStringGetTextDatum(sight.state);
		values[3] = Int32GetDatum(sight.attempt);
		values[4] = sight.result;
		nulls[4] = sight.result == (Datum) 0;
		nulls[5] = sight.error == NULL;
		if (sight.error != NULL)
			values[5] = CStringGetTextDatum(sight.error);
	}
	tuplestore_putvalues(((ReturnSetInfo *) fcinfo->resultinfo)->setResult,
						 ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc, values, nulls);
	return (Datum) 0;
}

static void
digest_key(const WfRequest *request, WfRequestItem *item)
{
	if (item->key != NULL)
		wf_key_digest(request->workflow.id, item->key, item->key_length, &item->digest);
}

static void
enqueue_one(FunctionCallInfo fcinfo, const char *function, WfRequest *request,
			WfAnswer *answer)
{
	WfRequestItem item;

	read_request(fcinfo, function, request);
	if (PG_ARGISNULL(1))
		refuse_null_payload(0);
	read_item(PG_GETARG_DATUM(1), PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2), 0, &item);
	digest_key(request, &item);
	wf_enqueue_item(request, &item, answer);
}

static WfOnConflict
read_on_conflict(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(ARG_ON_CONFLICT))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"on_conflict\""),
				 errdetail("It is null."),
				 errhint("Accepted values are \"return\", \"error\", \"skip\", \"replace\", \"force\".")));
	return (WfOnConflict) wf_word_require("on_conflict", PG_GETARG_TEXT_PP(ARG_ON_CONFLICT),
										  "return error skip replace force");
}

/* Read what all items share, and check that the caller may enqueue. */
static void
read_request(FunctionCallInfo fcinfo, const char *function, WfRequest *request)
{
	const WfWorkflow *workflow;
	text	   *name;

	PreventCommandIfReadOnly(function);
	if (PG_ARGISNULL(0))
		wf_refuse_null("name");
	name = PG_GETARG_TEXT_PP(0);
	workflow = wf_workflow_require(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), WF_MAY_ENQUEUE);

	memset(request, 0, sizeof(*request));
	request->workflow = *workflow;
	request->may_read = (wf_workflow_rights(workflow) & WF_MAY_READ) != 0;
	request->has_run_at = !PG_ARGISNULL(ARG_RUN_AT);
	if (request->has_run_at)
		request->run_at = Max(PG_GETARG_TIMESTAMPTZ(ARG_RUN_AT), MIN_TIMESTAMP);
	request->has_priority = !PG_ARGISNULL(ARG_PRIORITY);
	if (request->has_priority)
		request->priority = PG_GETARG_INT32(ARG_PRIORITY);
	request->has_key_ttl = !PG_ARGISNULL(ARG_KEY_TTL);
	if (request->has_key_ttl)
	{
		request->key_ttl = *PG_GETARG_INTERVAL_P(ARG_KEY_TTL);
		if (wf_interval_is_negative(&request->key_ttl))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value for argument \"key_ttl\""),
					 errdetail("It is %s.",
							   DatumGetCString(DirectFunctionCall1(interval_out,
																   PG_GETARG_DATUM(ARG_KEY_TTL)))),
					 errhint("Pass '0' for a key that is free as soon as its run has ended, and '1000 years' for one that is never free.")));
	}
	request->on_conflict = read_on_conflict(fcinfo);
}

static void
refuse_null_payload(int ordinal)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("payload must not be null"),
			 errdetail("%sThe payload is null.", wf_item_prefix(ordinal)),
			 errhint("Pass '{}' or 'null'::jsonb for an empty payload.")));
}

/* 54000 for a payload over the limit, judged before anything is expanded. */
static void
check_payload_size(Datum payload, int ordinal)
{
	Size		size = toast_raw_datum_size(payload);

	if (size > (Size) wf_max_payload * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("payload is too large"),
				 errdetail("%sThe payload has %zu bytes, the limit is %zu.",
						   wf_item_prefix(ordinal), size, (Size) wf_max_payload * 1024),
				 errhint("Store large data in a table of your own and enqueue its key, or have pg_workflow.max_payload raised.")));
}

void
wf_check_key(const char *key, int length, int ordinal)
{
	if (GetDatabaseEncoding() != PG_UTF8 && length > 0)
		length = strlen(pg_server_to_any(pnstrdup(key, length), length, PG_UTF8));
	if (length < 1 || length > WF_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("idempotency key must have 1 to %d bytes", WF_MAX_KEY),
				 errdetail("%sThe key has %d bytes in UTF-8.", wf_item_prefix(ordinal), length),
				 length == 0 ?
				 errhint("Pass NULL for a run without a key.") :
				 errhint("Pass wf_hash_key() of the long key.")));
}

static void
read_item(Datum payload, text *key, int ordinal, WfRequestItem *item)
{
	memset(item, 0, sizeof(*item));
	item->ordinal = ordinal;
	check_payload_size(payload, ordinal);
	item->payload = payload;
	if (key != NULL)
	{
		item->key = VARDATA_ANY(key);
		item->key_length = VARSIZE_ANY_EXHDR(key);
		wf_check_key(item->key, item->key_length, ordinal);
	}
}

/* The elements of an array argument, which must have one dimension. */
static int
read_array(FunctionCallInfo fcinfo, int argument, const char *name, Oid type,
		   Datum **elements, bool **nulls)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(argument);
	int			n;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must have one dimension", name),
				 errdetail("The array has %d dimensions.", ARR_NDIM(array)),
				 errhint("Pass one element for each run.")));
	deconstruct_array(array, type, -1, false, TYPALIGN_INT, elements, nulls, &n);
	return n;
}

static WfRequestItem *
read_items(FunctionCallInfo fcinfo, int *n)
{
	Datum	   *payloads;
	Datum	   *keys = NULL;
	bool	   *payload_nulls;
	bool	   *key_nulls = NULL;
	WfRequestItem *items;

	if (PG_ARGISNULL(1))
		wf_refuse_null("payloads");
	*n = read_array(fcinfo, 1, "payloads", JSONBOID, &payloads, &payload_nulls);
	if (!PG_ARGISNULL(2))
	{
		int			nkeys = read_array(fcinfo, 2, "keys", TEXTOID, &keys, &key_nulls);

		if (nkeys != *n)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("arguments \"payloads\" and \"keys\" must have the same length"),
					 errdetail("There are %d payloads and %d keys.", *n, nkeys),
					 errhint("Pass a NULL element for a run without a key.")));
	}

	items = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(WfRequestItem) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (payload_nulls[i])
			refuse_null_payload(i + 1);
		read_item(payloads[i],
				  keys == NULL || key_nulls[i] ? NULL : DatumGetTextPP(keys[i]),
				  i + 1, &items[i]);
	}
	return items;
}

/* Order in which keys are taken: by digest, equal ones by ordinal. */
static int
compare_items(const void *a, const void *b)
{
	const WfRequestItem *x = *(WfRequestItem *const *) a;
	const WfRequestItem *y = *(WfRequestItem *const *) b;
	int			order = memcmp(&x->digest, &y->digest, sizeof(x->digest));

	return order != 0 ? order : x->ordinal - y->ordinal;
}

/*
 * wf_enqueue_many(name, payloads, keys, run_at, priority, key_ttl, on_conflict)
 *
 * As many calls of wf_enqueue in one.  Keys are taken in the order of their
 * digests, so that two batches cannot deadlock on them, while ids are given
 * out in the order of the items.
 */
Datum
wf_enqueue_many(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	WfRequest	request;
	WfRequestItem *items;
	WfRequestItem **order;
	Datum		(*rows)[3];
	bool	   *skipped;
	MemoryContext each;
	MemoryContext caller = CurrentMemoryContext;
	int			n;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	read_request(fcinfo, "wf_enqueue_many()", &request);
	request.batch_at = wf_clock_now();
	items = read_items(fcinfo, &n);
	if (n == 0)
		return (Datum) 0;

	order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(*order) * n);
	rows = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(*rows) * n);
	skipped = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(*skipped) * n);
	for (int i = 0; i < n; i++)
	{
		order[i] = &items[i];
		wf_uuid7(&items[i].run_id, wf_ring_for_write()->current);
		items[i].has_run_id = true;
		digest_key(&request, &items[i]);
	}
	if (!PG_ARGISNULL(2))
		qsort(order, n, sizeof(*order), compare_items);

	request.batch = wf_run_batch_begin(n);
	each = AllocSetContextCreate(caller, "pg_workflow item", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < n; i++)
	{
		WfAnswer	answer;
		int			at = order[i]->ordinal - 1;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(each);
		MemoryContextSwitchTo(each);
		wf_enqueue_item(&request, order[i], &answer);
		items[at].run_id = answer.run.run_id;
		rows[at][0] = Int32GetDatum(at + 1);
		rows[at][1] = UUIDPGetDatum(&items[at].run_id);
		rows[at][2] = BoolGetDatum(answer.created);
		skipped[at] = answer.skipped;
		MemoryContextSwitchTo(caller);
	}
	wf_run_batch_flush(request.batch);
	for (int i = 0; i < n; i++)
	{
		bool		nulls[3] = {false, skipped[i], false};

		tuplestore_putvalues(result->setResult, result->setDesc, rows[i], nulls);
	}
	return (Datum) 0;
}
