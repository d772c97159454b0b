/*-------------------------------------------------------------------------
 * pace.c
 *		Owners whose executors fail to start, and when to try again.
 *
 * Remembered by the dispatcher for its own lifetime.  An owner may lack the
 * right to log in or to connect; others are not to wait for him, nor is the
 * log to fill.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/clock.h"
#include "ops/pace.h"

#define FIRST_DELAY		USECS_PER_SEC	/* doubling ... */
#define LAST_DELAY		(60 * USECS_PER_SEC)	/* ... up to this */
#define MAX_PACES		32

typedef struct Pace
{
	Oid			owner;			/* InvalidOid: unused */
	int			failures;
	TimestampTz not_before;
} Pace;

static Pace paces[MAX_PACES];

static Pace *
find_pace(Oid owner)
{
	for (int i = 0; i < MAX_PACES; i++)
		if (paces[i].owner == owner)
			return &paces[i];
	return NULL;
}

/* If there are too many, some are forgotten. */
void
wf_pace_failed(Oid owner)
{
	Pace	   *pace = find_pace(owner);

	if (pace == NULL)
		pace = find_pace(InvalidOid);
	if (pace == NULL)
		pace = &paces[owner % MAX_PACES];
	if (pace->owner != owner)
		pace->failures = 0;
	pace->owner = owner;
	pace->not_before = GetCurrentTimestamp() +
		Min(FIRST_DELAY << Min(pace->failures, 10), LAST_DELAY);
	pace->failures++;
}

void
wf_pace_started(Oid owner)
{
	Pace	   *pace = find_pace(owner);

	if (pace != NULL)
		pace->owner = InvalidOid;
}

/* A wait that is too long means that the clock was set back. */
TimestampTz
wf_pace_next(Oid owner)
{
	Pace	   *pace = find_pace(owner);
	TimestampTz wait;

	if (pace == NULL)
		return 0;
	wait = pace->not_before - GetCurrentTimestamp();
	return wait > LAST_DELAY ? 0 : wf_clock_now() + wait;
}
