/*-------------------------------------------------------------------------
 * execute.h
 *		Execute one run: handler and completion in one transaction.
 *-------------------------------------------------------------------------
 */
#ifndef WF_EXECUTE_H
#define WF_EXECUTE_H

#include "base/shmem.h"
#include "store/event_store.h"

/* Execute a run, or record why it failed; catches errors itself. */
extern void wf_execute_item(const WfItem *item);

/* the run this backend is executing; NULL: none */
extern const WfItem *wf_execute_current(void);

/* the run one is in is to end as cancelled; raises the error that ends it */
extern void wf_execute_cancel_self(const char *reason) pg_attribute_noreturn();

#endif							/* WF_EXECUTE_H */
