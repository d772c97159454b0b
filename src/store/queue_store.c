/*-------------------------------------------------------------------------
 * queue_store.c
 *		Reading the queues: what is due next, of one workflow.
 *
 * A slice has two queues, each an index on (workflow_id, priority, run_at,
 * run_id): that of wf.run with every run as it was enqueued, that of wf.event
 * with every event that queued a run again.  Nothing is removed from them.
 * An entry counts while the run's last event is the one it came from; the
 * cursors remember how far everything has been taken, so that what has been
 * is not looked at again however much of it there is.
 *
 * An entry may appear before a cursor: committed late, or dated back.  Then
 * its transaction has posted a notice, and the reader goes back to it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/event_store.h"
#include "store/queue_store.h"
#include "store/relations.h"
#include "store/ring.h"
#include "store/table.h"

/* columns of the queue indexes' tables */
#define RUN_RUN_ID 1
#define RUN_RUN_AT 2
#define RUN_PRIORITY 5
#define EVENT_RUN_ID 1
#define EVENT_SEQ 3
#define EVENT_ATTEMPT 4
#define EVENT_PRIORITY 6
#define EVENT_TRIES 7
#define EVENT_CRASHES 8
#define EVENT_RUN_AT 10

#define COUNT_STEP 1000
#define MOST_DEAD 2000			/* a few milliseconds' worth */

/* one stream being read */
typedef struct Reader
{
	int32		workflow_id;
	int			slice;
	bool		events;			/* the queue of wf.event */
	Oid			table;
	const Oid  *index;
	struct WfStream *stream;
	WfCursors  *cursors;
	bool		unchecked;
	uint32		stop_at;		/* when so many in all have not counted */
	Snapshot	snapshot;
	TimestampTz now;
	bool		(*skip) (const WfItem *item);
	int			limit;
	WfItem	   *items;
	int			n;
	TimestampTz next_due;
} Reader;

static void
reader_init(Reader *reader, int32 workflow_id, int stream)
{
	const WfRelations *r = wf_relations();

	reader->workflow_id = workflow_id;
	reader->slice = stream % WF_SLICES;
	reader->events = stream >= WF_SLICES;
	reader->table = reader->events ? r->event_slice[reader->slice] : r->run_slice[reader->slice];
	reader->index = reader->events ? &r->event_queue[reader->slice] : &r->run_queue[reader->slice];
}

/* The first priority after `after` that the stream has entries of. */
static bool
next_priority(Reader *reader, bool first, int32 after, int32 *priority)
{
	ScanKeyData keys[2];
	WfScan		scan;
	bool		isnull;
	bool		found;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(reader->workflow_id));
	ScanKeyInit(&keys[1], 2, BTGreaterStrategyNumber, F_INT4GT, Int32GetDatum(after));
	wf_scan_begin(&scan, reader->table, reader->index, reader->snapshot, keys, first ? 1 : 2);
	found = wf_scan_next(&scan, ForwardScanDirection);
	if (found)
		*priority = DatumGetInt32(wf_scan_value(&scan, reader->events ? EVENT_PRIORITY : RUN_PRIORITY,
												&isnull));
	wf_scan_end(&scan);
	return found;
}

/* Something that was due then may be untaken, in a priority without a position. */
static void
lower_passed(struct WfStream *stream, TimestampTz run_at)
{
	if (stream->passed)
		stream->passed_at = Min(stream->passed_at, run_at);
}

/*
 * The position remembered for a priority, or one to remember it in.  Of those
 * that have to be given up it is known that they were at passed_at.
 */
static WfPosition *
position_of(struct WfStream *stream, int32 priority)
{
	WfPosition *position;

	for (int i = 0; i < WF_POSITIONS; i++)
		if (stream->positions[i].used && stream->positions[i].priority == priority)
			return &stream->positions[i];

	position = &stream->positions[stream->oldest];
	stream->oldest = (stream->oldest + 1) % WF_POSITIONS;
	if (position->used)
		lower_passed(stream, position->run_at);
	memset(position, 0, sizeof(*position));
	position->used = true;
	position->priority = priority;
	position->run_at = stream->passed ? stream->passed_at : DT_NOBEGIN;
	return position;
}

static int
compare_entry(TimestampTz run_at, const pg_uuid_t *run_id, const WfPosition *position)
{
	if (run_at != position->run_at)
		return run_at < position->run_at ? -1 : 1;
	return memcmp(run_id, &position->run_id, UUID_LEN);
}

/*
 * Entries after a position: (run_at, run_id) > (...), compared as a row, for
 * any number of runs may be due at one time.  after lives as long as the scan.
 */
