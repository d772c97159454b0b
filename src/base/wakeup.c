/*-------------------------------------------------------------------------
 * wakeup.c
 *		What a transaction does for other processes once it has committed.
 *
 * Callbacks are registered once per backend; what it is to do is gathered in
 * TopTransactionContext, one entry per workflow and stream however many runs
 * are enqueued.  PREPARE TRANSACTION drops it: COMMIT PREPARED has the queues
 * read anew (ddl_hook.c).  What a subtransaction has gathered goes with it, or
 * to its parent.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/audit.h"
#include "base/claim_queue.h"
#include "base/guc.h"
#include "base/waiters.h"
#include "base/wakeup.h"

typedef struct Queued
{
	struct Queued *next;
	int			level;			/* nesting level of the transaction */
	int32		workflow_id;
	uint32		streams;
	TimestampTz earliest;
	uint64		enqueued;		/* runs, not those queued again */
	bool		wake;			/* the dispatcher is to look */
} Queued;

typedef struct Action
{
	struct Action *next;
	int			level;			/* nesting level of the transaction */
	void		(*fn) (const void *arg);
	char		arg[WF_AT_COMMIT_ARG];
} Action;

static Queued *queued = NULL;
static Action *actions = NULL;	/* to do after commit */
static Action *undos = NULL;	/* to do after a rollback */
static bool awaited = false;	/* it has written what others may wait for */
static bool committed = false;
static const char *not_to_prepare = NULL;	/* what forbids PREPARE */
static bool callbacks_registered = false;

static void note_queued(int32 workflow_id, TimestampTz run_at, int stream, bool wake, bool is_new);
static Queued *find_queued(int32 workflow_id, int level, TimestampTz earliest);

/* Is anybody to be told of runs that external workers claim? */
static bool
is_awaited(int32 workflow_id)
{
	return (wf_notify_channel != NULL && wf_notify_channel[0] != '\0') ||
		wf_work_waiters(workflow_id) > 0;
}

/*
 * The barrier stands between the end and the look: the dispatcher says that it
 * waits, and then looks whether there is anything to wait for.
 */
static void
tell_of_end(void)
{
	WfDatabase *database = awaited ? wf_database_mine() : NULL;

	pg_memory_barrier();
	if (database == NULL || pg_atomic_read_u32(&database->holding) == 0)
		return;
	pg_atomic_write_u32(&database->moved, 1);
	wf_wake_dispatcher();
}

static void
post_all(void)
{
	WfDatabase *database = wf_database_mine();
	bool		wake = false;

	for (Action *a = actions; a != NULL; a = a->next)
		a->fn(a->arg);
	tell_of_end();

	for (Queued *q = queued; q != NULL; q = q->next)
	{
		wake = wake || q->wake || is_awaited(q->workflow_id);
		wf_claim_queue_notice(q->workflow_id, q->earliest, q->streams);
		if (database == NULL)
			continue;
		wf_notice_post(database, q->workflow_id, q->earliest, q->streams);
		wf_count(q->workflow_id, WF_COUNT_ENQUEUED, q->enqueued);
	}
	/* without a database's slot the launcher is told, to find it */
	if (wf_shared != NULL && (wake || (queued != NULL && database == NULL)))
		wf_wake_dispatcher();
}

/* Undo what was done at a level and above. */
static void
undo_level(int level)
{
	while (undos != NULL && undos->level >= level)
	{
		undos->fn(undos->arg);
		undos = undos->next;
	}
}

static void
refuse_prepare(void)
{
	if (not_to_prepare != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has called %s", not_to_prepare),
				 errdetail("What it holds would be held by nobody who can be asked for it."),
				 errhint("Commit first.")));
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_PREPARE)
	{
		refuse_prepare();
		return;
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		not_to_prepare = NULL;
	if (event == XACT_EVENT_COMMIT)
	{
		committed = queued != NULL || actions != NULL || awaited;
		undos = NULL;
	}
	else if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		if (event == XACT_EVENT_ABORT)
		{
			undo_level(0);
			tell_of_end();
		}
		queued = NULL;
		actions = NULL;
		undos = NULL;
		awaited = false;
	}
}

/*
 * The last that a commit does to others.  Not earlier: invalidations have
 * been sent by now, so whoever is woken sees changed definitions.
 */
static void
at_resource_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	if (!committed || phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level)
		return;
	committed = false;
	post_all();
	queued = NULL;
	actions = NULL;
	awaited = false;
}

/* Entries of the newest transactions are at the head of all lists. */
static void
drop_level(int level)
{
	while (queued != NULL && queued->level >= level)
		queued = queued->next;
	while (actions != NULL && actions->level >= level)
		actions = actions->next;
	undo_level(level);
}

