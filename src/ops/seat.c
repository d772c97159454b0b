/*-------------------------------------------------------------------------
 * seat.c
 *		An executor's side of its slot: what it takes, begins and is done with.
 *
 * Entries from tail on that have begun are running to those who look; they
 * are more than one while runs share a transaction.  The last of them is
 * current while busy: a cancel request is for it, and if the process ends, its
 * attempt has failed.  The others' has not: they are undone with the
 * transaction.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "ops/pool.h"
#include "ops/seat.h"

static WfItem *
entry(int nth)
{
	uint32		tail = pg_atomic_read_u32(&wf_pool_self->tail);

	return &wf_pool_self->items[(tail + nth) % WF_EXECUTOR_QUEUE];
}

bool
wf_seat_look(int nth, WfItem *item)
{
	uint32		length = pg_atomic_read_u32(&wf_pool_self->head) -
		pg_atomic_read_u32(&wf_pool_self->tail);

	if (nth >= (int) length)
		return false;
	pg_read_barrier();
	*item = *entry(nth);
	return true;
}

void
wf_seat_begin(int nth)
{
	WfItem	   *item = entry(nth);
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&wf_pool_self->mutex);
	item->begun_at = now;
	wf_pool_self->busy = true;
	wf_pool_self->begun = nth + 1;
	wf_pool_self->cancel = false;
	wf_pool_self->current = *item;
	SpinLockRelease(&wf_pool_self->mutex);
}

/*
 * The signal of a cancel request for this run was sent before we could take
 * the mutex; a system call sees to it that it is delivered now, and not in
 * the next run.
 */
static void
drop_cancel_request(bool requested)
{
	if (requested)
		(void) kill(MyProcPid, 0);
	QueryCancelPending = false;
}

void
wf_seat_pause(void)
{
	bool		cancelled;

	SpinLockAcquire(&wf_pool_self->mutex);
	wf_pool_self->busy = false;
	cancelled = wf_pool_self->cancel;
	wf_pool_self->cancel = false;
	SpinLockRelease(&wf_pool_self->mutex);
	drop_cancel_request(cancelled);
}

/* In one step for the dispatcher: nothing is under way, the entries are free. */
void
wf_seat_done(int n)
{
	uint32		before = pg_atomic_read_u32(&wf_pool_self->head) -
		pg_atomic_read_u32(&wf_pool_self->tail);
	uint32		left = before - n;
	uint32		refill = pg_atomic_read_u32(&wf_pool_self->refill);
	bool		cancelled;

	SpinLockAcquire(&wf_pool_self->mutex);
	wf_pool_self->busy = false;
	wf_pool_self->begun = 0;
	cancelled = wf_pool_self->cancel;
	wf_pool_self->cancel = false;
	pg_atomic_write_u32(&wf_pool_self->tail, pg_atomic_read_u32(&wf_pool_self->tail) + n);
	SpinLockRelease(&wf_pool_self->mutex);
	drop_cancel_request(cancelled);

	if (left == 0 || (left <= refill && before > refill))
	{
		LWLockAcquire(wf_shared->lock, LW_SHARED);
		wf_seat_wake_dispatcher(wf_pool_self);
		LWLockRelease(wf_shared->lock);
	}
}

void
wf_seat_undo(void)
{
	bool		cancelled;

	SpinLockAcquire(&wf_pool_self->mutex);
	wf_pool_self->busy = false;
	wf_pool_self->begun = 0;
	cancelled = wf_pool_self->cancel;
	wf_pool_self->cancel = false;
	SpinLockRelease(&wf_pool_self->mutex);
	drop_cancel_request(cancelled);
}

void
wf_seat_unrecorded(int nth)
{
	entry(nth)->unrecorded = true;
}

void
wf_seat_wake_dispatcher(const WfExecutor *executor)
{
	WfDatabase *database = wf_database_find(executor->dbid);

	if (database != NULL && database->dispatcher != NULL)
		SetLatch(&database->dispatcher->procLatch);
}
