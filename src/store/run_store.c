/*-------------------------------------------------------------------------
 * run_store.c
 *		All access to wf.run: what was enqueued, and who has which key.
 *
 * The unique index on key_digest of a slice decides who gets a key.  A key
 * is looked up in all slices that may hold rows, with a dirty snapshot, so
 * that a holder that has not committed is seen and can be waited for.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/digest.h"
#include "base/key_cache.h"
#include "base/uuid7.h"
#include "store/filter_store.h"
#include "store/relations.h"
#include "store/ring.h"
#include "store/run_store.h"
#include "store/statement.h"
#include "store/table.h"

/* columns of wf.run */
enum
{
	RUN_ID = 1, RUN_AT, ENQUEUED_AT, WORKFLOW_ID, PRIORITY, FINGERPRINT,
	PAYLOAD, KEY_DIGEST, KEY, KEY_ANCHOR, KEY_TTL, REPLACES, NCOLUMNS = REPLACES
};

/* Update a run's row, which $1 is the id of, and say where it is now. */
#define UPDATE_RUN(n, what, assignments, condition, ...) { \
	.purpose = what, \
	.sql = \
	"UPDATE ONLY wf.run_" #n " SET " assignments \
	" WHERE run_id OPERATOR(pg_catalog.=) $1 " condition \
	"RETURNING ctid", \
	.nargs = lengthof(((const Oid[]) {__VA_ARGS__})), \
	.argtypes = (const Oid[]) {__VA_ARGS__}, \
	.expect = SPI_OK_UPDATE_RETURNING, \
	.by_index = true, \
}

#define RELEASE_KEY(n) \
	UPDATE_RUN(n, "take a key from a run", \
			   "key_digest = NULL", \
			   "AND key_digest OPERATOR(pg_catalog.=) $2 ", \
			   UUIDOID, UUIDOID)

#define REPLACE_RUN(n) \
	UPDATE_RUN(n, "replace a queued run", \
			   "payload = $2, fingerprint = $3, run_at = $4, priority = $5, key_ttl = $6", \
			   "", \
			   UUIDOID, JSONBOID, BYTEAOID, TIMESTAMPTZOID, INT4OID, INTERVALOID)

#define ERASE_RUN(n) \
	UPDATE_RUN(n, "erase the payload of a run", "payload = NULL", "", UUIDOID)

#define DELETE_RUN(n) { \
	.purpose = "delete a run that was carried to another slice", \
	.sql = "DELETE FROM ONLY wf.run_" #n " WHERE run_id OPERATOR(pg_catalog.=) $1", \
	.nargs = 1, \
	.argtypes = (const Oid[]) {UUIDOID}, \
	.expect = SPI_OK_DELETE, \
	.by_index = true, \
}

static WfStatement release_key[WF_SLICES] = {
	RELEASE_KEY(0), RELEASE_KEY(1), RELEASE_KEY(2), RELEASE_KEY(3),
	RELEASE_KEY(4), RELEASE_KEY(5), RELEASE_KEY(6), RELEASE_KEY(7)
};

static WfStatement replace_run[WF_SLICES] = {
	REPLACE_RUN(0), REPLACE_RUN(1), REPLACE_RUN(2), REPLACE_RUN(3),
	REPLACE_RUN(4), REPLACE_RUN(5), REPLACE_RUN(6), REPLACE_RUN(7)
};

static WfStatement erase_run[WF_SLICES] = {
	ERASE_RUN(0), ERASE_RUN(1), ERASE_RUN(2), ERASE_RUN(3),
	ERASE_RUN(4), ERASE_RUN(5), ERASE_RUN(6), ERASE_RUN(7)
};

static WfStatement delete_run[WF_SLICES] = {
	DELETE_RUN(0), DELETE_RUN(1), DELETE_RUN(2), DELETE_RUN(3),
	DELETE_RUN(4), DELETE_RUN(5), DELETE_RUN(6), DELETE_RUN(7)
};

