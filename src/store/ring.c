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
 *
 * Truncating takes its locks only if they are free at once, so nobody queues
 * behind it.  Turning cannot go on like that: under steady load there is
 * always somebody who writes.  It stands in the queue for its lock, and who
 * comes to write stands behind it; what it does then takes a moment.  Three
 * things keep that from hurting.  It only waits if none of those who write now
 * did so when it last tried: who writes for long, such as a prepared
 * transaction, would be waited for in vain.  The wait is bounded, from 50 ms
 * to a second, longer after each one that was in vain.  And waits make up at
 * most a twentieth of the time.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/clock_store.h"
#include "store/relations.h"
#include "store/ring.h"
#include "store/run_store.h"
#include "store/statement.h"
#include "store/table.h"
#include "store/workflow_store.h"

static WfRing ring;
static bool ring_valid = false;
static uint64 ring_epoch = 0;
static bool callback_registered = false;

/* a wait for writers to end, in milliseconds */
#define FIRST_WAIT WF_RING_FIRST_WAIT
#define LAST_WAIT 1000
#define PAUSE 20				/* between two waits, times the last one */

static void load_ring(void);
static bool lock_out_writers(bool patient, TimestampTz now);
static bool wait_for_writers(Oid parent, int ms);
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

static void
load_ring(void)
{
	Oid			oid = wf_relations()->slice;
	WfRing		fresh;

	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(slice_changed, (Datum) 0);
		callback_registered = true;
	}

	wf_clock_load();
	ring_valid = true;			/* unless an invalidation comes meanwhile */
	ring_epoch = wf_relations_epoch();
	wf_ring_read(oid, &fresh);
	ring = fresh;
}

/* At most eight rows, by whatever is committed now. */
void
wf_ring_read(Oid states, WfRing *fresh)
{
	Relation	rel = table_open(states, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);

	memset(fresh, 0, sizeof(*fresh));
	fresh->current = -1;
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		int			s = DatumGetInt32(slot_getattr(slot, 1, &isnull));
		char	   *state = TextDatumGetCString(slot_getattr(slot, 2, &isnull));

		fresh->state[s] = strcmp(state, "current") == 0 ? WF_SLICE_CURRENT :
			strcmp(state, "sealed") == 0 ? WF_SLICE_SEALED : WF_SLICE_EMPTY;
		if (fresh->state[s] == WF_SLICE_CURRENT)
			fresh->current = s;
		fresh->opened_at[s] = DatumGetTimestampTz(slot_getattr(slot, 3, &isnull));
		fresh->sealed_at[s] = DatumGetTimestampTz(slot_getattr(slot, 4, &isnull));
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);

	if (fresh->current < 0)
	{
		fresh->current = 0;
		fresh->state[0] = WF_SLICE_CURRENT;
	}
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

int
wf_ring_next(const WfRing *ring)
{
	for (int i = 1; i < WF_SLICES; i++)
	{
		int			slice = (ring->current + i) % WF_SLICES;

		if (ring->state[slice] == WF_SLICE_EMPTY)
			return slice;
	}
	return -1;
}

bool
wf_ring_turn(TimestampTz now, bool patient)
{
	const WfRelations *r = wf_relations();
	WfRing		old;
	int			next;

	/* its conflict is with those who write, so that they agree on the ring */
	if (!lock_out_writers(patient, now))
		return false;
	old = *wf_ring();
	if ((next = wf_ring_next(&old)) < 0)
		return false;

	wf_spi_begin();
	set_state(old.current, "sealed", old.opened_at[old.current], now);
	set_state(next, "current", now, 0);
	wf_spi_end();
	tell_change(r->slice);
	return true;
}

/*
 * Wait for a lock on the parent, for a limited time.  The subtransaction is what
 * a time-out can be recovered from with; one that has the lock keeps it.
 */
static bool
wait_for_writers(Oid parent, int ms)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			users_timeout = LockTimeout;
	volatile bool locked = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		LockTimeout = ms;
		LockRelationOid(parent, ShareRowExclusiveLock);
		LockTimeout = users_timeout;
		locked = true;
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		int			code = geterrcode();

		LockTimeout = users_timeout;
		if (code != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return locked;
}

