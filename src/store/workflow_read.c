/*-------------------------------------------------------------------------
 * workflow_read.c
 *		Definitions of workflows, read from their tables.
 *
 * The tables are read as the server reads its catalogs, rather than through
 * SPI.  What will be kept must be what is committed now (and what this
 * transaction has changed), even where the transaction's snapshot is an old
 * one; a catalog snapshot is that, always a new one for a table that is no
 * catalog.  And it must work in a read-only transaction, on a standby, and
 * below a Gather node, where SPI's ways to get a new snapshot do not.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "store/installation.h"
#include "store/relations.h"
#include "store/workflow_read.h"
#include "store/workflow_sql.h"

/* columns of wf.workflow, as sql/parts/20_tables.sql has them */
enum
{
	ID, NAME, OWNER_OID, OWNER_NAME, HANDLER_SCHEMA, HANDLER_NAME,
	SETTING,					/* the first of WF_SETTINGS */
	PAUSED = SETTING + WF_SETTINGS, DROPPED_AT,
	COLUMNS
};

/* columns of wf.workflow_grant */
enum
{
	GRANT_WORKFLOW_ID, GRANT_ROLE_OID, GRANT_ROLE_NAME, GRANT_PRIVILEGES,
	GRANT_COLUMNS
};

static WfWorkflow *read_workflow(Oid index, ScanKey key, bool dropped_too, MemoryContext context);
static WfWorkflow *decode(HeapTuple tuple, TupleDesc desc, MemoryContext context);
static void decode_settings(WfWorkflow *w, const Datum *s);
static Oid	resolve_role(WfIdentity identity, Oid stored_oid, Name stored_name);
static void read_grants(WfWorkflow *w, Snapshot snapshot, MemoryContext context);
static int	decode_privileges(Datum array);

WfWorkflow *
wf_workflow_read_by_name(const char *name, int length, MemoryContext context)
{
	ScanKeyData key;

	ScanKeyInit(&key, NAME + 1, BTEqualStrategyNumber, F_TEXTEQ,
				PointerGetDatum(cstring_to_text_with_len(name, length)));
	return read_workflow(get_relname_relid("workflow_name", wf_relations()->schema),
						 &key, false, context);
}

WfWorkflow *
wf_workflow_read_by_id(int32 id, MemoryContext context)
{
	ScanKeyData key;

	ScanKeyInit(&key, ID + 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(id));
	return read_workflow(get_relname_relid("workflow_pkey", wf_relations()->schema),
						 &key, true, context);
}

int
wf_workflow_ids(int32 **ids)
{
	Relation	rel = table_open(wf_relations()->workflow, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(RelationGetRelid(rel)));
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	int			room = 64;
	int			n = 0;
	HeapTuple	tuple;

	*ids = palloc(room * sizeof(int32));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		if (!heap_attisnull(tuple, DROPPED_AT + 1, RelationGetDescr(rel)))
			continue;
		if (n == room)
			*ids = repalloc(*ids, (room *= 2) * sizeof(int32));
		(*ids)[n++] = DatumGetInt32(heap_getattr(tuple, ID + 1, RelationGetDescr(rel), &isnull));
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return n;
}

/* Read one row, and the grants on it, by one snapshot. */
static WfWorkflow *
read_workflow(Oid index, ScanKey key, bool dropped_too, MemoryContext context)
{
	Relation	rel = table_open(wf_relations()->workflow, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(RelationGetRelid(rel)));
	SysScanDesc scan = systable_beginscan(rel, index, true, snapshot, 1, key);
	WfWorkflow *w = NULL;
	HeapTuple	tuple;

	while (w == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (dropped_too || heap_attisnull(tuple, DROPPED_AT + 1, RelationGetDescr(rel)))
			w = decode(tuple, RelationGetDescr(rel), context);
	}
	systable_endscan(scan);
	if (w != NULL)
		read_grants(w, snapshot, context);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return w;
}

static WfWorkflow *
decode(HeapTuple tuple, TupleDesc desc, MemoryContext context)
{
	WfWorkflow *w = MemoryContextAllocZero(context, sizeof(WfWorkflow));
	Datum	   *v = palloc(desc->natts * sizeof(Datum));
	bool	   *isnull = palloc(desc->natts * sizeof(bool));

	Assert(desc->natts >= COLUMNS);
	heap_deform_tuple(tuple, desc, v, isnull);
	w->id = DatumGetInt32(v[ID]);
	strlcpy(w->name, TextDatumGetCString(v[NAME]), sizeof(w->name));
	w->owner_name = *DatumGetName(v[OWNER_NAME]);
	w->owner = resolve_role(wf_installation_identity(), DatumGetObjectId(v[OWNER_OID]), &w->owner_name);
	w->has_handler = !isnull[HANDLER_NAME];
	if (w->has_handler)
	{
		w->handler_schema = *DatumGetName(v[HANDLER_SCHEMA]);
		w->handler_name = *DatumGetName(v[HANDLER_NAME]);
	}
	decode_settings(w, &v[SETTING]);
	w->paused = DatumGetBool(v[PAUSED]);
	w->dropped = !isnull[DROPPED_AT];
	pfree(v);
	pfree(isnull);
	return w;
}

