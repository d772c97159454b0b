/*-------------------------------------------------------------------------
 * wait.c
 *		wf_wait: until a run has ended, without polling, snapshot or locks.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/waiters.h"
#include "ops/access.h"
#include "ops/execute.h"
#include "ops/read.h"
#include "ops/wait.h"

PG_FUNCTION_INFO_V1(wf_wait);

static bool wait_for_end(const pg_uuid_t *run_id, TimestampTz deadline, WfSight *sight);
static bool look(const pg_uuid_t *run_id, WfSight *sight);
static void refuse_own_run(const pg_uuid_t *run_id);

/*
 * CALL wf_wait(run_id, timeout, INOUT state, INOUT result): until the run has
 * ended, or the time is up.
 */
Datum
wf_wait(PG_FUNCTION_ARGS)
{
	pg_uuid_t	run_id;
	TimestampTz deadline;
	WfSight		sight;
	TupleDesc	desc;
	Datum		values[2] = {0};
	bool		nulls[2] = {false, true};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"run_id\" of wf_wait must not be null")));
	run_id = *PG_GETARG_UUID_P(0);
	deadline = wf_wait_deadline(fcinfo, 1, "wf_wait");
	refuse_own_run(&run_id);

	wf_let_snapshot_go();
	(void) wait_for_end(&run_id, deadline, &sight);
	EnsurePortalSnapshotExists();

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(sight.state);
	values[1] = sight.result;
	nulls[1] = sight.result == (Datum) 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

static void
refuse_own_run(const pg_uuid_t *run_id)
{
	const WfItem *current = wf_execute_current();
	WfRun		run;
	WfEvent		last;
	WfWorkflow	workflow;

	wf_run_require(run_id, WF_MAY_ENQUEUE | WF_MAY_READ | WF_MAY_WORK, true,
				   &run, &last, &workflow);
	if ((current != NULL && memcmp(&current->run_id, run_id, UUID_LEN) == 0) ||
		TransactionIdIsCurrentTransactionId(run.xmin))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for a run from within itself or the transaction that enqueued it"),
				 errdetail("The run cannot end before this transaction does."),
				 errhint("Commit first.")));
}

/*
 * CALL holds the snapshot of its portal, and where it returns a row another
 * reference to it; they are of no use while waiting and would keep vacuum
 * from its work.  Anything beyond that is somebody else's.
 */
void
wf_let_snapshot_go(void)
{
	Portal		portal = ActivePortal;

	if (!IsolationUsesXactSnapshot() && portal != NULL &&
		portal->portalSnapshot != NULL &&
		ActiveSnapshotSet() && GetActiveSnapshot() == portal->portalSnapshot)
	{
		portal->portalSnapshot = NULL;
		PopActiveSnapshot();
		if (portal->holdSnapshot != NULL)
			UnregisterSnapshotFromOwner(portal->holdSnapshot, portal->resowner);
		portal->holdSnapshot = NULL;
	}
	InvalidateCatalogSnapshot();
	if (ActiveSnapshotSet() || TransactionIdIsValid(MyProc->xmin))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot wait while the transaction holds a snapshot"),
				 errdetail("The wait would keep vacuum from removing dead rows."),
				 errhint("CALL it at the top level, at READ COMMITTED, with no cursor open.")));
}

TimestampTz
wf_wait_deadline(FunctionCallInfo fcinfo, int argument, const char *function)
{
	if (PG_ARGISNULL(argument))
		return DT_NOEND;
	if (wf_interval_is_negative(PG_GETARG_INTERVAL_P(argument)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"timeout\" of %s must not be negative", function),
				 errhint("Pass NULL to wait for ever.")));
	return wf_clock_add(GetCurrentTimestamp(), PG_GETARG_INTERVAL_P(argument));
}

/*
 * A resource owner of its own, as a subtransaction has, for what is opened
 * and locked while looking; an error leaves it to the transaction's.
 */
ResourceOwner
wf_look_begin(void)
{
	ResourceOwner before = CurrentResourceOwner;

	CurrentResourceOwner = ResourceOwnerCreate(before, "pg_workflow look");
	PushActiveSnapshot(GetLatestSnapshot());
	return before;
}

void
wf_look_end(ResourceOwner before)
{
	ResourceOwner mine = CurrentResourceOwner;

	PopActiveSnapshot();
	InvalidateCatalogSnapshot();
	ResourceOwnerRelease(mine, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
	ResourceOwnerRelease(mine, RESOURCE_RELEASE_LOCKS, false, false);
	ResourceOwnerRelease(mine, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
	CurrentResourceOwner = before;
	ResourceOwnerDelete(mine);
}

/* See where the run is, with a snapshot of its own; true: it has ended. */
static bool
look(const pg_uuid_t *run_id, WfSight *sight)
{
	WfRun		run;
	WfEvent		last;
	WfWorkflow	workflow;
	bool		ended;
	ResourceOwner before = wf_look_begin();

	wf_run_require(run_id, WF_MAY_ENQUEUE | WF_MAY_READ | WF_MAY_WORK, true,
				   &run, &last, &workflow);
	wf_sight(&run, &last, false, sight);
	ended = wf_state_is_terminal(wf_event_state(&last));
	if (sight->result != (Datum) 0)
		sight->result = PointerGetDatum(PG_DETOAST_DATUM_COPY(sight->result));
	wf_look_end(before);
	return ended;
}

static bool
wait_for_end(const pg_uuid_t *run_id, TimestampTz deadline, WfSight *sight)
{
	volatile bool ended = false;
	int			place = wf_waiter_enter(run_id);

	PG_TRY();
	{
		while (!(ended = look(run_id, sight)))
		{
			long		ms = deadline == DT_NOEND ? INT_MAX :
				TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

			if (ms <= 0)
				break;
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 place < 0 ? Min(ms, WF_LOOK_MS) : Min(ms, INT_MAX),
							 WaitEventExtensionNew("PgWorkflowRun"));
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	}
	PG_FINALLY();
	{
		wf_waiter_leave(place);
	}
	PG_END_TRY();
	return ended;
}