/* what of its payload a run is read with */
typedef enum Payload
{
	PAYLOAD_NONE,
	PAYLOAD_SMALL,				/* if it is small, and not toasted */
	PAYLOAD_WHOLE
} Payload;

/* runs of a batch whose entries have been put off, at most */
#define BATCH_ROOM 10000

typedef struct BatchRow
{
	pg_uuid_t	run_id;
	int32		workflow_id;
	int32		priority;
	TimestampTz run_at;
	ItemPointerData place;
} BatchRow;

struct WfRunBatch
{
	int			n;
	int			room;
	int			slice;			/* of all of them */
	Oid			by_id;			/* the indexes */
	Oid			queue;
	WfIndexEntry *entries;		/* room for those of one index */
	ItemPointerData *places;
	BatchRow	rows[FLEXIBLE_ARRAY_MEMBER];
};

static void put_off(WfRunBatch *batch, const WfRun *run, ItemPointer place,
					Oid by_id, Oid queue);
static bool probe_place(const pg_uuid_t *digest, WfRun *run);
static void remember_place(int slice, TupleTableSlot *slot, const pg_uuid_t *digest);
static bool probe_slice(int slice, const pg_uuid_t *digest, WfRun *run,
						WfHolder *holder, bool *in_doubt, bool *invisible);
static bool surely_has_key(int slice, const pg_uuid_t *digest);
static bool find_in_slice(int slice, const Oid *index, const pg_uuid_t *key_value,
						  Snapshot snapshot, bool with_payload, WfRun *run);
static bool stays_locked(int slice, bool found);
static void end_probe(WfScan *scan, int slice, bool found);
static void read_run(WfScan *scan, int slice, Payload payload, WfRun *run);
static void read_slot(TupleTableSlot *slot, int slice, Payload payload, WfRun *run);

void
wf_key_digest(int32 workflow_id, const char *key, int length, pg_uuid_t *digest)
{
	uint32		id = pg_hton32((uint32) workflow_id);
	char	   *utf8 = (char *) key;
	uint8		hash[32];

	if (GetDatabaseEncoding() != PG_UTF8)
		utf8 = pg_server_to_any(key, length, PG_UTF8);
	if (utf8 != key)
		length = strlen(utf8);

	wf_digest_begin();
	wf_digest_update(&id, sizeof(id));
	wf_digest_update(utf8, length);
	wf_digest_final(hash);
	memcpy(digest->data, hash, UUID_LEN);
}

WfProbe
wf_run_probe_key(const pg_uuid_t *digest, bool thorough, WfRun *run,
				 WfHolder *holder, bool *invisible)
{
	bool		for_write = !RecoveryInProgress();
	const WfRing *ring;
	bool		in_doubt = false;

	*invisible = false;
	if (!thorough && !IsolationUsesXactSnapshot() && probe_place(digest, run))
		return WF_PROBE_FOUND;
	ring = for_write ? wf_ring_for_write() : wf_ring();
	wf_ring_foreach(ring, slice)
	{
		bool		filtered = for_write && !(thorough && slice == ring->current);

		if (filtered && wf_slice_excludes_key(ring, slice, digest))
			continue;
		do
		{
			if (probe_slice(slice, digest, run, holder, &in_doubt, invisible))
				return WF_PROBE_FOUND;
		} while (slice != ring->current && !in_doubt && surely_has_key(slice, digest));
	}
	return in_doubt ? WF_PROBE_IN_DOUBT : WF_PROBE_NONE;
}

/*
 * Who looks by a dirty snapshot may meet neither version of a row that is
 * being updated: not the new one, whose index entry is made just after it has
 * passed its place, nor the old one, if the updater has committed until then.
 * By another snapshot there is exactly one at each moment.  In the current
 * slice the unique index finds what was missed.
 */
static bool
surely_has_key(int slice, const pg_uuid_t *digest)
{
	Snapshot	snapshot = wf_latest_snapshot();
	WfRun		run;
	bool		found;

	CHECK_FOR_INTERRUPTS();
	found = find_in_slice(slice, &wf_relations()->run_key[slice], digest, snapshot, false, &run);
	UnregisterSnapshot(snapshot);
	return found;
}

