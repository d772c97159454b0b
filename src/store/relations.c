/*-------------------------------------------------------------------------
 * relations.c
 *		The extension's own tables: their OIDs, and acting as their owner.
 *
 * The OIDs are looked up by name once and kept until a relcache invalidation
 * touches one of them, as DROP EXTENSION does.  Names are safe here: the
 * schema wf is made by the install script and writable by nobody else.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/audit.h"
#include "store/relations.h"

static WfRelations relations;
static bool relations_valid = false;
static bool callback_registered = false;
static uint64 epoch = 0;

static bool load_extension(WfRelations *r, char **version);
static void load_tables(WfRelations *r);
static void check_version(const char *version);
static void relations_changed(Datum arg, Oid relid);

const WfRelations *
wf_relations(void)
{
	const WfRelations *found = wf_relations_if_any();

	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"%s\" is not installed in this database", WF_EXTENSION),
				 errhint("Run CREATE EXTENSION %s.", WF_EXTENSION)));
	return found;
}

const WfRelations *
wf_relations_if_any(void)
{
	WfRelations fresh;
	char	   *version;

	if (relations_valid)
		return &relations;

	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(relations_changed, (Datum) 0);
		callback_registered = true;
	}

	memset(&fresh, 0, sizeof(fresh));
	if (!load_extension(&fresh, &version))
		return NULL;
	check_version(version);
	load_tables(&fresh);
	if (!OidIsValid(fresh.task_id[WF_SLICES - 1]))
		return NULL;			/* CREATE EXTENSION is at work */

	relations = fresh;
	wf_audit_set_extension(fresh.extension);
	relations_valid = true;
	epoch++;
	return &relations;
}

uint64
wf_relations_epoch(void)
{
	return epoch;
}

/* Read our row of pg_extension; false if there is none. */
static bool
load_extension(WfRelations *r, char **version)
{
	Relation	catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum(WF_EXTENSION));
	scan = systable_beginscan(catalog, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);
		bool		isnull;
		Datum		datum = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(catalog), &isnull);

		r->extension = form->oid;
		r->functions = form->extnamespace;
		r->owner = form->extowner;
		*version = TextDatumGetCString(datum);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);

	r->schema = get_namespace_oid(WF_SCHEMA, true);
	return OidIsValid(r->extension) && OidIsValid(r->schema);
}

static void
check_version(const char *version)
{
	if (strcmp(version, WF_VERSION) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the library of extension \"%s\" does not fit its SQL objects", WF_EXTENSION),
				 errdetail("The library is version %s, the objects in this database are version %s.",
						   WF_VERSION, version),
				 errhint("Run ALTER EXTENSION %s UPDATE, or restart the server with the newer library.",
						 WF_EXTENSION)));
}

static void
load_tables(WfRelations *r)
{
	char		name[NAMEDATALEN];

	r->run = get_relname_relid("run", r->schema);
	r->event = get_relname_relid("event", r->schema);
	r->workflow = get_relname_relid("workflow", r->schema);
	r->slice = get_relname_relid("slice", r->schema);
	r->clock = get_relname_relid("clock", r->schema);
	r->reservation = get_relname_relid("reservation", r->schema);
	r->duplicate = get_relname_relid("duplicate", r->schema);
	r->duplicate_last_at = get_relname_relid("duplicate_last_at", r->schema);
	r->task = get_relname_relid("task", r->schema);
	r->task_ring = get_relname_relid("task_slice", r->schema);
	r->task_owner = get_relname_relid("task_owner", r->schema);

#define LOAD(field, format) \
	(snprintf(name, sizeof(name), format, s), \
	 r->field[s] = get_relname_relid(name, r->schema))

	for (int s = 0; s < WF_SLICES; s++)
	{
		LOAD(run_slice, "run_%d");
		LOAD(run_id, "run_%d_id");
		LOAD(run_key, "run_%d_key");
		LOAD(run_queue, "run_%d_queue");
		LOAD(event_slice, "event_%d");
		LOAD(event_id, "event_%d_id");
		LOAD(event_queue, "event_%d_queue");
		LOAD(event_lease, "event_%d_lease");
		LOAD(event_failed, "event_%d_failed");
		LOAD(task_slice, "task_%d");
		LOAD(task_id, "task_%d_id");
	}
#undef LOAD
}

bool
wf_relations_include(Oid oid)
{
	const Oid  *oids = (const Oid *) &relations;
	int			n = sizeof(relations) / sizeof(Oid);

	for (int i = 0; i < n; i++)
		if (oids[i] == oid)
			return true;
	return false;
}

/* relcache callback: forget the OIDs if one of them may be gone */
static void
relations_changed(Datum arg, Oid relid)
{
	if (!relations_valid || (OidIsValid(relid) && !wf_relations_include(relid)))
		return;
	relations_valid = false;
	epoch++;
}

void
wf_become_owner(WfOwnerState *state)
{
	const WfRelations *r = wf_relations();

	GetUserIdAndSecContext(&state->user, &state->context);
	state->nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(r->owner, state->context |
						   SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
}

void
wf_restore_user(const WfOwnerState *state)
{
	AtEOXact_GUC(false, state->nest_level);
	SetUserIdAndSecContext(state->user, state->context);
}
