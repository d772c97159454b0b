/*-------------------------------------------------------------------------
 * claim.c
 *		wf_claim: hand due runs to an external worker.
 *
 * The claimers of a workflow share how far its queues are read
 * (claim_queue.h), so that none looks at what another has taken, however
 * much that is.  Queues are read under their locks and the runs then claimed
 * without them: each by an event, whose unique index has the last word.  A
 * claim that is rolled back sends the readers back to its runs.
 *
 * Locks: the tables' AccessShare first, then those of the claim queues in
 * the order of their addresses, for the time of one reading.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/audit.h"
#include "base/claim_queue.h"
#include "base/clock.h"
#include "base/leases.h"
#include "ops/access.h"
#include "ops/claim.h"
#include "ops/lease.h"
#include "ops/outcome.h"
#include "ops/settings.h"
#include "ops/worker_args.h"
#include "store/installation.h"
#include "store/relations.h"

PG_FUNCTION_INFO_V1(wf_claim);

#define MOST_RUNS 10000			/* claimed by one call, ... */

#define BATCH 100				/* ... so many of them at once */

#define MOST_LAPSED 1000		/* ended leases looked at by one call */

/* one call of wf_claim */
typedef struct Claim
{
	TimestampTz now;
	int			wanted;
	int64		lease_us;
	char	   *worker;
	int			nsources;
	WfSource   *sources;
	Snapshot	snapshot;
	ReturnSetInfo *out;
	int			n;				/* runs claimed so far */
	WfEventBatch *batch;
} Claim;

/* an item that is being claimed together with others */
typedef struct Attempt
{
	WfRun		run;
	int			place;			/* of its event in the batch; -1: there is no
								 * such run */
} Attempt;

static void read_arguments(FunctionCallInfo fcinfo, Claim *claim);
static void claim_all(Claim *claim);
static void claim_queued(Claim *claim);
static bool claim_due(Claim *claim);
static bool claim_lapsed(Claim *claim);

/*
 * wf_claim(workflows, max_runs, lease, worker): up to max_runs due runs (and
 * 10,000 at the most), in the order in which they are to start, leased to the
 * caller.
 */
Datum
wf_claim(PG_FUNCTION_ARGS)
{
	Claim		claim = {0};

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	PreventCommandIfReadOnly("wf_claim()");
	claim.out = (ReturnSetInfo *) fcinfo->resultinfo;
	read_arguments(fcinfo, &claim);
	if (claim.nsources == 0)
		return (Datum) 0;
	if (wf_installation_identity() != WF_IDENTITY_OURS)
	{
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is a copy: its runs are not handed out"),
				 errhint("An administrator can run wf_adopt().")));
		return (Datum) 0;
	}
	wf_refuse_prepare("wf_claim()");
	claim_all(&claim);
	return (Datum) 0;
}

static char *
read_worker(FunctionCallInfo fcinfo, int argument)
{
	char	   *worker;

	if (PG_ARGISNULL(argument))
		return NULL;
	worker = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (worker[0] == '\0' || strlen(worker) > WF_MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"worker\""),
				 errdetail("It has %zu bytes.", strlen(worker)),
				 errhint("A worker's name has 1 to %d bytes; NULL is none.", WF_MAX_NAME)));
	return worker;
}

static void
read_arguments(FunctionCallInfo fcinfo, Claim *claim)
{
	int32	   *ids;

	if (PG_ARGISNULL(1))
		wf_refuse_null("max_runs");
	if (PG_ARGISNULL(2))
		wf_refuse_null("lease");
	if (PG_GETARG_INT32(1) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"max_runs\""),
				 errdetail("It is %d.", PG_GETARG_INT32(1)),
				 errhint("Accepted values are 1 to %d.", INT_MAX)));
	claim->wanted = Min(PG_GETARG_INT32(1), MOST_RUNS);
	claim->lease_us = wf_lease_length(PG_GETARG_INTERVAL_P(2));
	claim->worker = read_worker(fcinfo, 3);
	claim->now = wf_clock_now();
	claim->nsources = wf_workflows_to_work(fcinfo, 0, &ids);
	claim->sources = wf_sources(ids, claim->nsources);
}

