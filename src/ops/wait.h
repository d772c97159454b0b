/*-------------------------------------------------------------------------
 * wait.h
 *		Waiting in a CALL without a snapshot and without locks.
 *-------------------------------------------------------------------------
 */
#ifndef WF_WAIT_H
#define WF_WAIT_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/resowner.h"

/* how often one looks where nobody can wake one */
#define WF_LOOK_MS 100

/* the time when an interval argument is over; null: DT_NOEND; 22023 if negative */
extern TimestampTz wf_wait_deadline(FunctionCallInfo fcinfo, int argument, const char *function);

/* 25001 where the caller's snapshot cannot be let go */
extern void wf_let_snapshot_go(void);

/*
 * Between the two there is a snapshot of what is committed now.  What was
 * locked in between is unlocked: a wait that follows is in nobody's way.
 */
extern ResourceOwner wf_look_begin(void);
extern void wf_look_end(ResourceOwner before);

#endif							/* WF_WAIT_H */
