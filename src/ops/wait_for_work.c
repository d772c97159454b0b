/*-------------------------------------------------------------------------
 * wait_for_work.c
 *		wf_wait_for_work: until there is a run to claim, without polling,
 *		snapshot or locks.
 *
 * A place among the waiters is taken before the queues are looked at; the
 * dispatcher, whom every commit wakes that makes work, wakes one waiter for
 * each run that is due (announce.c).  A look now and then is the floor under
 * a lost wake-up.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/leases.h"
#include "base/waiters.h"
#include "base/wakeup.h"
#include "ops/claim.h"
#include "ops/lease.h"
#include "ops/settings.h"
#include "ops/wait.h"
#include "ops/worker_args.h"

PG_FUNCTION_INFO_V1(wf_wait_for_work);

static bool wait_for_work(const int32 *ids, int n, TimestampTz deadline);
static bool look(const int32 *ids, int n);

/*
 * CALL wf_wait_for_work(workflows, timeout, INOUT ready): whether there was
 * something to claim before the time was up.
 */
Datum
wf_wait_for_work(PG_FUNCTION_ARGS)
{
	TimestampTz deadline;
	int32	   *ids;
	int			n;
	TupleDesc	desc;
	Datum		values[1];
	bool		nulls[1] = {false};

	PreventCommandDuringRecovery("wf_wait_for_work()");
	if (PG_ARGISNULL(1))
		wf_refuse_null("timeout");
	deadline = wf_wait_deadline(fcinfo, 1, "wf_wait_for_work");
	n = wf_workflows_to_work(fcinfo, 0, &ids);

	wf_let_snapshot_go();
	values[0] = BoolGetDatum(wait_for_work(ids, n, deadline));
	EnsurePortalSnapshotExists();

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Have the dispatcher look at what becomes due later. */
static void
tell_dispatcher(const int32 *ids, int n)
{
	WfDatabase *database = wf_database_mine();

	if (database == NULL)
		return;
	for (int i = 0; i < n; i++)
		wf_notice_post(database, ids[i], DT_NOEND, ~(uint32) 0);
	wf_wake_dispatcher();
}

static bool
wait_for_work(const int32 *ids, int n, TimestampTz deadline)
{
	volatile bool ready = false;
	int			place = wf_work_waiter_enter(ids, n);
	long		longest = place < 0 ? WF_LOOK_MS : wf_sweep_interval;

	PG_TRY();
	{
		tell_dispatcher(ids, n);
		while (!(ready = look(ids, n)))
		{
			long		ms = deadline == DT_NOEND ? INT_MAX :
				TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

			if (ms <= 0)
				break;
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 Min(ms, longest), WaitEventExtensionNew("PgWorkflowWork"));
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
			wf_work_waiter_again(place);
		}
	}
	PG_FINALLY();
	{
		wf_work_waiter_leave(place);
	}
	PG_END_TRY();
	return ready;
}

/* A lease that has ended is work, too, unless the dispatcher sees to it. */
static bool
any_lapsed(WfSource *sources, int n, TimestampTz now)
{
	WfLease    *leases;
	int			found;

	if (!wf_lease_may_have_lapsed(now))
		return false;
	found = wf_lease_lapsed(now, 1000, &leases);
	for (int i = 0; i < found; i++)
	{
		WfSource   *source = wf_source_of(sources, n, leases[i].workflow_id);

		if (source != NULL && !source->workflow.paused)
			return true;
	}
	return false;
}

static bool
look(const int32 *ids, int n)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_workflow look",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ResourceOwner before = wf_look_begin();
	WfSource   *sources = wf_sources(ids, n);
	TimestampTz now = wf_clock_now();
	bool		ready;

	ready = wf_sources_ready(sources, n, now) || any_lapsed(sources, n, now);
	wf_look_end(before);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return ready;
}
