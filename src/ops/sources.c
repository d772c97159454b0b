/*-------------------------------------------------------------------------
 * sources.c
 *		Reading the queues of several workflows, for external workers.
 *
 * What was taken and does not fit is put back before the locks are released,
 * so that no other claimer misses it meanwhile.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/wakeup.h"
#include "ops/claim.h"
#include "ops/lease.h"
#include "store/relations.h"
#include "store/workflow_sql.h"

#define MOST_LOCKS 64			/* queues read at once */

static bool may_read(WfSource *source, TimestampTz now);
static int	allowed(WfSource *source, TimestampTz now, int limit, bool to_take);
static int	take_some(WfSource *source, TimestampTz now, int limit, WfItem *items);
static void keep_first(WfSource *sources, int n, WfItem *items, int nitems, int limit);
static void end_reading(WfSource *source, TimestampTz now, const WfItem *items, int n);

WfSource *
wf_sources(const int32 *ids, int n)
{
	WfSource   *sources = palloc0(sizeof(WfSource) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		const WfWorkflow *workflow = wf_workflow_by_id(ids[i]);

		if (workflow == NULL)
			sources[i].workflow.paused = true;	/* dropped just now */
		else
			sources[i].workflow = *workflow;
		sources[i].workflow.grants = NULL;	/* the cache's */
	}
	return sources;
}

WfSource *
wf_source_of(WfSource *sources, int n, int32 workflow_id)
{
	for (int i = 0; i < n; i++)
		if (sources[i].workflow.id == workflow_id)
			return &sources[i];
	return NULL;
}

/* ---- reading ---- */

static int
compare_queues(const void *a, const void *b)
{
	const WfSource *x = *(WfSource *const *) a;
	const WfSource *y = *(WfSource *const *) b;

	return x->queue < y->queue ? -1 : x->queue > y->queue;
}

/*
 * Begin to read the sources that may have something: lock what is shared, in
 * one order.  A source that is left out keeps `reading` false.
 */
static void
begin_reading(WfSource *sources, int n, TimestampTz now, bool to_take)
{
	WfSource  **shared = palloc(sizeof(WfSource *) * Max(n, 1));
	int			nshared = 0;

	wf_queue_lock_tables();
	for (int i = 0; i < n; i++)
	{
		if (!may_read(&sources[i], now) || sources[i].queue == NULL || nshared == MOST_LOCKS)
			continue;
		if (to_take && sources[i].claimed == NULL)
			sources[i].claimed = wf_claim_begin();
		shared[nshared++] = &sources[i];
	}

	/* nothing that can wait for anything else, or fail, from here on */
	qsort(shared, nshared, sizeof(WfSource *), compare_queues);
	for (int i = 0; i < nshared; i++)
	{
		WfSource   *source = shared[i];
		TimestampTz earliest;
		uint32		streams;

		source->reading = wf_claim_queue_lock(source->queue, wf_relations()->extension,
											  source->workflow.id, wf_cursors_rewind);
		if (!source->reading)
			continue;
		memcpy(source->cursors, &source->queue->cursors, sizeof(WfCursors));
		source->trusted = source->queue->trusted;

		/* what this transaction has enqueued, it may claim, too: a look once */
		if (!source->looked_back &&
			wf_wakeup_pending(source->workflow.id, &earliest, &streams))
			source->trusted &= !wf_cursors_rewind(source->cursors, earliest, streams);
		source->looked_back = true;
	}
}

/*
 * Take entries of one source.  What nobody has read before is taken as it is,
 * and whoever appends the event finds out; after a rewind, or a surprise, each
 * is looked at, until a reading has met none that did not count.
 */
static int
take_some(WfSource *source, TimestampTz now, int limit, WfItem *items)
{
	uint32		dead = source->cursors->dead;
	int			n;

	n = wf_queue_take_step(source->workflow.id, source->cursors, now, limit, NULL,
						   source->trusted, items, &source->next_due);
	if (source->trusted)
		return n;
	source->trusted = n > 0 && source->cursors->dead == dead;
	return n;
}

static bool
may_read(WfSource *source, TimestampTz now)
{
	TimestampTz earliest;
	uint32		streams;

	source->reading = source->trusted = false;
	if (source->workflow.paused || source->workflow.has_handler)
		return false;
	source->queue = wf_claim_queue_get(wf_relations()->extension, source->workflow.id);
	if (source->queue == NULL)
	{
		/* nobody tells what is new before a position: read from the beginning */
		if (source->cursors == NULL)
			source->cursors = palloc0(sizeof(WfCursors));
		source->reading = true;
		return true;
	}
	if (!wf_claim_queue_ready(source->queue, now) &&
		(source->looked_back ||
		 !wf_wakeup_pending(source->workflow.id, &earliest, &streams)))
		return false;
	if (source->cursors == NULL)
		source->cursors = palloc(sizeof(WfCursors));
	return true;
}

