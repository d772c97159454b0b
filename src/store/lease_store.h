/*-------------------------------------------------------------------------
 * lease_store.h
 *		Reading wf.event by the ends of leases.
 *
 * Every event that gives an external worker a run, or renews that, has an end
 * of its lease.  It counts while it is the last event of its run.
 *-------------------------------------------------------------------------
 */
#ifndef WF_LEASE_STORE_H
#define WF_LEASE_STORE_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/* a lease, and the last event of its run */
typedef struct WfLease
{
	pg_uuid_t	run_id;
	int			slice;
	int32		seq;
	int32		workflow_id;
	TimestampTz lease_until;
	bool		lost;			/* its end has been recorded, and nothing has
								 * happened since: seq is that record's */
} WfLease;

/*
 * Leases that count and end in (from, to], of all workflows or of one, and if
 * asked for those that are lost; palloc'ed, in no order across slices.  reached is
 * set to where to go on: `to`, unless `most` entries of a slice have been
 * looked at.
 */
extern int	wf_lease_list(TimestampTz from, TimestampTz to, int32 workflow_id,
						  int64 most, bool lost_too, WfLease **leases,
						  TimestampTz *reached);
#define WF_ANY_WORKFLOW 0

/* when the first lease after that ends, whether it counts or not; DT_NOEND: none */
extern TimestampTz wf_lease_next(TimestampTz after);

#endif							/* WF_LEASE_STORE_H */
