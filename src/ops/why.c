/*-------------------------------------------------------------------------
 * why.c
 *		wf_why: each reason why a run is not running.
 *
 * What the tables say comes first, then what the processes are at, as they
 * show it in shared memory.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "ops/access.h"
#include "ops/lease.h"
#include "ops/pace.h"
#include "ops/read.h"
#include "store/installation.h"

PG_FUNCTION_INFO_V1(wf_why);

static void why_handler_waits(ReturnSetInfo *out, const pg_uuid_t *run_id);
static void why_queued(ReturnSetInfo *out, const WfWorkflow *workflow, const WfEvent *last);
static void why_not_claimed(ReturnSetInfo *out, const WfWorkflow *workflow, const WfEvent *last);
static void why_not_dispatched(ReturnSetInfo *out, const WfWorkflow *workflow, const WfEvent *last);
static void why_processes(ReturnSetInfo *out, const WfWorkflow *workflow, const WfEvent *last);
static void why_no_executor(ReturnSetInfo *out, const WfWorkflow *workflow);
static void put_limit_reached(ReturnSetInfo *out, const WfWorkflow *workflow, int n, const pg_uuid_t *one);
static const char *describe_lease(const WfEvent *last);

static void
put(ReturnSetInfo *out, const char *reason)
{
	Datum		values[1] = {CStringGetTextDatum(reason)};
	bool		nulls[1] = {false};

	tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
}

static const char *
name_of(const pg_uuid_t *run_id)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(run_id)));
}

/*
 * wf_why(run_id): each reason why a run is not running, with what would
 * change it; what it is doing, and what it waits for, where nothing is in the
 * way.
 */
Datum
wf_why(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;
	WfRun		run;
	WfEvent		last;
	WfWorkflow	workflow;
	WfSight		sight;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	wf_run_require(PG_GETARG_UUID_P(0), WF_MAY_READ, false, &run, &last, &workflow);
	wf_sight(&run, &last, true, &sight);
	if (wf_state_is_terminal(wf_event_state(&last)))
		put(out, psprintf("The run has %s%s.",
						  last.kind == WF_EVENT_COMPLETED ? "completed" :
						  last.kind == WF_EVENT_FAILED ? "failed" : "been cancelled",
						  last.kind == WF_EVENT_COMPLETED ? "" : "; wf_retry() queues it again"));
	else if (strcmp(sight.state, "running") == 0)
	{
		put(out, psprintf("The run is running: attempt %d, since %s%s.", sight.attempt,
						  pstrdup(timestamptz_to_str(sight.started_at)), describe_lease(&last)));
		why_handler_waits(out, &run.run_id);
	}
	else
		why_queued(out, &workflow, &last);
	return (Datum) 0;
}

/* Which worker has it, and until when. */
static const char *
describe_lease(const WfEvent *last)
{
	if (last->lease_until == DT_NOBEGIN)
		return "";
	return psprintf("; %s has it until %s",
					last->worker == NULL ? "a worker" : psprintf("worker \"%s\"", last->worker),
					pstrdup(timestamptz_to_str(last->lease_until)));
}

/* The processes that hold what another waits for; NULL: it does not wait. */
static const char *
lock_holders(int pid)
{
	ArrayType  *array = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)));
	StringInfoData list;
	Datum	   *pids;
	int			n;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT, &pids, NULL, &n);
	if (n == 0)
		return NULL;
	initStringInfo(&list);
	for (int i = 0; i < n; i++)
		appendStringInfo(&list, "%s%d", i == 0 ? "" : ", ", DatumGetInt32(pids[i]));
	return list.data;
}

/* What is a handler that runs waiting for? */
static void
why_handler_waits(ReturnSetInfo *out, const pg_uuid_t *run_id)
{
	int			pid = 0;
	const char *holders;

	for (int i = 0; wf_shared != NULL && i < WF_MAX_EXECUTORS; i++)
	{
		WfExecutor *e = &wf_shared->executors[i];

		SpinLockAcquire(&e->mutex);
		if (e->begun > 0 && memcmp(&e->current.run_id, run_id, UUID_LEN) == 0)
			pid = e->pid;
		SpinLockRelease(&e->mutex);
	}
	if (pid != 0 && (holders = lock_holders(pid)) != NULL)
		put(out, psprintf("Its handler, in process %d, waits for a lock that process %s holds.", pid, holders));
}

