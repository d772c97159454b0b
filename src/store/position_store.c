/*-------------------------------------------------------------------------
 * position_store.c
 *		All access to wf.queue_position: how far the queues have been taken.
 *
 * A hint for the next start of the server: what is before a position is read
 * once more then, but what is after it first.  A position is of a slice as it
 * was filled since opened_at; one that was emptied since has none.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "store/position_store.h"
#include "store/queue_store.h"
#include "store/ring.h"
#include "store/statement.h"

#define MOST (WF_STREAMS * WF_POSITIONS)

static WfStatement store_positions = {
	.purpose = "store how far a queue has been taken",
	.sql =
	"INSERT INTO wf.queue_position AS p (workflow_id, streams, opened_at, priorities, run_at, run_ids) "
	"VALUES ($1, $2, $3, $4, $5, $6) "
	"ON CONFLICT (workflow_id) DO UPDATE "
	"   SET streams = excluded.streams, opened_at = excluded.opened_at, priorities = excluded.priorities, "
	"       run_at = excluded.run_at, run_ids = excluded.run_ids",
	.nargs = 6,
	.argtypes = (const Oid[]) {
		INT4OID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, UUIDARRAYOID
	},
	.expect = SPI_OK_INSERT,
};

static WfStatement read_positions = {
	.purpose = "read how far the queues have been taken",
	.sql = "SELECT workflow_id, streams, opened_at, priorities, run_at, run_ids FROM wf.queue_position",
	.expect = SPI_OK_SELECT,
};

static WfStatement forget_positions = {
	.purpose = "forget how far a queue has been taken",
	.sql = "DELETE FROM wf.queue_position WHERE workflow_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = (const Oid[]) {INT4OID},
	.expect = SPI_OK_DELETE,
};

bool
wf_positions_store(int32 workflow_id, const WfCursors *cursors)
{
	const WfRing *ring = wf_ring();
	Datum		streams[MOST];
	Datum		opened_at[MOST];
	Datum		priorities[MOST];
	Datum		run_at[MOST];
	Datum		run_ids[MOST];
	Datum		values[6];
	bool		all = true;
	int			n = 0;

	for (int s = 0; s < WF_STREAMS; s++)
	{
		int			slice = s % WF_SLICES;

		for (int i = 0; i < WF_POSITIONS; i++)
		{
			const WfPosition *position = &cursors->streams[s].positions[i];

			if (!position->used || position->run_at == DT_NOBEGIN ||
				ring->state[slice] == WF_SLICE_EMPTY)
				continue;
			if (ring->opened_at[slice] == 0)
			{
				all = false;
				continue;
			}
			streams[n] = Int32GetDatum(s);
			opened_at[n] = TimestampTzGetDatum(ring->opened_at[slice]);
			priorities[n] = Int32GetDatum(position->priority);
			run_at[n] = TimestampTzGetDatum(position->run_at);
			run_ids[n] = UUIDPGetDatum(&position->run_id);
			n++;
		}
	}
	values[0] = Int32GetDatum(workflow_id);
	values[1] = PointerGetDatum(construct_array(streams, n, INT4OID, 4, true, TYPALIGN_INT));
	values[2] = PointerGetDatum(construct_array(opened_at, n, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[3] = PointerGetDatum(construct_array(priorities, n, INT4OID, 4, true, TYPALIGN_INT));
	values[4] = PointerGetDatum(construct_array(run_at, n, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[5] = PointerGetDatum(construct_array(run_ids, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));

	wf_spi_begin();
	(void) wf_spi_run(&store_positions, values, NULL, 0);
	wf_spi_end();
	return all;
}

/* A column of arrays; how many elements. */
static int
elements(HeapTuple tuple, int column, Oid type, int length, bool by_value, char align, Datum **found)
{
	bool		isnull;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull)),
					  type, length, by_value, align, found, NULL, &n);
	return n;
}

static void
read_row(HeapTuple tuple, WfCursors *cursors)
{
	const WfRing *ring = wf_ring();
	Datum	   *streams;
	Datum	   *opened_at;
	Datum	   *priorities;
	Datum	   *run_at;
	Datum	   *run_ids;
	int			n = elements(tuple, 2, INT4OID, 4, true, TYPALIGN_INT, &streams);

	n = Min(n, elements(tuple, 3, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &opened_at));
	n = Min(n, elements(tuple, 4, INT4OID, 4, true, TYPALIGN_INT, &priorities));
	n = Min(n, elements(tuple, 5, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &run_at));
	n = Min(n, elements(tuple, 6, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &run_ids));
	for (int i = 0; i < n; i++)
	{
		int			stream = DatumGetInt32(streams[i]);
		WfPosition	position = {
			.used = true,
			.priority = DatumGetInt32(priorities[i]),
			.run_at = DatumGetTimestampTz(run_at[i]),
			.run_id = *DatumGetUUIDP(run_ids[i])
		};

		if (stream >= 0 && stream < WF_STREAMS &&
			ring->opened_at[stream % WF_SLICES] == DatumGetTimestampTz(opened_at[i]))
			wf_cursors_advance(cursors, stream, &position);
	}
}

void
wf_positions_read(void (*callback) (int32 workflow_id, const WfCursors *cursors))
{
	int32	   *ids;
	WfCursors **found;
	MemoryContext caller = CurrentMemoryContext;
	int			n;

	wf_spi_begin();
	n = (int) wf_spi_run(&read_positions, NULL, NULL, 0);
	ids = MemoryContextAlloc(caller, sizeof(int32) * Max(n, 1));
	found = MemoryContextAlloc(caller, sizeof(WfCursors *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		bool		isnull;

		ids[i] = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
		found[i] = MemoryContextAllocZero(caller, sizeof(WfCursors));
		read_row(SPI_tuptable->vals[i], found[i]);
	}
	wf_spi_end();

	for (int i = 0; i < n; i++)
	{
		callback(ids[i], found[i]);
		pfree(found[i]);
	}
	pfree(found);
	pfree(ids);
}

void
wf_positions_forget(int32 workflow_id)
{
	Datum		values[1] = {Int32GetDatum(workflow_id)};

	wf_spi_begin();
	(void) wf_spi_run(&forget_positions, values, NULL, 0);
	wf_spi_end();
}