static void
begin_entries(Reader *reader, int32 priority, const WfPosition *position,
			  ScanKeyData after[2], WfScan *scan)
{
	ScanKeyData keys[3];

	ScanKeyEntryInitialize(&after[0], SK_ROW_MEMBER, 3, BTGreaterStrategyNumber,
						   TIMESTAMPTZOID, InvalidOid, F_TIMESTAMPTZ_CMP,
						   TimestampTzGetDatum(position->run_at));
	ScanKeyEntryInitialize(&after[1], SK_ROW_MEMBER | SK_ROW_END, 4, BTGreaterStrategyNumber,
						   UUIDOID, InvalidOid, F_UUID_CMP,
						   UUIDPGetDatum(&position->run_id));

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(reader->workflow_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(priority));
	memset(&keys[2], 0, sizeof(ScanKeyData));
	keys[2].sk_flags = SK_ROW_HEADER;
	keys[2].sk_attno = 3;
	keys[2].sk_strategy = BTGreaterStrategyNumber;
	keys[2].sk_argument = PointerGetDatum(after);
	wf_scan_begin(scan, reader->table, reader->index, reader->snapshot, keys, 3);
}

/* The run's last event, if the entry is right: the event that it is, or none. */
static void
expect_last(Reader *reader, WfScan *scan, WfEvent *last)
{
	bool		isnull;

	memset(last, 0, sizeof(*last));
	if (!reader->events)
		return;
	last->seq = DatumGetInt32(wf_scan_value(scan, EVENT_SEQ, &isnull));
	last->attempt = DatumGetInt32(wf_scan_value(scan, EVENT_ATTEMPT, &isnull));
	last->tries = DatumGetInt16(wf_scan_value(scan, EVENT_TRIES, &isnull));
	last->crashes = DatumGetInt16(wf_scan_value(scan, EVENT_CRASHES, &isnull));
}

/* Fill in an entry; false: it does not count any more. */
static bool
read_entry(Reader *reader, WfScan *scan, const pg_uuid_t *run_id, TimestampTz run_at,
		   int32 priority, WfItem *item)
{
	WfEvent		expected;
	WfEvent		last;

	expect_last(reader, scan, &expected);
	last = expected;
	if (!reader->unchecked)
		wf_event_last(run_id, reader->slice, reader->snapshot, &last);
	if (last.seq != expected.seq)
		return false;

	memset(item, 0, sizeof(*item));
	item->run_id = *run_id;
	item->run_at = run_at;
	item->priority = priority;
	item->slice = reader->slice;
	item->source = reader->events ? 'e' : 'r';
	item->workflow_id = reader->workflow_id;
	item->seq = last.seq;
	item->attempt = last.attempt + 1;
	item->tries = last.tries;
	item->crashes = last.crashes;
	item->alone = last.kind == WF_EVENT_CRASHED;
	item->tid = scan->slot->tts_tid;
	return true;
}

/* Where an entry is in its priority of the stream. */
static void
read_place(Reader *reader, WfScan *scan, WfPosition *place)
{
	bool		isnull;

	place->run_id = *DatumGetUUIDP(wf_scan_value(scan, 1, &isnull));
	place->run_at = DatumGetTimestampTz(wf_scan_value(scan,
													  reader->events ? EVENT_RUN_AT : RUN_RUN_AT,
													  &isnull));
}

/* Read one priority of a stream; false: the limit is reached. */
static bool
read_priority(Reader *reader, int32 priority)
{
	struct WfStream *stream = reader->stream;
	WfPosition *position = position_of(stream, priority);
	WfPosition	from = *position;
	ScanKeyData after[2];
	WfScan		scan;

	begin_entries(reader, priority, &from, after, &scan);
	while (reader->n < reader->limit && wf_scan_next(&scan, ForwardScanDirection))
	{
		WfPosition	place = *position;

		CHECK_FOR_INTERRUPTS();
		read_place(reader, &scan, &place);
		if (place.run_at > reader->now)
		{
			reader->next_due = Min(reader->next_due, place.run_at);
			break;
		}
		if (read_entry(reader, &scan, &place.run_id, place.run_at, priority, &reader->items[reader->n]))
		{
			if (reader->skip == NULL || !reader->skip(&reader->items[reader->n]))
				reader->n++;
			else if (reader->events && (stream->skipped == 0 || place.run_at < stream->skipped))
				stream->skipped = place.run_at;
		}
		else
			reader->cursors->dead++;
		*position = place;
		if (reader->cursors->dead == reader->stop_at)
			break;
	}
	wf_scan_end(&scan);
	return reader->n < reader->limit && reader->cursors->dead != reader->stop_at;
}

