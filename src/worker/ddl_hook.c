/*-------------------------------------------------------------------------
 * ddl_hook.c
 *		Statements that our processes have to make way for, or hear of.
 *
 * On a database: the processes in it leave first and stay away until the
 * transaction ends, whatever becomes of it; asked for only where the caller's
 * rights suffice for the statement.  What others are to hear of is told after
 * commit, and after the invalidation messages have been sent: whoever wakes
 * up earlier finds nothing changed.  The statement itself is never changed,
 * nor any error of it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "base/claim_queue.h"
#include "base/compat.h"
#include "base/leases.h"
#include "base/shmem.h"
#include "worker/ddl_hook.h"
#include "worker/evict.h"

static ProcessUtility_hook_type previous_hook = NULL;
static bool callbacks_registered = false;
static bool committed = false;	/* and not told yet */

/* what this transaction tells after commit */
static bool databases_changed = false;
static bool extension_changed = false;
static bool settings_changed = false;
static Oid	settings_database;	/* InvalidOid: of all */
static Oid	settings_role;

static void process_utility(PlannedStmt *pstmt, const char *queryString,
							bool readOnlyTree, ProcessUtilityContext context,
							ParamListInfo params, QueryEnvironment *queryEnv,
							DestReceiver *dest, QueryCompletion *qc);
static void prepare(Node *statement);
static void at_transaction_end(XactEvent event, void *arg);
static void after_commit(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg);

void
wf_ddl_hook_init(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

static bool
ends_prepared_transaction(Node *statement)
{
	TransactionStmtKind kind;

	if (!IsA(statement, TransactionStmt))
		return false;
	kind = ((TransactionStmt *) statement)->kind;
	return kind == TRANS_STMT_COMMIT_PREPARED || kind == TRANS_STMT_ROLLBACK_PREPARED;
}

/* The parse tree may be gone once the statement has been executed. */
static void
process_utility(PlannedStmt *pstmt, const char *queryString,
				bool readOnlyTree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *queryEnv,
				DestReceiver *dest, QueryCompletion *qc)
{
	bool		prepared = ends_prepared_transaction(pstmt->utilityStmt);
	WfDatabase *mine;

	prepare(pstmt->utilityStmt);

	if (previous_hook)
		previous_hook(pstmt, queryString, readOnlyTree, context, params,
					  queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context,
								params, queryEnv, dest, qc);

	if (prepared)
	{
		wf_claim_queues_forget();
		wf_leases_forget();
	}
	if (prepared && (mine = wf_database_mine()) != NULL)
	{
		pg_atomic_write_u32(&mine->reread, 1);
		pg_atomic_write_u32(&mine->moved, 1);
		wf_wake_dispatcher();
	}
}

static void
register_callbacks(void)
{
	if (callbacks_registered)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterResourceReleaseCallback(after_commit, NULL);
	callbacks_registered = true;
}

/* Have our processes leave a database, if the caller might do as much. */
static void
clear_database(const char *name, bool allowed_to_others, bool by_force)
{
	Oid			dbid = name != NULL ? get_database_oid(name, true) : InvalidOid;

	register_callbacks();
	databases_changed = true;
	if (OidIsValid(dbid) && dbid != MyDatabaseId &&
		(allowed_to_others || database_ownercheck_compat(dbid, GetUserId())))
		wf_evict(dbid, by_force);
}

static void
before_drop_database(DropdbStmt *statement)
{
	ListCell   *cell;
	bool		by_force = false;

	foreach(cell, statement->options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "force") == 0)
			by_force = true;
	}
	clear_database(statement->dbname, false, by_force);
}

static bool
may_create_databases(void)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	bool		may = superuser();

	if (HeapTupleIsValid(tuple))
	{
		may |= ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	return may;
}

static bool
is_template(const char *name)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID,
										ObjectIdGetDatum(get_database_oid(name, true)));
	bool		is = false;

	if (HeapTupleIsValid(tuple))
	{
		is = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return is;
}

static void
before_create_database(CreatedbStmt *statement)
{
	const char *source = "template1";
	ListCell   *cell;

	foreach(cell, statement->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			source = defGetString(option);
	}
	if (may_create_databases())
		clear_database(source, is_template(source), false);
}

