/*-------------------------------------------------------------------------
 * claim_queue.c
 *		What the claimers of a workflow share.
 *
 * A table of sets: a workflow's queue is one of the few places that its
 * number hashes to, so that a commit which has nothing to do with claims
 * finds that out with one look.  A place is given away to another workflow
 * when nothing of it is in flight.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/claim_queue.h"
#include "base/shmem.h"

#define SETS 64
#define WAYS 4					/* places of a set */
#define TRANCHE "pg_workflow claims"

/* a count that forbids to claim is made anew after this */
#define RECOUNT_US (5 * USECS_PER_SEC)

static WfClaimQueue *queues = NULL;

Size
wf_claim_queue_shmem_size(void)
{
	return MAXALIGN(sizeof(WfClaimQueue) * SETS * WAYS);
}

void
wf_claim_queue_shmem_request(void)
{
	RequestAddinShmemSpace(wf_claim_queue_shmem_size());
	RequestNamedLWLockTranche(TRANCHE, SETS * WAYS);
}

void
wf_claim_queue_shmem_init(void)
{
	LWLockPadded *locks = GetNamedLWLockTranche(TRANCHE);
	bool		found;

	queues = ShmemInitStruct(TRANCHE, wf_claim_queue_shmem_size(), &found);
	if (found)
		return;
	memset(queues, 0, wf_claim_queue_shmem_size());
	for (int i = 0; i < SETS * WAYS; i++)
	{
		SpinLockInit(&queues[i].mutex);
		queues[i].lock = &locks[i].lock;
	}
}

static WfClaimQueue *
set_of(int32 workflow_id)
{
	uint32		hash = hash_combine(murmurhash32((uint32) workflow_id),
									murmurhash32((uint32) MyDatabaseId));

	return &queues[(hash % SETS) * WAYS];
}

static bool
is_of(const WfClaimQueue *queue, int32 workflow_id)
{
	return queue->workflow_id == workflow_id && queue->dbid == MyDatabaseId;
}

static WfClaimQueue *
find(int32 workflow_id)
{
	WfClaimQueue *set;

	if (queues == NULL || !OidIsValid(MyDatabaseId))
		return NULL;
	set = set_of(workflow_id);
	for (int i = 0; i < WAYS; i++)
		if (is_of(&set[i], workflow_id))
			return &set[i];
	return NULL;
}

/* The place of a set that is best given away; NULL: all are in use now. */
static WfClaimQueue *
find_victim(WfClaimQueue *set)
{
	WfClaimQueue *victim = NULL;

	for (int i = 0; i < WAYS; i++)
	{
		if (!OidIsValid(set[i].dbid))
			return &set[i];
		if (set[i].inflight == 0 && (victim == NULL || set[i].used_at < victim->used_at))
			victim = &set[i];
	}
	return victim;
}

/*
 * Make a place a workflow's own, if nobody is at it.  The lock is only tried,
 * so that nobody is waited for with WfShared.lock in hand.
 */
static bool
try_assign(WfClaimQueue *queue, Oid extension, int32 workflow_id)
{
	if (!LWLockConditionalAcquire(queue->lock, LW_EXCLUSIVE))
		return false;
	if (queue->inflight > 0 && !is_of(queue, workflow_id))
	{
		LWLockRelease(queue->lock);
		return false;
	}
	SpinLockAcquire(&queue->mutex);
	queue->dbid = MyDatabaseId;
	queue->extension = extension;
	queue->workflow_id = workflow_id;
	queue->generation++;
	queue->noticed_streams = 0;
	queue->forget = queue->distrust = false;
	queue->inflight = 0;
	queue->epoch = 0;
	queue->running = 0;
	SpinLockRelease(&queue->mutex);
	memset(&queue->cursors, 0, sizeof(queue->cursors));
	queue->trusted = false;
	queue->next_due = DT_NOBEGIN;
	pg_memory_barrier();		/* who commits from here on sees it */
	LWLockRelease(queue->lock);
	return true;
}

static WfClaimQueue *
make(Oid extension, int32 workflow_id)
{
	WfClaimQueue *queue;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	queue = find(workflow_id);
	if (queue == NULL || queue->extension != extension)
	{
		if (queue == NULL)
			queue = find_victim(set_of(workflow_id));
		if (queue != NULL && !try_assign(queue, extension, workflow_id))
			queue = NULL;
	}
	LWLockRelease(wf_shared->lock);
	return queue;
}

WfClaimQueue *
wf_claim_queue_get(Oid extension, int32 workflow_id)
{
	WfClaimQueue *queue = find(workflow_id);

	if (queues == NULL)
		return NULL;
	if (queue == NULL || queue->extension != extension)
		queue = make(extension, workflow_id);
	return queue;
}

