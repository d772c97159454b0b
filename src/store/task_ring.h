/*-------------------------------------------------------------------------
 * task_ring.h
 *		The ring of slices of wf.task.
 *-------------------------------------------------------------------------
 */
#ifndef WF_TASK_RING_H
#define WF_TASK_RING_H

#include "store/ring.h"

/* The ring as it is now; a writer calls wf_task_ring_for_write instead. */
extern const WfRing *wf_task_ring(void);

/*
 * The ring, which stays as it is until the transaction ends, with what is in
 * its slices: a lock is taken on wf.task that turning and truncating conflict
 * with.
 */
extern const WfRing *wf_task_ring_for_write(void);

/*
 * Seal the current slice and write to the next, if that is empty; truncate a
 * sealed slice, of which the caller knows that all in it is over or
 * superseded, and that it is the oldest.  Both need a moment in which nobody
 * writes.  patient: may hold writers up for that, see ring.h.
 */
extern bool wf_task_ring_turn(TimestampTz now, bool patient);
extern bool wf_task_ring_empty(int slice, TimestampTz now, bool patient);

#endif							/* WF_TASK_RING_H */