/*
 * What is queued; then, if that is too little, what holds a lease that has
 * ended; and what the dispatcher, who does the same, has queued meanwhile.
 */
static void
claim_all(Claim *claim)
{
	bool		lapsed = wf_lease_may_have_lapsed(claim->now);

	claim->batch = wf_event_batch_begin(BATCH);
	claim_queued(claim);
	if (!lapsed || claim->n >= claim->wanted)
		return;
	while (claim_lapsed(claim))
		CHECK_FOR_INTERRUPTS();
	claim_queued(claim);
}

static void
claim_queued(Claim *claim)
{
	while (claim->n < claim->wanted && claim_due(claim))
		CHECK_FOR_INTERRUPTS();
}

/* ---- runs that are queued ---- */

/* The event of a run's next attempt, which is what counts. */
static WfEvent
next_attempt(const Claim *claim, const WfEvent *last)
{
	WfEvent		event;

	wf_event_follow(&event, last, WF_EVENT_STARTED, claim->now);
	event.attempt++;
	event.tries++;
	event.lease_until = claim->now + claim->lease_us;
	event.lease_us = claim->lease_us;
	event.started_at = claim->now;
	event.worker = claim->worker;
	return event;
}

static void
hand_out(Claim *claim, const WfSource *source, const WfRun *run, int32 attempt, TimestampTz due_at)
{
	Datum		values[6];
	bool		nulls[6] = {false};

	values[0] = UUIDPGetDatum(&run->run_id);
	values[1] = CStringGetTextDatum(source->workflow.name);
	values[2] = run->payload;
	nulls[2] = !run->has_payload;
	nulls[3] = run->key == NULL;
	if (!nulls[3])
		values[3] = PointerGetDatum(cstring_to_text_with_len(run->key, run->key_length));
	values[4] = Int32GetDatum(attempt);
	values[5] = TimestampTzGetDatum(claim->now + claim->lease_us);
	tuplestore_putvalues(claim->out->setResult, claim->out->setDesc, values, nulls);
	wf_count_latency(run->workflow_id, claim->now - Max(due_at, run->enqueued_at));
	claim->n++;
}

static WfEvent
last_of_item(const WfItem *item)
{
	WfEvent		last = {0};

	last.seq = item->seq;
	last.attempt = item->attempt - 1;
	last.workflow_id = item->workflow_id;
	last.priority = item->priority;
	last.tries = item->tries;
	last.crashes = item->crashes;
	last.run_at = item->run_at;
	return last;
}

/* Read the runs of the first of n items, as long as they are in one slice; how many. */
static int
begin_attempts(Claim *claim, const WfItem *items, int n, Attempt *attempts)
{
	int			slice = -1;
	int			added = 0;
	int			i;

	for (i = 0; i < Min(n, BATCH); i++)
	{
		Attempt    *a = &attempts[i];
		WfEvent		last = last_of_item(&items[i]);
		WfEvent		next = next_attempt(claim, &last);

		CHECK_FOR_INTERRUPTS();
		a->place = -1;
		if (!wf_run_of_item(&items[i], claim->snapshot, &a->run))
			continue;
		if (added > 0 && a->run.slice != slice)
			break;
		slice = a->run.slice;
		a->place = added++;
		wf_event_batch_add(claim->batch, &a->run.run_id, slice, &next);
	}
	return i;
}

/* Claim the first of n items together; how many.  *more: another was quicker at some. */
static int
claim_together(Claim *claim, const WfItem *items, int n, bool *more)
{
	Attempt		attempts[BATCH];
	int			nattempts = begin_attempts(claim, items, n, attempts);

	wf_event_batch_append(claim->batch);
	for (int i = 0; i < nattempts; i++)
	{
		const Attempt *a = &attempts[i];
		WfSource   *source = wf_source_of(claim->sources, claim->nsources, items[i].workflow_id);

		if (a->place >= 0 && wf_event_batch_appended(claim->batch, a->place))
			hand_out(claim, source, &a->run, items[i].attempt, items[i].run_at);
		else
		{
			*more = true;
			if (source->queue != NULL)
				wf_claim_give_back(source->queue, source->claimed, 1);
		}
	}
	wf_event_batch_clear(claim->batch);
	return nattempts;
}