/* Read with the transaction's snapshot, for the predicate locks alone. */
static void
note_read_dependency(const WfRelations *r, int slice, ScanKey key)
{
	WfScan		scan;

	wf_scan_begin(&scan, r->run_slice[slice], &r->run_key[slice],
				  GetActiveSnapshot(), key, 1);
	(void) wf_scan_next(&scan, ForwardScanDirection);
	wf_scan_end(&scan);
}

/*
 * Is the key's row where it was found before?  If nobody is changing it, that
 * is the one that a look into the slices would find.
 */
static bool
probe_place(const pg_uuid_t *digest, WfRun *run)
{
	WfKeyPlace	place;
	Relation	heap;
	TupleTableSlot *slot;
	SnapshotData dirty;
	Buffer		buffer;
	bool		found;

	if (!wf_key_cache_recall(digest, &place) || wf_ring()->state[place.slice] == WF_SLICE_EMPTY)
		return false;
	heap = table_open(wf_relations()->run_slice[place.slice], AccessShareLock);
	slot = table_slot_create(heap, NULL);
	InitDirtySnapshot(dirty);
	buffer = place.buffer;
	found = wf_table_fetch(heap, place.tid, &buffer, &dirty, slot) &&
		!TransactionIdIsValid(dirty.xmin) && !TransactionIdIsValid(dirty.xmax);
	if (found)
	{
		read_slot(slot, place.slice, PAYLOAD_SMALL, run);
		found = run->holds_key && memcmp(&run->digest, digest, UUID_LEN) == 0;
	}
	if (found && buffer != place.buffer)
		remember_place(place.slice, slot, digest);
	ExecDropSingleTupleTableSlot(slot);
	table_close(heap, stays_locked(place.slice, found) ? NoLock : AccessShareLock);
	return found;
}

static void
remember_place(int slice, TupleTableSlot *slot, const pg_uuid_t *digest)
{
	WfKeyPlace	place = {slice, slot->tts_tid, ((BufferHeapTupleTableSlot *) slot)->buffer};

	wf_key_cache_remember(digest, &place);
}

static bool
probe_slice(int slice, const pg_uuid_t *digest, WfRun *run, WfHolder *holder,
			bool *in_doubt, bool *invisible)
{
	const WfRelations *r = wf_relations();
	ScanKeyData key;
	WfScan		scan;
	bool		found = false;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(digest));
	wf_scan_begin(&scan, r->run_slice[slice], &r->run_key[slice], NULL, &key, 1);
	while (!found && wf_scan_next(&scan, ForwardScanDirection))
	{
		bool		inserter = TransactionIdIsValid(scan.dirty.xmin);

		if (inserter || TransactionIdIsValid(scan.dirty.xmax))
		{
			*in_doubt = true;
			holder->inserter = inserter;
			holder->xid = inserter ? scan.dirty.xmin : scan.dirty.xmax;
			holder->token = inserter ? scan.dirty.speculativeToken : 0;
			holder->table = r->run_slice[slice];
			holder->tid = scan.slot->tts_tid;
			continue;
		}
		found = true;
		read_run(&scan, slice, PAYLOAD_SMALL, run);
		remember_place(slice, scan.slot, digest);
		if (IsolationUsesXactSnapshot())
			*invisible = !wf_scan_is_visible(&scan);
	}
	end_probe(&scan, slice, found);

	if (found && IsolationIsSerializable())
		note_read_dependency(r, slice, &key);
	return found;
}

/*
 * A slice that is not written to and has nothing that is looked for does not
 * stay locked, or a slice that is over could never be truncated while keys are
 * looked up all the time.  Where the transaction has one snapshot for all it
 * stays, as truncating knows nothing of snapshots.
 */
static bool
stays_locked(int slice, bool found)
{
	return found || IsolationUsesXactSnapshot() || wf_ring()->state[slice] == WF_SLICE_CURRENT;
}

