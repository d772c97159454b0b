/*-------------------------------------------------------------------------
 * dispatch.h
 *		Hand due runs to executors, take back what they leave.
 *-------------------------------------------------------------------------
 */
#ifndef WF_DISPATCH_H
#define WF_DISPATCH_H

#include "datatype/timestamp.h"

/* Is this database the one that its queue belongs to? */
extern bool wf_identity_matches(void);

/*
 * One turn of the dispatcher: reap, recover, sweep, hand over.  Uses
 * transactions of its own.  Returns when to wake up at the latest; DT_NOEND:
 * only when woken.
 */
extern TimestampTz wf_dispatch_turn(void);

/*
 * Would a turn that nobody has asked for find nothing?  Tells without a
 * transaction: nothing has been written since the last turn, and nothing is
 * due.  until: when to ask again.
 */
extern bool wf_dispatch_may_rest(TimestampTz *until);

#endif							/* WF_DISPATCH_H */
