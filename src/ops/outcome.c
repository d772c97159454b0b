/*-------------------------------------------------------------------------
 * outcome.c
 *		What follows from an attempt that did not succeed.
 *
 * No I/O.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"
#include "utils/timestamp.h"

#include "base/audit.h"
#include "base/claim_queue.h"
#include "base/clock.h"
#include "base/waiters.h"
#include "base/wakeup.h"
#include "ops/outcome.h"

int64
wf_retry_delay(const WfWorkflow *workflow, int tries)
{
	double		delay = (double) wf_interval_us(&workflow->retry_delay);
	double		most = (double) wf_interval_us(&workflow->retry_max_delay);

	/* pow() may overflow to infinity, which the ceiling takes back */
	delay *= pow(workflow->retry_factor, Max(tries - 1, 0));
	delay = Min(delay, most);
	delay += delay * workflow->retry_jitter * pg_prng_double(&pg_global_prng_state);

	/* a delay beyond any calendar is a thousand years */
	return (int64) Min(delay, (double) INT64CONST(1000) * 365 * USECS_PER_DAY);
}

void
wf_outcome_failed(const WfWorkflow *workflow, WfEvent *event)
{
	event->tries++;
	if (event->tries >= workflow->max_attempts)
	{
		event->kind = WF_EVENT_FAILED;
		return;
	}
	event->kind = WF_EVENT_RETRY;
	event->run_at = event->at + wf_retry_delay(workflow, event->tries);
}

void
wf_outcome_crashed(WfEvent *event)
{
	event->crashes++;
	event->sqlstate = "57P02";
	event->error = "the server crashed during the attempt";
	if (event->crashes >= WF_MAX_CRASHES)
	{
		event->kind = WF_EVENT_FAILED;
		return;
	}
	event->kind = WF_EVENT_CRASHED;
	event->run_at = event->at;
}

void
wf_outcome_lapsed(const WfWorkflow *workflow, WfEvent *event)
{
	event->sqlstate = "08006";
	event->error = "the lease ended and the worker had not reported";
	if (event->tries >= workflow->max_attempts)
	{
		event->kind = WF_EVENT_FAILED;
		return;
	}
	event->kind = WF_EVENT_LOST;
	event->run_at = event->at;
}

typedef struct Moved
{
	int32		workflow_id;
	int			stream;
	TimestampTz run_at;
} Moved;

static void
after_no_move(const void *arg)
{
	const Moved *moved = arg;
	WfDatabase *database = wf_database_mine();
	uint32		streams = (uint32) 1 << moved->stream;

	wf_claim_queue_notice(moved->workflow_id, moved->run_at, streams);
	if (database == NULL)
		return;
	wf_notice_post(database, moved->workflow_id, moved->run_at, streams);
	wf_wake_dispatcher();
}

void
wf_run_moves(const WfRun *run, const WfEvent *last)
{
	Moved		moved;

	if (wf_shared == NULL || wf_event_state(last) != WF_QUEUED)
		return;
	moved.workflow_id = run->workflow_id;
	moved.stream = last->seq == 0 ? WF_STREAM_RUN(run->slice) : WF_STREAM_EVENT(run->slice);
	moved.run_at = last->run_at;
	wf_at_abort(after_no_move, &moved, sizeof(moved));
}

void
wf_run_ended(const pg_uuid_t *run_id, int32 workflow_id, char kind)
{
	switch (kind)
	{
		case WF_EVENT_COMPLETED:
			wf_count(workflow_id, WF_COUNT_COMPLETED, 1);
			break;
		case WF_EVENT_FAILED:
			wf_count(workflow_id, WF_COUNT_FAILED, 1);
			break;
		case WF_EVENT_CANCELLED:
			wf_count(workflow_id, WF_COUNT_CANCELLED, 1);
			break;
		default:
			return;
	}
	wf_waiters_wake(run_id);
}

typedef struct Ended
{
	pg_uuid_t	run_id;
	int32		workflow_id;
	char		kind;
} Ended;

static void
after_end(const void *arg)
{
	const Ended *ended = arg;

	wf_run_ended(&ended->run_id, ended->workflow_id, ended->kind);
}

void
wf_run_ends(const pg_uuid_t *run_id, int32 workflow_id, char kind)
{
	Ended		ended;

	ended.run_id = *run_id;
	ended.workflow_id = workflow_id;
	ended.kind = kind;
	if (wf_shared != NULL)
		wf_at_commit(after_end, &ended, sizeof(ended));
}

static void
after_reopening(const void *arg)
{
	wf_count_reopened(*(const int32 *) arg);
}

void
wf_run_reopens(int32 workflow_id)
{
	if (wf_shared != NULL)
		wf_at_commit(after_reopening, &workflow_id, sizeof(workflow_id));
}