static void
end_probe(WfScan *scan, int slice, bool found)
{
	if (stays_locked(slice, found))
		wf_scan_end(scan);
	else
		wf_scan_end_unlocked(scan);
}

/* Copy the current row out of its buffer. */
static void
read_run(WfScan *scan, int slice, Payload payload, WfRun *run)
{
	read_slot(scan->slot, slice, payload, run);
}

static bool
is_wanted(Payload payload, Datum value)
{
	struct varlena *v = (struct varlena *) DatumGetPointer(value);

	return payload == PAYLOAD_WHOLE ||
		(payload == PAYLOAD_SMALL && !VARATT_IS_EXTERNAL(v) && !VARATT_IS_COMPRESSED(v) &&
		 VARSIZE_ANY_EXHDR(v) <= WF_SMALL_PAYLOAD);
}

static void
read_slot(TupleTableSlot *slot, int slice, Payload payload, WfRun *run)
{
	bool		isnull;
	Datum		value;

	slot_getallattrs(slot);		/* at once is faster than one by one */
	memset(run, 0, sizeof(*run));
	run->slice = slice;
	run->block = ItemPointerGetBlockNumber(&slot->tts_tid);
	run->run_id = *DatumGetUUIDP(slot_getattr(slot, RUN_ID, &isnull));
	run->run_at = DatumGetTimestampTz(slot_getattr(slot, RUN_AT, &isnull));
	run->enqueued_at = DatumGetTimestampTz(slot_getattr(slot, ENQUEUED_AT, &isnull));
	run->workflow_id = DatumGetInt32(slot_getattr(slot, WORKFLOW_ID, &isnull));
	run->priority = DatumGetInt32(slot_getattr(slot, PRIORITY, &isnull));
	value = slot_getattr(slot, FINGERPRINT, &isnull);
	memcpy(run->fingerprint, VARDATA_ANY(DatumGetPointer(value)), WF_FINGERPRINT_LENGTH);
	value = slot_getattr(slot, PAYLOAD, &isnull);
	run->has_payload = !isnull;
	if (!isnull && is_wanted(payload, value))
		run->payload = datumCopy(value, false, -1);

	run->xmin = wf_slot_xmin(slot);

	value = slot_getattr(slot, KEY_DIGEST, &isnull);
	run->holds_key = !isnull;
	if (!isnull)
		run->digest = *DatumGetUUIDP(value);
	value = slot_getattr(slot, KEY, &isnull);
	if (isnull)
		return;
	run->key_length = VARSIZE_ANY_EXHDR(DatumGetPointer(value));
	run->key = palloc(run->key_length + 1);
	memcpy(run->key, VARDATA_ANY(DatumGetPointer(value)), run->key_length);
	run->key[run->key_length] = '\0';
	run->anchor_enqueue = DatumGetChar(slot_getattr(slot, KEY_ANCHOR, &isnull)) == 'e';
	run->key_ttl = *DatumGetIntervalP(slot_getattr(slot, KEY_TTL, &isnull));
	value = slot_getattr(slot, REPLACES, &isnull);
	run->has_replaces = !isnull;
	if (!isnull)
		run->replaces = *DatumGetUUIDP(value);
}

static WfIndexEntry
id_entry(int slice, const pg_uuid_t *run_id)
{
	return (WfIndexEntry) {
		&wf_relations()->run_id[slice], 1, {UUIDPGetDatum(run_id)}
	};
}

static WfIndexEntry
queue_entry(int slice, int32 workflow_id, int32 priority, TimestampTz run_at,
			const pg_uuid_t *run_id)
{
	return (WfIndexEntry) {
		&wf_relations()->run_queue[slice], 4, {
			Int32GetDatum(workflow_id), Int32GetDatum(priority),
			TimestampTzGetDatum(run_at), UUIDPGetDatum(run_id)
		}
	};
}

