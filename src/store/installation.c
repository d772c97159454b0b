/*-------------------------------------------------------------------------
 * installation.c
 *		Whether this database is the one that its queue belongs to.
 *
 * wf.installation has the row that CREATE EXTENSION wrote.  A copy of the
 * database has its original's; a restored dump has both, since restoring adds
 * the dumped rows to those of the install script.  So all rows must name this
 * server and database.  OIDs of roles mean something within one server only,
 * which is why the answer matters to whoever reads an owner or a grant.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/installation.h"
#include "store/relations.h"
#include "store/statement.h"
#include "store/task_owner.h"
#include "store/workflow_sql.h"

/* columns of wf.installation */
#define ANUM_SYSTEM_IDENTIFIER	1
#define ANUM_DATABASE_OID		2

static WfStatement forget_rows = {
	.purpose = "forget earlier installations",
	.sql = "DELETE FROM wf.installation",
	.expect = SPI_OK_DELETE,
};

static WfStatement store_row = {
	.purpose = "store the identity of this database",
	.sql =
	"INSERT INTO wf.installation (system_identifier, database_oid, adopted_at) "
	"VALUES ($1, $2, $3)",
	.nargs = 3,
	.argtypes = (const Oid[]) {INT8OID, OIDOID, TIMESTAMPTZOID},
	.expect = SPI_OK_INSERT,
};

/* A name without a role gets an OID that no role has. */
static WfStatement resolve_owners = {
	.purpose = "find the owners of workflows by name",
	.sql =
	"UPDATE wf.workflow w "
	"   SET owner_oid = coalesce((SELECT r.oid FROM pg_catalog.pg_roles r "
	"                              WHERE r.rolname OPERATOR(pg_catalog.=) w.owner_name), 0)",
	.expect = SPI_OK_UPDATE,
};

static WfStatement count_ownerless = {
	.purpose = "count workflows without an owner",
	.sql =
	"SELECT FROM wf.workflow "
	" WHERE owner_oid OPERATOR(pg_catalog.=) 0 AND dropped_at IS NULL",
	.expect = SPI_OK_SELECT,
};

static WfStatement count_lost_grants = {
	.purpose = "count grants to roles that are missing",
	.sql =
	"SELECT FROM wf.workflow_grant g "
	" WHERE g.role_oid OPERATOR(pg_catalog.<>) 0 "
	"   AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r "
	"                    WHERE r.rolname OPERATOR(pg_catalog.=) g.role_name)",
	.expect = SPI_OK_SELECT,
};

/*
 * Rows are written anew rather than updated: two roles may have exchanged
 * their OIDs, and the primary key would be violated on the way.  The sort is
 * what makes the last deletion come before the first insertion.  A grant
 * whose role is missing goes, because its OID may be anybody's here.
 */
static WfStatement resolve_grants = {
	.purpose = "find the roles of grants by name",
	.sql =
	"WITH gone AS (DELETE FROM wf.workflow_grant g "
	"               WHERE g.role_oid OPERATOR(pg_catalog.<>) 0 "
	"              RETURNING g.workflow_id, g.role_name, g.privileges) "
	"INSERT INTO wf.workflow_grant (workflow_id, role_oid, role_name, privileges) "
	"SELECT sorted.workflow_id, r.oid, sorted.role_name, sorted.privileges "
	"  FROM (SELECT * FROM gone ORDER BY workflow_id, role_name) sorted "
	"  JOIN pg_catalog.pg_roles r "
	"    ON r.rolname OPERATOR(pg_catalog.=) sorted.role_name",
	.expect = SPI_OK_INSERT,
};

/*
 * A few rows at most, read as they are now.  Not kept: that a dump is being
 * restored here is seen in time only if whoever is about to dispatch looks.
 */
WfIdentity
wf_installation_identity(void)
{
	Oid			oid = get_relname_relid("installation", wf_relations()->schema);
	Relation	rel = table_open(oid, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(RelationGetRelid(rel)));
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	WfIdentity	answer = WF_IDENTITY_OURS;
	int			rows = 0;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		system = heap_getattr(tuple, ANUM_SYSTEM_IDENTIFIER,
										  RelationGetDescr(rel), &isnull);
		Datum		database = heap_getattr(tuple, ANUM_DATABASE_OID,
											RelationGetDescr(rel), &isnull);

		if ((uint64) DatumGetInt64(system) != GetSystemIdentifier())
			answer = WF_IDENTITY_FOREIGN;
		else if (DatumGetObjectId(database) != MyDatabaseId)
			answer = Max(answer, WF_IDENTITY_COPY);
		rows++;
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return rows > 0 ? answer : WF_IDENTITY_UNUSED;
}

static void
store_identity(void)
{
	Datum		row[] = {
		Int64GetDatum((int64) GetSystemIdentifier()),
		ObjectIdGetDatum(MyDatabaseId),
		TimestampTzGetDatum(GetCurrentTimestamp())
	};

	wf_spi_run(&store_row, row, NULL, 0);
}

/* Two who do so at the same time make a row each, which say the same. */
void
wf_installation_note_use(void)
{
	if (wf_installation_identity() != WF_IDENTITY_UNUSED)
		return;
	wf_spi_begin();
	store_identity();
	wf_spi_end();
}

void
wf_installation_adopt(int64 *ownerless, int64 *lost_grants)
{
	wf_spi_begin();
	wf_spi_run(&forget_rows, NULL, NULL, 0);
	store_identity();
	wf_spi_run(&resolve_owners, NULL, NULL, 0);
	*ownerless = wf_spi_run(&count_ownerless, NULL, NULL, 0);
	*lost_grants = wf_spi_run(&count_lost_grants, NULL, NULL, 0);
	wf_spi_run(&resolve_grants, NULL, NULL, 0);
	wf_spi_end();
	wf_task_owner_adopt();
	wf_workflow_changed();
}
