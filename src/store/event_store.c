/*-------------------------------------------------------------------------
 * event_store.c
 *		All access to wf.event: what has happened to runs.
 *
 * Events are only appended.  (run_id, seq) is unique, which is how two
 * transactions that would both move a run are kept apart: the second waits
 * for the first and then finds that its event is not the next any more.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/wakeup.h"
#include "store/event_store.h"
#include "store/relations.h"
#include "store/ring.h"
#include "store/statement.h"
#include "store/table.h"

/* columns of wf.event */
enum
{
	RUN_ID = 1, AT, SEQ, ATTEMPT, WORKFLOW_ID, PRIORITY, TRIES, CRASHES, KIND,
	RUN_AT, LEASE_UNTIL, STARTED_AT, RESULT, WORKER, SQLSTATE, ERROR_TEXT,
	DETAIL, CONTEXT, LEASE, NCOLUMNS = LEASE
};

#define DELETE_EVENTS(n) { \
	.purpose = "delete events that were carried to another slice", \
	.sql = "DELETE FROM ONLY wf.event_" #n " WHERE run_id OPERATOR(pg_catalog.=) $1 " \
	"AND kind OPERATOR(pg_catalog.<>) 'm'", \
	.nargs = 1, \
	.argtypes = (const Oid[]) {UUIDOID}, \
	.expect = SPI_OK_DELETE, \
	.by_index = true, \
}

static WfStatement delete_events[WF_SLICES] = {
	DELETE_EVENTS(0), DELETE_EVENTS(1), DELETE_EVENTS(2), DELETE_EVENTS(3),
	DELETE_EVENTS(4), DELETE_EVENTS(5), DELETE_EVENTS(6), DELETE_EVENTS(7)
};

#define ERASE_EVENTS(n) { \
	.purpose = "erase what a run's events tell", \
	.sql = "UPDATE ONLY wf.event_" #n " " \
	"   SET result = NULL, error = NULL, detail = NULL, context = NULL " \
	" WHERE run_id OPERATOR(pg_catalog.=) $1", \
	.nargs = 1, \
	.argtypes = (const Oid[]) {UUIDOID}, \
	.expect = SPI_OK_UPDATE, \
	.by_index = true, \
}

static WfStatement erase_events[WF_SLICES] = {
	ERASE_EVENTS(0), ERASE_EVENTS(1), ERASE_EVENTS(2), ERASE_EVENTS(3),
	ERASE_EVENTS(4), ERASE_EVENTS(5), ERASE_EVENTS(6), ERASE_EVENTS(7)
};

/* an event, as it is written */
typedef struct NewEvent
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];
	WfIndexEntry entries[4];	/* the first decides */
	int			n;
} NewEvent;

struct WfEventBatch
{
	int			n;
	int			slice;			/* of all of them */
	NewEvent   *events;
	WfNewRow   *rows;
};

static void form(const pg_uuid_t *run_id, int slice, const WfEvent *event, NewEvent *new);
static void read_event(WfScan *scan, WfEvent *event);
static bool append(const pg_uuid_t *run_id, int slice, const WfEvent *event,
				   bool arbiter);

WfState
wf_event_state(const WfEvent *event)
{
	switch (event->kind)
	{
		case WF_EVENT_STARTED:
		case WF_EVENT_HEARTBEAT:
			return WF_RUNNING;
		case WF_EVENT_COMPLETED:
			return WF_COMPLETED;
		case WF_EVENT_FAILED:
			return WF_FAILED;
		case WF_EVENT_CANCELLED:
			return WF_CANCELLED;
		default:
			return WF_QUEUED;
	}
}

const char *
wf_state_name(WfState state)
{
	static const char *const names[] = {
		"queued", "running", "completed", "failed", "cancelled"
	};

	return names[state];
}

/*
 * Has a run been carried to another slice, and its events with it, since it
 * was read?  Only what is in a sealed slice is.  By what is committed now,
 * whatever the transaction's snapshot: that may show the run where it was.
 */
