/*-------------------------------------------------------------------------
 * task_owner.c
 *		Under what the tasks of a role are stored: wf.task_owner.
 *
 * A role's tasks are stored under the server, database and OID in which it
 * had its first one.  That stays when the role is renamed, or when a dump is
 * restored where it has another OID; a role that is given the OID or the name
 * of a dropped one has none of that one's.  What is to be written follows from
 * the role alone, so two transactions that begin a role's first tasks at the
 * same time need not wait for each other: each writes the row, and both say
 * the same.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/digest.h"
#include "store/installation.h"
#include "store/relations.h"
#include "store/statement.h"
#include "store/table.h"
#include "store/task_owner.h"
#include "store/workflow_store.h"

/* columns of wf.task_owner */
enum
{
	OWNER = 1, NUMBER, ROLE_OID, ROLE_NAME, SINCE, NCOLUMNS = SINCE
};

/* the role that was last asked about; good until definitions change */
static struct
{
	uint64		epoch;			/* 0: none */
	uint64		relations;
	Oid			role;
	WfTaskOwner owner;
}			last;

static WfStatement rename_owners = {
	.purpose = "follow renamed owners of tasks",
	.sql =
	"UPDATE wf.task_owner o "
	"   SET role_name = r.rolname "
	"  FROM pg_catalog.pg_roles r "
	" WHERE r.oid OPERATOR(pg_catalog.=) o.role_oid "
	"   AND r.rolname OPERATOR(pg_catalog.<>) o.role_name",
	.expect = SPI_OK_UPDATE,
};

/* the name goes too: in another server it could be somebody else's */
static WfStatement drop_owners = {
	.purpose = "follow dropped owners of tasks",
	.sql =
	"UPDATE wf.task_owner o "
	"   SET role_oid = 0, role_name = '' "
	" WHERE o.role_oid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid "
	"   AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r "
	"                    WHERE r.oid OPERATOR(pg_catalog.=) o.role_oid)",
	.expect = SPI_OK_UPDATE,
};

static WfStatement resolve_owners = {
	.purpose = "find the owners of tasks by name",
	.sql =
	"UPDATE wf.task_owner o "
	"   SET role_oid = coalesce((SELECT r.oid FROM pg_catalog.pg_roles r "
	"                             WHERE r.rolname OPERATOR(pg_catalog.=) o.role_name), 0) "
	" WHERE o.role_name OPERATOR(pg_catalog.<>) ''::pg_catalog.name",
	.expect = SPI_OK_UPDATE,
};

static bool find_row(Oid role, WfTaskOwner *owner, bool *committed);
static void write_row(Oid role, WfTaskOwner *owner);

bool
wf_task_owner_find(WfTaskOwner *owner)
{
	uint64		epoch = wf_workflow_epoch();
	Oid			role = GetUserId();
	bool		committed;

	if (last.epoch == epoch && last.relations == wf_relations_epoch() && last.role == role)
	{
		*owner = last.owner;
		return true;
	}
	(void) wf_relations();
	if (!find_row(role, owner, &committed))
		return false;

	/* a row of our own may be rolled back */
	if (committed)
	{
		last.epoch = epoch;
		last.relations = wf_relations_epoch();
		last.role = role;
		last.owner = *owner;
	}
	return true;
}

void
wf_task_owner_require(WfTaskOwner *owner)
{
	if (!wf_task_owner_find(owner))
		write_row(GetUserId(), owner);
}

/* Is a row this role's?  As the owner of a workflow is: see resolve_role. */
static bool
is_row_of(TupleTableSlot *slot, WfIdentity identity, Oid role, const char *name)
{
	bool		isnull;
	Oid			stored = DatumGetObjectId(slot_getattr(slot, ROLE_OID, &isnull));
	Name		stored_name = DatumGetName(slot_getattr(slot, ROLE_NAME, &isnull));

	return (identity == WF_IDENTITY_FOREIGN || stored == role) &&
		(identity == WF_IDENTITY_OURS || strcmp(NameStr(*stored_name), name) == 0);
}

/* The newest row of a role, committed or our own. */
static bool
find_row(Oid role, WfTaskOwner *owner, bool *committed)
{
	WfIdentity	identity = wf_installation_identity();
	char	   *name = GetUserNameFromId(role, false);
	Relation	rel = table_open(wf_relations()->task_owner, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, SnapshotSelf, 0, NULL);
	TimestampTz newest = DT_NOBEGIN;

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		TimestampTz since = DatumGetTimestampTz(slot_getattr(slot, SINCE, &isnull));

		if (since < newest || !is_row_of(slot, identity, role, name))
			continue;
		newest = since;
		owner->owner = *DatumGetUUIDP(slot_getattr(slot, OWNER, &isnull));
		owner->number = DatumGetInt32(slot_getattr(slot, NUMBER, &isnull));
		*committed = !TransactionIdIsCurrentTransactionId(wf_slot_xmin(slot));
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	pfree(name);
	return newest != DT_NOBEGIN;
}

/* the n-th owner that a role with this OID can be */
static void
make_owner(Oid role, uint32 n, WfTaskOwner *owner)
{
	uint64		system = GetSystemIdentifier();
	uint8		hash[WF_DIGEST_LENGTH];

	wf_digest_begin();
	wf_digest_update(&system, sizeof(system));
	wf_digest_update(&MyDatabaseId, sizeof(MyDatabaseId));
	wf_digest_update(&role, sizeof(role));
	wf_digest_update(&n, sizeof(n));
	wf_digest_final(hash);
	memcpy(owner->owner.data, hash, UUID_LEN);
	owner->number = (int32) (hash_bytes(hash, UUID_LEN) | 0x80000000);
}

/* Has another role, one that was dropped, this owner? */
static bool
is_taken(const WfTaskOwner *owner, Oid role)
{
	Relation	rel = table_open(wf_relations()->task_owner, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, SnapshotSelf, 0, NULL);
	bool		taken = false;

	while (!taken && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;

		taken = memcmp(DatumGetUUIDP(slot_getattr(slot, OWNER, &isnull)),
					   &owner->owner, UUID_LEN) == 0 &&
			DatumGetObjectId(slot_getattr(slot, ROLE_OID, &isnull)) != role;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return taken;
}

static void
write_row(Oid role, WfTaskOwner *owner)
{
	NameData	role_name;
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS] = {false};

	wf_installation_note_use();
	for (uint32 n = 0; n == 0 || is_taken(owner, role); n++)
		make_owner(role, n, owner);

	namestrcpy(&role_name, GetUserNameFromId(role, false));
	values[OWNER - 1] = UUIDPGetDatum(&owner->owner);
	values[NUMBER - 1] = Int32GetDatum(owner->number);
	values[ROLE_OID - 1] = ObjectIdGetDatum(role);
	values[ROLE_NAME - 1] = NameGetDatum(&role_name);
	values[SINCE - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	(void) wf_table_insert(wf_relations()->task_owner, values, nulls, NULL, 0, 0, false, NULL);
}

static int64
run_change(WfStatement *statement)
{
	int64		n;

	wf_spi_begin();
	n = (int64) wf_spi_run(statement, NULL, NULL, 0);
	wf_spi_end();
	return n;
}

int64
wf_task_owner_follow(void)
{
	/* elsewhere the OIDs are those of other roles */
	if (wf_installation_identity() != WF_IDENTITY_OURS)
		return 0;
	return run_change(&rename_owners) + run_change(&drop_owners);
}

void
wf_task_owner_adopt(void)
{
	(void) run_change(&resolve_owners);
}
