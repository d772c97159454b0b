/*-------------------------------------------------------------------------
 * access.c
 *		Who may do what: the first question of every call.
 *
 * The rights on a workflow are its owner's, who has them all, and those that
 * were granted; administrators have them all on every workflow.  Whoever has
 * none at all on a workflow gets the answer that he would get if it did not
 * exist, word for word.  What was found out last is remembered, since a
 * caller mostly asks the same question again.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "ops/access.h"
#include "store/installation.h"
#include "store/relations.h"
#include "store/workflow_sql.h"

/* counts the changes of functions, roles and memberships */
static uint64 catalog_changes = 1;
static bool callbacks_registered = false;

/* the role that was last asked about, good until the next such change */
static struct
{
	uint64		changes;		/* 0: none */
	Oid			role;
	bool		answer;
}			administrator;

/* the rights that were last looked up, good until definitions change too */
static struct
{
	uint64		changes;		/* 0: none */
	uint64		epoch;
	int32		workflow_id;
	Oid			role;
	int			rights;
}			last;

static void catalog_changed(Datum arg, int cacheid, uint32 hashvalue);
static bool may_execute_adopt(Oid role);
static int	rights_of_present(const WfWorkflow *w, uint64 epoch);
static void refuse_unknown(const char *name, int length) pg_attribute_noreturn();
static void refuse(const WfWorkflow *w, int privilege) pg_attribute_noreturn();

bool
wf_is_administrator(Oid role)
{
	uint64		changes = catalog_changes;
	bool		answer;

	if (administrator.changes == changes && administrator.role == role)
		return administrator.answer;

	if (!callbacks_registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, catalog_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHOID, catalog_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, catalog_changed, (Datum) 0);
		callbacks_registered = true;
	}
	answer = superuser_arg(role) || may_execute_adopt(role);

	/* a change that came in meanwhile has made the answer old already */
	administrator.changes = changes;
	administrator.role = role;
	administrator.answer = answer;
	return answer;
}

/* syscache callback */
static void
catalog_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	catalog_changes++;
}

static bool
may_execute_adopt(Oid role)
{
	oidvector  *no_arguments = buildoidvector(NULL, 0);
	Oid			function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
										   CStringGetDatum("wf_adopt"),
										   PointerGetDatum(no_arguments),
										   ObjectIdGetDatum(wf_relations()->functions));

	return OidIsValid(function) &&
		object_aclcheck_compat(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
}

int
wf_workflow_rights(const WfWorkflow *w)
{
	Oid			role = GetUserId();

	if (last.changes == catalog_changes && last.epoch == wf_workflow_epoch() &&
		last.workflow_id == w->id && last.role == role)
		return last.rights;
	if (wf_is_administrator(role))
		return WF_MAY_ALL | WF_MAY_OWN;
	return wf_workflow_privileges(w, role);
}

bool
wf_workflow_readable(int32 id)
{
	const WfWorkflow *workflow = wf_workflow_by_id(id);

	return workflow != NULL && (wf_workflow_rights(workflow) & WF_MAY_READ) != 0;
}

void
wf_workflow_check(const WfWorkflow *w, int privilege)
{
	if ((wf_workflow_rights(w) & privilege) == 0)
		refuse(w, privilege);
}

const WfWorkflow *
wf_workflow_require(const char *name, int length, int privilege)
{
	uint64		epoch;
	const WfWorkflow *w;
	int			rights;

	/*
	 * Within a transaction that has its locks already, nothing else would
	 * bring the news of a REVOKE.  It costs next to nothing without news.
	 */
	AcceptInvalidationMessages();
	epoch = wf_workflow_epoch();
	w = wf_workflow_by_name(name, length);
	rights = w == NULL ? 0 : rights_of_present(w, epoch);
	if (rights == 0)
		refuse_unknown(name, length);
	if ((rights & privilege) == 0)
		refuse(w, privilege);
	return w;
}

