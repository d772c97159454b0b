/*-------------------------------------------------------------------------
 * workflow.c
 *		Create, alter, drop, pause and resume workflows.
 *
 * Of two who create the same name, one waits for the other in the unique
 * index.  Changes of an existing workflow hold its row's lock.  The
 * dispatcher is told after commit.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "base/wakeup.h"
#include "ops/access.h"
#include "ops/handler.h"
#include "ops/queue.h"
#include "ops/settings.h"
#include "ops/workflow.h"
#include "store/relations.h"

PG_FUNCTION_INFO_V1(wf_create_workflow);
PG_FUNCTION_INFO_V1(wf_alter_workflow);
PG_FUNCTION_INFO_V1(wf_drop_workflow);
PG_FUNCTION_INFO_V1(wf_pause);
PG_FUNCTION_INFO_V1(wf_resume);
PG_FUNCTION_INFO_V1(wf_definitions_changed);

/* positions of the arguments that both wf_create and wf_alter_workflow have */
#define ARG_NAME 0
#define ARG_HANDLER 1
#define ARG_SETTINGS 2
#define ARG_ON_EXISTS (ARG_SETTINGS + WF_SETTINGS)	/* create */
#define ARG_OWNER (ARG_SETTINGS + WF_SETTINGS)	/* alter */

static char *read_new_name(FunctionCallInfo fcinfo);
static const WfWorkflow *lock_by_argument(FunctionCallInfo fcinfo, int privilege);
static void set_handler(WfWorkflowChange *change, Oid function, Oid owner);
static bool create_new(const char *name, WfWorkflowChange *change, Oid handler);
static void alter_existing(const char *name, WfWorkflowChange *change, Oid handler);
static void refuse_existing(const char *name) pg_attribute_noreturn();
static Oid	read_owner(FunctionCallInfo fcinfo, const WfWorkflow *w);
static void require_owner(const WfWorkflow *w);
static void set_paused(FunctionCallInfo fcinfo, bool paused);

/*
 * wf_create_workflow(name, handler, settings..., on_exists)
 */
Datum
wf_create_workflow(PG_FUNCTION_ARGS)
{
	WfWorkflowChange change = {0};
	char	   *name;
	Oid			handler;
	bool		may_exist;

	PreventCommandIfReadOnly("wf_create_workflow()");
	name = read_new_name(fcinfo);
	handler = PG_ARGISNULL(ARG_HANDLER) ? InvalidOid : PG_GETARG_OID(ARG_HANDLER);
	wf_settings_read(fcinfo, ARG_SETTINGS, true, &change);
	if (PG_ARGISNULL(ARG_ON_EXISTS))
		wf_refuse_null("on_exists");
	may_exist = wf_word_require("on_exists", PG_GETARG_TEXT_PP(ARG_ON_EXISTS), "error alter") == 1;
	wf_adopted_require();

	if (!create_new(name, &change, handler))
	{
		if (!may_exist)
			refuse_existing(name);
		alter_existing(name, &change, handler);
	}
	wf_wake_at_commit();
	PG_RETURN_VOID();
}

/*
 * wf_alter_workflow(name, handler, settings..., owner): what is null stays.
 */
Datum
wf_alter_workflow(PG_FUNCTION_ARGS)
{
	WfWorkflowChange change = {0};
	const WfWorkflow *found;
	WfWorkflow	workflow;

	PreventCommandIfReadOnly("wf_alter_workflow()");
	wf_settings_read(fcinfo, ARG_SETTINGS, false, &change);
	found = lock_by_argument(fcinfo, WF_MAY_OWN);
	workflow = *found;

	change.owner = read_owner(fcinfo, &workflow);
	if (!PG_ARGISNULL(ARG_HANDLER))
	{
		if (OidIsValid(PG_GETARG_OID(ARG_HANDLER)) && !OidIsValid(change.owner))
			require_owner(&workflow);
		set_handler(&change, PG_GETARG_OID(ARG_HANDLER), change.owner);
	}
	else if (workflow.has_handler && change.owner != workflow.owner)
		wf_handler_check_present(&workflow, change.owner);

	wf_workflow_update(workflow.id, &change);
	wf_wake_at_commit();
	PG_RETURN_VOID();
}

/*
 * wf_drop_workflow(name, force): its unfinished runs refuse that, or are
 * cancelled.  The row stays, without its name, while runs of it are stored.
 */
Datum
wf_drop_workflow(PG_FUNCTION_ARGS)
{
	const WfWorkflow *w;
	int32		id;

	PreventCommandIfReadOnly("wf_drop_workflow()");
	if (PG_ARGISNULL(1))
		wf_refuse_null("force");
	w = lock_by_argument(fcinfo, WF_MAY_OWN);
	id = w->id;

	/* dropped first, so that nobody who looks from here on enqueues */
	wf_workflow_set_dropped(id, wf_clock_now());
	if (PG_GETARG_BOOL(1))
		wf_queue_cancel_all(id, "the workflow was dropped");
	else if (wf_queue_has_unfinished(id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("workflow \"%s\" has unfinished runs", text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME))),
				 errdetail("Some of its runs are queued or running."),
				 errhint("Wait for them, or cancel them with wf_drop_workflow(..., force => true).")));
	wf_wake_at_commit();
	PG_RETURN_VOID();
}

