/*-------------------------------------------------------------------------
 * suspects.c
 *		Runs that were under way in a crash: each runs alone.
 *
 * So what crashes the server again is known, and has hit no other.  Before a
 * suspect starts, those under way are let end, for PATIENCE_MS; if they have
 * not by then, suspects do not wait for them again for a while.  While one
 * runs nothing else starts, for pg_workflow.crash_isolation_time: then the
 * others go on beside it, but for suspects, so that none of them is hit by
 * another more than the once that made it one; after LONG_TIMES that time they
 * do, too.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/guc.h"
#include "ops/settle.h"
#include "ops/suspects.h"

#define PATIENCE_MS	10000
#define LONG_TIMES	10

static bool running = false;
static pg_uuid_t suspect;		/* which */
static TimestampTz running_since;

static int32 waiting = 0;		/* a workflow whose suspect waits for the
								 * others to end; 0: none */
static TimestampTz waiting_since;
static TimestampTz impatient_until = 0; /* others are not waited for */

/* Until then nothing starts beside the suspect that runs. */
static TimestampTz
alone_until(void)
{
	return TimestampTzPlusMilliseconds(running_since, wf_crash_isolation_time);
}

static bool
may_start(bool any, TimestampTz now)
{
	return !any && (wf_outstanding_count() == 0 || now < impatient_until);
}

/* Is nobody to wait for the suspect any more?  One that is held is not executed. */
static bool
is_through(TimestampTz now)
{
	return !wf_outstanding_has(&suspect) || wf_settle_holds(&suspect) ||
		now - running_since >= LONG_TIMES * INT64CONST(1000) * wf_crash_isolation_time;
}

void
wf_suspects_look(TimestampTz now)
{
	if (running && is_through(now))
	{
		running = false;
		wf_queues_reread_skipped();
	}
	if (waiting != 0 && now >= TimestampTzPlusMilliseconds(waiting_since, PATIENCE_MS))
	{
		waiting = 0;
		impatient_until = TimestampTzPlusMilliseconds(now, wf_crash_isolation_time);
	}
}

int
wf_suspects_limit(const WfQueue *queue, bool any, TimestampTz now)
{
	if (running)
		return now < alone_until() ? 0 : PG_INT32_MAX;
	if (waiting == 0)
		return PG_INT32_MAX;
	return waiting == queue->workflow_id && may_start(any, now) ? 1 : 0;
}

void
wf_suspects_give_up(const WfQueue *queue)
{
	if (waiting == queue->workflow_id)
		waiting = 0;
}

bool
wf_suspects_pass_over(const WfItem *item)
{
	return wf_outstanding_has(&item->run_id) || (running && item->alone);
}

int
wf_suspects_keep_apart(WfQueue *queue, const WfItem *items, int n, bool any, TimestampTz now)
{
	int			keep;

	for (keep = 0; keep < n && !items[keep].alone; keep++)
		;
	if (keep == n)
	{
		wf_suspects_give_up(queue);
		return n;
	}

	if (keep == 0 && may_start(any, now))
	{
		running = true;
		suspect = items[0].run_id;
		running_since = now;
		waiting = 0;
		keep = 1;
	}
	else if (waiting == 0)
	{
		waiting = queue->workflow_id;
		waiting_since = now;
	}
	for (int i = keep; i < n; i++)
		wf_cursors_put_back(queue->cursors, &items[i]);
	queue->ready_at = now;
	return keep;
}

TimestampTz
wf_suspects_next(TimestampTz now)
{
	if (running && now < alone_until())
		return alone_until();
	if (waiting != 0)
		return TimestampTzPlusMilliseconds(waiting_since, PATIENCE_MS);
	return DT_NOEND;
}
