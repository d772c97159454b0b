/*-------------------------------------------------------------------------
 * announce.c
 *		Tell external workers of runs that are due.
 *
 * Nothing is read where nobody waits and no channel is to be notified.  Each
 * run is announced once, when it is due; whoever starts to wait later looks
 * by himself first.  The notification has no payload: any role can LISTEN.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/async.h"
#include "utils/timestamp.h"

#include "base/claim_queue.h"
#include "base/guc.h"
#include "base/waiters.h"
#include "ops/announce.h"
#include "store/queue_store.h"
#include "store/workflow_store.h"

#define STEP 256				/* runs read at once for the channel */

static bool anything = false;	/* since the last notification */

static bool
channel_is_set(void)
{
	return wf_notify_channel != NULL && wf_notify_channel[0] != '\0';
}

/*
 * Begin where the claimers are: what is before that has been taken.  With
 * max_running always, as a run that was announced in vain is announced again
 * when another ends.
 */
static void
catch_up(WfQueue *queue, const WfWorkflow *workflow)
{
	if (queue->announcing && workflow->max_running == 0)
		return;
	if (wf_claim_queue_cursors(queue->workflow_id, queue->cursors, wf_cursors_rewind))
		for (int s = 0; s < WF_STREAMS; s++)
			queue->cursors->streams[s].idle_until = 0;
	queue->announcing = queue->announced = true;
}

void
wf_announce(WfQueue *queue, const WfWorkflow *workflow, TimestampTz now)
{
	int			waiting = wf_work_waiters(queue->workflow_id);
	int			limit = channel_is_set() ? STEP : Min(waiting, STEP);
	WfItem		items[STEP];
	int			n;

	queue->ready_at = DT_NOEND;
	if (limit == 0)
	{
		queue->announcing = false;
		return;
	}
	catch_up(queue, workflow);
	do
	{
		n = wf_queue_take(queue->workflow_id, queue->cursors, now, limit, items,
						  &queue->ready_at);
		if (n > 0)
			wf_work_waiters_wake(queue->workflow_id, n);
		anything |= n > 0;
	} while (n == limit && channel_is_set());

	/* all who wait have been woken: until the next one comes */
	if (n == limit)
		queue->ready_at = DT_NOEND;
}

void
wf_announce_end(void)
{
	if (anything && channel_is_set())
		Async_Notify(wf_notify_channel, "");
	anything = false;
}
