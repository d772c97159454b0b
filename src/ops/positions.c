/*-------------------------------------------------------------------------
 * positions.c
 *		Go on where the queues had been taken to before a restart.
 *
 * Nothing is removed from a queue, so a reader without a position has to look
 * at everything that the slices hold.  A sweep stores the positions, a
 * dispatcher that starts loads them: into its own cursors, and into those that
 * claimers share.  They are a hint.  What was before one may be queued all the
 * same, since a crash has undone who took it, or since it was committed while
 * nobody was told; so that is read once more, in steps, beside all else, and
 * the readers are sent back to the first entry that counts.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/claim_queue.h"
#include "ops/positions.h"
#include "ops/queues.h"
#include "ops/turn.h"
#include "store/position_store.h"
#include "store/relations.h"
#include "store/ring.h"

/* What is before the positions that were loaded of a workflow. */
typedef struct WfBehind
{
	int			n;				/* so many are left, the last one first */
	struct
	{
		int			stream;
		WfPosition	from;
		WfPosition	until;
	}			parts[WF_STREAMS * WF_POSITIONS];
} WfBehind;

static bool
has_handler(const WfQueue *queue)
{
	const WfWorkflow *workflow = wf_workflow_by_id(queue->workflow_id);

	return workflow != NULL && workflow->has_handler;
}

static void
advance(WfCursors *cursors, const WfBehind *behind)
{
	for (int i = 0; i < behind->n; i++)
		wf_cursors_advance(cursors, behind->parts[i].stream, &behind->parts[i].until);
}

/* Claimers may have begun to read; who holds the lock is through soon. */
static void
advance_claimers(int32 workflow_id, const WfBehind *behind)
{
	Oid			extension = wf_relations()->extension;
	WfClaimQueue *queue = wf_claim_queue_get(extension, workflow_id);

	if (queue == NULL || !wf_claim_queue_lock(queue, extension, workflow_id, wf_cursors_rewind))
		return;
	advance(&queue->cursors, behind);
	queue->trusted = false;
	wf_claim_queue_unlock(queue);
}

/* Anything that tells whether positions have moved; 0: there are none. */
static uint64
sum_of(const WfCursors *cursors)
{
	uint64		sum = 0;

	for (int s = 0; s < WF_STREAMS; s++)
		for (int i = 0; i < WF_POSITIONS; i++)
		{
			const WfPosition *position = &cursors->streams[s].positions[i];

			if (!position->used)
				continue;
			sum = hash_combine64(sum, hash_bytes_extended((const unsigned char *) &position->run_at, sizeof(TimestampTz), s));
			sum = hash_combine64(sum, hash_bytes_extended(position->run_id.data, UUID_LEN, (uint64) position->priority));
		}
	return sum;
}

static WfBehind *
all_before(const WfCursors *stored)
{
	WfBehind   *behind = MemoryContextAllocZero(TopMemoryContext, sizeof(WfBehind));

	for (int s = 0; s < WF_STREAMS; s++)
	{
		for (int i = 0; i < WF_POSITIONS; i++)
		{
			const WfPosition *position = &stored->streams[s].positions[i];

			if (!position->used)
				continue;
			behind->parts[behind->n].stream = s;
			behind->parts[behind->n].until = *position;
			behind->parts[behind->n].from.run_at = DT_NOBEGIN;
			behind->n++;
		}
	}
	return behind;
}

static void
load(int32 workflow_id, const WfCursors *stored)
{
	WfQueue    *queue = wf_queues_find(workflow_id);

	if (queue == NULL)
	{
		wf_positions_forget(workflow_id);
		return;
	}
	queue->behind = all_before(stored);
	if (has_handler(queue))
		advance(queue->cursors, queue->behind);
	else
		advance_claimers(workflow_id, queue->behind);
	queue->saved = sum_of(stored);
}

void
wf_positions_load(void)
{
	WfQueue   **queues;

	(void) wf_queues_refresh(&queues);
	wf_positions_read(load);
}

void
wf_positions_save(void)
{
	WfCursors  *copy = palloc0(sizeof(WfCursors));
	WfQueue   **queues;
	int			n;

	n = wf_queues_refresh(&queues);
	for (int i = 0; i < n; i++)
	{
		const WfCursors *cursors = queues[i]->cursors;
		uint64		sum;

		if (!has_handler(queues[i]))
		{
			if (!wf_claim_queue_cursors(queues[i]->workflow_id, copy, wf_cursors_rewind))
				continue;
			cursors = copy;
		}
		sum = sum_of(cursors);
		if (sum == queues[i]->saved)
			continue;
		if (wf_positions_store(queues[i]->workflow_id, cursors))
			queues[i]->saved = sum;
	}
}

/* Whoever reads the queue now, and who will if it gets or loses its handler. */
static void
send_back(WfQueue *queue, const WfItem *item)
{
	uint32		streams = (uint32) 1 << wf_item_stream(item);

	(void) wf_cursors_rewind(queue->cursors, item->run_at, streams);
	wf_claim_queue_notice(queue->workflow_id, item->run_at, streams);
	queue->ready_at = 0;
}

/*
 * Look at some of what is left of a workflow; false: nothing is.  From an
 * entry that counts on its readers read themselves.
 */
static bool
look_behind(WfQueue *queue)
{
	WfBehind   *behind = queue->behind;
	const WfRing *ring = wf_ring();
	WfItem		item;
	bool		done;

	if (behind->n > 0)
	{
		int			last = behind->n - 1;
		int			stream = behind->parts[last].stream;
		WfPosition *from = &behind->parts[last].from;
		WfPosition *until = &behind->parts[last].until;

		done = ring->state[stream % WF_SLICES] == WF_SLICE_EMPTY;
		if (!done && wf_queue_look_between(queue->workflow_id, stream, from, until, &item))
		{
			send_back(queue, &item);
			done = true;
		}
		if (done || (from->run_at == until->run_at &&
					 memcmp(&from->run_id, &until->run_id, UUID_LEN) == 0))
			behind->n = last;
	}
	return behind->n > 0;
}

/* The first one that has something left; all take turns. */
static WfQueue *
next_to_look_behind(void)
{
	WfQueue   **queues;
	int			n = wf_queues_refresh(&queues);

	for (int i = 0; i < n; i++)
		if (queues[i]->behind != NULL)
			return queues[i];
	return NULL;
}

bool
wf_positions_look_behind(void)
{
	WfQueue    *queue;

	if (!wf_queues_any_behind())
		return false;
	wf_turn_begin();
	if ((queue = next_to_look_behind()) != NULL && !look_behind(queue))
	{
		pfree(queue->behind);
		queue->behind = NULL;
	}
	wf_turn_end();
	return wf_queues_any_behind();
}
