/*-------------------------------------------------------------------------
 * shmem.h
 *		What the processes share, field by field with its lock.
 *
 * Only there with shared_preload_libraries; wf_shared is NULL otherwise.
 * Nothing here decides anything for good: after a crash all of it is empty,
 * and the tables tell the truth.
 *-------------------------------------------------------------------------
 */
#ifndef WF_SHMEM_H
#define WF_SHMEM_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/itemptr.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "utils/uuid.h"

#include "pg_workflow.h"

#define WF_MAX_DATABASES	64	/* databases with the extension, at once */
#define WF_MAX_EXECUTORS	64	/* executors of all databases, at once */
#define WF_EXECUTOR_QUEUE	512 /* runs handed to one executor, a power of two */
#define WF_NOTICES			1024	/* buckets of workflows per database */
#define WF_PACES			32	/* owners that can't be served, per database */
#define WF_REFUSAL			200 /* bytes kept of why a process could not start */

/* One run handed to an executor. */
typedef struct WfItem
{
	pg_uuid_t	run_id;
	TimestampTz run_at;			/* the queue entry it came from ... */
	int32		priority;
	int32		slice;
	char		source;			/* ... 'r' of wf.run, 'e' of wf.event */
	bool		alone;			/* a suspect: nothing else runs meanwhile */
	int32		workflow_id;
	int32		seq;			/* number of the run's last event, 0 for none */
	int32		attempt;		/* number of the attempt to be made */
	int32		tries;			/* attempts that counted before this one */
	int32		crashes;		/* attempts that crashes have ended */
	int32		batch;			/* runs of its workflow that may share a
								 * transaction */
	XLogRecPtr	reserved;		/* on disk up to here before it is begun */

	/* written by the executor */
	TimestampTz begun_at;
	ItemPointerData tid;		/* source 'r': where the run's row was */
	bool		unrecorded;		/* the outcome could not be written */
} WfItem;

/*
 * New entries in the queues of the workflows whose id falls into a bucket:
 * set by whoever commits them, taken by whoever reads the queue next.
 */
typedef struct WfNotice
{
	/* under mutex */
	slock_t		mutex;
	TimestampTz earliest;		/* least run_at since last taken */
	uint32		streams;		/* bit per slice, of wf.run, then of wf.event;
								 * 0: nothing new */
} WfNotice;

/*
 * The leases of claimed runs, which are walked through in the order of their
 * ends, once (leases.c).
 */
typedef struct WfLeases
{
	/* under mutex */
	slock_t		mutex;
	TimestampTz from;			/* those that end before are settled */
	TimestampTz noted;			/* least end that was committed since a walk
								 * began */
	TimestampTz next;			/* the first that is not settled ends then, or
								 * later */
} WfLeases;

/* An owner whose executors fail to start (pace.c). */
typedef struct WfPace
{
	Oid			owner;			/* InvalidOid: unused */
	int			failures;		/* in a row */
	TimestampTz not_before;		/* by the system's clock */
	char		refusal[WF_REFUSAL];	/* what the last one was told; may be
										 * empty */
} WfPace;

/*
 * A database that has the extension, or is to be looked at.  A backend whose
 * commit wants a dispatcher takes a slot too; only the launcher frees them.
 */
typedef struct WfDatabase
{
	/* under WfShared.lock */
	Oid			dbid;			/* InvalidOid: free */
	uint32		generation;		/* bumped whenever the slot is taken */
	pid_t		dispatcher_pid; /* 0: none */
	PGPROC	   *dispatcher;		/* NULL until it has attached */
	TimestampTz dispatcher_since;
	bool		attached;		/* pid 0 and attached: one has come and gone */
	bool		ready;			/* the dispatcher has found the extension */
	bool		in_order;		/* the dispatcher has left on purpose */
	bool		no_extension;	/* looked, and the extension was not there */
	bool		restart;		/* the dispatcher is to leave and come back */
	int			evicted;		/* statements at work on the database itself:
								 * stay away until it is 0 */
	TimestampTz next_start;		/* not before: restarts are paced */
	int			failures;		/* starts that ended early, in a row */
	WfPace		paces[WF_PACES];

	/* set by anybody, cleared by the dispatcher; no lock */
	pg_atomic_uint32 work;		/* something to look at */
	pg_atomic_uint32 reread;	/* 2PC, DDL: forget all cursors */
	pg_atomic_uint32 any_notice;	/* some bucket below is set */
	pg_atomic_uint32 moved;		/* while it holds runs: a transaction has
								 * ended that may have had one in hand */
	pg_atomic_uint32 written;	/* rows may have been written since the time
								 * was stored */

	/* set by the dispatcher, read by anybody; no lock */
	pg_atomic_uint32 holding;	/* it waits for such transactions to end */
	pg_atomic_uint32 short_of_processes;	/* an executor could not be
											 * started: max_worker_processes */
	pg_atomic_uint64 audit_written; /* entries of the ring up to here are in
									 * the tables */
	WfLeases	leases;
	WfNotice	notices[WF_NOTICES];
} WfDatabase;

