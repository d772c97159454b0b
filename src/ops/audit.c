/*-------------------------------------------------------------------------
 * audit.c (ops)
 *		Write to the tables what was counted and recorded in shared memory,
 *		and show what has not been written yet.
 *
 * The views run the functions here as their caller, so these show by
 * themselves only what the caller may read.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/audit.h"
#include "base/shmem.h"
#include "ops/access.h"
#include "ops/audit.h"
#include "ops/turn.h"
#include "store/audit_store.h"
#include "store/task_owner.h"

PG_FUNCTION_INFO_V1(wf_unwritten_duplicates);
PG_FUNCTION_INFO_V1(wf_unwritten_counters);

#define STEP_ENTRIES 1000

/* Counts since the last time; false: nothing new. */
static bool
unwritten(WfCounters *c, uint64 *counts)
{
	bool		any = false;

	for (int i = 0; i < WF_COUNTS; i++)
	{
		counts[i] = pg_atomic_read_u64(&c->counts[i]) - c->written[i];
		any = any || counts[i] != 0;
	}
	return any;
}

/* Is there anything to write?  Asked without a transaction. */
static bool
anything(WfCounters **counters, int ncounters, const WfAuditEntry *entries, int nentries)
{
	uint64		counts[WF_COUNTS];

	if (nentries > 0)
		return true;
	for (int i = 0; i < ncounters; i++)
		if (unwritten(counters[i], counts))
			return true;
	return false;
}

bool
wf_audit_idle(void)
{
	uint64		after = pg_atomic_read_u64(&wf_database_mine()->audit_written);
	WfAuditEntry entry;
	WfCounters **counters = NULL;
	int			ncounters = wf_counters_mine(&counters);

	return wf_audit_read(&after, &entry, 1, false) == 0 &&
		!anything(counters, ncounters, NULL, 0);
}

/* Counters of workflows that are gone, in a transaction. */
static int
find_gone(WfCounters **counters, int n, WfCounters **gone)
{
	int			ngone = 0;

	for (int i = 0; i < n; i++)
	{
		const WfWorkflow *workflow;

		if (counters[i]->workflow_id < 0)
			continue;
		workflow = wf_workflow_by_id(counters[i]->workflow_id);
		if (workflow == NULL || workflow->dropped)
			gone[ngone++] = counters[i];
	}
	return ngone;
}

bool
wf_audit_write(void)
{
	WfDatabase *database = wf_database_mine();
	uint64		after = pg_atomic_read_u64(&database->audit_written);
	WfAuditEntry *entries = palloc(sizeof(WfAuditEntry) * STEP_ENTRIES);
	WfCounters **counters = NULL;
	int			nentries = wf_audit_read(&after, entries, STEP_ENTRIES, true);
	int			ncounters = wf_counters_mine(&counters);
	uint64		(*counts)[WF_COUNTS] = palloc(sizeof(*counts) * Max(ncounters, 1));
	WfCounters **gone = palloc(sizeof(*gone) * Max(ncounters, 1));
	int			ngone;

	if (!anything(counters, ncounters, entries, nentries))
	{
		pg_atomic_write_u64(&database->audit_written, after);
		return false;
	}

	wf_turn_begin();
	wf_duplicate_insert(entries, nentries);
	for (int i = 0; i < ncounters; i++)
		if (unwritten(counters[i], counts[i]))
			wf_counter_add(counters[i]->workflow_id, counts[i]);
	ngone = find_gone(counters, ncounters, gone);
	wf_turn_end();

	/* a crash in between would count twice: but that empties the memory too */
	pg_atomic_write_u64(&database->audit_written, after);
	for (int i = 0; i < ncounters; i++)
		for (int j = 0; j < WF_COUNTS; j++)
			counters[i]->written[j] += counts[i][j];
	wf_counters_forget(gone, ngone);
	return nentries == STEP_ENTRIES;
}

/* What is of no workflow is of a role's tasks, and for that role alone. */
static bool
is_readable(int32 workflow_id, const WfTaskOwner *mine)
{
	if (workflow_id < 0)
		return mine != NULL && mine->number == workflow_id;
	return wf_workflow_readable(workflow_id);
}

/*
 * wf.unwritten_duplicates(): for the view, what is still in shared memory.
 */
Datum
wf_unwritten_duplicates(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	WfDatabase *database = wf_shared == NULL ? NULL : wf_database_mine();
	WfAuditEntry *entries = palloc(sizeof(WfAuditEntry) * STEP_ENTRIES);
	WfTaskOwner mine;
	bool		has_tasks = wf_task_owner_find(&mine);
	uint64		after;
	int			n;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (database == NULL)
		return (Datum) 0;
	after = pg_atomic_read_u64(&database->audit_written);
	while ((n = wf_audit_read(&after, entries, STEP_ENTRIES, false)) > 0)
	{
		for (int i = 0; i < n; i++)
		{
			WfAuditEntry *e = &entries[i];
			Datum		values[7];
			bool		nulls[7] = {false};

			if (!is_readable(e->workflow_id, has_tasks ? &mine : NULL))
				continue;
			values[0] = TimestampTzGetDatum(e->at);
			values[1] = Int32GetDatum(e->workflow_id);
			values[2] = UUIDPGetDatum(&e->run_id);
			values[3] = CharGetDatum(e->outcome);
			values[4] = ObjectIdGetDatum(e->role);
			values[5] = PointerGetDatum(cstring_to_text_with_len(wf_audit_application(e), e->application_length));
			values[6] = PointerGetDatum(cstring_to_text_with_len(wf_audit_client(e), e->client_length));
			nulls[6] = e->client_length == 0;
			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}

static Datum
seconds_or_null(int64 us, bool *isnull)
{
	*isnull = us < 0;
	return Float8GetDatum(us / 1000000.0);
}

/*
 * wf.unwritten_counters(): for the view, what has been counted and not been
 * written, and how long starts took since the server started.
 */
Datum
wf_unwritten_counters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	WfTaskOwner mine;
	bool		has_tasks = wf_task_owner_find(&mine);
	WfCounters **counters;
	int			n;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	n = wf_counters_mine(&counters);
	for (int i = 0; i < n; i++)
	{
		uint64		counts[WF_COUNTS];
		Datum		values[1 + WF_COUNTS + 2];
		bool		nulls[1 + WF_COUNTS + 2] = {false};

		if (!is_readable(counters[i]->workflow_id, has_tasks ? &mine : NULL))
			continue;
		(void) unwritten(counters[i], counts);
		values[0] = Int32GetDatum(counters[i]->workflow_id);
		for (int j = 0; j < WF_COUNTS; j++)
			values[1 + j] = Int64GetDatum((int64) counts[j]);
		values[1 + WF_COUNTS] = seconds_or_null(wf_latency_quantile(counters[i], 0.5),
												&nulls[1 + WF_COUNTS]);
		values[2 + WF_COUNTS] = seconds_or_null(wf_latency_quantile(counters[i], 0.99),
												&nulls[2 + WF_COUNTS]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
