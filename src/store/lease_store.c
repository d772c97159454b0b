/*-------------------------------------------------------------------------
 * lease_store.c
 *		Reading wf.event by the ends of leases.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/event_store.h"
#include "store/lease_store.h"
#include "store/relations.h"
#include "store/ring.h"
#include "store/table.h"

/* columns of wf.event */
#define RUN_ID 1
#define SEQ 3
#define WORKFLOW_ID 5
#define LEASE_UNTIL 11

/* leases that were found */
typedef struct Found
{
	WfLease    *leases;
	int			n;
	int			room;
} Found;

static void
begin_leases(int slice, TimestampTz after, Snapshot snapshot, WfScan *scan)
{
	const WfRelations *r = wf_relations();
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT, TimestampTzGetDatum(after));
	wf_scan_begin(scan, r->event_slice[slice], &r->event_lease[slice], snapshot, &key, 1);
}

static TimestampTz
lease_end(WfScan *scan)
{
	bool		isnull;

	return DatumGetTimestampTz(wf_scan_value(scan, LEASE_UNTIL, &isnull));
}

/* The lease that the current row gives; false: it does not count. */
static bool
read_lease(WfScan *scan, int slice, int32 workflow_id, bool lost_too, Snapshot snapshot,
		   WfLease *lease)
{
	bool		isnull;
	WfEvent		last;

	lease->workflow_id = DatumGetInt32(wf_scan_value(scan, WORKFLOW_ID, &isnull));
	if (workflow_id != WF_ANY_WORKFLOW && workflow_id != lease->workflow_id)
		return false;
	lease->run_id = *DatumGetUUIDP(wf_scan_value(scan, RUN_ID, &isnull));
	lease->seq = DatumGetInt32(wf_scan_value(scan, SEQ, &isnull));
	lease->slice = slice;
	lease->lease_until = lease_end(scan);
	wf_event_last(&lease->run_id, slice, snapshot, &last);
	lease->lost = lost_too && last.kind == WF_EVENT_LOST && last.seq == lease->seq + 1;
	if (lease->lost)
		lease->seq = last.seq;
	return last.seq == lease->seq;
}

static void
keep(Found *found, const WfLease *lease)
{
	if (found->n == found->room)
	{
		found->room = Max(found->room * 2, 64);
		found->leases = found->leases == NULL ?
			palloc(sizeof(WfLease) * found->room) :
			repalloc_huge(found->leases, sizeof(WfLease) * found->room);
	}
	found->leases[found->n++] = *lease;
}

int
wf_lease_list(TimestampTz from, TimestampTz to, int32 workflow_id, int64 most,
			  bool lost_too, WfLease **leases, TimestampTz *reached)
{
	const WfRing *ring = wf_ring();
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	Found		found = {0};

	*reached = to;
	wf_ring_foreach(ring, slice)
	{
		WfScan		scan;
		int64		seen = 0;

		begin_leases(slice, from, snapshot, &scan);
		while (wf_scan_next(&scan, ForwardScanDirection) && lease_end(&scan) <= to)
		{
			WfLease		lease;

			CHECK_FOR_INTERRUPTS();
			if (seen++ >= most)
			{
				*reached = Min(*reached, lease_end(&scan) - 1);
				break;
			}
			if (read_lease(&scan, slice, workflow_id, lost_too, snapshot, &lease))
				keep(&found, &lease);
		}
		wf_scan_end(&scan);
	}
	UnregisterSnapshot(snapshot);
	*leases = found.leases;
	return found.n;
}

TimestampTz
wf_lease_next(TimestampTz after)
{
	const WfRing *ring = wf_ring();
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TimestampTz next = DT_NOEND;

	wf_ring_foreach(ring, slice)
	{
		WfScan		scan;

		begin_leases(slice, after, snapshot, &scan);
		if (wf_scan_next(&scan, ForwardScanDirection))
			next = Min(next, lease_end(&scan));
		wf_scan_end(&scan);
	}
	UnregisterSnapshot(snapshot);
	return next;
}
