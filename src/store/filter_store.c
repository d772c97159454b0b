/*-------------------------------------------------------------------------
 * filter_store.c
 *		Filters of the keys in slices: made from the index, asked first.
 *
 * A new key has to be looked for in every slice.  But no key comes into a
 * slice once that is sealed: turning the ring locks out who writes, and keys
 * are bound in the current slice only.  They only disappear from there.  So a
 * filter made of all entries of a sealed slice's index, of whatever transactions,
 * tells which keys cannot be there, for as long as it is the same sealed slice.
 * That it is, is told by sealed_at, which no two fillings of a slice share,
 * and by the file of its table, which is another one after a TRUNCATE by hand.
 *
 * Rows that somebody puts into a sealed slice by hand are the one thing that
 * could be overlooked.  A restore does that: so none is made of an empty slice,
 * nor while anybody writes to it.
 *
 * The current slice has a filter of its own, to which whoever binds a key adds
 * it, just before its row is written.  It may lack a key: of a row put there by hand, or
 * written at the very moment when the filter was begun.  So it only saves a
 * look that would find nothing: then the row is inserted, the unique index
 * says if the key is there all the same, and it is looked for once more.
 * When the slice is sealed it gets another filter, of its index alone.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/table.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/key_filter.h"
#include "store/filter_store.h"
#include "store/relations.h"
#include "store/table.h"

#define STEP_ENTRIES 2000		/* of the index, read in a turn */
#define ENTRIES_PER_PAGE 250	/* of an index that is rather full */
#define CURRENT_KEYS 800000		/* what the current slice may hold one day */

/* the filter that is being made; NULL: none */
static struct
{
	WfFilter   *filter;
	WfFilterOf	of;
	int			slice;
	bool		begun;			/* the index was read ... */
	pg_uuid_t	last;			/* ... up to here */
}			build;

/* what is known of a slice's filter, good until one of these two changes */
static struct
{
	uint64		epoch;			/* 0: nothing */
	uint32		changes;
	Oid			file;
	WfFilter   *filter;
}			known[WF_SLICES];

static bool fits(WfFilter *filter, const WfFilterOf *of);
static bool begin_some(void);
static bool begin(const WfRing *ring, int slice);
static bool has_begun(const WfRing *ring, int slice, Relation rel);
static bool read_entries(void);

/* What a filter of a slice as it is now is about. */
static void
describe(const WfRing *ring, int slice, Relation rel, WfFilterOf *of)
{
	memset(of, 0, sizeof(*of));
	of->dbid = MyDatabaseId;
	of->table = RelationGetRelid(rel);
	of->file = rel->rd_rel->relfilenode;
	of->sealed_at = ring->state[slice] == WF_SLICE_SEALED ? ring->sealed_at[slice] : 0;
}

/* The filter of a slice, and the file of its table; NULL: there is none. */
static WfFilter *
filter_of(int slice, Oid *file)
{
	if (known[slice].epoch != wf_relations_epoch() ||
		known[slice].changes != wf_key_filter_changes())
	{
		Oid			table = wf_relations()->run_slice[slice];
		Relation	rel;

		/* what changes while we look has us look again */
		known[slice].epoch = wf_relations_epoch();
		known[slice].changes = wf_key_filter_changes();
		rel = table_open(table, AccessShareLock);
		known[slice].file = rel->rd_rel->relfilenode;
		table_close(rel, AccessShareLock);
		known[slice].filter = wf_key_filter_find(table);
	}
	*file = known[slice].file;
	return known[slice].filter;
}

bool
wf_slice_excludes_key(const WfRing *ring, int slice, const pg_uuid_t *digest)
{
	WfFilterOf	of = {MyDatabaseId, wf_relations()->run_slice[slice]};
	WfFilter   *filter;

	if (ring->state[slice] == WF_SLICE_SEALED && (of.sealed_at = ring->sealed_at[slice]) == 0)
		return false;
	filter = filter_of(slice, &of.file);
	return filter != NULL && wf_key_filter_excludes(filter, &of, digest);
}

void
wf_slice_note_key(int slice, const pg_uuid_t *digest)
{
	Oid			file;
	WfFilter   *filter = filter_of(slice, &file);

	if (filter != NULL)
		wf_key_filter_add(filter, digest);
}

