/*-------------------------------------------------------------------------
 * ring.c
 *		The ring of slices: where runs are written, and where they may be.
 *
 * Runs and their events go to the current slice.  When it is large or old
 * enough and the next one is empty, the ring turns; a sealed slice whose runs
 * are all purged, or carried to the current one, is truncated.  Every backend
 * keeps the state of the ring; a change sends a relcache invalidation of
 * wf.slice, and whoever writes holds a lock on wf.run that turning conflicts
 * with, so that two transactions never disagree about where a key may be.
 * Turning and truncating take their locks only if they are free at once:
 * nobody queues behind them.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/relations.h"
#include "store/ring.h"
#include "store/statement.h"
#include "store/table.h"

static WfRing ring;
static bool ring_valid = false;
static uint64 ring_epoch = 0;
static bool callback_registered = false;

static void load_ring(void);
static void set_state(int slice, const char *state, TimestampTz opened, TimestampTz sealed);

static WfStatement forget_state = {
	.purpose = "forget the state of a slice",
	.sql = "DELETE FROM wf.slice WHERE slice OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = (const Oid[]) {INT4OID},
	.expect = SPI_OK_DELETE,
};

static WfStatement store_state = {
	.purpose = "store the state of a slice",
	.sql = "INSERT INTO wf.slice (slice, state, opened_at, sealed_at) "
	"VALUES ($1, $2, $3, $4)",
	.nargs = 4,
	.argtypes = (const Oid[]) {INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
	.expect = SPI_OK_INSERT,
};

#define TRUNCATE(n) { \
	.purpose = "truncate a slice", \
	.sql = "TRUNCATE ONLY wf.run_" #n ", ONLY wf.event_" #n, \
	.expect = SPI_OK_UTILITY, \
}

static WfStatement truncate_slice[WF_SLICES] = {
	TRUNCATE(0), TRUNCATE(1), TRUNCATE(2), TRUNCATE(3),
	TRUNCATE(4), TRUNCATE(5), TRUNCATE(6), TRUNCATE(7)
};

/* relcache callback: wf.slice has changed */
static void
slice_changed(Datum arg, Oid relid)
{
	const WfRelations *r;

	if (!ring_valid)
		return;
	if (!OidIsValid(relid))
		ring_valid = false;
	else if (ring_epoch != wf_relations_epoch())
		ring_valid = false;
	else
	{
		r = wf_relations_if_any();
		if (r == NULL || r->slice == relid)
			ring_valid = false;
	}
}

const WfRing *
wf_ring(void)
{
	if (!ring_valid || ring_epoch != wf_relations_epoch())
		load_ring();
	return &ring;
}

const WfRing *
wf_ring_for_write(void)
{
	/* taking the lock receives the invalidations of whoever turned the ring */
	LockRelationOid(wf_relations()->run, RowExclusiveLock);
	return wf_ring();
}

/* Read wf.slice: at most eight rows, by whatever is committed now. */
static void
load_ring(void)
{
	Oid			oid = wf_relations()->slice;
	WfRing		fresh = {0};
	Relation	rel;
	TableScanDesc scan;
	TupleTableSlot *slot;
	Snapshot	snapshot;

	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(slice_changed, (Datum) 0);
		callback_registered = true;
	}

	fresh.current = -1;
	ring_valid = true;			/* unless an invalidation comes meanwhile */
	ring_epoch = wf_relations_epoch();
	rel = table_open(oid, AccessShareLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		int			s = DatumGetInt32(slot_getattr(slot, 1, &isnull));
		char	   *state = TextDatumGetCString(slot_getattr(slot, 2, &isnull));

		fresh.state[s] = strcmp(state, "current") == 0 ? WF_SLICE_CURRENT :
			strcmp(state, "sealed") == 0 ? WF_SLICE_SEALED : WF_SLICE_EMPTY;
		if (fresh.state[s] == WF_SLICE_CURRENT)
			fresh.current = s;
		fresh.opened_at[s] = DatumGetTimestampTz(slot_getattr(slot, 3, &isnull));
		fresh.sealed_at[s] = DatumGetTimestampTz(slot_getattr(slot, 4, &isnull));
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);

	if (fresh.current < 0)
	{
		fresh.current = 0;
		fresh.state[0] = WF_SLICE_CURRENT;
	}
	ring = fresh;
}

static void
set_state(int slice, const char *state, TimestampTz opened, TimestampTz sealed)
{
	Datum		values[4];
	char		nulls[4] = {' ', ' ', opened == 0 ? 'n' : ' ', sealed == 0 ? 'n' : ' '};

	values[0] = Int32GetDatum(slice);
	values[1] = CStringGetTextDatum(state);
	values[2] = TimestampTzGetDatum(opened);
	values[3] = TimestampTzGetDatum(sealed);
	wf_spi_run(&forget_state, values, NULL, 0);
	wf_spi_run(&store_state, values, nulls, 0);
}

/* To the others when we commit, to ourselves now. */
static void
tell_change(Oid slice)
{
	CacheInvalidateRelcacheByRelid(slice);
	CommandCounterIncrement();
}

bool
wf_ring_turn(TimestampTz now)
{
	const WfRelations *r = wf_relations();
	WfRing		old;
	int			next;

	/* its conflict is with those who write, so that they agree on the ring */
	if (!ConditionalLockRelationOid(r->run, ShareRowExclusiveLock))
		return false;
	old = *wf_ring();
	next = (old.current + 1) % WF_SLICES;
	if (old.state[next] != WF_SLICE_EMPTY)
		return false;

	wf_spi_begin();
	set_state(old.current, "sealed", old.opened_at[old.current], now);
	set_state(next, "current", now, 0);
	wf_spi_end();
	tell_change(r->slice);
	return true;
}

bool
wf_ring_empty(int slice)
{
	const WfRelations *r = wf_relations();

	if (!ConditionalLockRelationOid(r->run, ShareRowExclusiveLock) ||
		!ConditionalLockRelationOid(r->run_slice[slice], AccessExclusiveLock) ||
		!ConditionalLockRelationOid(r->event_slice[slice], AccessExclusiveLock) ||
		wf_ring()->state[slice] != WF_SLICE_SEALED)
		return false;

	wf_spi_begin();
	wf_spi_run(&truncate_slice[slice], NULL, NULL, 0);
	set_state(slice, "empty", 0, 0);
	wf_spi_end();
	tell_change(r->slice);
	return true;
}
