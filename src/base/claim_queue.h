/*-------------------------------------------------------------------------
 * claim_queue.h
 *		What the claimers of a workflow share: how far its queues are read, and
 *		how many of its runs are claimed.
 *
 * Only there with shared_preload_libraries, and for a bounded number of
 * workflows at once; a claimer that gets none reads the queues by itself.
 * Nothing here decides who has a run: the index of wf.event does.
 *-------------------------------------------------------------------------
 */
#ifndef WF_CLAIM_QUEUE_H
#define WF_CLAIM_QUEUE_H

#include "storage/lwlock.h"
#include "storage/spin.h"

#include "base/cursors.h"

typedef struct WfClaimQueue
{
	/* changed under WfShared.lock, lock and mutex; read with any of them */
	Oid			dbid;			/* InvalidOid: free */
	Oid			extension;		/* numbers of workflows are its own */
	int32		workflow_id;
	uint32		generation;		/* bumped whenever it is given away */

	/* under mutex */
	slock_t		mutex;
	TimestampTz used_at;
	TimestampTz noticed;		/* new entries from here on ... */
	uint32		noticed_streams;	/* ... in these streams */
	bool		forget;			/* begin anew */
	bool		distrust;		/* an entry was taken that did not count */
	int32		inflight;		/* runs of claims that have not committed */
	uint32		epoch;			/* of the count; 0: not counted yet */
	int32		running;		/* runs claimed and not over, those inflight
								 * too; never too low */
	TimestampTz counted_at;

	/* under lock, which is held for the length of one reading */
	LWLock	   *lock;
	WfCursors	cursors;
	bool		trusted;		/* what comes next has not been read before */
	TimestampTz next_due;		/* nothing is due before; read without lock as
								 * a hint */
} WfClaimQueue;

extern Size wf_claim_queue_shmem_size(void);
extern void wf_claim_queue_shmem_request(void);
extern void wf_claim_queue_shmem_init(void);

/*
 * The queue of a workflow of this database, made if there is none; NULL: not
 * to be had.  Another may have it by the time it is locked.
 */
extern WfClaimQueue *wf_claim_queue_get(Oid extension, int32 workflow_id);

/*
 * Lock to read, and go back to what has been noticed; false: it has been
 * given away, and is not locked.
 */
extern bool wf_claim_queue_lock(WfClaimQueue *queue, Oid extension, int32 workflow_id,
								bool (*rewind) (WfCursors *cursors, TimestampTz run_at,
												uint32 streams));
extern void wf_claim_queue_unlock(WfClaimQueue *queue);

/* Is something due or new?  A hint, without the lock. */
extern bool wf_claim_queue_ready(WfClaimQueue *queue, TimestampTz now);

/*
 * Runs are about to be claimed from a locked queue: until the transaction
 * ends they are in flight, and if it is rolled back they are noticed again.
 * The answer is to be filled in with what was taken, before anything that
 * can fail.
 */
typedef struct WfClaimed
{
	int			queue;
	uint32		generation;
	uint32		epoch;
	int32		n;
	uint32		streams;
	TimestampTz earliest;
} WfClaimed;

extern WfClaimed *wf_claim_begin(void);
extern void wf_claim_take(WfClaimQueue *queue, WfClaimed *claimed, int n,
						  TimestampTz earliest, uint32 streams);

/* Of runs taken, so many were not claimed after all: somebody else had them. */
extern void wf_claim_give_back(WfClaimQueue *queue, WfClaimed *claimed, int n);

/*
 * How many runs of the workflow are claimed.  With the lock held: if a count
 * is wanted, because there is none or it forbids to claim and is a while old,
 * call begin, count by a snapshot taken after that, and call end with the
 * sum of both.  What ends meanwhile makes the count too high, never too low.
 */
extern bool wf_claim_count_wanted(WfClaimQueue *queue, int max_running, TimestampTz now);
extern int	wf_claim_count_begin(WfClaimQueue *queue);
extern void wf_claim_count_end(WfClaimQueue *queue, int running, TimestampTz now);
extern int	wf_claim_running(WfClaimQueue *queue);

/* In the transaction that ends an attempt of a claimed run: it is one less at commit. */
extern void wf_claim_ends(int32 workflow_id);

/* new entries, of which a commit tells; from commit callbacks */
extern void wf_claim_queue_notice(int32 workflow_id, TimestampTz run_at, uint32 streams);

/* 2PC, DDL: forget all positions of this database */
extern void wf_claim_queues_forget(void);

/* A copy of the cursors, as who locks to read would find them; false: there are none. */
extern bool wf_claim_queue_cursors(int32 workflow_id, WfCursors *cursors,
								   bool (*rewind) (WfCursors *cursors, TimestampTz run_at,
												   uint32 streams));

#endif							/* WF_CLAIM_QUEUE_H */
