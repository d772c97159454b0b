/*-------------------------------------------------------------------------
 * pace.c
 *		Owners whose executors fail to start, and when to try again.
 *
 * Written by the dispatcher, and kept where wf_why can read it.  An owner may
 * lack the right to log in or to connect; others are not to wait for him, nor
 * is the log to fill.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/clock.h"
#include "ops/pace.h"

#define FIRST_DELAY		USECS_PER_SEC	/* doubling ... */
#define LAST_DELAY		(60 * USECS_PER_SEC)	/* ... up to this */

/* WfShared.lock is held; NULL if there is none, or no slot of this database. */
static WfPace *
find_pace(WfDatabase *database, Oid owner)
{
	for (int i = 0; database != NULL && i < WF_PACES; i++)
		if (database->paces[i].owner == owner)
			return &database->paces[i];
	return NULL;
}

/* If there are too many, some are forgotten. */
void
wf_pace_failed(const WfExecutor *executor)
{
	WfDatabase *database = wf_database_mine();
	WfPace	   *pace;

	if (database == NULL)
		return;
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	pace = find_pace(database, executor->owner);
	if (pace == NULL)
		pace = find_pace(database, InvalidOid);
	if (pace == NULL)
		pace = &database->paces[executor->owner % WF_PACES];
	if (pace->owner != executor->owner)
		pace->failures = 0;
	pace->owner = executor->owner;
	pace->not_before = GetCurrentTimestamp() +
		Min(FIRST_DELAY << Min(pace->failures, 10), LAST_DELAY);
	pace->failures++;
	strlcpy(pace->refusal, executor->refusal, WF_REFUSAL);
	LWLockRelease(wf_shared->lock);
}

void
wf_pace_started(Oid owner)
{
	WfDatabase *database = wf_database_mine();
	WfPace	   *pace;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	pace = find_pace(database, owner);
	if (pace != NULL)
		pace->owner = InvalidOid;
	LWLockRelease(wf_shared->lock);
}

/* A wait that is too long means that the clock was set back. */
TimestampTz
wf_pace_next(Oid owner)
{
	char		refusal[WF_REFUSAL];
	TimestampTz next;

	return wf_pace_refusal(owner, refusal, &next) ? next : 0;
}

bool
wf_pace_refusal(Oid owner, char refusal[WF_REFUSAL], TimestampTz *next)
{
	WfDatabase *database = wf_database_mine();
	WfPace	   *pace;
	TimestampTz wait = 0;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	pace = find_pace(database, owner);
	if (pace != NULL)
	{
		wait = pace->not_before - GetCurrentTimestamp();
		strlcpy(refusal, pace->refusal, WF_REFUSAL);
	}
	LWLockRelease(wf_shared->lock);

	*next = wait > LAST_DELAY ? 0 : wf_clock_now() + wait;
	return pace != NULL;
}
