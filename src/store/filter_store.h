/*-------------------------------------------------------------------------
 * filter_store.h
 *		Filters of the keys in slices: made from the index, asked first.
 *-------------------------------------------------------------------------
 */
#ifndef WF_FILTER_STORE_H
#define WF_FILTER_STORE_H

#include "store/ring.h"
#include "utils/uuid.h"

/*
 * Is a key surely not in a sealed slice, or most probably not in the current one?
 * Asked by who holds the lock of wf_ring_for_write(), of the ring as that says.
 */
extern bool wf_slice_excludes_key(const WfRing *ring, int slice, const pg_uuid_t *digest);

/* For who is about to bind a key in the current slice. */
extern void wf_slice_note_key(int slice, const pg_uuid_t *digest);

/*
 * For the dispatcher, now and then: drop the filters of slices that are others
 * by now, and go on making one that is missing.  True: there is more to do.
 */
extern bool wf_slice_filter_step(void);

#endif							/* WF_FILTER_STORE_H */
