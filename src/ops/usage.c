/*-------------------------------------------------------------------------
 * usage.c
 *		wf_grant_usage and wf_revoke_usage: may a role use pg_workflow at all.
 *
 * That is EXECUTE on every function but the administrators' and those of
 * triggers, USAGE on the schema wf and SELECT on the views that filter.  What the functions and views are is
 * read from the extension's members in pg_depend, so that a later version's
 * are covered without a list to maintain; others that live in the same schema
 * are not touched.  GRANT is given a parse tree, not text: there is no name
 * to quote and none that a search_path could lead elsewhere.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ops/access.h"
#include "ops/settings.h"
#include "store/relations.h"

PG_FUNCTION_INFO_V1(wf_grant_usage);
PG_FUNCTION_INFO_V1(wf_revoke_usage);

/* functions that only administrators call */
static const char *const administrative[] = {
	"wf_adopt", "wf_expire", "wf_grant_usage", "wf_revoke_usage"
};

typedef struct Members
{
	List	   *functions;		/* of ObjectWithArgs */
	List	   *views;			/* of RangeVar */
} Members;

static void change_usage(FunctionCallInfo fcinfo, bool is_grant, const char *function);
static void find_members(Members *members);
static void add_function(Members *members, Oid function);
static void add_relation(Members *members, Oid relation);
static void notice_schema(Oid role);
static void run_grant(bool is_grant, ObjectType type, List *objects,
					  const char *privilege, Oid role);

/*
 * wf_grant_usage(role)
 */
Datum
wf_grant_usage(PG_FUNCTION_ARGS)
{
	change_usage(fcinfo, true, "wf_grant_usage()");
	PG_RETURN_VOID();
}

/*
 * wf_revoke_usage(role)
 */
Datum
wf_revoke_usage(PG_FUNCTION_ARGS)
{
	change_usage(fcinfo, false, "wf_revoke_usage()");
	PG_RETURN_VOID();
}

static void
change_usage(FunctionCallInfo fcinfo, bool is_grant, const char *function)
{
	WfOwnerState state;
	Members		members = {NIL, NIL};
	Oid			role;

	PreventCommandIfReadOnly(function);
	if (PG_ARGISNULL(0))
		wf_refuse_null("role");
	role = PG_GETARG_OID(0);
	wf_administrator_require(is_grant ? "grant the use of pg_workflow" :
							 "revoke the use of pg_workflow");
	wf_role_require(role);

	find_members(&members);
	wf_become_owner(&state);
	run_grant(is_grant, OBJECT_SCHEMA, list_make1(makeString(WF_SCHEMA)), "usage", role);
	run_grant(is_grant, OBJECT_TABLE, members.views, "select", role);
	run_grant(is_grant, OBJECT_ROUTINE, members.functions, "execute", role);
	wf_restore_user(&state);
	if (is_grant)
		notice_schema(role);
}

/* The schema of the functions is not ours to grant. */
static void
notice_schema(Oid role)
{
	Oid			schema = wf_relations()->functions;

	if (DatumGetBool(DirectFunctionCall3(has_schema_privilege_id_id, ObjectIdGetDatum(role),
										 ObjectIdGetDatum(schema),
										 CStringGetTextDatum("USAGE"))))
		return;
	ereport(NOTICE,
			(errmsg("role \"%s\" can't reach the functions yet", GetUserNameFromId(role, false)),
			 errdetail("It lacks USAGE on schema \"%s\".", get_namespace_name(schema)),
			 errhint("GRANT USAGE ON SCHEMA %s TO %s;", quote_identifier(get_namespace_name(schema)),
					 quote_identifier(GetUserNameFromId(role, false)))));
}

/* Read the extension's members from pg_depend. */
static void
find_members(Members *members)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(ExtensionRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(wf_relations()->extension));
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->deptype != DEPENDENCY_EXTENSION)
			continue;
		if (form->classid == ProcedureRelationId)
			add_function(members, form->objid);
		else if (form->classid == RelationRelationId)
			add_relation(members, form->objid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
add_function(Members *members, Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	ObjectWithArgs *object = makeNode(ObjectWithArgs);
	Form_pg_proc form;
	bool		is_trigger;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	object->objname = list_make2(makeString(get_namespace_name(form->pronamespace)),
								 makeString(pstrdup(NameStr(form->proname))));
	for (int i = 0; i < form->pronargs; i++)
		object->objargs = lappend(object->objargs,
								  makeTypeNameFromOid(form->proargtypes.values[i], -1));
	is_trigger = form->prorettype == TRIGGEROID || form->prorettype == EVENT_TRIGGEROID;
	ReleaseSysCache(tuple);
	if (is_trigger)
		return;

	for (int i = 0; i < lengthof(administrative); i++)
		if (strcmp(strVal(lsecond(object->objname)), administrative[i]) == 0)
			return;
	members->functions = lappend(members->functions, object);
}

/*
 * Views that filter what they show are security barriers; any other is for
 * use by these.
 */
static void
add_relation(Members *members, Oid relation)
{
	Relation	rel = relation_open(relation, AccessShareLock);

	if (rel->rd_rel->relkind == RELKIND_VIEW && RelationIsSecurityView(rel))
		members->views = lappend(members->views,
								 makeRangeVar(get_namespace_name(RelationGetNamespace(rel)),
											  pstrdup(RelationGetRelationName(rel)), -1));
	relation_close(rel, AccessShareLock);
}

static void
run_grant(bool is_grant, ObjectType type, List *objects, const char *privilege, Oid role)
{
	GrantStmt  *statement = makeNode(GrantStmt);
	AccessPriv *wanted = makeNode(AccessPriv);
	RoleSpec   *grantee = makeNode(RoleSpec);

	if (objects == NIL)
		return;
	wanted->priv_name = pstrdup(privilege);
	grantee->roletype = ROLESPEC_CSTRING;
	grantee->rolename = GetUserNameFromId(role, false);
	grantee->location = -1;

	statement->is_grant = is_grant;
	statement->targtype = ACL_TARGET_OBJECT;
	statement->objtype = type;
	statement->objects = objects;
	statement->privileges = list_make1(wanted);
	statement->grantees = list_make1(grantee);
	statement->behavior = DROP_RESTRICT;
	ExecuteGrantStmt(statement);
}