static bool
follow_run(WfRun *run)
{
	Snapshot	snapshot;
	WfRun		now;
	bool		moved;

	if (wf_ring()->state[run->slice] == WF_SLICE_CURRENT)
		return false;
	snapshot = wf_latest_snapshot();
	moved = wf_run_find(&run->run_id, snapshot, false, &now) && now.slice != run->slice;
	UnregisterSnapshot(snapshot);
	if (moved)
		run->slice = now.slice;
	return moved;
}

void
wf_event_of_run(WfRun *run, Snapshot snapshot, WfEvent *event)
{
	do
		wf_event_last(&run->run_id, run->slice, snapshot, event);
	while ((event->kind == WF_EVENT_NONE || event->kind == WF_EVENT_MOVED) &&
		   snapshot == NULL && follow_run(run));

	if (event->kind != WF_EVENT_NONE)
		return;
	event->workflow_id = run->workflow_id;
	event->priority = run->priority;
	event->at = run->enqueued_at;
	event->run_at = run->run_at;
}

void
wf_event_for_caller(WfRun *run, WfEvent *event)
{
	Snapshot	snapshot;

	if (!IsolationUsesXactSnapshot())
	{
		wf_event_of_run(run, NULL, event);
		return;
	}
	snapshot = wf_callers_snapshot();
	wf_event_of_run(run, snapshot, event);
	UnregisterSnapshot(snapshot);
}

/* The events of a run in a slice, in the order of their numbers. */
static void
scan_events(WfScan *scan, const pg_uuid_t *run_id, int slice, Snapshot snapshot)
{
	const WfRelations *r = wf_relations();
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(run_id));
	wf_scan_begin(scan, r->event_slice[slice], &r->event_id[slice], snapshot, &key, 1);
}

static void
clear_event(WfEvent *event)
{
	memset(event, 0, sizeof(*event));
	event->run_at = event->lease_until = event->started_at = DT_NOBEGIN;
}

void
wf_event_last(const pg_uuid_t *run_id, int slice, Snapshot snapshot, WfEvent *event)
{
	WfScan		scan;

	clear_event(event);
	scan_events(&scan, run_id, slice, snapshot == NULL ? SnapshotSelf : snapshot);
	if (wf_scan_next(&scan, BackwardScanDirection))
		read_event(&scan, event);
	wf_scan_end(&scan);
}

struct WfEventReader
{
	WfScan		scan;
};

WfEventReader *
wf_event_reader_begin(int slice)
{
	static const pg_uuid_t none;
	WfEventReader *reader = palloc(sizeof(WfEventReader));

	scan_events(&reader->scan, &none, slice, NULL);
	return reader;
}

bool
wf_event_reader_last(WfEventReader *reader, const pg_uuid_t *run_id, WfEvent *event)
{
	WfScan	   *scan = &reader->scan;
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(run_id));
	wf_scan_again(scan, &key, 1);
	clear_event(event);
	if (!wf_scan_next(scan, BackwardScanDirection))
		return true;
	if (TransactionIdIsValid(scan->dirty.xmin))
		return false;
	read_event(scan, event);
	return true;
}

void
wf_event_reader_end(WfEventReader *reader)
{
	wf_scan_end(&reader->scan);
	pfree(reader);
}

bool
wf_event_last_settled(const pg_uuid_t *run_id, int slice, WfEvent *event)
{
	WfScan		scan;
	bool		settled = true;

	clear_event(event);
	scan_events(&scan, run_id, slice, NULL);
	while (wf_scan_next(&scan, BackwardScanDirection))
	{
		if (!TransactionIdIsValid(scan.dirty.xmin))
		{
			read_event(&scan, event);
			break;
		}
		settled = false;
	}
	wf_scan_end(&scan);
	return settled;
}