/*
 * Move cursors of a queue, whose lock is held, back to what has been noticed.
 * True: to before what had been read.  It stays noticed if it is only looked at.
 */
static bool
go_back(WfClaimQueue *queue, WfCursors *cursors, bool only_look,
		bool (*rewind) (WfCursors *cursors, TimestampTz run_at, uint32 streams))
{
	TimestampTz noticed;
	uint32		streams;
	bool		forget;

	SpinLockAcquire(&queue->mutex);
	noticed = queue->noticed;
	streams = queue->noticed_streams;
	forget = queue->forget;
	if (!only_look)
	{
		queue->noticed_streams = 0;
		queue->forget = false;
	}
	SpinLockRelease(&queue->mutex);

	if (forget)
		memset(cursors, 0, sizeof(*cursors));
	return forget || (streams != 0 && rewind(cursors, noticed, streams));
}

bool
wf_claim_queue_lock(WfClaimQueue *queue, Oid extension, int32 workflow_id,
					bool (*rewind) (WfCursors *cursors, TimestampTz run_at, uint32 streams))
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	if (!is_of(queue, workflow_id) || queue->extension != extension)
	{
		LWLockRelease(queue->lock);
		return false;
	}
	/* until the reading is over, others are to believe that there may be more */
	queue->next_due = DT_NOBEGIN;
	SpinLockAcquire(&queue->mutex);
	if (queue->distrust)
		queue->trusted = false;
	queue->distrust = false;
	queue->used_at = GetCurrentTimestamp();
	SpinLockRelease(&queue->mutex);

	if (go_back(queue, &queue->cursors, false, rewind))
		queue->trusted = false;
	return true;
}

void
wf_claim_queue_unlock(WfClaimQueue *queue)
{
	LWLockRelease(queue->lock);
}

bool
wf_claim_queue_ready(WfClaimQueue *queue, TimestampTz now)
{
	pg_memory_barrier();
	return queue->next_due <= now || queue->noticed_streams != 0 || queue->forget;
}

/* Entries are new, or back; the mutex is held. */
static void
merge_notice(WfClaimQueue *queue, TimestampTz run_at, uint32 streams)
{
	if (queue->noticed_streams == 0 || run_at < queue->noticed)
		queue->noticed = run_at;
	queue->noticed_streams |= streams;
}

void
wf_claim_queue_notice(int32 workflow_id, TimestampTz run_at, uint32 streams)
{
	WfClaimQueue *queue;

	pg_memory_barrier();
	queue = find(workflow_id);
	if (queue == NULL)
		return;
	SpinLockAcquire(&queue->mutex);
	if (is_of(queue, workflow_id))
		merge_notice(queue, run_at, streams);
	SpinLockRelease(&queue->mutex);
}

void
wf_claim_queues_forget(void)
{
	if (queues == NULL)
		return;
	for (int i = 0; i < SETS * WAYS; i++)
	{
		SpinLockAcquire(&queues[i].mutex);
		if (queues[i].dbid == MyDatabaseId)
			queues[i].forget = true;
		SpinLockRelease(&queues[i].mutex);
	}
}

bool
wf_claim_queue_cursors(int32 workflow_id, WfCursors *cursors,
					   bool (*rewind) (WfCursors *cursors, TimestampTz run_at, uint32 streams))
{
	WfClaimQueue *queue = find(workflow_id);
	bool		ours;

	if (queue == NULL)
		return false;
	LWLockAcquire(queue->lock, LW_SHARED);
	ours = is_of(queue, workflow_id);
	if (ours)
	{
		*cursors = queue->cursors;
		(void) go_back(queue, cursors, true, rewind);
	}
	LWLockRelease(queue->lock);
	return ours;
}

/* ---- claims ---- */

/* The claim is not in flight any more; undone: nor are its runs claimed. */
static void
end_claim(const WfClaimed *claimed, bool undone)
{
	WfClaimQueue *queue = &queues[claimed->queue];
	bool		ours;

	if (claimed->n == 0)
		return;
	SpinLockAcquire(&queue->mutex);
	ours = queue->generation == claimed->generation;
	if (ours)
	{
		queue->inflight -= claimed->n;
		if (undone && queue->epoch == claimed->epoch)
			queue->running -= claimed->n;
		if (undone)
			merge_notice(queue, claimed->earliest, claimed->streams);
	}
	SpinLockRelease(&queue->mutex);
}

static void
after_commit(const void *arg)
{
	end_claim(*(WfClaimed *const *) arg, false);
}

