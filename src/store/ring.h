/*-------------------------------------------------------------------------
 * ring.h
 *		The ring of slices: where runs are written, and where they may be.
 *-------------------------------------------------------------------------
 */
#ifndef WF_RING_H
#define WF_RING_H

#include "datatype/timestamp.h"

#include "pg_workflow.h"

typedef enum WfSliceState
{
	WF_SLICE_EMPTY,
	WF_SLICE_CURRENT,
	WF_SLICE_SEALED
} WfSliceState;

typedef struct WfRing
{
	int			current;
	WfSliceState state[WF_SLICES];
	TimestampTz opened_at[WF_SLICES];	/* 0 where not known */
	TimestampTz sealed_at[WF_SLICES];
} WfRing;

/* The ring as it is now; a writer calls wf_ring_for_write instead. */
extern const WfRing *wf_ring(void);

/*
 * The ring, which stays as it is until the transaction ends: a lock that only
 * turning the ring conflicts with is taken on wf.run.
 */
extern const WfRing *wf_ring_for_write(void);

/*
 * Seal the current slice and write to the next, if that is empty.  Needs a
 * moment in which nobody writes.  patient: may hold writers up for that, by
 * up to a second, where that promises to help; else only if there is one now.
 */
extern bool wf_ring_turn(TimestampTz now, bool patient);

/* From when on the current slice is written to, where that is not known yet. */
extern void wf_ring_note_opening(TimestampTz now);

/*
 * Truncate a sealed slice, if nobody uses it; nobody waits for that.  The
 * caller knows that all in it is over, by the workflows' definitions as they
 * were at that wf_workflow_epoch().
 */
extern bool wf_ring_empty(int slice, uint64 definitions);

/* Loop over the slices that may hold rows, the current one first. */
#define wf_ring_foreach(ring, slice) \
	for (int n_ = 0, slice; n_ < WF_SLICES; n_++) \
		if (slice = ((ring)->current - n_ + WF_SLICES) % WF_SLICES, \
			(ring)->state[slice] == WF_SLICE_EMPTY) \
			continue; \
		else

#endif							/* WF_RING_H */
