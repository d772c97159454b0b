/*-------------------------------------------------------------------------
 * databases.c
 *		The launcher's list of databases that may have a dispatcher.
 *
 * Those of pg_database that accept connections and are no templates: a
 * session in a template would be in everybody's way.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/shmem.h"
#include "worker/databases.h"

static HTAB *listed = NULL;
static uint32 listing = 0;

static void list_one(Form_pg_database database);
static void forget_dropped(bool revisit);

void
wf_databases_list(bool revisit)
{
	Relation	catalog;
	TableScanDesc scan;
	HeapTuple	tuple;

	listing++;
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(catalog, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
		list_one((Form_pg_database) GETSTRUCT(tuple));
	table_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();

	forget_dropped(revisit);
}

static void
list_one(Form_pg_database database)
{
	WfListed   *entry;
	bool		found;

	if (!database->datallowconn || database->datistemplate ||
		database->datconnlimit == DATCONNLIMIT_INVALID_DB)
		return;

	if (listed == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(WfListed)};

		listed = hash_create("pg_workflow databases", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(listed, &database->oid, HASH_ENTER, &found);
	entry->name = database->datname;
	entry->listing = listing;
	if (!found)
		entry->absent = false;
}

static void
forget_dropped(bool revisit)
{
	HASH_SEQ_STATUS status;
	WfListed   *entry;

	if (listed == NULL)
		return;
	hash_seq_init(&status, listed);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->listing != listing)
			hash_search(listed, &entry->dbid, HASH_REMOVE, NULL);
		else if (revisit)
			entry->absent = false;
	}
}

WfListed *
wf_databases_find(Oid dbid)
{
	return listed == NULL ? NULL : hash_search(listed, &dbid, HASH_FIND, NULL);
}

bool
wf_databases_take_slots(void)
{
	HASH_SEQ_STATUS status;
	WfListed   *entry;
	bool		enough = true;

	if (listed == NULL)
		return true;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	hash_seq_init(&status, listed);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!entry->absent && wf_database_find(entry->dbid) == NULL &&
			wf_database_take(entry->dbid) == NULL)
			enough = false;
	}
	LWLockRelease(wf_shared->lock);
	return enough;
}