static char *
read_text(WfScan *scan, int column)
{
	bool		isnull;
	Datum		value = wf_scan_value(scan, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static TimestampTz
read_time(WfScan *scan, int column)
{
	bool		isnull;
	Datum		value = wf_scan_value(scan, column, &isnull);

	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
}

/* Copy the current row out of its buffer. */
static void
read_event(WfScan *scan, WfEvent *event)
{
	bool		isnull;
	Datum		value;

	slot_getallattrs(scan->slot);	/* at once is faster than one by one */
	event->at = read_time(scan, AT);
	event->seq = DatumGetInt32(wf_scan_value(scan, SEQ, &isnull));
	event->attempt = DatumGetInt32(wf_scan_value(scan, ATTEMPT, &isnull));
	event->workflow_id = DatumGetInt32(wf_scan_value(scan, WORKFLOW_ID, &isnull));
	event->priority = DatumGetInt32(wf_scan_value(scan, PRIORITY, &isnull));
	event->tries = DatumGetInt16(wf_scan_value(scan, TRIES, &isnull));
	event->crashes = DatumGetInt16(wf_scan_value(scan, CRASHES, &isnull));
	event->kind = DatumGetChar(wf_scan_value(scan, KIND, &isnull));
	event->run_at = read_time(scan, RUN_AT);
	event->lease_until = read_time(scan, LEASE_UNTIL);
	event->started_at = read_time(scan, STARTED_AT);
	value = wf_scan_value(scan, RESULT, &isnull);
	if (!isnull)
		event->result = datumCopy(value, false, -1);
	event->worker = read_text(scan, WORKER);
	event->sqlstate = read_text(scan, SQLSTATE);
	event->error = read_text(scan, ERROR_TEXT);
	event->detail = read_text(scan, DETAIL);
	event->context = read_text(scan, CONTEXT);
	value = wf_scan_value(scan, LEASE, &isnull);
	event->lease_us = isnull ? 0 : DatumGetInt64(value);
	event->xmin = wf_slot_xmin(scan->slot);
}

bool
wf_event_peek(const pg_uuid_t *run_id, int slice, int32 seq, WfHolder *writer)
{
	const WfRelations *r = wf_relations();
	ScanKeyData keys[2];
	WfScan		scan;
	bool		exists;

	memset(writer, 0, sizeof(*writer));
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(run_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(seq));
	wf_scan_begin(&scan, r->event_slice[slice], &r->event_id[slice], NULL, keys, 2);
	exists = wf_scan_next(&scan, ForwardScanDirection);
	if (exists)
	{
		writer->xid = scan.dirty.xmin;
		writer->token = scan.dirty.speculativeToken;
		writer->inserter = true;
	}
	wf_scan_end(&scan);
	return exists;
}

/*
 * Hardly ever is somebody else at the same event, so who that is is asked
 * only when the index says so.
 */
bool
wf_event_append(const pg_uuid_t *run_id, int slice, const WfEvent *event)
{
	while (!append(run_id, slice, event, true))
	{
		WfHolder	writer;

		CHECK_FOR_INTERRUPTS();
		if (!wf_event_peek(run_id, slice, event->seq, &writer))
			continue;			/* it was rolled back just now */
		if (!TransactionIdIsValid(writer.xid))
			return false;
		if (writer.token != 0)
			SpeculativeInsertionWait(writer.xid, writer.token);
		else
			XactLockTableWait(writer.xid, NULL, NULL, XLTW_None);
	}
	return true;
}

bool
wf_event_try_append(const pg_uuid_t *run_id, int slice, const WfEvent *event)
{
	return append(run_id, slice, event, true);
}

void
wf_event_append_or_fail(const pg_uuid_t *run_id, int slice, const WfEvent *event)
{
	(void) append(run_id, slice, event, false);
}

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column - 1] = text == NULL;
	if (text != NULL)
		values[column - 1] = CStringGetTextDatum(text);
}

static void
set_time(Datum *values, bool *nulls, int column, TimestampTz time)
{
	nulls[column - 1] = time == DT_NOBEGIN;
	values[column - 1] = TimestampTzGetDatum(time);
}

