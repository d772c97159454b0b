/*-------------------------------------------------------------------------
 * inspect.c
 *		wf_workers: our processes, as shared memory shows them.
 *
 * Without preload there are none.  What an executor of another database is at
 * is that database's: numbers of workflows mean nothing here.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/shmem.h"
#include "ops/access.h"

typedef struct Worker
{
	pid_t		pid;
	const char *kind;
	Oid			dbid;			/* InvalidOid: none */
	Oid			owner;			/* InvalidOid: none */
	bool		busy;
	int32		workflow_id;
	pg_uuid_t	run_id;
	TimestampTz since;
} Worker;

#define MAX_WORKERS (1 + WF_MAX_DATABASES + WF_MAX_EXECUTORS)

static int	collect(Worker *workers);
static void collect_dispatcher(WfDatabase *database, Worker *worker);
static void collect_executor(WfExecutor *executor, Worker *worker);
static void put_worker(ReturnSetInfo *rsinfo, const Worker *worker);

PG_FUNCTION_INFO_V1(wf_workers);

/* wf_workers lists launcher, dispatchers and executors. */
Datum
wf_workers(PG_FUNCTION_ARGS)
{
	Worker	   *workers = palloc0(MAX_WORKERS * sizeof(Worker));
	int			n = wf_shared != NULL ? collect(workers) : 0;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < n; i++)
		put_worker((ReturnSetInfo *) fcinfo->resultinfo, &workers[i]);
	return (Datum) 0;
}

/* Copied under the lock, so that all of it is of one moment. */
static int
collect(Worker *workers)
{
	int			n = 0;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	if (wf_shared->launcher_pid != 0)
	{
		workers[n].pid = wf_shared->launcher_pid;
		workers[n].kind = "launcher";
		workers[n].since = wf_shared->launcher_since;
		n++;
	}
	for (int i = 0; i < WF_MAX_DATABASES; i++)
	{
		if (wf_shared->databases[i].dispatcher_pid != 0)
			collect_dispatcher(&wf_shared->databases[i], &workers[n++]);
	}
	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		if (wf_shared->executors[i].pid != 0)
			collect_executor(&wf_shared->executors[i], &workers[n++]);
	}
	LWLockRelease(wf_shared->lock);
	return n;
}

static void
collect_dispatcher(WfDatabase *database, Worker *worker)
{
	worker->pid = database->dispatcher_pid;
	worker->kind = "dispatcher";
	worker->dbid = database->dbid;
	worker->since = database->dispatcher_since;
}

/* since: of the run, or of the process where it executes none. */
static void
collect_executor(WfExecutor *executor, Worker *worker)
{
	worker->pid = executor->pid;
	worker->kind = "executor";
	worker->dbid = executor->dbid;
	worker->owner = executor->owner;
	worker->since = executor->since;

	SpinLockAcquire(&executor->mutex);
	if (executor->busy)
	{
		worker->busy = executor->dbid == MyDatabaseId;
		worker->workflow_id = executor->current.workflow_id;
		worker->run_id = executor->current.run_id;
		worker->since = executor->current.begun_at;
	}
	SpinLockRelease(&executor->mutex);
}

/*
 * Show a process, if the caller may know of it: an executor to those who have
 * its role or may read the run that it is at.  The view calls this as its
 * caller, so it is decided here.
 */
static void
put_worker(ReturnSetInfo *rsinfo, const Worker *worker)
{
	bool		readable = worker->busy && wf_workflow_readable(worker->workflow_id);
	char	   *database = OidIsValid(worker->dbid) ? get_database_name(worker->dbid) : NULL;
	Datum		values[7] = {0};
	bool		nulls[7] = {0};

	if (OidIsValid(worker->owner) && !readable &&
		!has_privs_of_role(GetUserId(), worker->owner))
		return;
	values[0] = Int32GetDatum(worker->pid);
	values[1] = CStringGetTextDatum(worker->kind);
	if (database != NULL)
		values[2] = CStringGetTextDatum(database);
	values[3] = ObjectIdGetDatum(worker->owner);
	values[4] = Int32GetDatum(worker->workflow_id);
	values[5] = UUIDPGetDatum(&worker->run_id);
	values[6] = TimestampTzGetDatum(worker->since);

	nulls[2] = database == NULL;
	nulls[3] = !OidIsValid(worker->owner);
	nulls[4] = nulls[5] = !readable;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