/* Connections or the template flag may have changed, or the tablespace will. */
static void
before_alter_database(AlterDatabaseStmt *statement)
{
	ListCell   *cell;
	bool		moves = false;

	foreach(cell, statement->options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0)
			moves = true;
	}
	clear_database(moves ? statement->dbname : NULL, false, false);
}

static void
note_extension(const char *name)
{
	if (strcmp(name, WF_EXTENSION) != 0)
		return;
	register_callbacks();
	extension_changed = true;
}

/* Settings of two kinds in one transaction: take it for all. */
static void
note_settings(Oid dbid, Oid role)
{
	register_callbacks();
	settings_database = settings_changed ? InvalidOid : dbid;
	settings_role = settings_changed ? InvalidOid : role;
	settings_changed = true;
}

static void
before_alter_role_set(AlterRoleSetStmt *statement)
{
	note_settings(statement->database ? get_database_oid(statement->database, true) : InvalidOid,
				  statement->role ? get_rolespec_oid(statement->role, true) : InvalidOid);
}

/* What a role may as a superuser is fixed when it logs in. */
static void
before_alter_role(AlterRoleStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "superuser") == 0)
			note_settings(InvalidOid, get_rolespec_oid(statement->role, true));
	}
}

static void
prepare(Node *statement)
{
	ListCell   *cell;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			before_drop_database((DropdbStmt *) statement);
			break;
		case T_CreatedbStmt:
			before_create_database((CreatedbStmt *) statement);
			break;
		case T_AlterDatabaseStmt:
			before_alter_database((AlterDatabaseStmt *) statement);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				clear_database(((RenameStmt *) statement)->subname, false, false);
			break;
		case T_AlterDatabaseSetStmt:
			note_settings(get_database_oid(((AlterDatabaseSetStmt *) statement)->dbname, true),
						  InvalidOid);
			break;
		case T_AlterRoleSetStmt:
			before_alter_role_set((AlterRoleSetStmt *) statement);
			break;
		case T_AlterRoleStmt:
			before_alter_role((AlterRoleStmt *) statement);
			break;
		case T_CreateExtensionStmt:
			note_extension(((CreateExtensionStmt *) statement)->extname);
			break;
		case T_AlterExtensionStmt:
			note_extension(((AlterExtensionStmt *) statement)->extname);
			break;
		case T_DropStmt:
			if (((DropStmt *) statement)->removeType != OBJECT_EXTENSION)
				break;
			foreach(cell, ((DropStmt *) statement)->objects)
				note_extension(strVal(lfirst(cell)));
			break;
		default:
			break;
	}
}

/* Whatever kept the dispatcher from starting may be over. */
static void
tell_of_extension(void)
{
	WfDatabase *database;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	database = wf_database_find(MyDatabaseId);
	if (database != NULL)
	{
		database->failures = 0;
		database->next_start = 0;
	}
	LWLockRelease(wf_shared->lock);
	wf_wake_dispatcher();
}

/* Processes read the settings of databases and roles when they log in. */
static void
tell_of_settings(void)
{
	bool		dispatchers = !OidIsValid(settings_role) ||
		settings_role == BOOTSTRAP_SUPERUSERID;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WF_MAX_DATABASES; i++)
	{
		WfDatabase *database = &wf_shared->databases[i];

		if (!dispatchers || database->dispatcher == NULL ||
			(OidIsValid(settings_database) && database->dbid != settings_database))
			continue;
		database->restart = true;
		SetLatch(&database->dispatcher->procLatch);
	}
	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		WfExecutor *executor = &wf_shared->executors[i];

		if (executor->pid != 0 &&
			(!OidIsValid(settings_database) || executor->dbid == settings_database) &&
			(!OidIsValid(settings_role) || executor->owner == settings_role))
			wf_executor_stop(executor, WF_STOP_WHEN_EMPTY);
	}
	LWLockRelease(wf_shared->lock);
}

static void
forget(void)
{
	databases_changed = extension_changed = settings_changed = false;
	committed = false;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		committed = true;
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		wf_evict_end();
		forget();
	}
}

static void
after_commit(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg)
{
	if (!committed || !isTopLevel || phase != RESOURCE_RELEASE_AFTER_LOCKS)
		return;

	wf_evict_end();
	if (extension_changed)
		tell_of_extension();
	if (settings_changed)
		tell_of_settings();
	if (databases_changed)
	{
		pg_atomic_write_u32(&wf_shared->relist, 1);
		wf_wake_launcher();
	}
	forget();
}
