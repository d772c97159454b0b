/*-------------------------------------------------------------------------
 * handler.c
 *		Which functions may be handlers, and finding them again.
 *
 * A handler is stored by schema and name; its one argument is a jsonb.  It is
 * found by exactly these in the catalog, never by search_path or overload
 * resolution, which could be led to another function; and whose it is gets
 * checked each time, since the name may have changed hands.  Calling by OID
 * asks for no privilege, so EXECUTE is asked for here.
 *
 * What was found is kept per workflow, until any function, schema, language,
 * role or membership changes, or the settings that the checks depend on.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/proclang.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "base/compat.h"
#include "base/guc.h"
#include "ops/handler.h"

typedef struct Resolved
{
	int32		workflow_id;	/* hash key */
	uint64		changes;		/* 0: not resolved */

	/* what was asked for; a definition may be older than the answer */
	Oid			owner;
	NameData	schema;
	NameData	name;

	/* the answer */
	Oid			function;
	bool		returns_jsonb;
} Resolved;

static HTAB *resolved = NULL;
static uint64 changes = 1;		/* of what the checks depend on */

/* the settings that the present answers are for */
static char *seen_languages = NULL;
static bool seen_allow_superuser;

static Resolved *resolve(const WfWorkflow *w);
static bool is_resolved(const Resolved *r, const WfWorkflow *w);
static void create_table(void);
static void notice_settings(void);
static void catalog_changed(Datum arg, int cacheid, uint32 hashvalue);
static Oid	find_function(const WfWorkflow *w);
static void check_shape(Oid function, Form_pg_proc form);
static void check_language(Oid function, Oid language);
static void check_rights(Oid function, Oid function_owner, Oid owner);
static void check_superuser(Oid function, Oid function_owner, Oid owner);
static void check_login(Oid owner);
static void refuse_shape(Oid function, const char *detail) pg_attribute_noreturn();

/* to be released */
static HeapTuple
find_tuple(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function),
				 errdetail("A number was passed for the handler, and no function has it."),
				 errhint("Pass the handler as in 'schema.name(jsonb)'.")));
	return tuple;
}

void
wf_handler_check(Oid function, Oid owner)
{
	HeapTuple	tuple = find_tuple(function);
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

	check_shape(function, form);
	check_language(function, form->prolang);
	check_rights(function, form->proowner, owner);
	check_superuser(function, form->proowner, owner);
	ReleaseSysCache(tuple);
	check_login(owner);
}

void
wf_handler_check_callable(Oid function)
{
	HeapTuple	tuple = find_tuple(function);

	check_shape(function, (Form_pg_proc) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	if (object_aclcheck_compat(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", format_procedure(function)),
				 errdetail("Role \"%s\" may not execute it.", GetUserNameFromId(GetUserId(), false)),
				 errhint("Grant EXECUTE on the function to that role.")));
}

void
wf_handler_check_present(const WfWorkflow *w, Oid owner)
{
	WfWorkflow	copy = *w;

	copy.owner = owner;
	wf_handler_check(find_function(&copy), owner);
}

/* A warm executor goes on when LOGIN is taken from its role: see check_login. */
bool
wf_handler_resolve(const WfWorkflow *w, FmgrInfo *fn, MemoryContext context)
{
	Resolved   *r = resolve(w);

	fmgr_info_cxt(r->function, fn, context);
	return r->returns_jsonb;
}

static Resolved *
resolve(const WfWorkflow *w)
{
	uint64		before;
	HeapTuple	tuple;
	Form_pg_proc form;
	Resolved   *r;
	bool		found;

	if (resolved == NULL)
		create_table();
	notice_settings();
	before = changes;
	r = hash_search(resolved, &w->id, HASH_ENTER, &found);
	if (found && is_resolved(r, w))
		return r;

	r->changes = 0;
	r->owner = w->owner;
	r->schema = w->handler_schema;
	r->name = w->handler_name;
	r->function = find_function(w);

	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(r->function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", r->function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	check_shape(r->function, form);
	check_language(r->function, form->prolang);
	check_rights(r->function, form->proowner, w->owner);
	check_superuser(r->function, form->proowner, w->owner);
	r->returns_jsonb = form->prorettype == JSONBOID;
	ReleaseSysCache(tuple);

	/* a change that came in meanwhile has made the answer old already */
	r->changes = before;
	return r;
}

static bool
is_resolved(const Resolved *r, const WfWorkflow *w)
{
	return r->changes == changes && w->has_handler && r->owner == w->owner &&
		strcmp(NameStr(r->name), NameStr(w->handler_name)) == 0 &&
		strcmp(NameStr(r->schema), NameStr(w->handler_schema)) == 0;
}

static void
create_table(void)
{
	HASHCTL		info = {0};

	info.keysize = sizeof(int32);
	info.entrysize = sizeof(Resolved);
	info.hcxt = TopMemoryContext;
	resolved = hash_create("pg_workflow handlers", 64, &info,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterSyscacheCallback(PROCOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(LANGOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, catalog_changed, (Datum) 0);
}

static void
notice_settings(void)
{
	if (seen_languages != NULL && strcmp(seen_languages, wf_handler_languages) == 0 &&
		seen_allow_superuser == wf_allow_superuser_workflows)
		return;
	if (seen_languages != NULL)
		pfree(seen_languages);
	seen_languages = NULL;
	seen_languages = MemoryContextStrdup(TopMemoryContext, wf_handler_languages);
	seen_allow_superuser = wf_allow_superuser_workflows;
	changes++;
}

/* syscache callback */
static void
catalog_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	changes++;
}

static Oid
find_function(const WfWorkflow *w)
{
	Oid			jsonb = JSONBOID;
	Oid			schema;
	Oid			function = InvalidOid;

	if (!w->has_handler || !OidIsValid(w->owner))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 w->has_handler ?
				 errmsg("workflow \"%s\" has no owner", w->name) :
				 errmsg("workflow \"%s\" has no handler", w->name),
				 w->has_handler ?
				 errdetail("Its owner was role \"%s\".", NameStr(w->owner_name)) : 0,
				 w->has_handler ?
				 errhint("An administrator can hand it over with wf_alter_workflow(name, owner => role).") :
				 errhint("Its runs are for external workers; or set one with wf_alter_workflow(name, handler => ...).")));

	schema = get_namespace_oid(NameStr(w->handler_schema), true);
	if (OidIsValid(schema))
		function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
								   NameGetDatum(&w->handler_name),
								   PointerGetDatum(buildoidvector(&jsonb, 1)),
								   ObjectIdGetDatum(schema));
	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("handler %s(jsonb) of workflow \"%s\" does not exist",
						quote_qualified_identifier(NameStr(w->handler_schema), NameStr(w->handler_name)),
						w->name),
				 errdetail("It has been dropped, renamed, or moved to another schema since it was set."),
				 errhint("Create it again, or set another one with wf_alter_workflow(name, handler => ...).")));
	return function;
}

