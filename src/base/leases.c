/*-------------------------------------------------------------------------
 * leases.c
 *		How far the ends of leases have been walked through.
 *
 * Each written lease is looked at once, when it ends: by then it mostly is
 * not its run's last event any more.  The dispatcher walks; a commit that
 * writes a lease which has ended already sends it back.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"

#include "base/leases.h"
#include "base/wakeup.h"

static TransactionId writer = InvalidTransactionId;
static TimestampTz written = DT_NOEND;	/* by that transaction, at first */

static void
note(const void *arg)
{
	TimestampTz lease_until = *(const TimestampTz *) arg;
	WfDatabase *database = wf_database_mine();
	WfLeases   *leases;
	bool		sooner;

	if (database == NULL)
		return;
	leases = &database->leases;
	SpinLockAcquire(&leases->mutex);
	leases->from = Min(leases->from, lease_until - 1);
	leases->noted = Min(leases->noted, lease_until);
	sooner = lease_until < leases->next;
	leases->next = Min(leases->next, lease_until);
	SpinLockRelease(&leases->mutex);
	if (sooner)
		wf_wake_dispatcher();
}

void
wf_lease_written(TimestampTz lease_until)
{
	written = Min(lease_until, wf_lease_written_here());
	writer = GetTopTransactionId();
	if (wf_shared != NULL)
		wf_at_commit(note, &lease_until, sizeof(lease_until));
}

void
wf_lease_moves(TimestampTz lease_until)
{
	if (wf_shared != NULL)
		wf_at_abort(note, &lease_until, sizeof(lease_until));
}

void
wf_leases_forget(void)
{
	WfDatabase *database = wf_database_mine();

	if (database != NULL)
		wf_leases_reset(&database->leases);
}

TimestampTz
wf_lease_written_here(void)
{
	return TransactionIdIsValid(writer) && writer == GetTopTransactionIdIfAny() ?
		written : DT_NOEND;
}

void
wf_leases_reset(WfLeases *leases)
{
	SpinLockAcquire(&leases->mutex);
	leases->from = DT_NOBEGIN;
	leases->noted = DT_NOBEGIN + 1; /* a walk under way is to be repeated */
	leases->next = DT_NOBEGIN;
	SpinLockRelease(&leases->mutex);
}

bool
wf_leases_begin(WfLeases *leases, TimestampTz now, TimestampTz *from, TimestampTz *next)
{
	bool		due;

	SpinLockAcquire(&leases->mutex);
	*from = leases->from;
	*next = leases->next;
	due = leases->next <= now;
	if (due)
		leases->noted = DT_NOEND;
	SpinLockRelease(&leases->mutex);
	return due;
}

void
wf_leases_end(WfLeases *leases, TimestampTz settled, TimestampTz next)
{
	SpinLockAcquire(&leases->mutex);
	leases->from = Min(settled, leases->noted - 1);
	leases->next = Min(next, leases->noted);
	SpinLockRelease(&leases->mutex);
}

TimestampTz
wf_leases_from(WfLeases *leases)
{
	TimestampTz from;

	SpinLockAcquire(&leases->mutex);
	from = leases->from;
	SpinLockRelease(&leases->mutex);
	return from;
}

TimestampTz
wf_leases_next(WfLeases *leases)
{
	TimestampTz next;

	SpinLockAcquire(&leases->mutex);
	next = leases->next;
	SpinLockRelease(&leases->mutex);
	return next;
}