static void
decode_settings(WfWorkflow *w, const Datum *s)
{
	char	   *on_failed = TextDatumGetCString(s[WF_SETTING_ON_FAILED]);

	w->max_attempts = DatumGetInt32(s[WF_SETTING_MAX_ATTEMPTS]);
	w->retry_delay = *DatumGetIntervalP(s[WF_SETTING_RETRY_DELAY]);
	w->retry_factor = DatumGetFloat8(s[WF_SETTING_RETRY_FACTOR]);
	w->retry_max_delay = *DatumGetIntervalP(s[WF_SETTING_RETRY_MAX_DELAY]);
	w->retry_jitter = DatumGetFloat8(s[WF_SETTING_RETRY_JITTER]);
	w->timeout = *DatumGetIntervalP(s[WF_SETTING_TIMEOUT]);
	w->key_ttl = *DatumGetIntervalP(s[WF_SETTING_KEY_TTL]);
	w->anchor_enqueue = strcmp(TextDatumGetCString(s[WF_SETTING_KEY_ANCHOR]), "enqueue") == 0;
	w->on_failed = strcmp(on_failed, "return") == 0 ? WF_ON_FAILED_RETURN :
		strcmp(on_failed, "resume") == 0 ? WF_ON_FAILED_RESUME : WF_ON_FAILED_NEW;
	w->mismatch_return = strcmp(TextDatumGetCString(s[WF_SETTING_ON_MISMATCH]), "return") == 0;
	w->max_running = DatumGetInt32(s[WF_SETTING_MAX_RUNNING]);
	w->priority = DatumGetInt32(s[WF_SETTING_PRIORITY]);
	w->batch = DatumGetInt32(s[WF_SETTING_BATCH]);
	w->retention = *DatumGetIntervalP(s[WF_SETTING_RETENTION]);
	w->max_queued = DatumGetInt32(s[WF_SETTING_MAX_QUEUED]);
}

/*
 * The role that an OID stands for, or InvalidOid.  In the database where it
 * was written it is that role, whatever it is called by now, and its present
 * name replaces the stored one.  In a copy beside it, which may be older or
 * younger than the role, the name has to agree; and in another server an OID
 * means nothing until wf_adopt().
 */
static Oid
resolve_role(WfIdentity identity, Oid stored_oid, Name stored_name)
{
	HeapTuple	tuple;
	Oid			role = InvalidOid;

	if (identity == WF_IDENTITY_FOREIGN || !OidIsValid(stored_oid))
		return InvalidOid;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(stored_oid));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	if (identity == WF_IDENTITY_OURS ||
		strcmp(NameStr(((Form_pg_authid) GETSTRUCT(tuple))->rolname), NameStr(*stored_name)) == 0)
	{
		role = stored_oid;
		*stored_name = ((Form_pg_authid) GETSTRUCT(tuple))->rolname;
	}
	ReleaseSysCache(tuple);
	return role;
}

/* Read who else may do what; grants to roles that are gone are left out. */
static void
read_grants(WfWorkflow *w, Snapshot snapshot, MemoryContext context)
{
	WfIdentity	identity = wf_installation_identity();
	Oid			schema = wf_relations()->schema;
	Relation	rel = table_open(get_relname_relid("workflow_grant", schema), AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int			room = 0;

	ScanKeyInit(&key, GRANT_WORKFLOW_ID + 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(w->id));
	scan = systable_beginscan(rel, get_relname_relid("workflow_grant_pkey", schema),
							  true, snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		v[GRANT_COLUMNS];
		bool		isnull[GRANT_COLUMNS];
		NameData	name;
		Oid			role;

		Assert(desc->natts == GRANT_COLUMNS);
		heap_deform_tuple(tuple, desc, v, isnull);
		name = *DatumGetName(v[GRANT_ROLE_NAME]);
		role = resolve_role(identity, DatumGetObjectId(v[GRANT_ROLE_OID]), &name);
		if (!OidIsValid(role) && OidIsValid(DatumGetObjectId(v[GRANT_ROLE_OID])))
			continue;
		if (w->ngrants == room)
		{
			room = room == 0 ? 4 : room * 2;
			w->grants = w->grants == NULL ?
				MemoryContextAlloc(context, room * sizeof(WfGrant)) :
				repalloc(w->grants, room * sizeof(WfGrant));
		}
		w->grants[w->ngrants].role = role;
		w->grants[w->ngrants++].privileges = decode_privileges(v[GRANT_PRIVILEGES]);
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
}

static int
decode_privileges(Datum array)
{
	Datum	   *words;
	int			n;
	int			privileges = 0;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
					  &words, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *word = TextDatumGetCString(words[i]);

		for (int p = 0; p < WF_PRIVILEGES; p++)
			if (strcmp(word, wf_privilege_names[p]) == 0)
				privileges |= 1 << p;
	}
	return privileges;
}