static void
check_shape(Oid function, Form_pg_proc form)
{
	if (form->prokind != PROKIND_FUNCTION)
		refuse_shape(function, "It is a procedure, an aggregate or a window function.");
	if (form->proretset)
		refuse_shape(function, "It returns a set.");
	if (form->pronargs != 1 || form->proargtypes.values[0] != JSONBOID)
		refuse_shape(function, "Its arguments are not exactly one jsonb.");
	if (form->prorettype != JSONBOID && form->prorettype != VOIDOID)
		refuse_shape(function, "It returns neither jsonb nor void.");
	if (isAnyTempNamespace(form->pronamespace))
		refuse_shape(function, "It is in a temporary schema, which ends with the session.");
}

static void
check_language(Oid function, Oid language)
{
	char	   *name = get_language_name(language, false);
	char	   *list = pstrdup(wf_handler_languages);
	List	   *allowed = NIL;
	ListCell   *cell;

	/* the setting's check hook has seen that it can be split */
	(void) SplitIdentifierString(list, ',', &allowed);
	foreach(cell, allowed)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("function %s can't be a handler", format_procedure(function)),
			 errdetail("It is written in language \"%s\".", name),
			 errhint("Accepted languages are: %s (setting pg_workflow.handler_languages).",
					 wf_handler_languages)));
}

/* Whoever owns the function decides what is done in the workflow owner's name. */
static void
check_rights(Oid function, Oid function_owner, Oid owner)
{
	if (!superuser_arg(function_owner) && !is_member_of_role(owner, function_owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function %s can't be a handler", format_procedure(function)),
				 errdetail("It belongs to role \"%s\", the workflow to role \"%s\".",
						   GetUserNameFromId(function_owner, true), GetUserNameFromId(owner, true)),
				 errhint("The function's owner must be the workflow's, a role that one is a member of, or a superuser.")));
	if (object_aclcheck_compat(ProcedureRelationId, function, owner, ACL_EXECUTE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function %s can't be a handler", format_procedure(function)),
				 errdetail("Role \"%s\", which owns the workflow, may not execute it.",
						   GetUserNameFromId(owner, true)),
				 errhint("Grant EXECUTE on the function to that role.")));
}

static void
check_superuser(Oid function, Oid function_owner, Oid owner)
{
	if (!superuser_arg(owner))
		return;
	if (!wf_allow_superuser_workflows)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("workflows of superusers can't have a handler"),
				 errdetail("The owner, role \"%s\", is a superuser, and pg_workflow.allow_superuser_workflows is off.",
						   GetUserNameFromId(owner, true)),
				 errhint("Create the workflow as a role that has just the privileges its handler needs.")));
	if (!superuser_arg(function_owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function %s can't be the handler of a superuser's workflow", format_procedure(function)),
				 errdetail("It belongs to role \"%s\", which is not a superuser and could change it.",
						   GetUserNameFromId(function_owner, true)),
				 errhint("Let a superuser own the function, or a role without superuser the workflow.")));
}

/*
 * An executor logs in as the owner.  Asked only when a handler is set: where
 * LOGIN is taken away later, runs wait until the dispatcher can start one.
 */
static void
check_login(Oid owner)
{
	HeapTuple	tuple;
	bool		may_login;

	if (!WF_LOGIN_NEEDS_CANLOGIN)
		return;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for role %u", owner);
	may_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (!may_login)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("role \"%s\" can't own a workflow with a handler", GetUserNameFromId(owner, false)),
				 errdetail("Handlers run in a process that is logged in as the owner, and this role may not log in."),
				 errhint("Use ALTER ROLE ... LOGIN, or create the workflow as another role.  "
						 "PostgreSQL 17 and later do without.")));
}

static void
refuse_shape(Oid function, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("function %s can't be a handler", format_procedure(function)),
			 errdetail("%s", detail),
			 errhint("A handler is a function (jsonb) that returns jsonb or void, in a permanent schema.")));
}