/*
 * Read a stream, priority by priority.  However many there are, those that
 * have nothing left are not looked at again until more is due in one of them:
 * the floor is raised past them.
 */
static void
read_stream(Reader *reader)
{
	struct WfStream *stream = reader->stream;
	int32		priority = stream->floor;
	bool		first;

	if (stream->floored && stream->floor_due != DT_NOEND && stream->floor_due <= reader->now)
		stream->floored = false;
	first = !stream->floored;
	if (stream->floored)
		reader->next_due = stream->floor_due;

	while (next_priority(reader, first, priority, &priority))
	{
		first = false;
		if (!read_priority(reader, priority))
		{
			stream->idle_until = 0; /* another reader's now may be earlier */
			return;
		}
		stream->floored = true;
		stream->floor = priority;
		stream->floor_due = reader->next_due;
	}
	stream->passed = true;
	stream->passed_at = reader->now;
	stream->idle_until = reader->next_due;
}

/* From a priority on the stream is to be read again. */
static void
lower_floor(struct WfStream *stream, int32 priority)
{
	if (!stream->floored || priority > stream->floor)
		return;
	if (priority == PG_INT32_MIN)
		stream->floored = false;
	else
		stream->floor = priority - 1;
}

int
wf_item_compare(const void *a, const void *b)
{
	const WfItem *x = a;
	const WfItem *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (x->run_at != y->run_at)
		return x->run_at < y->run_at ? -1 : 1;
	return memcmp(&x->run_id, &y->run_id, UUID_LEN);
}

/* The id before this one, in the order of the index. */
static void
step_back(pg_uuid_t *run_id)
{
	for (int i = UUID_LEN - 1; i >= 0; i--)
		if (run_id->data[i]-- != 0)
			break;
}

int
wf_item_stream(const WfItem *item)
{
	return item->source == 'e' ? WF_STREAM_EVENT(item->slice) : WF_STREAM_RUN(item->slice);
}

void
wf_cursors_put_back(WfCursors *cursors, const WfItem *item)
{
	struct WfStream *stream = &cursors->streams[wf_item_stream(item)];

	stream->idle_until = 0;
	lower_floor(stream, item->priority);
	lower_passed(stream, item->run_at);
	for (int i = 0; i < WF_POSITIONS; i++)
	{
		WfPosition *position = &stream->positions[i];

		if (!position->used || position->priority != item->priority ||
			compare_entry(item->run_at, &item->run_id, position) > 0)
			continue;
		position->run_at = item->run_at;
		position->run_id = item->run_id;
		step_back(&position->run_id);
	}
}

void
wf_cursors_advance(WfCursors *cursors, int stream, const WfPosition *to)
{
	WfPosition *position = position_of(&cursors->streams[stream], to->priority);

	if (compare_entry(to->run_at, &to->run_id, position) > 0)
		*position = *to;
}

bool
wf_cursors_rewind(WfCursors *cursors, TimestampTz run_at, uint32 streams)
{
	bool		moved = false;

	for (int s = 0; s < WF_STREAMS; s++)
	{
		struct WfStream *stream = &cursors->streams[s];

		if ((streams & ((uint32) 1 << s)) == 0)
			continue;
		stream->idle_until = 0;
		stream->floored = false;
		lower_passed(stream, run_at);
		for (int i = 0; i < WF_POSITIONS; i++)
		{
			WfPosition *position = &stream->positions[i];

			if (position->used && position->run_at >= run_at)
			{
				/* just before everything that is due at run_at */
				position->run_at = run_at;
				memset(&position->run_id, 0, UUID_LEN);
				moved = true;
			}
		}
	}
	return moved;
}

bool
wf_cursors_reread_skipped(WfCursors *cursors)
{
	bool		any = false;

	for (int s = WF_SLICES; s < WF_STREAMS; s++)
	{
		TimestampTz skipped = cursors->streams[s].skipped;

		if (skipped == 0)
			continue;
		cursors->streams[s].skipped = 0;
		wf_cursors_rewind(cursors, skipped, (uint32) 1 << s);
		any = true;
	}
	return any;
}