static void
hand_to_parent(int level)
{
	Queued	   *q;

	for (Action *a = actions; a != NULL && a->level == level; a = a->next)
		a->level--;
	for (Action *a = undos; a != NULL && a->level == level; a = a->next)
		a->level--;
	while ((q = queued) != NULL && q->level == level)
	{
		Queued	   *entry;

		queued = q->next;
		entry = find_queued(q->workflow_id, level - 1, q->earliest);
		entry->streams |= q->streams;
		entry->earliest = Min(entry->earliest, q->earliest);
		entry->enqueued += q->enqueued;
		entry->wake |= q->wake;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		drop_level(GetCurrentTransactionNestLevel());
		tell_of_end();
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		hand_to_parent(GetCurrentTransactionNestLevel());
}

static void
register_callbacks(void)
{
	if (callbacks_registered)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	RegisterResourceReleaseCallback(at_resource_release, NULL);
	callbacks_registered = true;
}

/* The entry of a workflow at a level, made if there is none. */
static Queued *
find_queued(int32 workflow_id, int level, TimestampTz earliest)
{
	Queued	  **at = &queued;
	Queued	   *q;

	for (q = queued; q != NULL && q->level >= level; q = q->next)
	{
		if (q->level == level && q->workflow_id == workflow_id)
			return q;
		if (q->level > level)
			at = &q->next;
	}
	q = MemoryContextAllocZero(TopTransactionContext, sizeof(Queued));
	q->level = level;
	q->workflow_id = workflow_id;
	q->earliest = earliest;
	q->next = *at;
	*at = q;
	return q;
}

void
wf_wakeup_queued(int32 workflow_id, TimestampTz run_at, int stream)
{
	note_queued(workflow_id, run_at, stream, true, stream < WF_SLICES);
}

void
wf_wakeup_unhandled(int32 workflow_id, TimestampTz run_at, int stream)
{
	note_queued(workflow_id, run_at, stream, false, stream < WF_SLICES);
}

void
wf_wakeup_carried(int32 workflow_id, TimestampTz run_at, int stream)
{
	note_queued(workflow_id, run_at, stream, true, false);
}

/* is_new: counts as enqueued */
static void
note_queued(int32 workflow_id, TimestampTz run_at, int stream, bool wake, bool is_new)
{
	Queued	   *q;

	if (wf_shared == NULL)
		return;

	register_callbacks();
	q = find_queued(workflow_id, GetCurrentTransactionNestLevel(), run_at);
	q->streams |= (uint32) 1 << stream;
	q->earliest = Min(q->earliest, run_at);
	q->wake |= wake;
	if (is_new)
		q->enqueued++;
}

bool
wf_wakeup_pending(int32 workflow_id, TimestampTz *earliest, uint32 *streams)
{
	*earliest = DT_NOEND;
	*streams = 0;
	for (Queued *q = queued; q != NULL; q = q->next)
	{
		if (q->workflow_id != workflow_id)
			continue;
		*earliest = Min(*earliest, q->earliest);
		*streams |= q->streams;
	}
	return *streams != 0;
}

uint64
wf_wakeup_enqueued(int32 workflow_id)
{
	uint64		n = 0;

	for (Queued *q = queued; q != NULL; q = q->next)
		if (q->workflow_id == workflow_id)
			n += q->enqueued;
	return n;
}

static void
add_action(Action **list, void (*fn) (const void *arg), const void *arg, Size size)
{
	Action	   *a = MemoryContextAllocZero(TopTransactionContext, sizeof(Action));

	Assert(size <= WF_AT_COMMIT_ARG);
	register_callbacks();
	a->level = GetCurrentTransactionNestLevel();
	a->fn = fn;
	memcpy(a->arg, arg, size);
	a->next = *list;
	*list = a;
}

void
wf_at_commit(void (*fn) (const void *arg), const void *arg, Size size)
{
	add_action(&actions, fn, arg, size);
}

void
wf_wakeup_at_end(void)
{
	if (wf_shared == NULL)
		return;
	register_callbacks();
	awaited = true;
}

void
wf_refuse_prepare(const char *function)
{
	register_callbacks();
	not_to_prepare = function;
}

void
wf_at_abort(void (*fn) (const void *arg), const void *arg, Size size)
{
	add_action(&undos, fn, arg, size);
}

void
wf_notice_post(WfDatabase *database, int32 workflow_id, TimestampTz run_at,
			   uint32 streams)
{
	WfNotice   *notice = &database->notices[WF_NOTICE_BUCKET(workflow_id)];

	SpinLockAcquire(&notice->mutex);
	if (notice->streams == 0 || run_at < notice->earliest)
		notice->earliest = run_at;
	notice->streams |= streams;
	SpinLockRelease(&notice->mutex);
	pg_atomic_write_u32(&database->any_notice, 1);
}

bool
wf_notice_take(WfDatabase *database, int bucket, TimestampTz *earliest,
			   uint32 *streams)
{
	WfNotice   *notice = &database->notices[bucket];

	SpinLockAcquire(&notice->mutex);
	*earliest = notice->earliest;
	*streams = notice->streams;
	notice->streams = 0;
	SpinLockRelease(&notice->mutex);
	return *streams != 0;
}