bool
wf_slice_filter_step(void)
{
	wf_key_filter_prune(fits);
	if (build.filter != NULL && !wf_key_filter_exists(&build.of))
		build.filter = NULL;
	if (build.filter == NULL)
		return begin_some();
	if (read_entries())
		return true;
	(void) wf_key_filter_publish(build.filter, &build.of);
	build.filter = NULL;
	return true;
}

/* Is a filter of this database about a slice as it is now, and ours if not complete? */
static bool
fits(WfFilter *filter, const WfFilterOf *of)
{
	const WfRing *ring = wf_ring();

	if (filter != build.filter && !wf_key_filter_is_complete(filter))
		return false;
	for (int slice = 0; slice < WF_SLICES; slice++)
	{
		WfFilterOf	now;
		Relation	rel;

		if (ring->state[slice] == WF_SLICE_EMPTY || wf_relations()->run_slice[slice] != of->table)
			continue;
		rel = table_open(of->table, AccessShareLock);
		describe(ring, slice, rel, &now);
		table_close(rel, AccessShareLock);
		return memcmp(&now, of, sizeof(now)) == 0;
	}
	return false;
}

/* Begin with a slice that has no filter; false: there is none, or no room. */
static bool
begin_some(void)
{
	const WfRing *ring = wf_ring();

	wf_ring_foreach(ring, slice)
	{
		if ((ring->state[slice] == WF_SLICE_CURRENT || ring->sealed_at[slice] != 0) &&
			begin(ring, slice))
			return true;
	}
	return false;
}

/*
 * A sealed slice gets a filter when it has rows.  The current one gets it when
 * it has rows, too, or, where the ring has ever turned, before.
 */
static bool
has_begun(const WfRing *ring, int slice, Relation rel)
{
	return RelationGetNumberOfBlocks(rel) > 0 ||
		(ring->state[slice] == WF_SLICE_CURRENT && ring->opened_at[slice] != 0);
}

static bool
begin(const WfRing *ring, int slice)
{
	const WfRelations *r = wf_relations();
	Relation	rel;
	Relation	index;
	bool		current = ring->state[slice] == WF_SLICE_CURRENT;
	LOCKMODE	mode = current ? AccessShareLock : ShareLock;
	uint64		keys;

	/* is anybody writing to a sealed one?  then not now */
	if (!ConditionalLockRelationOid(r->run_slice[slice], mode))
		return false;
	rel = table_open(r->run_slice[slice], NoLock);
	index = wf_index_open(&r->run_key[slice], AccessShareLock);
	keys = (uint64) RelationGetNumberOfBlocks(index) * ENTRIES_PER_PAGE;
	if (current)
		keys = Max(keys, CURRENT_KEYS);
	describe(ring, slice, rel, &build.of);
	if (has_begun(ring, slice, rel) && !wf_key_filter_exists(&build.of))
		build.filter = wf_key_filter_begin(&build.of, keys);
	build.slice = slice;
	build.begun = false;
	memset(&build.last, 0, sizeof(build.last));
	index_close(index, AccessShareLock);
	table_close(rel, mode);
	return build.filter != NULL;
}

/*
 * Read on in the index alone, without asking which rows anybody sees.  False:
 * that was the end of it.  The entry of a run that is being replaced meanwhile is
 * met: the turn's snapshot sees its row, so it is not removed.
 */
static bool
read_entries(void)
{
	const WfRelations *r = wf_relations();
	Relation	rel = table_open(r->run_slice[build.slice], AccessShareLock);
	Relation	index = wf_index_open(&r->run_key[build.slice], AccessShareLock);
	IndexScanDesc scan = index_beginscan_compat(rel, index, SnapshotAny, 1);
	pg_uuid_t	after = build.last;
	ScanKeyData key;
	int			n = 0;

	Assert(ActiveSnapshotSet());
	scan->xs_want_itup = true;
	if (build.begun)
		ScanKeyInit(&key, 1, BTGreaterStrategyNumber, F_UUID_GT, UUIDPGetDatum(&after));
	else
		ScanKeyInit(&key, 1, BTGreaterEqualStrategyNumber, F_UUID_GE, UUIDPGetDatum(&after));
	build.begun = true;
	index_rescan(scan, &key, 1, NULL, 0);
	while (n < STEP_ENTRIES && index_getnext_tid(scan, ForwardScanDirection) != NULL)
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		build.last = *DatumGetUUIDP(index_getattr(scan->xs_itup, 1, scan->xs_itupdesc, &isnull));
		wf_key_filter_add(build.filter, &build.last);
		n++;
	}
	index_endscan(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	return n == STEP_ENTRIES;
}
