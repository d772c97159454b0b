/*-------------------------------------------------------------------------
 * enqueue.h
 *		One request to enqueue a run, and its answer.
 *-------------------------------------------------------------------------
 */
#ifndef WF_ENQUEUE_H
#define WF_ENQUEUE_H

#include "store/event_store.h"
#include "store/run_store.h"
#include "store/workflow_store.h"

typedef enum WfOnConflict
{
	WF_ON_CONFLICT_RETURN,
	WF_ON_CONFLICT_ERROR,
	WF_ON_CONFLICT_SKIP,
	WF_ON_CONFLICT_REPLACE,
	WF_ON_CONFLICT_FORCE
} WfOnConflict;

/* what all items of a call share */
typedef struct WfRequest
{
	WfWorkflow	workflow;		/* a copy */
	bool		may_read;		/* the caller may read its runs */
	bool		has_run_at;
	TimestampTz run_at;
	TimestampTz batch_at;		/* run_at of a batch's items that are given
								 * none, so that they start in their order; 0:
								 * no batch */
	bool		has_priority;
	int32		priority;
	bool		has_key_ttl;
	Interval	key_ttl;
	WfOnConflict on_conflict;
	WfRunBatch *batch;			/* NULL: none */
} WfRequest;

/* one run to be made */
typedef struct WfRequestItem
{
	int			ordinal;		/* from 1; 0: the only one */
	Datum		payload;
	bool		has_fingerprint;	/* made when it is needed:
									 * wf_item_fingerprint */
	uint8		fingerprint[WF_FINGERPRINT_LENGTH];
	const char *key;			/* NULL: none */
	int			key_length;
	pg_uuid_t	digest;			/* of the key */
	bool		has_run_id;		/* run_id was chosen beforehand */
	pg_uuid_t	run_id;
} WfRequestItem;

typedef struct WfAnswer
{
	bool		skipped;		/* on_conflict => 'skip': there is no answer */
	bool		created;
	WfRun		run;			/* the run of the answer ... */
	WfEvent		last;			/* ... and its last event */
} WfAnswer;

extern void wf_enqueue_item(const WfRequest *request, WfRequestItem *item,
							WfAnswer *answer);

/* policy.c: what a request gets that finds its key taken */
typedef enum WfDecision
{
	WF_DECIDE_RETURN,			/* answer with the run */
	WF_DECIDE_SKIP,
	WF_DECIDE_NEW,				/* a new run takes the key over */
	WF_DECIDE_RESUME,			/* queue the same run again */
	WF_DECIDE_REPLACE,			/* give the queued run the new payload */
	WF_DECIDE_DUPLICATE,		/* error WF002 */
	WF_DECIDE_MISMATCH			/* error WF001 */
} WfDecision;

extern WfDecision wf_decide(const WfRequest *request, WfRequestItem *item,
							const WfRun *run, const WfEvent *last, TimestampTz now);

/* the fingerprint of an item's payload */
extern const uint8 *wf_item_fingerprint(WfRequestItem *item);

/* Is the binding of key and run over? */
extern bool wf_key_expired(const WfRun *run, const WfEvent *last, TimestampTz now);

/* When it ends; DT_NOEND: for ever, or not known because the run is not terminal. */
extern TimestampTz wf_key_expiry(const WfRun *run, const WfEvent *last);

/* When are the run's data gone, by its workflow's retention?  DT_NOEND: never, or not known. */
extern TimestampTz wf_run_purged_at(const WfRun *run, const WfEvent *last);

/* Are they gone? */
extern bool wf_run_purged(const WfRun *run, const WfEvent *last, TimestampTz now);

/* When nothing of a run is kept any more, not even its key; DT_NOEND: not known. */
extern TimestampTz wf_run_over_at(const WfRun *run, const WfEvent *last);

/* 22023 for a key that is too short or too long; ordinal as in WfRequestItem */
extern void wf_check_key(const char *key, int length, int ordinal);

/* errors */
extern const char *wf_item_prefix(int ordinal);
extern void wf_report_mismatch(const WfRequest *request, const WfRequestItem *item,
							   const WfRun *run) pg_attribute_noreturn();
extern void wf_report_duplicate(const WfRequest *request, const WfRequestItem *item,
								const WfRun *run) pg_attribute_noreturn();

/* holder.c: wait for the transaction that has a key in doubt; ordinal as in an item */
extern void wf_holder_wait(int ordinal, const WfHolder *holder);

/*
 * Lock a run of which *seen was read, against losing its key, being queued
 * again or being carried.  WF_ROW_CHANGED: it is not as it was, look again;
 * above READ COMMITTED that is error 40001.  WF_ROW_BUSY: wait for *holder,
 * then look again.
 */
extern WfRowLock wf_holder_lock_run(WfRun *run, const WfEvent *seen, WfHolder *holder);

/* The same, and wait; false: look again. */
extern bool wf_holder_lock(WfRun *run, const WfEvent *seen);

/* error 40001 */
extern void wf_report_invisible(void) pg_attribute_noreturn();

/* "the transaction of process 4711": the backend or prepared transaction */
extern char *wf_holder_name(TransactionId xid);

#endif							/* WF_ENQUEUE_H */
