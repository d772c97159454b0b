/*-------------------------------------------------------------------------
 * lease.h
 *		Leases that have ended without a report, and runs that are leased.
 *-------------------------------------------------------------------------
 */
#ifndef WF_OPS_LEASE_H
#define WF_OPS_LEASE_H

#include "store/event_store.h"
#include "store/lease_store.h"
#include "store/workflow_store.h"

/*
 * Turn event, which follows the last one, into the end of a lease that was
 * not renewed: queued again, or failed if that was the last attempt.
 */
extern void wf_lease_lapses(const WfWorkflow *workflow, const WfEvent *last, WfEvent *event,
							TimestampTz now);

/*
 * Record the leases that have ended, and queue those runs again; for the
 * dispatcher, in transactions of its own.  Returns when to call again.
 */
extern TimestampTz wf_lease_sweep(TimestampTz now);

/* The same for a caller of wf_expire(), in its transaction. */
extern void wf_lease_sweep_here(TimestampTz now);

/*
 * Leases that have ended, recorded just now or not yet, of at most so many
 * that are looked at.
 */
extern int	wf_lease_lapsed(TimestampTz now, int64 most, WfLease **leases);

/* False: the dispatcher sees to those that have ended, or none has. */
extern bool wf_lease_may_have_lapsed(TimestampTz now);

/* Runs of a workflow that external workers hold, by lapsed leases too. */
extern int	wf_lease_held(int32 workflow_id, WfLease **leases);

#endif							/* WF_OPS_LEASE_H */