/* what an executor has been told */
typedef enum WfStop
{
	WF_STOP_NO,
	WF_STOP_WHEN_EMPTY,			/* leave when the queue is empty */
	WF_STOP_AFTER_THIS			/* leave the rest of the queue */
} WfStop;

typedef struct WfExecutor
{
	/* under WfShared.lock */
	Oid			dbid;			/* InvalidOid: free */
	Oid			owner;			/* the role it is logged in as */
	uint32		generation;		/* bumped whenever the slot is taken */
	pid_t		pid;			/* 0: not attached yet, or gone */
	PGPROC	   *proc;
	TimestampTz since;			/* taken, then attached */
	bool		attached;		/* has it ever attached in this generation */
	bool		connected;		/* has it logged in */
	char		refusal[WF_REFUSAL];	/* why not; written before it ends */

	/* written by the executor, read by the dispatcher; no lock */
	pg_atomic_uint32 average_us;	/* time per run lately, 0: not known */

	/* set by anybody, read by the executor; no lock */
	pg_atomic_uint32 stop;		/* a WfStop; only grows */

	/*
	 * A queue with one producer, the dispatcher, and one consumer, the
	 * executor.  An entry is written before head passes it, and free again
	 * when tail has passed it, which it does when its run is through.
	 */
	pg_atomic_uint32 head;
	pg_atomic_uint32 tail;
	pg_atomic_uint32 refill;	/* wake the dispatcher when so many are left */
	WfItem		items[WF_EXECUTOR_QUEUE];

	/* under mutex: what it executes at this moment */
	slock_t		mutex;
	int			begun;			/* entries from tail on whose runs have begun;
								 * their transaction has not ended */
	bool		busy;			/* current is the last of these, and under way */
	bool		cancel;			/* it has been interrupted by wf_cancel ... */
	TimestampTz cancelled_at;	/* ... at that time, or ended since */
	WfItem		current;
} WfExecutor;

/* counters that all slices of all databases share, by a hash */
#define WF_SHIFTS 4096

typedef struct WfShared
{
	LWLock	   *lock;			/* the slots */
	bool		clean_start;	/* the server had been shut down in order; set
								 * once */
	TimestampTz started;		/* when this shared memory was made; set once */
	PGPROC	   *launcher;		/* under lock */
	pid_t		launcher_pid;
	TimestampTz launcher_since;
	ConditionVariable exits;	/* a dispatcher or executor has gone */
	pg_atomic_uint32 relist;	/* set by anybody, cleared by the launcher:
								 * databases have come or gone */
	pg_atomic_uint32 revisit;	/* the same: a database found no slot */
	pg_atomic_uint64 clock;		/* the latest time seen, see clock.c */
	pg_atomic_uint32 shifts[WF_SHIFTS]; /* of rows in slices, see run_store.c */
	WfDatabase	databases[WF_MAX_DATABASES];
	WfExecutor	executors[WF_MAX_EXECUTORS];
} WfShared;

extern PGDLLIMPORT WfShared *wf_shared;

/* leases.c */
extern void wf_leases_reset(WfLeases *leases);

/* hooks into start-up; called from _PG_init */
extern void wf_shmem_init(void);

/* slots; the caller holds WfShared.lock, exclusively to take or free */
extern WfDatabase *wf_database_find(Oid dbid);
extern WfDatabase *wf_database_take(Oid dbid);	/* NULL: no slot is free */
extern void wf_database_free(WfDatabase *database);
extern WfExecutor *wf_executor_take(Oid dbid, Oid owner);	/* NULL: none free */
extern void wf_executor_free(WfExecutor *executor);

/* tell an executor, never less than it has been told; any lock mode */
extern void wf_executor_stop(WfExecutor *executor, WfStop stop);

/* this database's slot, or NULL; takes the lock itself, remembers the answer */
extern WfDatabase *wf_database_mine(void);

/* Something is written to this database's tables: the time is to be stored. */
extern void wf_note_writing(void);

/*
 * Tell this database's dispatcher, or the launcher if there is none.  From a
 * commit callback too: neither throws.
 */
extern void wf_wake_dispatcher(void);
extern void wf_wake_launcher(void);

#endif							/* WF_SHMEM_H */