bool
wf_run_insert(WfRun *run, WfRunBatch *batch)
{
	const WfRelations *r = wf_relations();
	int			slice = run->slice;
	Datum		values[NCOLUMNS] = {0};
	bool		nulls[NCOLUMNS] = {false};
	WfIndexEntry entries[3];
	ItemPointerData place;
	int			n = 0;
	char		fingerprint[VARHDRSZ + WF_FINGERPRINT_LENGTH];

	SET_VARSIZE(fingerprint, sizeof(fingerprint));
	memcpy(VARDATA(fingerprint), run->fingerprint, WF_FINGERPRINT_LENGTH);

	values[RUN_ID - 1] = UUIDPGetDatum(&run->run_id);
	values[RUN_AT - 1] = TimestampTzGetDatum(run->run_at);
	values[ENQUEUED_AT - 1] = TimestampTzGetDatum(run->enqueued_at);
	values[WORKFLOW_ID - 1] = Int32GetDatum(run->workflow_id);
	values[PRIORITY - 1] = Int32GetDatum(run->priority);
	values[FINGERPRINT - 1] = PointerGetDatum(fingerprint);
	values[PAYLOAD - 1] = run->payload;
	nulls[PAYLOAD - 1] = !run->has_payload;
	nulls[KEY_DIGEST - 1] = !run->holds_key;
	nulls[KEY - 1] = nulls[KEY_ANCHOR - 1] = nulls[KEY_TTL - 1] = run->key == NULL;
	nulls[REPLACES - 1] = !run->has_replaces;
	if (run->holds_key)
	{
		values[KEY_DIGEST - 1] = UUIDPGetDatum(&run->digest);
		entries[n++] = (WfIndexEntry) {
			&r->run_key[slice], 1, {UUIDPGetDatum(&run->digest)}
		};
		wf_slice_note_key(slice, &run->digest);
	}
	if (run->key != NULL)
	{
		values[KEY - 1] = PointerGetDatum(cstring_to_text_with_len(run->key, run->key_length));
		values[KEY_ANCHOR - 1] = CharGetDatum(run->anchor_enqueue ? 'e' : 'c');
		values[KEY_TTL - 1] = IntervalPGetDatum(&run->key_ttl);
	}
	if (run->has_replaces)
		values[REPLACES - 1] = UUIDPGetDatum(&run->replaces);

	entries[n++] = id_entry(slice, &run->run_id);
	entries[n++] = queue_entry(slice, run->workflow_id, run->priority, run->run_at, &run->run_id);
	if (!wf_table_insert(r->run_slice[slice], values, nulls, entries, n, batch != NULL ? 2 : 0,
						 run->holds_key, &place))
		return false;
	if (run->holds_key)
		wf_key_cache_remember(&run->digest, &(WfKeyPlace) {slice, place, InvalidBuffer});
	if (batch != NULL)
		put_off(batch, run, &place, entries[n - 2].oid, entries[n - 1].oid);
	return true;
}

WfRunBatch *
wf_run_batch_begin(int n)
{
	int			room = Max(Min(n, BATCH_ROOM), 1);
	WfRunBatch *batch = palloc(offsetof(WfRunBatch, rows) + sizeof(batch->rows[0]) * room);

	batch->n = 0;
	batch->room = room;
	batch->entries = palloc(sizeof(*batch->entries) * room);
	batch->places = palloc(sizeof(*batch->places) * room);
	return batch;
}

/* Its entries in the indexes by id and of the queue come later. */
static void
put_off(WfRunBatch *batch, const WfRun *run, ItemPointer place,
		Oid by_id, Oid queue)
{
	BatchRow   *row;

	/*
	 * each index may have another in its place, in the midst of a REINDEX
	 * CONCURRENTLY
	 */
	if (batch->n == batch->room ||
		(batch->n > 0 && (batch->slice != run->slice || batch->by_id != by_id || batch->queue != queue)))
		wf_run_batch_flush(batch);
	batch->slice = run->slice;
	batch->by_id = by_id;
	batch->queue = queue;
	row = &batch->rows[batch->n++];
	row->run_id = run->run_id;
	row->workflow_id = run->workflow_id;
	row->priority = run->priority;
	row->run_at = run->run_at;
	row->place = *place;
}

