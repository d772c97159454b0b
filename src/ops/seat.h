/*-------------------------------------------------------------------------
 * seat.h
 *		An executor's side of its slot: what it takes, begins and is done with.
 *-------------------------------------------------------------------------
 */
#ifndef WF_SEAT_H
#define WF_SEAT_H

#include "base/shmem.h"

/* a copy of the nth entry of the own queue, 0 for the first; false: none yet */
extern bool wf_seat_look(int nth, WfItem *item);

/*
 * The run of the nth entry begins; it is over, but its transaction is not.
 * After that no cancel request for it is to be expected any more.
 */
extern void wf_seat_begin(int nth);
extern void wf_seat_pause(void);

/* the transaction with the first n entries has ended: they are through ... */
extern void wf_seat_done(int n);

/* ... or it has been undone, as if none of them had begun */
extern void wf_seat_undo(void);

/* nothing could be written of the nth entry's run: it is to be looked at again */
extern void wf_seat_unrecorded(int nth);

/* Wake the dispatcher of an executor; the caller holds WfShared.lock. */
extern void wf_seat_wake_dispatcher(const WfExecutor *executor);

#endif							/* WF_SEAT_H */