/* Claim what is queued; true: there may be more. */
static bool
claim_due(Claim *claim)
{
	WfItem	   *items;
	bool		more;
	int			n = wf_sources_take(claim->sources, claim->nsources, claim->now,
									claim->wanted - claim->n, &items, &more);

	if (n == 0)
		return more;
	wf_lease_written(claim->now + claim->lease_us);
	claim->snapshot = RegisterSnapshot(GetLatestSnapshot());
	for (int done = 0; done < n;)
		done += claim_together(claim, items + done, n - done, &more);
	UnregisterSnapshot(claim->snapshot);
	return more;
}

/* ---- runs whose lease has ended ---- */

/*
 * The end of the lease and the next attempt are recorded together.  The run
 * counts against max_running as before; where the end has been recorded just
 * now, and has freed its place, it is left to the queue.
 */
static bool
take_over(Claim *claim, const WfSource *source, const WfLease *lease)
{
	WfRun		run;
	WfEvent		last;
	WfEvent		lapse;

	wf_event_last(&lease->run_id, lease->slice, NULL, &last);
	if (last.seq != lease->seq || (lease->lost && source->workflow.max_running > 0) ||
		!wf_run_find(&lease->run_id, claim->snapshot, true, &run))
		return true;
	if (lease->lost)
		wf_run_moves(&run, &last);
	else
	{
		wf_lease_moves(lease->lease_until);
		wf_lease_lapses(&source->workflow, &last, &lapse, claim->now);
		if (!wf_event_try_append(&lease->run_id, lease->slice, &lapse))
			return false;
		last = lapse;
	}
	if (wf_state_is_terminal(wf_event_state(&last)))
	{
		wf_claim_ends(lease->workflow_id);
		wf_run_ends(&lease->run_id, lease->workflow_id, last.kind);
	}
	else
	{
		WfEvent		next = next_attempt(claim, &last);

		if (wf_event_try_append(&run.run_id, run.slice, &next))
			hand_out(claim, source, &run, next.attempt, last.run_at);
	}
	return true;
}

/*
 * Is the dispatcher just recording the end of a lease?  Then wait for that;
 * it waits for nobody.  Other claimers are not waited for.
 */
static bool
wait_for_dispatcher(const WfLease *lease)
{
	WfDatabase *database = wf_database_mine();
	WfHolder	writer;

	if (database == NULL ||
		!wf_event_peek(&lease->run_id, lease->slice, lease->seq + 1, &writer) ||
		!TransactionIdIsValid(writer.xid) ||
		BackendXidGetPid(writer.xid) != database->dispatcher_pid)
		return false;
	XactLockTableWait(writer.xid, NULL, NULL, XLTW_None);
	return true;
}

/*
 * The dispatcher records ended leases, within moments.  Where it is behind,
 * or there is none, a claimer does it that has found too little.  True: look
 * again, as the dispatcher was at one of them.
 */
static bool
claim_lapsed(Claim *claim)
{
	WfLease    *leases;
	int			n = wf_lease_lapsed(claim->now, MOST_LAPSED, &leases);
	bool		again = false;

	if (n == 0)
		return false;
	wf_lease_written(claim->now + claim->lease_us);
	claim->snapshot = RegisterSnapshot(GetLatestSnapshot());
	for (int i = 0; i < n && !again && claim->n < claim->wanted; i++)
	{
		WfSource   *source = wf_source_of(claim->sources, claim->nsources, leases[i].workflow_id);

		CHECK_FOR_INTERRUPTS();
		if (source != NULL && !source->workflow.paused &&
			!take_over(claim, source, &leases[i]))
			again = wait_for_dispatcher(&leases[i]);
	}
	UnregisterSnapshot(claim->snapshot);
	return again;
}
