/*-------------------------------------------------------------------------
 * wakeup.h
 *		What a transaction does for other processes once it has committed.
 *-------------------------------------------------------------------------
 */
#ifndef WF_WAKEUP_H
#define WF_WAKEUP_H

#include "datatype/timestamp.h"

#include "base/shmem.h"

/* streams of WfNotice: a slice's queue of wf.run, or of wf.event */
#define WF_STREAMS				(2 * WF_SLICES)
#define WF_STREAM_RUN(slice)	(slice)
#define WF_STREAM_EVENT(slice)	(WF_SLICES + (slice))

/*
 * The transaction has put a run into a queue: say so at its commit.  Nothing
 * is said after ROLLBACK; a savepoint rolled back may be told of needlessly.
 */
extern void wf_wakeup_queued(int32 workflow_id, TimestampTz run_at, int stream);

/*
 * The same for a workflow that has no handler: it is posted, but the
 * dispatcher is woken only if somebody waits for work of the workflow.
 */
extern void wf_wakeup_unhandled(int32 workflow_id, TimestampTz run_at, int stream);

/*
 * The same for a run that was in another queue before: it is not counted as
 * enqueued.
 */
extern void wf_wakeup_carried(int32 workflow_id, TimestampTz run_at, int stream);

/*
 * What the transaction will say at its commit of a workflow's queues: the
 * least run_at, the streams; false: nothing.
 */
extern bool wf_wakeup_pending(int32 workflow_id, TimestampTz *earliest, uint32 *streams);

/* Runs of a workflow that the transaction has enqueued so far. */
extern uint64 wf_wakeup_enqueued(int32 workflow_id);

/* Call fn(arg) after commit; arg is copied.  fn must not throw. */
#define WF_AT_COMMIT_ARG 24
extern void wf_at_commit(void (*fn) (const void *arg), const void *arg, Size size);

/*
 * Call fn(arg) if what the transaction, or the savepoint, has done so far is
 * rolled back.  By then it is not visible to anybody as under way.
 */
extern void wf_at_abort(void (*fn) (const void *arg), const void *arg, Size size);

/*
 * However the transaction, or the savepoint, ends: the dispatcher is to look
 * then at what it holds, if anything (settle.c).
 */
extern void wf_wakeup_at_end(void);

/* From here on the transaction cannot be PREPAREd: error 0A000. */
extern void wf_refuse_prepare(const char *function);

/* Post a notice at once, outside any transaction's fate. */
extern void wf_notice_post(WfDatabase *database, int32 workflow_id,
						   TimestampTz run_at, uint32 streams);

/* Take what was posted for a workflow's bucket; false: nothing. */
extern bool wf_notice_take(WfDatabase *database, int bucket,
						   TimestampTz *earliest, uint32 *streams);

#define WF_NOTICE_BUCKET(workflow_id) ((uint32) (workflow_id) % WF_NOTICES)

#endif							/* WF_WAKEUP_H */