int
wf_sources_take(WfSource *sources, int n, TimestampTz now, int limit, WfItem **items,
				bool *more)
{
	WfItem	   *found = palloc(sizeof(WfItem) * (limit + 1));
	int			nfound = 0;

	*more = false;
	begin_reading(sources, n, now, true);
	for (int i = 0; i < n; i++)
	{
		WfSource   *source = &sources[i];
		WfItem	   *batch;
		int			most;
		int			got = 0;

		if (!source->reading)
			continue;
		most = allowed(source, now, limit, true);
		batch = palloc(sizeof(WfItem) * Max(most, 1));
		source->next_due = now;
		if (most > 0)
		{
			got = take_some(source, now, most, batch);
			*more |= got < most && source->next_due <= now;
		}
		found = repalloc_huge(found, sizeof(WfItem) * (nfound + got + 1));
		memcpy(found + nfound, batch, sizeof(WfItem) * got);
		nfound += got;
		pfree(batch);
	}
	keep_first(sources, n, found, nfound, limit);
	nfound = Min(nfound, limit);
	for (int i = 0; i < n; i++)
		if (sources[i].reading)
			end_reading(&sources[i], now, found, nfound);
	*items = found;
	return nfound;
}

/* Sort, and put back what is over the limit. */
static void
keep_first(WfSource *sources, int n, WfItem *items, int nitems, int limit)
{
	qsort(items, nitems, sizeof(WfItem), wf_item_compare);
	for (int i = nitems - 1; i >= limit; i--)
	{
		WfSource   *source = wf_source_of(sources, n, items[i].workflow_id);

		wf_cursors_put_back(source->cursors, &items[i]);
		source->next_due = DT_NOBEGIN;
	}
}

/* Publish the cursors, have what was taken in flight, unlock. */
static void
end_reading(WfSource *source, TimestampTz now, const WfItem *items, int n)
{
	TimestampTz earliest = DT_NOEND;
	uint32		streams = 0;
	int			mine = 0;

	source->reading = false;
	if (source->queue == NULL)
		return;
	for (int i = 0; i < n; i++)
	{
		if (items[i].workflow_id != source->workflow.id)
			continue;
		mine++;
		earliest = Min(earliest, items[i].run_at);
		streams |= (uint32) 1 << wf_item_stream(&items[i]);
	}
	memcpy(&source->queue->cursors, source->cursors, sizeof(WfCursors));
	source->queue->next_due = source->next_due > now ? source->next_due : DT_NOBEGIN;
	source->queue->trusted = source->trusted;
	if (mine > 0)
		wf_claim_take(source->queue, source->claimed, mine, earliest, streams);
	wf_claim_queue_unlock(source->queue);
}

/* ---- max_running ---- */

/*
 * Without shared memory the workflow's row is locked until the transaction
 * ends, so that claims come one after the other.
 */
static int
count_alone(WfSource *source, bool to_take)
{
	WfLease    *leases;

	if (to_take)
		(void) wf_workflow_lock(source->workflow.id);
	return wf_lease_held(source->workflow.id, &leases);
}

static int
count_shared(WfSource *source, TimestampTz now)
{
	WfLease    *leases;

	if (wf_claim_count_wanted(source->queue, source->workflow.max_running, now))
	{
		int			inflight = wf_claim_count_begin(source->queue);

		wf_claim_count_end(source->queue,
						   inflight + wf_lease_held(source->workflow.id, &leases), now);
	}
	return wf_claim_running(source->queue);
}

/* How many more of a workflow's runs may be claimed. */
static int
allowed(WfSource *source, TimestampTz now, int limit, bool to_take)
{
	int			running;

	if (source->workflow.max_running == 0)
		return limit;
	running = source->queue != NULL ? count_shared(source, now) :
		count_alone(source, to_take);
	return Max(Min(limit, source->workflow.max_running - running), 0);
}

/* ---- looking only ---- */

/* One reading; true: something may be taken.  more: call again. */
static bool
look_once(WfSource *sources, int n, TimestampTz now, bool *more)
{
	bool		ready = false;

	*more = false;
	begin_reading(sources, n, now, false);
	for (int i = 0; i < n; i++)
	{
		WfSource   *source = &sources[i];
		WfItem		item;
		int			got = 0;

		if (!source->reading)
			continue;
		source->next_due = now;
		if (allowed(source, now, 1, false) > 0)
		{
			got = wf_queue_take_step(source->workflow.id, source->cursors, now, 1, NULL, false,
									 &item, &source->next_due);
			*more |= got == 0 && source->next_due <= now;
		}
		if (got > 0)
		{
			wf_cursors_put_back(source->cursors, &item);
			source->next_due = now;
			ready = true;
		}
		end_reading(source, now, NULL, 0);
	}
	return ready;
}

bool
wf_sources_ready(WfSource *sources, int n, TimestampTz now)
{
	bool		more;

	do
	{
		CHECK_FOR_INTERRUPTS();
		if (look_once(sources, n, now, &more))
			return true;
	} while (more);
	return false;
}