static bool
append(const pg_uuid_t *run_id, int slice, const WfEvent *event, bool arbiter)
{
	NewEvent	new;

	/* but for an executor's completion: nobody else is at that run */
	if (arbiter)
		wf_wakeup_at_end();

	form(run_id, slice, event, &new);
	return wf_table_insert(wf_relations()->event_slice[slice], new.values, new.nulls, new.entries,
						   new.n, 0, arbiter, NULL);
}

/* The event's row and its index entries, which refer to run_id. */
static void
form(const pg_uuid_t *run_id, int slice, const WfEvent *event, NewEvent *new)
{
	const WfRelations *r = wf_relations();
	Datum	   *values = new->values;
	bool	   *nulls = new->nulls;
	WfIndexEntry *entries = new->entries;
	int			n = 0;

	memset(values, 0, sizeof(new->values));
	memset(nulls, 0, sizeof(new->nulls));
	values[RUN_ID - 1] = UUIDPGetDatum(run_id);
	values[AT - 1] = TimestampTzGetDatum(event->at);
	values[SEQ - 1] = Int32GetDatum(event->seq);
	values[ATTEMPT - 1] = Int32GetDatum(event->attempt);
	values[WORKFLOW_ID - 1] = Int32GetDatum(event->workflow_id);
	values[PRIORITY - 1] = Int32GetDatum(event->priority);
	values[TRIES - 1] = Int16GetDatum(event->tries);
	values[CRASHES - 1] = Int16GetDatum(event->crashes);
	values[KIND - 1] = CharGetDatum(event->kind);
	set_time(values, nulls, RUN_AT, event->run_at);
	set_time(values, nulls, LEASE_UNTIL, event->lease_until);
	set_time(values, nulls, STARTED_AT, event->started_at);
	values[RESULT - 1] = event->result;
	nulls[RESULT - 1] = event->result == (Datum) 0;
	set_text(values, nulls, WORKER, event->worker);
	set_text(values, nulls, SQLSTATE, event->sqlstate);
	set_text(values, nulls, ERROR_TEXT, event->error);
	set_text(values, nulls, DETAIL, event->detail);
	set_text(values, nulls, CONTEXT, event->context);
	values[LEASE - 1] = Int64GetDatum(event->lease_us);
	nulls[LEASE - 1] = event->lease_us == 0;

	entries[n++] = (WfIndexEntry) {
		&r->event_id[slice], 2, {UUIDPGetDatum(run_id), Int32GetDatum(event->seq)}
	};
	if (event->run_at != DT_NOBEGIN)
		entries[n++] = (WfIndexEntry) {
			&r->event_queue[slice], 4, {
				Int32GetDatum(event->workflow_id), Int32GetDatum(event->priority),
				TimestampTzGetDatum(event->run_at), UUIDPGetDatum(run_id)
			}
		};
	if (event->lease_until != DT_NOBEGIN)
		entries[n++] = (WfIndexEntry) {
			&r->event_lease[slice], 1, {TimestampTzGetDatum(event->lease_until)}
		};
	if (event->kind == WF_EVENT_FAILED || event->kind == WF_EVENT_CANCELLED)
		entries[n++] = (WfIndexEntry) {
			&r->event_failed[slice], 2, {
				Int32GetDatum(event->workflow_id), TimestampTzGetDatum(event->at)
			}
		};
	new->n = n;
}

WfEventBatch *
wf_event_batch_begin(int most)
{
	WfEventBatch *batch = palloc(sizeof(WfEventBatch));

	batch->n = 0;
	batch->events = palloc(sizeof(*batch->events) * most);
	batch->rows = palloc(sizeof(*batch->rows) * most);
	return batch;
}

void
wf_event_batch_add(WfEventBatch *batch, const pg_uuid_t *run_id, int slice, const WfEvent *event)
{
	NewEvent   *new = &batch->events[batch->n];

	Assert(batch->n == 0 || batch->slice == slice);
	form(run_id, slice, event, new);
	batch->slice = slice;
	batch->rows[batch->n++] = (WfNewRow) {
		new->values, new->nulls, new->entries, new->n
	};
}

