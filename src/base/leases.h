/*-------------------------------------------------------------------------
 * leases.h
 *		How far the ends of leases have been walked through.
 *-------------------------------------------------------------------------
 */
#ifndef WF_LEASES_H
#define WF_LEASES_H

#include "base/shmem.h"

/* a lease that ends then has been written: said at the commit */
extern void wf_lease_written(TimestampTz lease_until);

/* the first end of those that this transaction has written; DT_NOEND: none */
extern TimestampTz wf_lease_written_here(void);

/*
 * A walk through the leases that end in (*from, now]: begin before its
 * snapshot is taken; end when what it has settled is committed.  False: there
 * is nothing to look at before `next`.
 */
extern bool wf_leases_begin(WfLeases *leases, TimestampTz now, TimestampTz *from,
							TimestampTz *next);

/* settled up to there; look again at next */
extern void wf_leases_end(WfLeases *leases, TimestampTz settled, TimestampTz next);

/* when the dispatcher will look again */
extern TimestampTz wf_leases_next(WfLeases *leases);

/* a new dispatcher: whatever the former one was at is to be looked at */
extern void wf_leases_look_again(WfLeases *leases);

/* where a reader that settles nothing begins */
extern TimestampTz wf_leases_from(WfLeases *leases);

#endif							/* WF_LEASES_H */
