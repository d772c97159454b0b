/*-------------------------------------------------------------------------
 * run_store.h
 *		All access to wf.run: what was enqueued, and who has which key.
 *-------------------------------------------------------------------------
 */
#ifndef WF_RUN_STORE_H
#define WF_RUN_STORE_H

#include "datatype/timestamp.h"
#include "storage/block.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

#include "base/shmem.h"
#include "store/ring.h"
#include "store/table.h"

#define WF_FINGERPRINT_LENGTH 32

/* a payload of at most so many bytes is compared faster than digested */
#define WF_SMALL_PAYLOAD 1024

typedef struct WfRun
{
	pg_uuid_t	run_id;
	int			slice;
	BlockNumber block;			/* where the row was read, in its slice */
	bool		locked;			/* by another transaction, which may bring the
								 * run to life; only told by a walk */
	TimestampTz run_at;
	TimestampTz enqueued_at;
	int32		workflow_id;
	int32		priority;
	uint8		fingerprint[WF_FINGERPRINT_LENGTH];
	bool		has_payload;
	Datum		payload;		/* jsonb, maybe toasted; only where asked for,
								 * else 0 */
	bool		holds_key;		/* key_digest is set */
	pg_uuid_t	digest;
	char	   *key;			/* NULL: none; not terminated */
	int			key_length;
	bool		anchor_enqueue;
	Interval	key_ttl;		/* where there is a key */
	bool		has_replaces;
	pg_uuid_t	replaces;
	TransactionId xmin;			/* who wrote the row */
} WfRun;

typedef enum WfProbe
{
	WF_PROBE_NONE,				/* nobody has the key */
	WF_PROBE_FOUND,				/* run says who, committed or our own */
	WF_PROBE_IN_DOUBT			/* another transaction is at it */
} WfProbe;

/* Who is in the way of a probe that is in doubt. */
typedef struct WfHolder
{
	TransactionId xid;
	uint32		token;			/* of a speculative insertion, or 0 */
	Oid			table;
	ItemPointerData tid;
	bool		inserter;		/* else: it is moving the key to another run */
} WfHolder;

typedef struct WfRunBatch WfRunBatch;

/* digest of (workflow, key): what the unique index holds */
extern void wf_key_digest(int32 workflow_id, const char *key, int length,
						  pg_uuid_t *digest);

/*
 * Look a key up in every slice that may hold it, seeing what is uncommitted.
 * Takes no row lock, writes nothing.  invisible: found, but not for the
 * caller's snapshot (REPEATABLE READ and SERIALIZABLE).  The answer has the
 * run's payload if that is small and stands in the row as it is.
 *
 * Unless thorough, WF_PROBE_NONE may be wrong now and then: for who inserts the
 * run next, and looks thoroughly if that fails.
 */
extern WfProbe wf_run_probe_key(const pg_uuid_t *digest, bool thorough, WfRun *run,
								WfHolder *holder, bool *invisible);

/*
 * Insert a run; false: its key was taken since the probe.  Where there is a
 * batch it has to be ended, or, so far, flushed before any of its runs are looked
 * for by their ids.
 */
extern bool wf_run_insert(WfRun *run, WfRunBatch *batch);

/*
 * A batch of up to n runs: entries in the indexes that follow the order of the
 * ids are made for many at once, in that order, however the keys are ordered.
 */
extern WfRunBatch *wf_run_batch_begin(int n);
extern void wf_run_batch_flush(WfRunBatch *batch);

/*
 * Find a run by its id.  snapshot NULL: what is committed now, above READ
 * COMMITTED what the transaction sees.
 */
extern bool wf_run_find(const pg_uuid_t *run_id, Snapshot snapshot,
						bool with_payload, WfRun *run);

/*
 * The same with its payload, by the place where its queue entry was found, if
 * it is still there.
 */
extern bool wf_run_of_item(const WfItem *item, Snapshot snapshot, WfRun *run);

/* The run that a key is bound to, by the same snapshot as wf_run_find. */
extern bool wf_run_find_key(const pg_uuid_t *digest, WfRun *run);

/*
 * Lock a run's row, without waiting, so that until the end of the transaction
 * nobody takes its key, and nobody queues it again or carries it away: who
 * does one of these holds this lock before.  *run becomes the row as it is
 * now.  WF_ROW_BUSY: holder says who is at it.
 */
extern WfRowLock wf_run_lock(WfRun *run, WfHolder *holder);

/* Take the key from a run, as wf_run_lock has read it; false: it has lost it meanwhile. */
extern bool wf_run_release_key(const WfRun *run);

/* Give a run another payload and key settings (on_conflict => 'replace'). */
extern bool wf_run_replace(const WfRun *run);

/* Delete a run's row, to be inserted again; the answer has its payload. */
extern void wf_run_take_out(const WfRun *run, WfRun *whole);

/* Remove a run's payload; its fingerprint stays. */
extern void wf_run_erase(const WfRun *run);

/* Move a run's row to another slice; without its payload if a tombstone. */
extern void wf_run_carry(const WfRun *run, int to, bool tombstone);

/*
 * Note what a slice is like before a walk that takes several transactions.
 * False: somebody is at its rows, so not now.  Where there is no shared memory
 * nobody can update them until the transaction ends.
 */
extern bool wf_run_walk_begin(int slice, WfWalkMark *mark);

/*
 * Has such a walk met every row that is there now?  Not if the table has been
 * written anew, as by VACUUM FULL, or an update has put a row before where it was.
 * The caller has locked the slice; for good only what he says who has locked all others
 * out.
 */
extern bool wf_run_walk_holds(int slice, const WfWalkMark *mark);

/*
 * Walk through the runs of a slice from block *next on, until the callback
 * says no or `limit` runs have been seen.  True: the end was reached; else
 * *next is where to go on.
 */
extern bool wf_run_walk(int slice, BlockNumber *next, int64 limit,
						bool (*callback) (const WfRun *run, void *arg), void *arg);

/* Those of one block, until the callback says no. */
extern void wf_run_walk_block(int slice, BlockNumber block,
							  bool (*callback) (const WfRun *run, void *arg), void *arg);

/* size of a slice in blocks, without its toasted values */
extern BlockNumber wf_run_blocks(int slice);

#endif							/* WF_RUN_STORE_H */