static int
compare_rows(const void *a, const void *b)
{
	return memcmp(&((const BatchRow *) a)->run_id, &((const BatchRow *) b)->run_id, UUID_LEN);
}

void
wf_run_batch_flush(WfRunBatch *batch)
{
	int			n = batch->n;
	Oid			table;

	if (n == 0)
		return;					/* of no slice, so far */
	table = wf_relations()->run_slice[batch->slice];
	batch->n = 0;
	qsort(batch->rows, n, sizeof(batch->rows[0]), compare_rows);
	for (int i = 0; i < n; i++)
	{
		batch->places[i] = batch->rows[i].place;
		batch->entries[i] = id_entry(batch->slice, &batch->rows[i].run_id);
		batch->entries[i].oid = batch->by_id;
	}
	wf_table_insert_entries(table, batch->entries, batch->places, n);
	for (int i = 0; i < n; i++)
	{
		BatchRow   *row = &batch->rows[i];

		batch->entries[i] = queue_entry(batch->slice, row->workflow_id, row->priority, row->run_at, &row->run_id);
		batch->entries[i].oid = batch->queue;
	}
	wf_table_insert_entries(table, batch->entries, batch->places, n);
}

static bool
find_in_slice(int slice, const Oid *index, const pg_uuid_t *key_value, Snapshot snapshot,
			  bool with_payload, WfRun *run)
{
	ScanKeyData key;
	WfScan		scan;
	bool		found;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(key_value));
	wf_scan_begin(&scan, wf_relations()->run_slice[slice], index, snapshot, &key, 1);
	found = wf_scan_next(&scan, ForwardScanDirection);
	if (found)
		read_run(&scan, slice, with_payload ? PAYLOAD_WHOLE : PAYLOAD_NONE, run);
	end_probe(&scan, slice, found);
	return found;
}

bool
wf_run_find(const pg_uuid_t *run_id, Snapshot snapshot, bool with_payload, WfRun *run)
{
	const WfRelations *r = wf_relations();
	const WfRing *ring = wf_ring();
	int			hint = wf_uuid7_slice(run_id) % WF_SLICES;
	bool		found;

	snapshot = snapshot != NULL ? RegisterSnapshot(snapshot) : wf_callers_snapshot();
	found = find_in_slice(hint, &r->run_id[hint], run_id, snapshot, with_payload, run);
	if (!found)
	{
		wf_ring_foreach(ring, slice)
		{
			if (slice != hint &&
				(found = find_in_slice(slice, &r->run_id[slice], run_id, snapshot,
									   with_payload, run)))
				break;
		}
	}
	UnregisterSnapshot(snapshot);
	return found;
}

/* The place may be another's by now, or none after a TRUNCATE or VACUUM FULL. */
static bool
fetch(const WfItem *item, Snapshot snapshot, WfRun *run)
{
	Relation	rel = table_open(wf_relations()->run_slice[item->slice], AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Buffer		buffer = InvalidBuffer;
	bool		found = wf_table_fetch(rel, item->tid, &buffer, snapshot, slot);

	if (found)
		read_slot(slot, item->slice, PAYLOAD_WHOLE, run);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return found && memcmp(&run->run_id, &item->run_id, UUID_LEN) == 0;
}

bool
wf_run_of_item(const WfItem *item, Snapshot snapshot, WfRun *run)
{
	bool		found = false;

	if (item->source == 'r')
	{
		Snapshot	registered = snapshot != NULL ? RegisterSnapshot(snapshot) : wf_callers_snapshot();

		found = fetch(item, registered, run);
		UnregisterSnapshot(registered);
	}
	return found || wf_run_find(&item->run_id, snapshot, true, run);
}

bool
wf_run_find_key(const pg_uuid_t *digest, WfRun *run)
{
	const WfRelations *r = wf_relations();
	const WfRing *ring = wf_ring();
	Snapshot	snapshot = wf_callers_snapshot();
	bool		found = false;

	wf_ring_foreach(ring, slice)
	{
		if ((found = find_in_slice(slice, &r->run_key[slice], digest, snapshot, false, run)))
			break;
	}
	UnregisterSnapshot(snapshot);
	return found;
}

WfRowLock
wf_run_lock(WfRun *run, WfHolder *holder)
{
	const WfRelations *r = wf_relations();
	int			slice = run->slice;
	WfRowLock	state = WF_ROW_CHANGED;
	ScanKeyData key;
	WfScan		scan;

	memset(holder, 0, sizeof(*holder));
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(&run->run_id));
	wf_scan_begin(&scan, r->run_slice[slice], &r->run_id[slice], NULL, &key, 1);
	while (state == WF_ROW_CHANGED && wf_scan_next(&scan, ForwardScanDirection))
	{
		read_run(&scan, slice, PAYLOAD_NONE, run);
		state = wf_scan_lock_row(&scan, &holder->xid);
		holder->table = r->run_slice[slice];
		holder->tid = scan.slot->tts_tid;
	}
	wf_scan_end(&scan);
	return state;
}

