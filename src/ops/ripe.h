/*-------------------------------------------------------------------------
 * ripe.h
 *		When a sealed slice is worth being walked.
 *-------------------------------------------------------------------------
 */
#ifndef WF_RIPE_H
#define WF_RIPE_H

#include "store/ring.h"

/* Longest time that a run of any workflow is to be kept, in microseconds. */
extern int64 wf_longest_retention(void);

/* How long a slice is filled, at most, where somebody turns the ring. */
extern int64 wf_filling_time(void);

/* Has every run of a sealed slice that had ended by then had its time? */
extern bool wf_slice_is_outlived(int slice, TimestampTz now);

/*
 * From when on a slice is likely to have no more than one run that is not over for
 * `share` that are, and none that will be soon; DT_NOEND: not known.  *ripens_at: from
 * when on as many are over.
 */
extern TimestampTz wf_slice_ripe_at(const WfRing *ring, int slice, int share,
									TimestampTz *ripens_at);

#endif							/* WF_RIPE_H */