static void
why_queued(ReturnSetInfo *out, const WfWorkflow *workflow, const WfEvent *last)
{
	int64		before = tuplestore_tuple_count(out->setResult);

	if (last->run_at > wf_clock_now())
		put(out, last->run_at == DT_NOEND ?
			"It is due never; wf_reschedule() gives it a time." :
			psprintf("It is due at %s%s; wf_reschedule() gives it another time.",
					 timestamptz_to_str(last->run_at),
					 last->kind == WF_EVENT_RETRY ? psprintf(", after attempt %d failed", last->attempt) : ""));
	if (workflow->paused)
		put(out, "Its workflow is paused; wf_resume() goes on.");
	if (!workflow->has_handler)
		why_not_claimed(out, workflow, last);
	else
		why_not_dispatched(out, workflow, last);
	if (tuplestore_tuple_count(out->setResult) == before)
		put(out, "Nothing is in its way: it starts when the runs before it have, and an executor is free.");
}

static void
why_not_claimed(ReturnSetInfo *out, const WfWorkflow *workflow, const WfEvent *last)
{
	WfLease    *leases;
	int			n;

	if (workflow->max_running > 0 &&
		(n = wf_lease_held(workflow->id, &leases)) >= workflow->max_running)
		put_limit_reached(out, workflow, n, &leases[0].run_id);
	else if (wf_installation_identity() != WF_IDENTITY_OURS)
		put(out, "This database is a copy: nothing is handed out until wf_adopt().");
	else if (last->run_at <= wf_clock_now() && !workflow->paused)
		put(out, "Its workflow has no handler: the run waits for an external worker to claim it.");
}

static void
put_limit_reached(ReturnSetInfo *out, const WfWorkflow *workflow, int n, const pg_uuid_t *one)
{
	put(out, psprintf("max_running of its workflow is reached: %d of %d runs, among them %s; they end, or wf_alter_workflow() raises it.",
					  n, workflow->max_running, name_of(one)));
}

static bool
handler_exists(const WfWorkflow *workflow)
{
	Oid			schema = get_namespace_oid(NameStr(workflow->handler_schema), true);
	Oid			arguments[1] = {JSONBOID};

	return OidIsValid(schema) &&
		SearchSysCacheExists3(PROCNAMEARGSNSP, CStringGetDatum(NameStr(workflow->handler_name)),
							  PointerGetDatum(buildoidvector(arguments, 1)),
							  ObjectIdGetDatum(schema));
}

static void
why_not_dispatched(ReturnSetInfo *out, const WfWorkflow *workflow, const WfEvent *last)
{
	if (!OidIsValid(workflow->owner))
		put(out, psprintf("The owner of its workflow, role \"%s\", does not exist here; an administrator gives it another with wf_alter_workflow(owner => ...).",
						  NameStr(workflow->owner_name)));
	else if (!handler_exists(workflow))
		put(out, psprintf("Its handler, function %s(jsonb), does not exist; create it, or wf_alter_workflow(handler => ...) names another.",
						  quote_qualified_identifier(NameStr(workflow->handler_schema),
													 NameStr(workflow->handler_name))));
	if (wf_installation_identity() != WF_IDENTITY_OURS)
		put(out, "This database is a copy: nothing is dispatched until wf_adopt().");
	if (RecoveryInProgress())
		put(out, "This server is a standby; runs start on the primary.");
	else if (wf_shared == NULL)
		put(out, "pg_workflow is not in shared_preload_libraries, so there is no dispatcher; add it there and restart the server.");
	else
		why_processes(out, workflow, last);
	if (!wf_dispatch)
		put(out, "pg_workflow.dispatch is off.");
	if (strcmp(GetConfigOption("default_transaction_read_only", false, false), "on") == 0)
		put(out, "default_transaction_read_only is on, which pauses dispatch.");
}

