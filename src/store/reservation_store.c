/*-------------------------------------------------------------------------
 * reservation_store.c
 *		All access to wf.reservation: runs handed to executors.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/reservation_store.h"
#include "store/statement.h"

static WfStatement insert_reservation = {
	.purpose = "reserve runs",
	.sql =
	"INSERT INTO wf.reservation (reserved_at, executor, run_ids, seqs) "
	"VALUES (pg_catalog.clock_timestamp(), $1, $2, $3) "
	"RETURNING ctid, reserved_at",
	.nargs = 3,
	.argtypes = (const Oid[]) {INT4OID, UUIDARRAYOID, INT4ARRAYOID},
	.expect = SPI_OK_INSERT_RETURNING,
};

/* by its place ... */
static WfStatement delete_reservation = {
	.purpose = "forget a reservation",
	.sql = "DELETE FROM wf.reservation WHERE ctid OPERATOR(pg_catalog.=) $1 "
	"AND reserved_at OPERATOR(pg_catalog.=) $2",
	.nargs = 2,
	.argtypes = (const Oid[]) {TIDOID, TIMESTAMPTZOID},
	.expect = SPI_OK_DELETE,
};

/* ... or, after a VACUUM FULL, by its time */
static WfStatement delete_moved_reservation = {
	.purpose = "forget a reservation that was moved",
	.sql = "DELETE FROM wf.reservation WHERE reserved_at OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = (const Oid[]) {TIMESTAMPTZOID},
	.expect = SPI_OK_DELETE,
};

static WfStatement all_reservations = {
	.purpose = "list reservations",
	.sql = "SELECT ctid, executor, reserved_at, run_ids, seqs FROM wf.reservation",
	.expect = SPI_OK_SELECT,
};

static void
read_key(HeapTuple tuple, TupleDesc desc, int tid, int reserved_at, WfReservationKey *key)
{
	bool		isnull;

	key->tid = *(ItemPointer) DatumGetPointer(SPI_getbinval(tuple, desc, tid, &isnull));
	key->reserved_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, reserved_at, &isnull));
}

void
wf_reservation_insert(int executor, const WfItem *items, int n, WfReservationKey *key)
{
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum	   *seqs = palloc(sizeof(Datum) * n);
	Datum		values[3];

	for (int i = 0; i < n; i++)
	{
		ids[i] = UUIDPGetDatum(&items[i].run_id);
		seqs[i] = Int32GetDatum(items[i].seq);
	}
	values[0] = Int32GetDatum(executor);
	values[1] = PointerGetDatum(construct_array(ids, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	values[2] = PointerGetDatum(construct_array(seqs, n, INT4OID, 4, true, TYPALIGN_INT));

	wf_spi_begin();
	if (wf_spi_run(&insert_reservation, values, NULL, 0) != 1)
		elog(ERROR, "reservation was not stored");
	read_key(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 2, key);
	wf_spi_end();
}

void
wf_reservation_delete(const WfReservationKey *key)
{
	Datum		values[2] = {PointerGetDatum(&key->tid), TimestampTzGetDatum(key->reserved_at)};

	wf_spi_begin();
	if (wf_spi_run(&delete_reservation, values, NULL, 0) == 0)
		(void) wf_spi_run(&delete_moved_reservation, &values[1], NULL, 0);
	wf_spi_end();
}

static void
read_reservation(HeapTuple tuple, TupleDesc desc, MemoryContext context, WfReservation *r)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Datum	   *ids;
	Datum	   *seqs;
	int			nseqs;
	bool		isnull;

	read_key(tuple, desc, 1, 3, &r->key);
	r->executor = DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull));
	deconstruct_array(DatumGetArrayTypePCopy(SPI_getbinval(tuple, desc, 4, &isnull)),
					  UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &ids, NULL, &r->n);
	deconstruct_array(DatumGetArrayTypePCopy(SPI_getbinval(tuple, desc, 5, &isnull)),
					  INT4OID, 4, true, TYPALIGN_INT, &seqs, NULL, &nseqs);
	r->n = Min(r->n, nseqs);
	r->run_ids = palloc(sizeof(pg_uuid_t) * Max(r->n, 1));
	r->seqs = palloc(sizeof(int32) * Max(r->n, 1));
	for (int i = 0; i < r->n; i++)
	{
		r->run_ids[i] = *DatumGetUUIDP(ids[i]);
		r->seqs[i] = DatumGetInt32(seqs[i]);
	}
	MemoryContextSwitchTo(old);
}

int
wf_reservation_all(WfReservation **reservations)
{
	MemoryContext caller = CurrentMemoryContext;
	int			n;

	wf_spi_begin();
	n = (int) wf_spi_run(&all_reservations, NULL, NULL, 0);
	*reservations = MemoryContextAlloc(caller, sizeof(WfReservation) * Max(n, 1));
	for (int i = 0; i < n; i++)
		read_reservation(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, caller,
						 &(*reservations)[i]);
	wf_spi_end();
	return n;
}