const WfWorkflow *
wf_workflow_require_id(int32 id, int privilege)
{
	uint64		epoch;
	const WfWorkflow *w;
	int			rights;

	AcceptInvalidationMessages();
	epoch = wf_workflow_epoch();
	w = wf_workflow_by_id(id);
	rights = w == NULL ? 0 : rights_of_present(w, epoch);
	if (rights == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("workflow number %d does not exist", id),
				 errdetail("There is none of this number that role \"%s\" has a privilege on.",
						   GetUserNameFromId(GetUserId(), false)),
				 errhint("Ask its owner for wf_grant().")));
	if ((rights & privilege) == 0)
		refuse(w, privilege);
	return w;
}

/*
 * Rights are remembered here only, where the definition is known to be the
 * present one; elsewhere it may be a copy made a while ago.
 */
static int
rights_of_present(const WfWorkflow *w, uint64 epoch)
{
	uint64		changes = catalog_changes;
	int			rights = wf_workflow_rights(w);

	last.changes = changes;
	last.epoch = epoch;
	last.workflow_id = w->id;
	last.role = GetUserId();
	last.rights = rights;
	return rights;
}

/*
 * Rights are checked before the lock, which may have to be waited for, and
 * again after it, since whoever had it may have changed or dropped the
 * workflow, or put another one in its place.
 */
const WfWorkflow *
wf_workflow_require_locked(const char *name, int length, int privilege)
{
	const WfWorkflow *w = wf_workflow_require(name, length, privilege);

	for (;;)
	{
		int32		id = w->id;
		bool		locked = wf_workflow_lock(id);

		w = wf_workflow_require(name, length, privilege);
		if (locked && w->id == id)
			return w;
		if (IsolationUsesXactSnapshot())
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to a concurrent change of workflow \"%s\"",
							w->name),
					 errdetail("The workflow was created or replaced after this transaction's snapshot was taken."),
					 errhint("Retry the transaction.")));
		CHECK_FOR_INTERRUPTS();
	}
}

static void
refuse_unknown(const char *name, int length)
{
	int			shown = pg_mbcliplen(name, length, WF_MAX_NAME);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("workflow \"%.*s\" does not exist", shown, name),
			 errdetail("There is none of this name that role \"%s\" has a privilege on.",
					   GetUserNameFromId(GetUserId(), false)),
			 wf_installation_identity() == WF_IDENTITY_FOREIGN ?
			 errhint("This copy of the database has not been adopted, so nobody owns its workflows: "
					 "an administrator can run wf_adopt().") :
			 errhint("Create it with wf_create_workflow(), or ask its owner for wf_grant().")));
}

static void
refuse(const WfWorkflow *w, int privilege)
{
	const char *role = GetUserNameFromId(GetUserId(), false);
	const char *word = NULL;

	for (int i = 0; i < WF_PRIVILEGES && word == NULL; i++)
		if (privilege & (1 << i))
			word = wf_privilege_names[i];

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for workflow \"%s\"", w->name),
			 word == NULL ?
			 errdetail("Role \"%s\" is neither its owner, nor a member of its owner, nor an administrator.", role) :
			 errdetail("Role \"%s\" lacks the privilege \"%s\" on it.", role, word),
			 word == NULL ?
			 errhint("Ask its owner, role \"%s\", or an administrator to do it.", NameStr(w->owner_name)) :
			 errhint("Its owner, role \"%s\", or an administrator can grant it with wf_grant().",
					 NameStr(w->owner_name))));
}

void
wf_administrator_require(const char *what)
{
	if (wf_is_administrator(GetUserId()))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to %s", what),
			 errdetail("Role \"%s\" is not an administrator of %s.",
					   GetUserNameFromId(GetUserId(), false), WF_EXTENSION),
			 errhint("Administrators are superusers and roles with EXECUTE on wf_adopt().")));
}

void
wf_adopted_require(void)
{
	if (wf_installation_identity() != WF_IDENTITY_FOREIGN)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("this copy of the database has not been adopted"),
			 errdetail("Its workflows were made on another server, where roles had other OIDs."),
			 errhint("An administrator can run wf_adopt() once it is sure that the original does not go on.")));
}

void
wf_role_require(Oid role)
{
	if (!OidIsValid(role))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument of type regrole"),
				 errdetail("It is \"-\"."),
				 errhint("Name a role; only wf_grant() and wf_revoke() accept \"-\", for PUBLIC.")));
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", role),
				 errdetail("A number was passed for the role, and none has it."),
				 errhint("Pass the name of a role, as in 'alice'.")));
}
