/*-------------------------------------------------------------------------
 * pool.h
 *		The executors of this database, as its dispatcher deals with them.
 *
 * Only the dispatcher starts, fills and reaps; wf_pool_cancel is for
 * everybody.
 *-------------------------------------------------------------------------
 */
#ifndef WF_POOL_H
#define WF_POOL_H

#include "base/shmem.h"

/* what an executor is told when it is started, in bgw_extra */
typedef struct WfExecutorOrder
{
	int			slot;
	uint32		generation;
	Oid			dbid;
	Oid			owner;
} WfExecutorOrder;

/* in an executor: its own slot; elsewhere NULL */
extern WfExecutor *wf_pool_self;

/*
 * The least loaded executor of an owner that has room, and is not at a run
 * that takes long; NULL: none.
 */
extern WfExecutor *wf_pool_find(Oid owner);

/*
 * Start another one.  NULL: not now, because there are enough, no process is
 * to be had, or starts for this owner have failed lately.
 */
extern WfExecutor *wf_pool_start(Oid owner);

/*
 * Has the owner as many, in all databases, as max_running_per_role allows, or
 * in this one all but the last, where there are other owners?
 */
extern bool wf_pool_owner_has_enough(Oid owner);

/* Is there any executor of the owner's that stays? */
extern bool wf_pool_owner_has_any(Oid owner);

/*
 * When to ask again for what has been refused since this was last called;
 * DT_NOEND: when an executor has gone, which wakes us.
 */
extern TimestampTz wf_pool_retry_at(void);
extern void wf_pool_retry_by(TimestampTz time);

/*
 * Ask an executor of another owner to leave, so that owners share in turns: an
 * idle one, of another database too where the server is short of processes;
 * or else, if also_busy, the one that has served longest, once it is through
 * its queue.  False: there is none, or none has had its turn yet.
 */
extern bool wf_pool_retire_idle(Oid other_than_owner, bool also_busy);

/*
 * Call back for each executor that is gone, before its slot is freed.  What
 * had begun has been undone; if it was busy, current has ended with it.  Those
 * that the shutdown of the server has ended are left alone.
 */
extern int	wf_pool_reap(void (*dead) (WfExecutor *executor, void *arg), void *arg);

/* hand over runs: room, then any number of pushes, then one kick */
extern int	wf_pool_room(WfExecutor *executor);
extern void wf_pool_push(WfExecutor *executor, const WfItem *item);
extern void wf_pool_kick(WfExecutor *executor);

/*
 * Take back what waits behind a run that takes long: entries from *kept to the
 * former head are the executor's no more.  Returns
 * when to ask again, whatever happens.
 */
extern TimestampTz wf_pool_take_back(WfExecutor *executor, TimestampTz now, uint32 *kept);

/* runs that are queued or under way in executors of this database */
extern int	wf_pool_under_way(void);

/* the extension is gone: all executors of this database are to leave */
extern void wf_pool_stop_all(void);

/*
 * Interrupt a run, if an executor is at it now, by an error that the run may
 * trap.  Does not throw.
 */
extern void wf_pool_cancel(const pg_uuid_t *run_id);

/*
 * If an executor's run has gone on for long after it was interrupted, end the
 * process.  Returns when to ask again.
 */
extern TimestampTz wf_pool_end_cancelled(WfExecutor *executor);

#endif							/* WF_POOL_H */
