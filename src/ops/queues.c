/*-------------------------------------------------------------------------
 * queues.c
 *		The dispatcher's memory: workflows, runs handed over.
 *
 * Its size goes with the number of workflows and of runs handed over, never
 * with that of queued runs.  Lives as long as the process.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ops/queues.h"

static HTAB *queues = NULL;
static HTAB *outstanding = NULL;
static WfQueue **list = NULL;
static int	list_length = 0;
static int	list_start = 0;
static uint64 list_epoch = 0;

static void
create_tables(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(int32);
	ctl.entrysize = sizeof(WfQueue);
	ctl.hcxt = TopMemoryContext;
	queues = hash_create("pg_workflow queues", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ctl.keysize = sizeof(pg_uuid_t);
	ctl.entrysize = sizeof(pg_uuid_t);
	outstanding = hash_create("pg_workflow runs handed over", 1024, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static WfQueue *
find_queue(int32 workflow_id)
{
	bool		found;
	WfQueue    *queue = hash_search(queues, &workflow_id, HASH_ENTER, &found);

	if (!found)
	{
		queue->cursors = MemoryContextAllocZero(TopMemoryContext, sizeof(WfCursors));
		queue->ready_at = 0;
		queue->outstanding = 0;
		queue->announcing = queue->announced = false;
		queue->behind = NULL;
		queue->saved = 0;
	}
	return queue;
}

/* Read the list of workflows again: definitions have changed. */
static void
read_list(void)
{
	HASH_SEQ_STATUS seq;
	WfQueue    *queue;
	int32	   *ids;
	int			n = wf_workflow_ids(&ids);

	hash_seq_init(&seq, queues);
	while ((queue = hash_seq_search(&seq)) != NULL)
		queue->listed = false;

	if (list != NULL)
		pfree(list);
	list = MemoryContextAlloc(TopMemoryContext, sizeof(WfQueue *) * Max(n, 1));
	list_length = 0;
	for (int i = 0; i < n; i++)
	{
		queue = find_queue(ids[i]);
		queue->listed = true;
		queue->ready_at = 0;	/* resumed, given a handler, ... */
		list[list_length++] = queue;
	}

	hash_seq_init(&seq, queues);
	while ((queue = hash_seq_search(&seq)) != NULL)
	{
		if (queue->listed || queue->outstanding > 0)
			continue;
		pfree(queue->cursors);
		if (queue->behind != NULL)
			pfree(queue->behind);
		hash_search(queues, &queue->workflow_id, HASH_REMOVE, NULL);
	}
}

int
wf_queues_refresh(WfQueue ***rotated)
{
	if (queues == NULL)
		create_tables();
	if (list == NULL || list_epoch != wf_workflow_epoch())
	{
		list_epoch = wf_workflow_epoch();
		read_list();
	}
	if (list_length > 0)
		list_start = (list_start + 1) % list_length;

	*rotated = palloc(sizeof(WfQueue *) * Max(list_length, 1));
	for (int i = 0; i < list_length; i++)
		(*rotated)[i] = list[(list_start + i) % list_length];
	return list_length;
}

WfQueue *
wf_queues_find(int32 workflow_id)
{
	WfQueue    *queue = hash_search(queues, &workflow_id, HASH_FIND, NULL);

	return queue != NULL && queue->listed ? queue : NULL;
}

bool
wf_queues_any_behind(void)
{
	for (int i = 0; i < list_length; i++)
		if (list[i]->behind != NULL)
			return true;
	return false;
}

TimestampTz
wf_queues_next(void)
{
	TimestampTz next = list == NULL ? 0 : DT_NOEND;

	for (int i = 0; i < list_length; i++)
		next = Min(next, list[i]->ready_at);
	return next;
}

void
wf_queues_take_notices(void)
{
	WfDatabase *database = wf_database_mine();
	bool		taken[WF_NOTICES] = {false};

	if (pg_atomic_exchange_u32(&database->any_notice, 0) == 0)
		return;
	for (int i = 0; i < list_length; i++)
	{
		int			bucket = WF_NOTICE_BUCKET(list[i]->workflow_id);
		TimestampTz earliest;
		uint32		streams;

		if (taken[bucket] || !wf_notice_take(database, bucket, &earliest, &streams))
			continue;
		taken[bucket] = true;
		for (int j = 0; j < list_length; j++)
		{
			if (WF_NOTICE_BUCKET(list[j]->workflow_id) != bucket)
				continue;
			wf_cursors_rewind(list[j]->cursors, earliest, streams);
			list[j]->ready_at = 0;
		}
	}
}

void
wf_queues_forget_cursors(void)
{
	for (int i = 0; i < list_length; i++)
	{
		memset(list[i]->cursors, 0, sizeof(WfCursors));
		list[i]->ready_at = 0;
	}
}

void
wf_queues_reread_skipped(void)
{
	for (int i = 0; i < list_length; i++)
		if (wf_cursors_reread_skipped(list[i]->cursors))
			list[i]->ready_at = 0;
}

void
wf_outstanding_add(const WfItem *item)
{
	bool		found;

	if (queues == NULL)
		create_tables();
	(void) hash_search(outstanding, &item->run_id, HASH_ENTER, &found);
	if (!found)
		find_queue(item->workflow_id)->outstanding++;
}

void
wf_outstanding_remove(const WfItem *item)
{
	WfQueue    *queue = find_queue(item->workflow_id);

	if (hash_search(outstanding, &item->run_id, HASH_REMOVE, NULL) == NULL)
		return;
	queue->outstanding--;
	if (wf_cursors_reread_skipped(queue->cursors) || queue->ready_at == DT_NOEND)
		queue->ready_at = 0;	/* it may have been at max_running */
}

bool
wf_outstanding_has(const pg_uuid_t *run_id)
{
	return hash_search(outstanding, run_id, HASH_FIND, NULL) != NULL;
}

int
wf_outstanding_count(void)
{
	return outstanding == NULL ? 0 : (int) hash_get_num_entries(outstanding);
}
