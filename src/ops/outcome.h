/*-------------------------------------------------------------------------
 * outcome.h
 *		What follows from an attempt that did not succeed.
 *-------------------------------------------------------------------------
 */
#ifndef WF_OUTCOME_H
#define WF_OUTCOME_H

#include "store/event_store.h"
#include "store/workflow_store.h"

/* crashes of the server that a run may be part of before it is given up */
#define WF_MAX_CRASHES 3

/*
 * Turn event, which follows the last one, into a failed attempt: to be
 * retried after the workflow's delay, or failed for good.
 */
extern void wf_outcome_failed(const WfWorkflow *workflow, WfEvent *event);

/* the same for an attempt that a crash of the server ended */
extern void wf_outcome_crashed(WfEvent *event);

/* the same for one whose lease has ended; it counts, as it has begun */
extern void wf_outcome_lapsed(const WfWorkflow *workflow, WfEvent *event);

/*
 * The transaction moves a run that is queued.  If it is rolled back, whoever
 * reads the queue, and has passed the run by meanwhile, is told to go back.
 */
extern void wf_run_moves(const WfRun *run, const WfEvent *last);

/* after the commit of an event: if it has ended the run, count it and wake who waits */
extern void wf_run_ended(const pg_uuid_t *run_id, int32 workflow_id, char kind);

/*
 * When the transaction that is under way has committed: the same, and the
 * opposite.
 */
extern void wf_run_reopens(int32 workflow_id);
extern void wf_run_ends(const pg_uuid_t *run_id, int32 workflow_id, char kind);

/* delay before the attempt that follows `tries` counted ones, in microseconds */
extern int64 wf_retry_delay(const WfWorkflow *workflow, int tries);

#endif							/* WF_OUTCOME_H */
