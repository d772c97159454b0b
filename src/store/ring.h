/*-------------------------------------------------------------------------
 * ring.h
 *		The ring of slices: where runs are written, and where they may be.
 *-------------------------------------------------------------------------
 */
#ifndef WF_RING_H
#define WF_RING_H

#include "datatype/timestamp.h"
#include "storage/lock.h"

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

/* What a walk through a sealed slice began with: see run_store.h. */
typedef struct WfWalkMark
{
	Oid			file;
	uint32		shifts;			/* of rows, by updates, to where the walk may
								 * have been */
} WfWalkMark;

/* The ring as it is now; a writer calls wf_ring_for_write instead. */
extern const WfRing *wf_ring(void);

/*
 * The ring, which stays as it is until the transaction ends: a lock that only
 * turning the ring conflicts with is taken on wf.run.
 */
extern const WfRing *wf_ring_for_write(void);

/* The slice to write to next: the next one that is empty; -1: none is. */
extern int	wf_ring_next(const WfRing *ring);

/*
 * Seal the current slice and write to the next, if there is one.  Needs a
 * moment in which nobody writes.  patient: may hold writers up for that, by
 * up to a second, where that promises to help; else only if there is one now.
 */
extern bool wf_ring_turn(TimestampTz now, bool patient);

/* From when on the current slice is written to, where that is not known yet; patient: as above. */
extern void wf_ring_note_opening(TimestampTz now, bool patient);

typedef enum WfEmptied
{
	WF_EMPTIED,
	WF_EMPTIED_NOT_NOW,
	WF_EMPTIED_NOT_SURE			/* what the caller knows may not be so */
} WfEmptied;

/*
 * Truncate a sealed slice, if nobody uses it; nobody waits for that.  The
 * caller knows that all in it is over, by the workflows' definitions as they
 * were at that wf_workflow_epoch(), of all that a walk with that mark has met.
 */
extern WfEmptied wf_ring_empty(int slice, uint64 definitions, const WfWalkMark *mark);

/* for the ring of tasks, too: read a table of states */
extern void wf_ring_read(Oid states, WfRing *ring);

/* How long whoever turns a ring has waited for a moment without writers. */
typedef struct WfPatience
{
	int			wait;			/* ms, to begin with WF_RING_FIRST_WAIT */
	TimestampTz not_before;
	VirtualTransactionId *before;	/* who wrote at the last try */
} WfPatience;

#define WF_RING_FIRST_WAIT 50

/*
 * Lock out those who write to a ring, until the transaction ends: at once, or,
 * with patience, after a bounded wait.
 */
extern bool wf_ring_lock_out(Oid parent, WfPatience *patience, TimestampTz now);

/* Loop over the slices that may hold rows, the current one first. */
#define wf_ring_foreach(ring, slice) \
	for (int n_ = 0, slice; n_ < WF_SLICES; n_++) \
		if (slice = ((ring)->current - n_ + WF_SLICES) % WF_SLICES, \
			(ring)->state[slice] == WF_SLICE_EMPTY) \
			continue; \
		else

#endif							/* WF_RING_H */
