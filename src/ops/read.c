/*-------------------------------------------------------------------------
 * read.c
 *		wf_handle, wf_find, wf_result: what a caller is told about a run.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "base/uuid7.h"
#include "ops/access.h"
#include "ops/enqueue.h"
#include "ops/read.h"

PG_FUNCTION_INFO_V1(wf_handle);
PG_FUNCTION_INFO_V1(wf_find);
PG_FUNCTION_INFO_V1(wf_result);
PG_FUNCTION_INFO_V1(wf_version);
PG_FUNCTION_INFO_V1(wf_executing_attempt);

static void report_no_run(const pg_uuid_t *run_id) pg_attribute_noreturn();
static void raise_stored(const WfEvent *last, const char *error, bool may_read) pg_attribute_noreturn();

/* One of the runs that an executor has begun; the caller holds the mutex. */
static const WfItem *
find_begun(WfExecutor *e, const pg_uuid_t *run_id)
{
	uint32		tail = pg_atomic_read_u32(&e->tail);

	for (int i = 0; i < e->begun; i++)
	{
		const WfItem *item = &e->items[(tail + i) % WF_EXECUTOR_QUEUE];

		if (memcmp(&item->run_id, run_id, UUID_LEN) == 0)
			return item;
	}
	return NULL;
}

/* The entry of an executor of this database that is at a run; false: none. */
static bool
find_executing(const pg_uuid_t *run_id, WfItem *found)
{
	bool		any = false;

	if (wf_shared == NULL)
		return false;
	for (int i = 0; i < WF_MAX_EXECUTORS && !any; i++)
	{
		WfExecutor *e = &wf_shared->executors[i];
		const WfItem *item;

		if (e->begun == 0 || e->dbid != MyDatabaseId)
			continue;			/* a hint, looked at again below */
		SpinLockAcquire(&e->mutex);
		item = e->dbid == MyDatabaseId ? find_begun(e, run_id) : NULL;
		if (item != NULL)
		{
			*found = *item;
			any = true;
		}
		SpinLockRelease(&e->mutex);
	}
	return any;
}

int32
wf_run_executing(const pg_uuid_t *run_id, TimestampTz *since)
{
	WfItem		item;

	if (!find_executing(run_id, &item))
		return 0;
	*since = item.begun_at;
	return item.attempt;
}

void
wf_sight(const WfRun *run, const WfEvent *last, bool may_read, WfSight *sight)
{
	WfState		state = wf_event_state(last);
	int32		executing = 0;

	memset(sight, 0, sizeof(*sight));
	sight->started_at = last->started_at;
	if (last->kind == WF_EVENT_NONE)
		sight->started_at = DT_NOBEGIN;
	sight->finished_at = wf_state_is_terminal(state) ? last->at : DT_NOBEGIN;
	sight->attempt = last->attempt;
	if (wf_run_purged(run, last, wf_clock_now()))
	{
		sight->state = "purged";
		return;
	}
	if (state == WF_QUEUED)
		executing = wf_run_executing(&run->run_id, &sight->started_at);
	if (executing != 0)
	{
		state = WF_RUNNING;
		sight->attempt = executing;
	}
	sight->state = wf_state_name(state);
	if (state == WF_COMPLETED)
		sight->result = last->result;
	else if (last->sqlstate != NULL)
		sight->error = may_read ? last->error : last->sqlstate;
	if (wf_state_is_terminal(state))
		wf_event_flush(last);
}

static void
report_no_run(const pg_uuid_t *run_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("run %s does not exist",
					DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(run_id)))),
			 errdetail("There is no such run, or none that role \"%s\" may know of.",
					   GetUserNameFromId(GetUserId(), false)),
			 errhint("Runs disappear after the retention of their workflow; ask its owner for a grant if it should be there.")));
}

/*
 * A run that was carried after the transaction's snapshot was taken is not to
 * be seen by it in its new slice, nor, once that has been truncated, in the
 * old one.
 */
static void
refuse_if_carried(const pg_uuid_t *run_id)
{
	const WfWorkflow *workflow;
	Snapshot	snapshot;
	WfRun		run;
	bool		found;

	if (!IsolationUsesXactSnapshot())
		return;
	snapshot = wf_latest_snapshot();
	found = wf_run_find(run_id, snapshot, false, &run);
	UnregisterSnapshot(snapshot);
	if (!found || run.slice == wf_uuid7_slice(run_id) % WF_SLICES)
		return;
	workflow = wf_workflow_by_id(run.workflow_id);
	if (workflow == NULL || workflow->dropped || wf_workflow_rights(workflow) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access to a run that has been moved to other storage"),
			 errdetail("It was moved after this transaction's snapshot was taken."),
			 errhint("Retry the transaction.")));
}

void
wf_run_require(const pg_uuid_t *run_id, int privilege, bool purged_too,
			   WfRun *run, WfEvent *last, WfWorkflow *workflow)
{
	const WfWorkflow *found;

	/* as in wf_workflow_require: nothing else would bring news of a REVOKE */
	AcceptInvalidationMessages();
	if (!wf_run_find(run_id, NULL, false, run))
	{
		refuse_if_carried(run_id);
		report_no_run(run_id);
	}
	found = wf_workflow_by_id(run->workflow_id);
	if (found == NULL || found->dropped || wf_workflow_rights(found) == 0)
		report_no_run(run_id);
	wf_workflow_check(found, privilege);
	*workflow = *found;

	wf_event_for_caller(run, last);
	if (wf_run_purged(run, last, wf_clock_now()) &&
		!(purged_too && run->holds_key && !wf_key_expired(run, last, wf_clock_now())))
		report_no_run(run_id);
}

