/*-------------------------------------------------------------------------
 * explain.c
 *		wf_explain_key and wf_why: what would happen, and why it does not.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "ops/access.h"
#include "ops/enqueue.h"
#include "ops/lease.h"
#include "ops/read.h"
#include "store/installation.h"

PG_FUNCTION_INFO_V1(wf_explain_key);
PG_FUNCTION_INFO_V1(wf_why);

/* one row of wf_explain_key */
typedef struct Verdict
{
	const char *verdict;
	const WfRun *run;			/* NULL: none */
	const char *state;
	TimestampTz expires_at;		/* DT_NOBEGIN: not known */
	const char *detail;
} Verdict;

static void explain(const WfWorkflow *workflow, const char *key, int length, Verdict *verdict,
					WfRun *run);
static void why_queued(ReturnSetInfo *out, const WfWorkflow *workflow, const WfEvent *last);
static bool handler_exists(const WfWorkflow *workflow);
static const char *describe_lease(const WfEvent *last);
static void why_not_dispatched(ReturnSetInfo *out, const WfWorkflow *workflow,
							   const WfEvent *last);

/*
 * wf_explain_key(name, key): what enqueueing with this key and the payload
 * that it is bound to would do at this moment: 'create', 'return', 'resume',
 * 'new' (a new run takes the key over), 'wait', or 'retry' (error 40001: this
 * transaction's snapshot is too old to be answered from).
 */
Datum
wf_explain_key(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;
	const WfWorkflow *found;
	WfWorkflow	workflow;
	text	   *key;
	WfRun		run;
	Verdict		v = {0};
	Datum		values[5] = {0};
	bool		nulls[5] = {false};

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;
	found = wf_workflow_require(VARDATA_ANY(PG_GETARG_TEXT_PP(0)),
								VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0)), WF_MAY_READ);
	workflow = *found;
	key = PG_GETARG_TEXT_PP(1);
	wf_check_key(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), 0);
	v.expires_at = DT_NOBEGIN;
	explain(&workflow, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), &v, &run);

	values[0] = CStringGetTextDatum(v.verdict);
	nulls[1] = v.run == NULL;
	if (v.run != NULL)
		values[1] = UUIDPGetDatum(&v.run->run_id);
	nulls[2] = v.state == NULL;
	if (v.state != NULL)
		values[2] = CStringGetTextDatum(v.state);
	nulls[3] = v.expires_at == DT_NOBEGIN;
	values[3] = TimestampTzGetDatum(v.expires_at);
	values[4] = CStringGetTextDatum(v.detail);
	tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
	return (Datum) 0;
}

/* The words for each decision of the policy. */
static void
describe_decision(WfDecision decision, const WfWorkflow *workflow, bool expired, Verdict *v)
{
	switch (decision)
	{
		case WF_DECIDE_NEW:
			v->verdict = "new";
			v->detail = expired ?
				"The key has expired: a new run takes it over." :
				"The run has failed and on_failed is \"new\", or its data are gone: a new run takes the key over.";
			break;
		case WF_DECIDE_RESUME:
			v->verdict = "resume";
			v->detail = "The run has failed and on_failed is \"resume\": it is queued again.";
			break;
		default:
			v->verdict = "return";
			v->detail = workflow->mismatch_return ?
				"The run is returned, for any payload." :
				"The run is returned for the same payload; another one is error WF001.";
			break;
	}
}

static bool
changed_since_snapshot(WfRun *run, const WfEvent *last)
{
	WfEvent		newest;

	if (!IsolationUsesXactSnapshot())
		return false;
	wf_event_of_run(run, NULL, &newest);
	return newest.seq != last->seq;
}

static void
explain(const WfWorkflow *workflow, const char *key, int length, Verdict *v, WfRun *run)
{
	TimestampTz now = wf_clock_now();
	WfRequest	request = {0};
	WfRequestItem item = {0};
	WfHolder	holder;
	WfEvent		last;
	WfSight		sight;
	WfDecision	decision;
	bool		invisible;

	wf_key_digest(workflow->id, key, length, &item.digest);
	switch (wf_run_probe_key(&item.digest, run, &holder, &invisible))
	{
		case WF_PROBE_NONE:
			v->verdict = "create";
			v->detail = "The key is not bound: a new run is made.";
			return;
		case WF_PROBE_IN_DOUBT:
			v->verdict = "wait";
			v->detail = psprintf("The key is being %s by %s, which has not ended.",
								 holder.inserter ? "taken" : "moved to another run",
								 wf_holder_name(holder.xid));
			return;
		case WF_PROBE_FOUND:
			break;
	}
	wf_event_for_caller(run, &last);
	wf_sight(run, &last, true, &sight);
	v->run = run;
	v->state = sight.state;
	if (wf_state_is_terminal(wf_event_state(&last)))
		v->expires_at = wf_key_expiry(run, &last);

	request.workflow = *workflow;
	item.has_fingerprint = true;
	memcpy(item.fingerprint, run->fingerprint, WF_FINGERPRINT_LENGTH);
	decision = wf_decide(&request, &item, run, &last, now);
	if (invisible || (decision != WF_DECIDE_RETURN && changed_since_snapshot(run, &last)))
	{
		memset(v, 0, sizeof(*v));
		v->expires_at = DT_NOBEGIN;
		v->verdict = "retry";
		v->detail = "The key was bound, or its run changed, after this transaction's snapshot was taken: error 40001.";
		return;
	}
	describe_decision(decision, workflow, wf_key_expired(run, &last, now), v);
}

