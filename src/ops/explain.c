/*-------------------------------------------------------------------------
 * explain.c
 *		wf_explain_key: what enqueueing with a key would do.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "ops/access.h"
#include "ops/enqueue.h"
#include "ops/read.h"

PG_FUNCTION_INFO_V1(wf_explain_key);

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

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
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
	switch (wf_run_probe_key(&item.digest, true, run, &holder, &invisible))
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
