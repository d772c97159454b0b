/*-------------------------------------------------------------------------
 * lease.c
 *		Leases that have ended without a report, and runs that are leased.
 *
 * The dispatcher records an ended lease soon after its end; a claimer that
 * finds nothing else takes such a run over itself (claim.c).  Until one of
 * them does the lease still holds: the worker may renew it, or report.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/claim_queue.h"
#include "base/clock.h"
#include "base/leases.h"
#include "base/wakeup.h"
#include "ops/lease.h"
#include "ops/outcome.h"
#include "ops/turn.h"

#define STEP 1000				/* leases of a slice that a turn looks at */
#define PAUSE_MS 100			/* between turns; claimers take over at once */
#define LAG_US USECS_PER_MINUTE /* see local_from */

/*
 * Without shared memory each backend remembers up to where no lease counts
 * any more, a minute back, and begins anew now and then: a transaction that
 * takes longer than that to commit its claim is seen then.
 */
static TimestampTz local_from = DT_NOBEGIN;
static TimestampTz local_since = 0;

static TimestampTz
begin_of_leases(TimestampTz now)
{
	WfDatabase *database = wf_database_mine();

	if (database != NULL)
		return Min(wf_leases_from(&database->leases), wf_lease_written_here() - 1);
	if (now - local_since > LAG_US)
	{
		local_from = DT_NOBEGIN;
		local_since = now;
	}
	return Min(local_from, wf_lease_written_here() - 1);
}

/* Nothing that counts ends before the first of these. */
static void
remember_locally(const WfLease *leases, int n, TimestampTz reached, TimestampTz now)
{
	TimestampTz from = Min(reached, now - LAG_US);

	for (int i = 0; i < n; i++)
		from = Min(from, leases[i].lease_until - 1);
	local_from = Max(local_from, from);
}

void
wf_lease_lapses(const WfWorkflow *workflow, const WfEvent *last, WfEvent *event,
				TimestampTz now)
{
	wf_event_follow(event, last, WF_EVENT_LOST, now);
	event->started_at = last->started_at;
	event->worker = last->worker;
	wf_outcome_lapsed(workflow, event);
}

/* Record one; somebody else may just be doing that, or have renewed it. */
static void
settle(const WfLease *lease, TimestampTz now)
{
	const WfWorkflow *workflow = wf_workflow_by_id(lease->workflow_id);
	WfEvent		last;
	WfEvent		event;

	if (workflow == NULL)
		return;
	wf_event_last(&lease->run_id, lease->slice, NULL, &last);
	if (last.seq != lease->seq)
		return;
	wf_lease_lapses(workflow, &last, &event, now);
	if (!wf_event_try_append(&lease->run_id, lease->slice, &event))
		return;
	wf_claim_ends(lease->workflow_id);
	if (event.run_at != DT_NOBEGIN)
		wf_wakeup_queued(lease->workflow_id, event.run_at, WF_STREAM_EVENT(lease->slice));
	wf_run_ends(&lease->run_id, lease->workflow_id, event.kind);
}

/*
 * Until what it has settled is committed, and told of, a walk leaves `from`
 * and `next` as they were: a claimer that comes in between looks itself.
 */
TimestampTz
wf_lease_sweep(TimestampTz now)
{
	static TimestampTz not_before = 0;
	WfLeases   *mine = &wf_database_mine()->leases;
	TimestampTz from;
	TimestampTz next;
	TimestampTz reached;
	WfLease    *leases;
	int			n;

	if (not_before - now > PAUSE_MS * INT64CONST(1000))
		not_before = now;		/* the clock was set back */
	if (now < not_before || !wf_leases_begin(mine, now, &from, &next))
		return Max(wf_leases_next(mine), not_before);

	wf_turn_begin();
	n = wf_lease_list(from, now, WF_ANY_WORKFLOW, STEP, false, &leases, &reached);
	for (int i = 0; i < n; i++)
		settle(&leases[i], now);
	next = wf_lease_next(reached);
	wf_turn_end();
	wf_leases_end(mine, reached, next);

	/* what ends in the next moment is looked at together */
	not_before = reached < now ? now : TimestampTzPlusMilliseconds(now, PAUSE_MS);
	return Max(wf_leases_next(mine), not_before);
}

void
wf_lease_sweep_here(TimestampTz now)
{
	WfLease    *leases;
	int			n = wf_lease_lapsed(now, PG_INT64_MAX, &leases);

	for (int i = 0; i < n; i++)
		if (!leases[i].lost)
			settle(&leases[i], now);
}

int
wf_lease_lapsed(TimestampTz now, int64 most, WfLease **leases)
{
	TimestampTz reached;
	TimestampTz from = begin_of_leases(now);
	int			n = wf_lease_list(from, now, WF_ANY_WORKFLOW, most, true, leases, &reached);

	if (wf_shared == NULL)
		remember_locally(*leases, n, reached, now);
	return n;
}

bool
wf_lease_may_have_lapsed(TimestampTz now)
{
	WfDatabase *database = wf_database_mine();

	return database == NULL || wf_leases_next(&database->leases) <= now ||
		wf_lease_written_here() <= now;
}

int
wf_lease_held(int32 workflow_id, WfLease **leases)
{
	TimestampTz reached;

	return wf_lease_list(begin_of_leases(wf_clock_now()), DT_NOEND, workflow_id,
						 PG_INT64_MAX, false, leases, &reached);
}