static void
put(ReturnSetInfo *out, const char *reason)
{
	Datum		values[1] = {CStringGetTextDatum(reason)};
	bool		nulls[1] = {false};

	tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
}

/*
 * wf_why(run_id): each reason why a run is not running, with what would
 * change it; one line that says what it is doing where nothing is in the way.
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
		put(out, psprintf("The run is running: attempt %d, since %s%s.", sight.attempt,
						  pstrdup(timestamptz_to_str(sight.started_at)), describe_lease(&last)));
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

static void
why_not_claimed(ReturnSetInfo *out, const WfWorkflow *workflow, const WfEvent *last)
{
	WfLease    *leases;
	int			n;

	if (workflow->max_running > 0 &&
		(n = wf_lease_held(workflow->id, &leases)) >= workflow->max_running)
		put(out, psprintf("max_running of its workflow is reached: %d of %d runs, among them %s; they end, or wf_alter_workflow() raises it.",
						  n, workflow->max_running,
						  DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&leases[0].run_id)))));
	else if (wf_installation_identity() != WF_IDENTITY_OURS)
		put(out, "This database is a copy: nothing is handed out until wf_adopt().");
	else if (last->run_at <= wf_clock_now() && !workflow->paused)
		put(out, "Its workflow has no handler: the run waits for an external worker to claim it.");
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

/* Runs of a workflow that executors are at; the first of them by name. */
static int
count_executing(int32 workflow_id, pg_uuid_t *one)
{
	int			n = 0;

	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		WfExecutor *e = &wf_shared->executors[i];

		SpinLockAcquire(&e->mutex);
		if (e->begun > 0 && e->dbid == MyDatabaseId && e->current.workflow_id == workflow_id)
		{
			*one = e->current.run_id;
			n += e->begun;
		}
		SpinLockRelease(&e->mutex);
	}
	return n;
}

/* The run that runs alone at the moment, since it was under way in a crash. */
static bool
find_solitary(pg_uuid_t *run_id)
{
	TimestampTz since = GetCurrentTimestamp() - wf_crash_isolation_time * INT64CONST(1000);
	bool		found = false;

	for (int i = 0; i < WF_MAX_EXECUTORS && !found; i++)
	{
		WfExecutor *e = &wf_shared->executors[i];

		SpinLockAcquire(&e->mutex);
		found = e->begun > 0 && e->dbid == MyDatabaseId && e->current.alone &&
			e->current.begun_at > since;
		if (found)
			*run_id = e->current.run_id;
		SpinLockRelease(&e->mutex);
	}
	return found;
}

/* What follows from crashes of the server. */
static void
why_suspects(ReturnSetInfo *out, const WfEvent *last)
{
	pg_uuid_t	solitary;

	if (last->kind == WF_EVENT_CRASHED)
		put(out, "It was under way in a crash of the server, so it runs alone: it starts when the runs under way have ended, or have had ten seconds for that.");
	if (find_solitary(&solitary))
		put(out, psprintf("Run %s was under way in a crash of the server, so it runs alone: others start when it ends, or after pg_workflow.crash_isolation_time.",
						  DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&solitary)))));
}

static void
why_no_room(ReturnSetInfo *out, const WfWorkflow *workflow)
{
	WfDatabase *database = wf_database_mine();
	pg_uuid_t	one;
	int			n = count_executing(workflow->id, &one);

	if (workflow->max_running > 0 && n >= workflow->max_running)
		put(out, psprintf("max_running of its workflow is reached: %d of %d runs, among them %s; they end, or wf_alter_workflow() raises it.",
						  n, workflow->max_running,
						  DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&one)))));
	if (database == NULL || database->dispatcher_pid == 0)
		put(out, "There is no dispatcher in this database yet; the server's log says why if this lasts.");
	else if (pg_atomic_read_u32(&database->short_of_processes) != 0)
		put(out, "No background worker slot is free for an executor; others end, or max_worker_processes is raised.");
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
	{
		why_suspects(out, last);
		why_no_room(out, workflow);
	}
	if (!wf_dispatch)
		put(out, "pg_workflow.dispatch is off.");
	if (strcmp(GetConfigOption("default_transaction_read_only", false, false), "on") == 0)
		put(out, "default_transaction_read_only is on, which pauses dispatch.");
}
