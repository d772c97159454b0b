/*-------------------------------------------------------------------------
 * task_ring.c
 *		The ring of slices of wf.task.
 *
 * As that of runs (ring.c), but in three points.  Rows of a task may be in any
 * slice, and are appended to the current one.  Slices are truncated from the
 * oldest on.  And that, too, needs a moment in which nobody writes: who has
 * found nothing of a task in the newer slices must not find an older one
 * emptied behind a row that somebody else has appended meanwhile.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/timestamp.h"

#include "store/relations.h"
#include "store/statement.h"
#include "store/table.h"
#include "store/task_ring.h"

static WfRing ring;
static bool ring_valid = false;
static uint64 ring_epoch = 0;
static bool callback_registered = false;
static WfPatience patience = {.wait = WF_RING_FIRST_WAIT};

static WfStatement forget_state = {
	.purpose = "forget the state of a slice of tasks",
	.sql = "DELETE FROM wf.task_slice WHERE slice OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = (const Oid[]) {INT4OID},
	.expect = SPI_OK_DELETE,
};

static WfStatement store_state = {
	.purpose = "store the state of a slice of tasks",
	.sql = "INSERT INTO wf.task_slice (slice, state, opened_at, sealed_at) "
	"VALUES ($1, $2, $3, $4)",
	.nargs = 4,
	.argtypes = (const Oid[]) {INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
	.expect = SPI_OK_INSERT,
};

#define TRUNCATE(n) { \
	.purpose = "truncate a slice of tasks", \
	.sql = "TRUNCATE ONLY wf.task_" #n, \
	.expect = SPI_OK_UTILITY, \
}

static WfStatement truncate_slice[WF_SLICES] = {
	TRUNCATE(0), TRUNCATE(1), TRUNCATE(2), TRUNCATE(3),
	TRUNCATE(4), TRUNCATE(5), TRUNCATE(6), TRUNCATE(7)
};

/* relcache callback: the relations are known where the ring is */
static void
slice_changed(Datum arg, Oid relid)
{
	if (ring_valid &&
		(!OidIsValid(relid) || ring_epoch != wf_relations_epoch() ||
		 wf_relations()->task_ring == relid))
		ring_valid = false;
}

static void
load_ring(void)
{
	Oid			states = wf_relations()->task_ring;
	WfRing		fresh;

	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(slice_changed, (Datum) 0);
		callback_registered = true;
	}
	ring_valid = true;			/* unless an invalidation comes meanwhile */
	ring_epoch = wf_relations_epoch();
	wf_ring_read(states, &fresh);
	ring = fresh;
}

const WfRing *
wf_task_ring(void)
{
	if (!ring_valid || ring_epoch != wf_relations_epoch())
		load_ring();
	return &ring;
}

const WfRing *
wf_task_ring_for_write(void)
{
	/* taking the lock receives the invalidations of whoever turned the ring */
	LockRelationOid(wf_relations()->task, RowExclusiveLock);
	return wf_task_ring();
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
tell_change(void)
{
	CacheInvalidateRelcacheByRelid(wf_relations()->task_ring);
	CommandCounterIncrement();
}

bool
wf_task_ring_turn(TimestampTz now, bool patient)
{
	WfRing		old;
	int			next;

	if (!wf_ring_lock_out(wf_relations()->task, patient ? &patience : NULL, now))
		return false;
	old = *wf_task_ring();
	next = (old.current + 1) % WF_SLICES;
	if (old.state[next] != WF_SLICE_EMPTY)
		return false;

	wf_spi_begin();
	set_state(old.current, "sealed", old.opened_at[old.current], now);
	set_state(next, "current", now, 0);
	wf_spi_end();
	tell_change();
	return true;
}

bool
wf_task_ring_empty(int slice, TimestampTz now, bool patient)
{
	const WfRelations *r = wf_relations();

	if (!wf_ring_lock_out(r->task, patient ? &patience : NULL, now) ||
		!ConditionalLockRelationOid(r->task_slice[slice], AccessExclusiveLock) ||
		wf_task_ring()->state[slice] != WF_SLICE_SEALED ||
		wf_table_in_use(r->task_slice[slice]))
		return false;

	wf_spi_begin();
	wf_spi_run(&truncate_slice[slice], NULL, NULL, 0);
	set_state(slice, "empty", 0, 0);
	wf_spi_end();
	tell_change();
	return true;
}