void
wf_event_batch_append(WfEventBatch *batch)
{
	if (batch->n > 0)
	{
		wf_wakeup_at_end();
		wf_table_insert_each(wf_relations()->event_slice[batch->slice], batch->rows, batch->n);
	}
}

bool
wf_event_batch_appended(const WfEventBatch *batch, int i)
{
	return batch->rows[i].inserted;
}

void
wf_event_batch_clear(WfEventBatch *batch)
{
	batch->n = 0;
}

/* The last event once more, with the number; a terminal one stays what it is. */
bool
wf_event_use_up_attempt(const pg_uuid_t *run_id, int slice, int32 attempt, bool wait)
{
	WfEvent		event;
	bool		done;

	do
	{
		wf_event_last(run_id, slice, NULL, &event);
		if (event.kind == WF_EVENT_NONE || event.attempt >= attempt)
			return true;
		event.seq++;
		event.attempt = attempt;
		done = wait ? wf_event_append(run_id, slice, &event) :
			wf_event_try_append(run_id, slice, &event);
	} while (wait && !done);
	return done;
}

void
wf_event_erase(const pg_uuid_t *run_id, int slice)
{
	Datum		values[1] = {UUIDPGetDatum(run_id)};

	wf_spi_begin();
	(void) wf_spi_run(&erase_events[slice], values, NULL, 0);
	wf_spi_end();
}

/* What the callback appends is not seen: the snapshot is older. */
void
wf_event_each_failed(int32 workflow_id, void (*callback) (const pg_uuid_t *run_id, void *arg),
					 void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_workflow failed run",
												  ALLOCSET_DEFAULT_SIZES);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	const WfRing *ring = wf_ring();
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(workflow_id));
	wf_ring_foreach(ring, slice)
	{
		const WfRelations *r = wf_relations();
		WfScan		scan;

		wf_scan_begin(&scan, r->event_slice[slice], &r->event_failed[slice], snapshot, &key, 1);
		while (wf_scan_next(&scan, ForwardScanDirection))
		{
			bool		isnull;
			pg_uuid_t	run_id = *DatumGetUUIDP(wf_scan_value(&scan, RUN_ID, &isnull));
			MemoryContext old = MemoryContextSwitchTo(context);

			callback(&run_id, arg);
			MemoryContextSwitchTo(old);
			MemoryContextReset(context);
		}
		wf_scan_end(&scan);
	}
	UnregisterSnapshot(snapshot);
	MemoryContextDelete(context);
}

void
wf_event_carry(const pg_uuid_t *run_id, int from, int to, bool tombstone)
{
	Datum		values[1] = {UUIDPGetDatum(run_id)};
	WfScan		scan;

	scan_events(&scan, run_id, from, SnapshotSelf);
	while (wf_scan_next(&scan, ForwardScanDirection))
	{
		WfEvent		event = {0};

		read_event(&scan, &event);
		if (event.kind == WF_EVENT_MOVED)
			continue;
		if (tombstone)
		{
			event.result = (Datum) 0;
			event.worker = event.error = event.detail = event.context = NULL;
		}
		(void) append(run_id, to, &event, false);
	}
	wf_scan_end(&scan);

	wf_spi_begin();
	(void) wf_spi_run(&delete_events[from], values, NULL, 0);
	wf_spi_end();
}

void
wf_event_follow(WfEvent *event, const WfEvent *last, char kind, TimestampTz at)
{
	memset(event, 0, sizeof(*event));
	event->at = at;
	event->seq = last->seq + 1;
	event->attempt = last->attempt;
	event->workflow_id = last->workflow_id;
	event->priority = last->priority;
	event->tries = last->tries;
	event->crashes = last->crashes;
	event->kind = kind;
	event->run_at = DT_NOBEGIN;
	event->lease_until = DT_NOBEGIN;
	event->started_at = DT_NOBEGIN;
}

void
wf_event_flush(const WfEvent *event)
{
	if (event->kind != WF_EVENT_NONE)
		wf_flush_writer(event->xmin);
}