/* Who waits for work is told by the dispatcher. */
static void
after_rollback(const void *arg)
{
	const WfClaimed *claimed = *(WfClaimed *const *) arg;
	WfDatabase *database = wf_database_mine();

	end_claim(claimed, true);
	if (claimed->n == 0 || database == NULL)
		return;
	wf_notice_post(database, queues[claimed->queue].workflow_id, claimed->earliest,
				   claimed->streams);
	wf_wake_dispatcher();
}

WfClaimed *
wf_claim_begin(void)
{
	WfClaimed  *claimed = MemoryContextAllocZero(TopTransactionContext, sizeof(WfClaimed));

	wf_at_commit(after_commit, &claimed, sizeof(claimed));
	wf_at_abort(after_rollback, &claimed, sizeof(claimed));
	return claimed;
}

void
wf_claim_take(WfClaimQueue *queue, WfClaimed *claimed, int n, TimestampTz earliest,
			  uint32 streams)
{
	Assert(LWLockHeldByMeInMode(queue->lock, LW_EXCLUSIVE));

	SpinLockAcquire(&queue->mutex);
	queue->inflight += n;
	if (queue->epoch != 0)
		queue->running += n;
	claimed->queue = queue - queues;
	claimed->generation = queue->generation;
	claimed->epoch = queue->epoch;
	claimed->n = n;
	claimed->earliest = earliest;
	claimed->streams = streams;
	SpinLockRelease(&queue->mutex);
}

void
wf_claim_give_back(WfClaimQueue *queue, WfClaimed *claimed, int n)
{
	SpinLockAcquire(&queue->mutex);
	queue->inflight -= n;
	if (queue->epoch == claimed->epoch && queue->epoch != 0)
		queue->running -= n;
	queue->distrust = true;
	claimed->n -= n;
	SpinLockRelease(&queue->mutex);
}

bool
wf_claim_count_wanted(WfClaimQueue *queue, int max_running, TimestampTz now)
{
	bool		wanted;

	SpinLockAcquire(&queue->mutex);
	wanted = queue->epoch == 0 ||
		(queue->running >= max_running && queue->counted_at < now - RECOUNT_US);
	SpinLockRelease(&queue->mutex);
	return wanted;
}

int
wf_claim_count_begin(WfClaimQueue *queue)
{
	int			inflight;

	Assert(LWLockHeldByMeInMode(queue->lock, LW_EXCLUSIVE));
	SpinLockAcquire(&queue->mutex);
	inflight = queue->inflight;
	SpinLockRelease(&queue->mutex);
	return inflight;
}

/*
 * From here on the count has another epoch: what ends now and was at it
 * before does not lower it, since the count may have left it out already.
 */
void
wf_claim_count_end(WfClaimQueue *queue, int running, TimestampTz now)
{
	Assert(LWLockHeldByMeInMode(queue->lock, LW_EXCLUSIVE));
	SpinLockAcquire(&queue->mutex);
	queue->running = running;
	queue->counted_at = now;
	if (++queue->epoch == 0)
		queue->epoch = 1;
	SpinLockRelease(&queue->mutex);
}

int
wf_claim_running(WfClaimQueue *queue)
{
	int			running;

	SpinLockAcquire(&queue->mutex);
	running = queue->running;
	SpinLockRelease(&queue->mutex);
	return running;
}

/* a count at the time when an end was written, before its commit */
typedef struct Counted
{
	int			queue;
	uint32		generation;
	uint32		epoch;
} Counted;

static void
after_end(const void *arg)
{
	const Counted *counted = arg;
	WfClaimQueue *queue = &queues[counted->queue];
	WfDatabase *database = wf_database_mine();
	int32		workflow_id;
	bool		ours;

	SpinLockAcquire(&queue->mutex);
	ours = queue->generation == counted->generation && queue->epoch == counted->epoch;
	if (ours)
		queue->running--;
	workflow_id = queue->workflow_id;
	SpinLockRelease(&queue->mutex);

	/* whoever waits for work may have waited for this */
	if (ours && database != NULL)
	{
		wf_notice_post(database, workflow_id, DT_NOEND, ~(uint32) 0);
		wf_wake_dispatcher();
	}
}

void
wf_claim_ends(int32 workflow_id)
{
	WfClaimQueue *queue = find(workflow_id);
	Counted		counted;

	if (queue == NULL)
		return;
	SpinLockAcquire(&queue->mutex);
	counted.queue = queue - queues;
	counted.generation = queue->generation;
	counted.epoch = is_of(queue, workflow_id) ? queue->epoch : 0;
	SpinLockRelease(&queue->mutex);
	if (counted.epoch != 0)
		wf_at_commit(after_end, &counted, sizeof(counted));
}