/*
 * wf_handle(run_id): one row about a run.
 */
Datum
wf_handle(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *run_id;
	WfRun		run;
	WfEvent		last;
	WfWorkflow	workflow;
	WfSight		sight;
	bool		may_read;
	TupleDesc	desc;
	Datum		values[10] = {0};
	bool		nulls[10] = {false};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	run_id = PG_GETARG_UUID_P(0);
	wf_run_require(run_id, WF_MAY_ENQUEUE | WF_MAY_READ | WF_MAY_WORK, true,
				   &run, &last, &workflow);
	may_read = (wf_workflow_rights(&workflow) & WF_MAY_READ) != 0;
	wf_sight(&run, &last, may_read, &sight);

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = UUIDPGetDatum(run_id);
	values[1] = CStringGetTextDatum(workflow.name);
	nulls[2] = run.key == NULL || !may_read;
	if (!nulls[2])
		values[2] = CStringGetTextDatum(run.key);
	values[3] = CStringGetTextDatum(sight.state);
	values[4] = Int32GetDatum(sight.attempt);
	values[5] = sight.result;
	nulls[5] = sight.result == (Datum) 0;
	nulls[6] = sight.error == NULL;
	if (!nulls[6])
		values[6] = CStringGetTextDatum(sight.error);
	values[7] = TimestampTzGetDatum(run.enqueued_at);
	values[8] = TimestampTzGetDatum(sight.started_at);
	nulls[8] = sight.started_at == DT_NOBEGIN;
	values[9] = TimestampTzGetDatum(sight.finished_at);
	nulls[9] = sight.finished_at == DT_NOBEGIN;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * wf_find(name, key): the run that a live key is bound to, or NULL.
 */
Datum
wf_find(PG_FUNCTION_ARGS)
{
	text	   *name;
	text	   *key;
	const WfWorkflow *workflow;
	pg_uuid_t	digest;
	WfRun		run;
	WfEvent		last;
	pg_uuid_t  *answer;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	name = PG_GETARG_TEXT_PP(0);
	key = PG_GETARG_TEXT_PP(1);
	workflow = wf_workflow_require(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
								   WF_MAY_ENQUEUE | WF_MAY_READ);
	wf_key_digest(workflow->id, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), &digest);
	if (!wf_run_find_key(&digest, &run))
		PG_RETURN_NULL();
	wf_event_for_caller(&run, &last);
	if (wf_key_expired(&run, &last, wf_clock_now()))
		PG_RETURN_NULL();
	answer = palloc(sizeof(pg_uuid_t));
	*answer = run.run_id;
	PG_RETURN_UUID_P(answer);
}

/*
 * wf_result(run_id): the result, NULL until there is one; the stored error of
 * a failed run is raised.
 */
Datum
wf_result(PG_FUNCTION_ARGS)
{
	WfRun		run;
	WfEvent		last;
	WfWorkflow	workflow;
	WfSight		sight;
	bool		may_read;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	wf_run_require(PG_GETARG_UUID_P(0), WF_MAY_ENQUEUE | WF_MAY_READ | WF_MAY_WORK,
				   false, &run, &last, &workflow);
	may_read = (wf_workflow_rights(&workflow) & WF_MAY_READ) != 0;
	wf_sight(&run, &last, may_read, &sight);
	if (wf_event_state(&last) == WF_FAILED || wf_event_state(&last) == WF_CANCELLED)
		raise_stored(&last, sight.error, may_read);
	if (sight.result == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(sight.result);
}

static void
raise_stored(const WfEvent *last, const char *error, bool may_read)
{
	const char *s = last->sqlstate;
	int			code = last->kind == WF_EVENT_CANCELLED ? ERRCODE_QUERY_CANCELED :
		s != NULL && strlen(s) == 5 ? MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4]) :
		ERRCODE_RAISE_EXCEPTION;

	if (last->kind == WF_EVENT_CANCELLED)
		ereport(ERROR,
				(errcode(code),
				 errmsg("run was cancelled"),
				 may_read && last->error != NULL ? errdetail("%s", last->error) : 0));
	ereport(ERROR,
			(errcode(code),
			 may_read && error != NULL ? errmsg_internal("%s", error) : errmsg("run failed"),
			 errdetail("Attempt %d was the last.", last->attempt)));
}

/*
 * wf_executing_attempt(run_id): for the views, the attempt that an executor
 * is at right now; NULL if none is, or at none that the caller may read.
 */
Datum
wf_executing_attempt(PG_FUNCTION_ARGS)
{
	WfItem		item;

	if (!find_executing(PG_GETARG_UUID_P(0), &item) ||
		!wf_workflow_readable(item.workflow_id))
		PG_RETURN_NULL();
	PG_RETURN_INT32(item.attempt);
}

/*
 * wf_version(): version of the library.
 */
Datum
wf_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(WF_VERSION));
}
