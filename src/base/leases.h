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

/*
 * The transaction moves a run that has a lease: if it is rolled back, the
 * lease is to be looked at again.
 */
extern void wf_lease_moves(TimestampTz lease_until);

/* The end of a prepared transaction: all of them are. */
extern void wf_leases_forget(void);

/* the first end of those that this transaction has written; DT_NOEND: none */
extern TimestampTz wf_lease_written_here(void);

/*
 * A walk through the leases that end in (*from, now]: begin before its
 * snapshot is taken; end when what it has settled is committed.  False: there
 * is nothing to look at before `next`.
 */
extern bool wf_leases_begin(WfLeases *leases, TimestampTz now, TimestampTz *from,
							TimestampTz *next);

/* settled up to there, and the first after that ends at next, or later */
extern void wf_leases_end(WfLeases *leases, TimestampTz settled, TimestampTz next);

/* none ends before that is not settled, and told of */
extern TimestampTz wf_leases_next(WfLeases *leases);

/* where a reader that settles nothing begins */
extern TimestampTz wf_leases_from(WfLeases *leases);

#endif							/* WF_LEASES_H */