/*
 * wf_pause(name): enqueueing goes on, nothing starts.
 */
Datum
wf_pause(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("wf_pause()");
	set_paused(fcinfo, true);
	PG_RETURN_VOID();
}

/*
 * wf_resume(name)
 */
Datum
wf_resume(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("wf_resume()");
	set_paused(fcinfo, false);
	PG_RETURN_VOID();
}

/*
 * wf.definitions_changed(): trigger of the tables that definitions are read
 * from.  Our own changes tell by themselves; these are the rows of a dump.  A
 * transaction that has written nothing has not changed any.
 */
Datum
wf_definitions_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by a trigger", "wf.definitions_changed")));
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()) && wf_relations_if_any() != NULL)
		wf_workflow_changed();
	PG_RETURN_POINTER(NULL);
}

static void
set_paused(FunctionCallInfo fcinfo, bool paused)
{
	const WfWorkflow *w = lock_by_argument(fcinfo, WF_MAY_OPERATE);

	if (w->paused == paused)
		return;
	wf_workflow_set_paused(w->id, paused);
	wf_wake_at_commit();
}

static char *
read_new_name(FunctionCallInfo fcinfo)
{
	char	   *name;
	int			length;

	if (PG_ARGISNULL(ARG_NAME))
		wf_refuse_null("name");
	name = text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME));
	length = strlen(name);
	if (length < 1 || length > WF_MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"name\""),
				 errdetail("It has %d bytes.", length),
				 errhint("Accepted are names of 1 to %d bytes.", WF_MAX_NAME)));
	return name;
}

static const WfWorkflow *
lock_by_argument(FunctionCallInfo fcinfo, int privilege)
{
	text	   *name;

	if (PG_ARGISNULL(ARG_NAME))
		wf_refuse_null("name");
	name = PG_GETARG_TEXT_PP(ARG_NAME);
	return wf_workflow_require_locked(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), privilege);
}

/* InvalidOid, which '-' is read as: no handler. */
static void
set_handler(WfWorkflowChange *change, Oid function, Oid owner)
{
	change->has_handler = true;
	change->handler_schema = NULL;
	change->handler_name = NULL;
	if (!OidIsValid(function))
		return;
	wf_handler_check(function, owner);
	change->handler_schema = get_namespace_name(get_func_namespace(function));
	change->handler_name = get_func_name(function);
}

/* The workflow will be the caller's.  False: the name is taken. */
static bool
create_new(const char *name, WfWorkflowChange *change, Oid handler)
{
	if (wf_workflow_by_name(name, strlen(name)) != NULL)
		return false;
	change->owner = GetUserId();
	set_handler(change, handler, change->owner);
	return wf_workflow_insert(name, change) != 0;
}

/* on_exists => 'alter': it gets the settings that it would have been made with. */
static void
alter_existing(const char *name, WfWorkflowChange *change, Oid handler)
{
	const WfWorkflow *w = wf_workflow_by_name(name, strlen(name));
	int32		id;

	/* to whom may not know of it, it is just a name that is taken */
	if (w == NULL || wf_workflow_rights(w) == 0)
		refuse_existing(name);
	w = wf_workflow_require_locked(name, strlen(name), WF_MAY_OWN);
	require_owner(w);
	id = w->id;
	change->owner = w->owner;
	set_handler(change, handler, change->owner);
	wf_workflow_update(id, change);
}

static void
refuse_existing(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("workflow \"%s\" already exists", name),
			 errdetail("Names of workflows are unique within a database."),
			 errhint("Change it with wf_alter_workflow() or on_exists => 'alter' if it is yours, or choose another name.")));
}

/* The owner given, which only an administrator may, or the present one. */
static Oid
read_owner(FunctionCallInfo fcinfo, const WfWorkflow *w)
{
	Oid			owner;

	if (PG_ARGISNULL(ARG_OWNER))
		return w->owner;
	owner = PG_GETARG_OID(ARG_OWNER);
	wf_administrator_require("hand over a workflow");
	wf_adopted_require();
	wf_role_require(owner);

	/* or else an administrator could have his payloads run as one */
	if (superuser_arg(owner) && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to hand over a workflow to a superuser"),
				 errdetail("Role \"%s\" is a superuser, and role \"%s\" is not.",
						   GetUserNameFromId(owner, false), GetUserNameFromId(GetUserId(), false)),
				 errhint("Let a superuser do it, or name a role without superuser.")));
	return owner;
}

static void
require_owner(const WfWorkflow *w)
{
	if (OidIsValid(w->owner))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("workflow \"%s\" has no owner", w->name),
			 errdetail("Its owner was role \"%s\".", NameStr(w->owner_name)),
			 errhint("An administrator can hand it over with wf_alter_workflow(name, owner => role).")));
}

static void
wake(const void *arg)
{
	wf_wake_dispatcher();
}

void
wf_wake_at_commit(void)
{
	char		nothing = 0;

	if (wf_shared != NULL)
		wf_at_commit(wake, &nothing, sizeof(nothing));
}
