/*-------------------------------------------------------------------------
 * task_store.h
 *		All access to wf.task: what happened to tasks.
 *-------------------------------------------------------------------------
 */
#ifndef WF_TASK_STORE_H
#define WF_TASK_STORE_H

#include "datatype/timestamp.h"
#include "storage/block.h"
#include "utils/uuid.h"

#include "store/run_store.h"

/* kinds of rows, as they are stored */
#define WF_TASK_BEGUN		's'
#define WF_TASK_COMPLETED	'c'
#define WF_TASK_FAILED		'f'
#define WF_TASK_FORGOTTEN	'd'

typedef struct WfTask
{
	pg_uuid_t	task;			/* digest of owner and key */
	pg_uuid_t	owner;
	int			slice;
	int32		seq;			/* 0: nothing is stored */
	int32		attempt;
	char		kind;
	TimestampTz at;
	TimestampTz expires_at;
	TimestampTz lease_until;	/* DT_NOBEGIN: none */
	bool		has_fingerprint;
	uint8		fingerprint[WF_FINGERPRINT_LENGTH];
	const char *key;			/* not terminated */
	int			key_length;
	Datum		result;			/* jsonb; 0: none */
	char	   *error;			/* NULL: none */
	TransactionId xmin;			/* who wrote the row */
} WfTask;

/* digest of (owner, key): what the unique index holds */
extern void wf_task_digest(const pg_uuid_t *owner, const char *key, int length,
						   pg_uuid_t *digest);

/*
 * The last row of a task, seeing what is uncommitted; from then on until the
 * transaction ends no other slice becomes the current one.  Writes nothing.
 * invisible: found, but not for the caller's snapshot (REPEATABLE READ and
 * SERIALIZABLE).  WF_PROBE_NONE: last->seq is 0.  detoast: its result is good
 * beyond the transaction.
 */
extern WfProbe wf_task_probe(const pg_uuid_t *task, bool detoast, WfTask *last,
							 WfHolder *holder, bool *invisible);

/* The last row as the caller's isolation level has it; for readers. */
extern bool wf_task_find(const pg_uuid_t *task, WfTask *last);

/*
 * Append a row to the current slice; the caller has probed in this
 * transaction.  False: the task has a row with this seq already, committed or
 * not.
 */
extern bool wf_task_append(const WfTask *row);


/*
 * Walk through the rows of a slice from block *next on, until the callback
 * says no or `limit` rows have been seen.  True: the end was reached; else
 * *next is where to go on.
 */
extern bool wf_task_walk(int slice, BlockNumber *next, int64 limit,
						 bool (*callback) (const WfTask *row, void *arg), void *arg);

/* size of a slice in blocks, without its toasted values */
extern BlockNumber wf_task_blocks(int slice);

#endif							/* WF_TASK_STORE_H */
