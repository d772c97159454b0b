/*-------------------------------------------------------------------------
 * execute.h
 *		One attempt at a run: its handler, and what is recorded of it.
 *-------------------------------------------------------------------------
 */
#ifndef WF_EXECUTE_H
#define WF_EXECUTE_H

#include "base/shmem.h"
#include "store/event_store.h"

/*
 * Load the run and its workflow, in a transaction of the caller's and for as
 * long as its memory context lives; false: it is not to be executed any more,
 * or, if in_doubt, not before another transaction that has it in hand has ended.
 * What SQL asks about the current run is answered until wf_execute_end, which
 * does not throw and needs no transaction.
 */
extern bool wf_execute_begin(const WfItem *item, bool *in_doubt);
extern void wf_execute_end(void);

/*
 * Call the handler under the workflow's timeout, and record the completion.
 * Triggers that are deferred to the commit are fired here, but not within a
 * savepoint: the caller then has it done when the last handler is through.
 */
extern void wf_execute_handler(void);
extern void wf_execute_deferred(void);

/*
 * The handler has failed: nothing of its timeout or of a cancel request is to
 * meet what follows.
 */
extern void wf_execute_disarm(void);

/*
 * Record that the attempt begun last has failed, or that its run has cancelled
 * itself; the kind of that event, WF_EVENT_NONE where the run has moved on.
 */
extern char wf_execute_record_failure(const WfItem *item, const ErrorData *error);

/* the run this backend is executing; NULL: none */
extern const WfItem *wf_execute_current(void);

/* the run one is in is to end as cancelled; raises the error that ends it */
extern void wf_execute_cancel_self(const char *reason) pg_attribute_noreturn();

#endif							/* WF_EXECUTE_H */