/* Is one of those who write now among those who did so at the last try? */
static bool
same_writers(WfPatience *patience, const VirtualTransactionId *now)
{
	VirtualTransactionId *last = patience->before;
	VirtualTransactionId *before;
	bool		same = last == NULL;
	int			n = 0;

	for (const VirtualTransactionId *w = now; w->localTransactionId != InvalidLocalTransactionId; w++)
	{
		n++;
		for (const VirtualTransactionId *l = last;
			 l != NULL && l->localTransactionId != InvalidLocalTransactionId; l++)
			same = same || VirtualTransactionIdEquals(*w, *l);
	}
	before = MemoryContextAlloc(TopMemoryContext, sizeof(*now) * (n + 1));
	memcpy(before, now, sizeof(*now) * (n + 1));
	patience->before = before;
	if (last != NULL)
		pfree(last);
	return same;
}

/* Take the lock that turning the ring needs. */
static bool
lock_out_writers(bool patient, TimestampTz now)
{
	static WfPatience patience = {.wait = FIRST_WAIT};

	return wf_ring_lock_out(wf_relations()->run, patient ? &patience : NULL, now);
}

bool
wf_ring_lock_out(Oid parent, WfPatience *patience, TimestampTz now)
{
	LOCKTAG		tag;

	if (ConditionalLockRelationOid(parent, ShareRowExclusiveLock))
		return true;
	SET_LOCKTAG_RELATION(tag, MyDatabaseId, parent);
	if (patience == NULL || now < patience->not_before ||
		same_writers(patience, GetLockConflicts(&tag, ShareRowExclusiveLock, NULL)))
		return false;
	patience->not_before = TimestampTzPlusMilliseconds(now, patience->wait * PAUSE);
	if (wait_for_writers(parent, patience->wait))
	{
		patience->wait = FIRST_WAIT;
		return true;
	}
	patience->wait = Min(patience->wait * 2, LAST_WAIT);
	return false;
}

/*
 * The install script says nothing of the first slice: its row would be in the
 * way of a dump's.
 */
void
wf_ring_note_opening(TimestampTz now, bool patient)
{
	if (wf_ring()->opened_at[wf_ring()->current] != 0 ||
		!lock_out_writers(patient, now) ||
		wf_ring()->opened_at[wf_ring()->current] != 0)
		return;
	wf_spi_begin();
	set_state(wf_ring()->current, "current", now, 0);
	wf_spi_end();
	tell_change(wf_relations()->slice);
}

/* Lock a slice against all others, at once and altogether or not at all. */
static bool
lock_slice(int slice)
{
	const WfRelations *r = wf_relations();

	if (!ConditionalLockRelationOid(r->run_slice[slice], AccessExclusiveLock))
		return false;
	if (ConditionalLockRelationOid(r->event_slice[slice], AccessExclusiveLock))
		return true;
	UnlockRelationOid(r->run_slice[slice], AccessExclusiveLock);
	return false;
}

/* Is a walk with that mark in vain?  Without waiting for a lock, or keeping it. */
static bool
is_in_vain(int slice, const WfWalkMark *mark)
{
	Oid			table = wf_relations()->run_slice[slice];
	bool		holds;

	if (!ConditionalLockRelationOid(table, AccessShareLock))
		return false;
	holds = wf_run_walk_holds(slice, mark);
	UnlockRelationOid(table, AccessShareLock);
	return !holds;
}

/*
 * With the locks nobody can bring a run of the slice to life any more; and if
 * the definitions are still the same then nobody could before, since what was
 * over has stayed so: who queues a run again looks at that once more when he has
 * its row locked, and a walk takes no run for over that somebody has in hand.
 */
WfEmptied
wf_ring_empty(int slice, uint64 definitions, const WfWalkMark *mark)
{
	int			tries = 20;

	if (is_in_vain(slice, mark))
		return WF_EMPTIED_NOT_SURE;
	while (!lock_slice(slice))
	{
		CHECK_FOR_INTERRUPTS();
		if (--tries == 0)
			return WF_EMPTIED_NOT_NOW;
		pg_usleep(1000);
	}
	if (wf_ring()->state[slice] != WF_SLICE_SEALED ||
		wf_workflow_epoch() != definitions ||
		!wf_run_walk_holds(slice, mark))
		return WF_EMPTIED_NOT_SURE;
	if (wf_table_in_use(wf_relations()->run_slice[slice]) ||
		wf_table_in_use(wf_relations()->event_slice[slice]))
		return WF_EMPTIED_NOT_NOW;

	wf_spi_begin();
	wf_spi_run(&truncate_slice[slice], NULL, NULL, 0);
	set_state(slice, "empty", 0, 0);
	wf_spi_end();
	tell_change(wf_relations()->slice);
	return WF_EMPTIED;
}