/* The counter of rows of a slice that were put before where they had been. */
static pg_atomic_uint32 *
shifts(int slice)
{
	Oid			of[2] = {MyDatabaseId, wf_relations()->run_slice[slice]};

	return &wf_shared->shifts[hash_bytes((unsigned char *) of, sizeof(of)) % WF_SHIFTS];
}

/*
 * Who walks through a sealed slice has to know if a row has come to a block that he
 * may have been at before.  We have the slice locked since before the update, so one
 * that is current by now is not walked through before we have ended.
 */
static void
note_shift(int slice, BlockNumber from, BlockNumber to)
{
	if (to < from && wf_shared != NULL && wf_ring()->state[slice] != WF_SLICE_CURRENT)
		pg_atomic_fetch_add_u32(shifts(slice), 1);
}

/*
 * Update a run's row, which is in block `from`; InvalidBlockNumber: in some.  False:
 * it is not there, or not so any more.
 */
static bool
update_run(WfStatement *of_slices, const WfRun *run, BlockNumber from, Datum *values)
{
	bool		found;

	wf_spi_begin();
	found = wf_spi_run(&of_slices[run->slice], values, NULL, 0) == 1;
	if (found)
	{
		bool		isnull;
		Datum		tid = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		note_shift(run->slice, from, ItemPointerGetBlockNumber((ItemPointer) DatumGetPointer(tid)));
	}
	wf_spi_end();
	return found;
}

/* In which block a run's row stays until the transaction ends, or InvalidBlockNumber. */
static BlockNumber
lock_block(const WfRun *run)
{
	WfRun		now = *run;
	WfHolder	holder;

	return wf_run_lock(&now, &holder) == WF_ROW_LOCKED ? now.block : InvalidBlockNumber;
}

bool
wf_run_release_key(const WfRun *run)
{
	Datum		values[2] = {UUIDPGetDatum(&run->run_id), UUIDPGetDatum(&run->digest)};

	return update_run(release_key, run, run->block, values);
}

bool
wf_run_replace(const WfRun *run)
{
	Datum		values[6];
	char		fingerprint[VARHDRSZ + WF_FINGERPRINT_LENGTH];

	SET_VARSIZE(fingerprint, sizeof(fingerprint));
	memcpy(VARDATA(fingerprint), run->fingerprint, WF_FINGERPRINT_LENGTH);
	values[0] = UUIDPGetDatum(&run->run_id);
	values[1] = run->payload;
	values[2] = PointerGetDatum(fingerprint);
	values[3] = TimestampTzGetDatum(run->run_at);
	values[4] = Int32GetDatum(run->priority);
	values[5] = IntervalPGetDatum(&run->key_ttl);
	return update_run(replace_run, run, lock_block(run), values);
}

