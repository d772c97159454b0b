/*-------------------------------------------------------------------------
 * holder.c
 *		Wait for the transaction that has a key in doubt.
 *
 * Plain waits for a transaction's end, so that lock_timeout,
 * statement_timeout, cancel and deadlock detection work as everywhere.
 * pg_workflow.key_wait is a lock_timeout of its own for this one wait.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/transam.h"
#include "access/xact.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/memutils.h"

#include "base/guc.h"
#include "ops/enqueue.h"
#include "store/holder_store.h"

static void report_busy(int ordinal, const WfHolder *holder) pg_attribute_noreturn();
static void wait_bounded(int ordinal, const WfHolder *holder);

void
wf_holder_wait(int ordinal, const WfHolder *holder)
{
	if (!TransactionIdIsValid(holder->xid))
		return;
	if (holder->token != 0)
		SpeculativeInsertionWait(holder->xid, holder->token);
	else if (wf_key_wait < 0)
		XactLockTableWait(holder->xid, NULL, NULL, XLTW_None);
	else if (wf_key_wait == 0)
	{
		if (!ConditionalXactLockTableWait(holder->xid))
			report_busy(ordinal, holder);
	}
	else
		wait_bounded(ordinal, holder);
}

static void
wait_bounded(int ordinal, const WfHolder *holder)
{
	MemoryContext context = CurrentMemoryContext;
	int			users_timeout = LockTimeout;
	bool		ours = users_timeout == 0 || wf_key_wait < users_timeout;

	PG_TRY();
	{
		if (ours)
			LockTimeout = wf_key_wait;
		XactLockTableWait(holder->xid, NULL, NULL, XLTW_None);
		LockTimeout = users_timeout;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		LockTimeout = users_timeout;
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!ours || error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		FlushErrorState();
		report_busy(ordinal, holder);
	}
	PG_END_TRY();
}

WfRowLock
wf_holder_lock_run(WfRun *run, const WfEvent *seen, WfHolder *holder)
{
	bool		held_key = run->holds_key;
	WfRowLock	state = wf_run_lock(run, holder);
	WfEvent		newest;

	if (state == WF_ROW_LOCKED)
	{
		wf_event_of_run(run, NULL, &newest);
		if (newest.seq != seen->seq || run->holds_key != held_key)
			state = WF_ROW_CHANGED;
	}
	if (state == WF_ROW_CHANGED && IsolationUsesXactSnapshot())
		wf_report_invisible();
	return state;
}

bool
wf_holder_lock(WfRun *run, const WfEvent *last)
{
	WfHolder	holder;
	WfRowLock	state = wf_holder_lock_run(run, last, &holder);

	if (state == WF_ROW_BUSY)
		wf_holder_wait(0, &holder);
	return state == WF_ROW_LOCKED;
}

void
wf_report_invisible(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent use of an idempotency key"),
			 errdetail("The key was bound, or its run changed, after this transaction's snapshot was taken."),
			 errhint("Retry the transaction.")));
}

char *
wf_holder_name(TransactionId xid)
{
	TransactionId top = SubTransGetTopmostTransaction(xid);
	int			pid = BackendXidGetPid(top);
	char	   *gid;

	if (pid != 0)
		return psprintf("the transaction of process %d", pid);
	gid = wf_prepared_gid(top);
	if (gid != NULL)
		return psprintf("the prepared transaction \"%s\"", gid);
	return psprintf("transaction %u", top);
}

static void
report_busy(int ordinal, const WfHolder *holder)
{
	const char *act = holder->inserter ? "taken" : "moved to another run";
	char	   *name = wf_holder_name(holder->xid);

	ereport(ERROR,
			(errcode(ERRCODE_WF_KEY_BUSY),
			 errmsg("idempotency key is being used by another transaction"),
			 errdetail("%sThe key is being %s by %s.", wf_item_prefix(ordinal), act, name),
			 errhint("Retry later, or raise pg_workflow.key_wait.")));
}