static int
take(int32 workflow_id, WfCursors *cursors, TimestampTz now, int limit,
	 bool (*skip) (const WfItem *item), bool unchecked, uint32 most_dead,
	 WfItem *items, TimestampTz *next_due)
{
	uint32		stop_at = cursors->dead + most_dead;
	const WfRing *ring = wf_ring();
	WfItem	   *found = palloc(sizeof(WfItem) * (limit * 2 + 1));
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int			n = 0;

	*next_due = DT_NOEND;
	for (int s = 0; s < WF_STREAMS; s++)
	{
		struct WfStream *stream = &cursors->streams[s];
		Reader		reader;

		if (ring->state[s % WF_SLICES] == WF_SLICE_EMPTY)
			continue;
		if (stream->idle_until <= now)
		{
			reader_init(&reader, workflow_id, s);
			reader.stream = stream;
			reader.cursors = cursors;
			reader.unchecked = unchecked;
			reader.stop_at = stop_at;
			reader.snapshot = snapshot;
			reader.now = now;
			reader.skip = skip;
			reader.limit = limit + 1;	/* is there more? */
			reader.items = found + n;
			reader.n = 0;
			reader.next_due = DT_NOEND;
			read_stream(&reader);

			/* keep the first `limit` of all streams so far */
			n += reader.n;
			qsort(found, n, sizeof(WfItem), wf_item_compare);
			for (; n > limit; n--)
				wf_cursors_put_back(cursors, &found[n - 1]);
		}
	}
	for (int s = 0; s < WF_STREAMS; s++)
		if (ring->state[s % WF_SLICES] != WF_SLICE_EMPTY)
			*next_due = Min(*next_due, Max(cursors->streams[s].idle_until, now));
	UnregisterSnapshot(snapshot);

	memcpy(items, found, sizeof(WfItem) * n);
	pfree(found);
	return n;
}

int
wf_queue_take(int32 workflow_id, WfCursors *cursors, TimestampTz now, int limit,
			  WfItem *items, TimestampTz *next_due)
{
	return take(workflow_id, cursors, now, limit, NULL, false, PG_UINT32_MAX, items, next_due);
}

int
wf_queue_take_step(int32 workflow_id, WfCursors *cursors, TimestampTz now, int limit,
				   bool (*skip) (const WfItem *item), bool unchecked, WfItem *items,
				   TimestampTz *next_due)
{
	return take(workflow_id, cursors, now, limit, skip, unchecked, MOST_DEAD, items, next_due);
}

bool
wf_queue_look_between(int32 workflow_id, int stream, WfPosition *from, const WfPosition *until,
					  WfItem *item)
{
	WfPosition	begin = *from;
	Reader		reader = {0};
	ScanKeyData after[2];
	WfScan		scan;
	bool		found = false;

	reader_init(&reader, workflow_id, stream);
	reader.snapshot = RegisterSnapshot(GetLatestSnapshot());
	begin_entries(&reader, until->priority, &begin, after, &scan);
	for (int i = 0; i < MOST_DEAD && !found; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!wf_scan_next(&scan, ForwardScanDirection))
		{
			*from = *until;
			break;
		}
		read_place(&reader, &scan, from);
		if (compare_entry(from->run_at, &from->run_id, until) > 0)
		{
			*from = *until;
			break;
		}
		found = read_entry(&reader, &scan, &from->run_id, from->run_at, until->priority, item);
	}
	wf_scan_end(&scan);
	UnregisterSnapshot(reader.snapshot);
	return found;
}

static void
open_once(Oid table, const Oid **indexes, int n)
{
	Relation	rel = table_open(table, AccessShareLock);

	for (int i = 0; i < n; i++)
		index_close(wf_index_open(indexes[i], AccessShareLock), NoLock);
	table_close(rel, NoLock);
}

void
wf_queue_lock_tables(void)
{
	const WfRing *ring = wf_ring();

	wf_ring_foreach(ring, slice)
	{
		const WfRelations *r = wf_relations();
		const Oid  *of_run[] = {&r->run_queue[slice]};
		const Oid  *of_event[] = {&r->event_id[slice], &r->event_queue[slice], &r->event_lease[slice]};

		open_once(r->run_slice[slice], of_run, lengthof(of_run));
		open_once(r->event_slice[slice], of_event, lengthof(of_event));
	}
}

bool
wf_queue_any(int32 workflow_id)
{
	WfCursors  *cursors = palloc0(sizeof(WfCursors));
	WfItem		item;
	TimestampTz next_due;

	return wf_queue_take(workflow_id, cursors, DT_NOEND, 1, &item, &next_due) > 0;
}

int64
wf_queue_count(int32 workflow_id)
{
	WfCursors  *cursors = palloc0(sizeof(WfCursors));
	WfItem	   *items = palloc(sizeof(WfItem) * COUNT_STEP);
	TimestampTz next_due;
	int64		total = 0;
	int			n;

	while ((n = wf_queue_take(workflow_id, cursors, DT_NOEND, COUNT_STEP,
							  items, &next_due)) > 0)
		total += n;
	pfree(items);
	pfree(cursors);
	return total;
}