void
wf_run_take_out(const WfRun *run, WfRun *whole)
{
	Datum		values[1] = {UUIDPGetDatum(&run->run_id)};
	uint64		rows = 0;

	if (wf_run_find(&run->run_id, NULL, true, whole) && whole->slice == run->slice)
	{
		wf_spi_begin();
		rows = wf_spi_run(&delete_run[run->slice], values, NULL, 0);
		wf_spi_end();
	}
	if (rows != 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not move a run that is being moved by another transaction"),
				 errhint("Retry the transaction.")));
}

void
wf_run_erase(const WfRun *run)
{
	Datum		values[1] = {UUIDPGetDatum(&run->run_id)};

	(void) update_run(erase_run, run, lock_block(run), values);
}

void
wf_run_carry(const WfRun *run, int to, bool tombstone)
{
	WfRun		copy;

	wf_run_take_out(run, &copy);

	copy.slice = to;
	if (tombstone)
		copy.has_payload = false;
	if (!wf_run_insert(&copy, NULL))
		elog(ERROR, "key of a run that was to be carried is taken");
}

BlockNumber
wf_run_blocks(int slice)
{
	Relation	rel = table_open(wf_relations()->run_slice[slice], AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	table_close(rel, NoLock);
	return blocks;
}

bool
wf_run_walk_begin(int slice, WfWalkMark *mark)
{
	Oid			table = wf_relations()->run_slice[slice];

	/*
	 * who updates a row has a lock that these conflict with; one of them also
	 * with itself
	 */
	LOCKMODE	mode = wf_shared != NULL ? ShareLock : ShareRowExclusiveLock;
	Relation	rel;

	if (!ConditionalLockRelationOid(table, mode))
		return false;
	rel = table_open(table, NoLock);
	mark->file = rel->rd_rel->relfilenode;
	mark->shifts = wf_shared != NULL ? pg_atomic_read_u32(shifts(slice)) : 0;

	/*
	 * without shared memory nothing is counted, so nobody may update until
	 * the end
	 */
	table_close(rel, wf_shared != NULL ? mode : NoLock);
	return true;
}

bool
wf_run_walk_holds(int slice, const WfWalkMark *mark)
{
	Relation	rel = table_open(wf_relations()->run_slice[slice], NoLock);
	bool		holds = rel->rd_rel->relfilenode == mark->file &&
		(wf_shared == NULL || pg_atomic_read_u32(shifts(slice)) == mark->shifts);

	table_close(rel, NoLock);
	return holds;
}

/* wf_run_walk(), up to a block. */
static bool
walk_blocks(int slice, BlockNumber *next, BlockNumber end, int64 limit,
			bool (*callback) (const WfRun *run, void *arg), void *arg)
{
	Relation	rel = table_open(wf_relations()->run_slice[slice], AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan_strat(rel, snapshot, 0, NULL, false, false);
	BlockNumber blocks = Min(RelationGetNumberOfBlocks(rel), end);
	bool		more = true;
	int64		seen = 0;

	if (*next < blocks)
		heap_setscanlimits(scan, *next, blocks - *next);
	else
		more = false;
	while (more && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		BlockNumber block = ItemPointerGetBlockNumber(&slot->tts_tid);
		WfRun		run;

		CHECK_FOR_INTERRUPTS();
		if (block != *next && seen >= limit)
		{
			*next = block;
			more = false;
			break;
		}
		*next = block;
		seen++;
		read_slot(slot, slice, PAYLOAD_NONE, &run);
		run.locked = wf_slot_is_locked(slot);
		if (!callback(&run, arg))
			more = false;
	}
	if (more)
		*next = blocks;
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return more || *next >= blocks;
}

bool
wf_run_walk(int slice, BlockNumber *next, int64 limit,
			bool (*callback) (const WfRun *run, void *arg), void *arg)
{
	return walk_blocks(slice, next, InvalidBlockNumber, limit, callback, arg);
}

void
wf_run_walk_block(int slice, BlockNumber block,
				  bool (*callback) (const WfRun *run, void *arg), void *arg)
{
	BlockNumber next = block;

	(void) walk_blocks(slice, &next, block + 1, PG_INT64_MAX, callback, arg);
}