/* What keeps the processes of this database from it, if there are any? */
static void
why_processes(ReturnSetInfo *out, const WfWorkflow *workflow, const WfEvent *last)
{
	WfDatabase *database = wf_database_mine();
	int			dispatcher = database == NULL ? 0 : database->dispatcher_pid;
	const char *holders;

	if (last->kind == WF_EVENT_CRASHED)
		put(out, "It was under way in a crash of the server, so it runs alone: it starts when the runs under way have ended, or have had ten seconds for that.");
	if (dispatcher == 0)
		put(out, "There is no dispatcher in this database yet; the server's log says why if this lasts.");
	else if ((holders = lock_holders(dispatcher)) != NULL)
		put(out, psprintf("The dispatcher, process %d, waits for a lock that process %s holds.", dispatcher, holders));
	else
		why_no_executor(out, workflow);
}

/* What executors of this database are at. */
typedef struct Busy
{
	int			all;			/* executors that are at a run */
	int			of_owner;		/* those of one owner, in all databases */
	int			of_workflow;	/* runs of one workflow */
	pg_uuid_t	one;			/* of these */
	bool		solitary;		/* a run runs alone, as it was under way in a
								 * crash */
	pg_uuid_t	alone;			/* that one */
} Busy;

static void
look_at_executors(const WfWorkflow *workflow, Busy *busy)
{
	TimestampTz since = GetCurrentTimestamp() - wf_crash_isolation_time * INT64CONST(1000);

	memset(busy, 0, sizeof(*busy));
	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		WfExecutor *e = &wf_shared->executors[i];
		WfItem		current;
		int			begun;

		SpinLockAcquire(&e->mutex);
		begun = OidIsValid(e->dbid) ? e->begun : 0;
		current = e->current;
		SpinLockRelease(&e->mutex);

		if (begun == 0)
			continue;
		if (e->owner == workflow->owner)
			busy->of_owner++;
		if (e->dbid != MyDatabaseId)
			continue;
		busy->all++;
		if (current.workflow_id == workflow->id)
		{
			busy->one = current.run_id;
			busy->of_workflow += begun;
		}
		if (current.alone && current.begun_at > since)
		{
			busy->alone = current.run_id;
			busy->solitary = true;
		}
	}
}

static void
why_no_executor(ReturnSetInfo *out, const WfWorkflow *workflow)
{
	char		refusal[WF_REFUSAL];
	TimestampTz next;
	Busy		busy;

	look_at_executors(workflow, &busy);
	if (busy.solitary)
		put(out, psprintf("Run %s was under way in a crash of the server, so it runs alone: others start when it ends, or after pg_workflow.crash_isolation_time.",
						  name_of(&busy.alone)));
	if (workflow->max_running > 0 && busy.of_workflow >= workflow->max_running)
		put_limit_reached(out, workflow, busy.of_workflow, &busy.one);
	if (wf_max_running_per_role > 0 && busy.of_owner >= wf_max_running_per_role)
		put(out, psprintf("pg_workflow.max_running_per_role is reached: %d runs of role \"%s\" are executed.",
						  busy.of_owner, NameStr(workflow->owner_name)));
	if (wf_pace_refusal(workflow->owner, refusal, &next))
		put(out, psprintf("An executor for its owner, role \"%s\", could not start: %s; it is tried again at %s.",
						  NameStr(workflow->owner_name), refusal[0] == '\0' ? "the server's log says why" : refusal,
						  timestamptz_to_str(next)));
	if (pg_atomic_read_u32(&wf_database_mine()->short_of_processes) != 0)
		put(out, "No background worker slot is free for an executor; others end, or max_worker_processes is raised.");
	else if (busy.all >= wf_max_executors)
		put(out, psprintf("All %d executors of this database are at work; one becomes free, or pg_workflow.max_executors is raised.",
						  busy.all));
}
