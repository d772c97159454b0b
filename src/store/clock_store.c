/*-------------------------------------------------------------------------
 * clock_store.c
 *		All access to wf.clock: the latest time seen, across restarts.
 *
 * Within one life of the server the time is kept in shared memory (clock.c).
 * A sweep stores it, so that a clock which is set back while the server is
 * down revives no key that a sweep ago had expired.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "store/clock_store.h"
#include "store/relations.h"
#include "store/statement.h"

static WfStatement update_clock = {
	.purpose = "store the time",
	.sql =
	"UPDATE wf.clock "
	"   SET seen = $1 "
	" WHERE seen OPERATOR(pg_catalog.<) $1",
	.nargs = 1,
	.argtypes = (const Oid[]) {TIMESTAMPTZOID},
	.expect = SPI_OK_UPDATE,
};

void
wf_clock_load(void)
{
	Relation	rel = table_open(wf_relations()->clock, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;

		wf_clock_raise(DatumGetTimestampTz(slot_getattr(slot, 1, &isnull)));
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
}

void
wf_clock_save(void)
{
	WfDatabase *database = wf_database_mine();
	Datum		values[1] = {TimestampTzGetDatum(wf_clock_now())};

	/* what is in other databases is stored by them */
	if (database != NULL && pg_atomic_exchange_u32(&database->written, 0) == 0)
		return;
	wf_spi_begin();
	(void) wf_spi_run(&update_clock, values, NULL, 0);
	wf_spi_end();
}
