/*-------------------------------------------------------------------------
 * shmem.c
 *		What the processes share: its memory, its slots, its wake-ups.
 *
 * Reserved and initialised through core's hooks, in the postmaster; again
 * after a crash of any backend, when all of it starts empty.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "base/audit.h"
#include "base/claim_queue.h"
#include "base/key_filter.h"
#include "base/key_cache.h"
#include "base/shmem.h"
#include "base/waiters.h"

WfShared   *wf_shared = NULL;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void request_memory(void);
static void start_memory(void);
static void initialize(void);
static bool was_shut_down_in_order(void);
static void initialize_database(WfDatabase *database);
static void initialize_executor(WfExecutor *executor);
static void wake_process_of(WfDatabase *database);

void
wf_shmem_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();

	RequestAddinShmemSpace(MAXALIGN(sizeof(WfShared)));
	RequestAddinShmemSpace(wf_audit_shmem_size());
	RequestAddinShmemSpace(wf_waiters_shmem_size());
	RequestAddinShmemSpace(wf_key_filter_shmem_size());
	RequestAddinShmemSpace(wf_key_cache_shmem_size());
	wf_claim_queue_shmem_request();
	RequestNamedLWLockTranche(WF_EXTENSION, 1);
}

static void
start_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	wf_shared = ShmemInitStruct(WF_EXTENSION, sizeof(WfShared), &found);
	if (!found)
		initialize();
	wf_audit_shmem_init();
	wf_waiters_shmem_init();
	wf_key_filter_shmem_init();
	wf_key_cache_shmem_init();
	wf_claim_queue_shmem_init();
	LWLockRelease(AddinShmemInitLock);
}

static void
initialize(void)
{
	LWLockPadded *locks = GetNamedLWLockTranche(WF_EXTENSION);

	memset(wf_shared, 0, sizeof(WfShared));
	wf_shared->lock = &locks[0].lock;
	wf_shared->clean_start = was_shut_down_in_order();
	wf_shared->started = GetCurrentTimestamp();
	ConditionVariableInit(&wf_shared->exits);
	pg_atomic_init_u32(&wf_shared->relist, 0);
	pg_atomic_init_u32(&wf_shared->revisit, 0);
	pg_atomic_init_u64(&wf_shared->clock, 0);
	for (int i = 0; i < WF_SHIFTS; i++)
		pg_atomic_init_u32(&wf_shared->shifts[i], 0);

	for (int i = 0; i < WF_MAX_DATABASES; i++)
		initialize_database(&wf_shared->databases[i]);
	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
		initialize_executor(&wf_shared->executors[i]);
}

/*
 * What the control file says before recovery touches it.  After a crash of a
 * backend we come here again, and it says that the server was running.
 */
static bool
was_shut_down_in_order(void)
{
	bool		crc_ok;
	ControlFileData *control = get_controlfile(DataDir, &crc_ok);
	bool		in_order = crc_ok &&
		(control->state == DB_SHUTDOWNED ||
		 control->state == DB_SHUTDOWNED_IN_RECOVERY);

	pfree(control);
	return in_order;
}

static void
initialize_database(WfDatabase *database)
{
	pg_atomic_init_u32(&database->work, 0);
	pg_atomic_init_u32(&database->reread, 0);
	pg_atomic_init_u32(&database->any_notice, 0);
	pg_atomic_init_u32(&database->moved, 0);
	pg_atomic_init_u32(&database->holding, 0);
	pg_atomic_init_u32(&database->short_of_processes, 0);
	pg_atomic_init_u64(&database->audit_written, 0);
	pg_atomic_init_u32(&database->written, 1);
	SpinLockInit(&database->leases.mutex);
	for (int i = 0; i < WF_NOTICES; i++)
		SpinLockInit(&database->notices[i].mutex);
}

static void
initialize_executor(WfExecutor *executor)
{
	pg_atomic_init_u32(&executor->average_us, 0);
	pg_atomic_init_u32(&executor->stop, WF_STOP_NO);
	pg_atomic_init_u32(&executor->head, 0);
	pg_atomic_init_u32(&executor->tail, 0);
	pg_atomic_init_u32(&executor->refill, 0);
	SpinLockInit(&executor->mutex);
}

WfDatabase *
wf_database_find(Oid dbid)
{
	Assert(LWLockHeldByMe(wf_shared->lock));
	Assert(OidIsValid(dbid));

	for (int i = 0; i < WF_MAX_DATABASES; i++)
		if (wf_shared->databases[i].dbid == dbid)
			return &wf_shared->databases[i];
	return NULL;
}

/* Forget what was posted for the database that had the slot before. */
static void
clear_notices(WfDatabase *database)
{
	for (int i = 0; i < WF_NOTICES; i++)
	{
		WfNotice   *notice = &database->notices[i];

		SpinLockAcquire(&notice->mutex);
		notice->streams = 0;
		SpinLockRelease(&notice->mutex);
	}
	pg_atomic_write_u32(&database->any_notice, 0);
}

WfDatabase *
wf_database_take(Oid dbid)
{
	Assert(LWLockHeldByMeInMode(wf_shared->lock, LW_EXCLUSIVE));
	Assert(wf_database_find(dbid) == NULL);

	for (int i = 0; i < WF_MAX_DATABASES; i++)
	{
		WfDatabase *database = &wf_shared->databases[i];

		if (OidIsValid(database->dbid))
			continue;
		database->generation++;
		database->dispatcher_pid = 0;
		database->dispatcher = NULL;
		database->dispatcher_since = 0;
		database->attached = database->ready = database->in_order = false;
		database->no_extension = database->restart = false;
		database->evicted = 0;
		database->next_start = 0;
		database->failures = 0;
		memset(database->paces, 0, sizeof(database->paces));
		wf_leases_reset(&database->leases);
		pg_atomic_write_u32(&database->work, 0);
		pg_atomic_write_u32(&database->reread, 0);
		pg_atomic_write_u32(&database->moved, 0);
		pg_atomic_write_u32(&database->holding, 0);
		pg_atomic_write_u32(&database->short_of_processes, 0);
		pg_atomic_write_u32(&database->written, 1);
		clear_notices(database);
		database->dbid = dbid;
		return database;
	}
	return NULL;
}

void
wf_database_free(WfDatabase *database)
{
	Assert(LWLockHeldByMeInMode(wf_shared->lock, LW_EXCLUSIVE));
	Assert(database->dispatcher_pid == 0 && database->evicted == 0);

	database->dbid = InvalidOid;
}

WfExecutor *
wf_executor_take(Oid dbid, Oid owner)
{
	Assert(LWLockHeldByMeInMode(wf_shared->lock, LW_EXCLUSIVE));
	Assert(OidIsValid(dbid) && OidIsValid(owner));

	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		WfExecutor *executor = &wf_shared->executors[i];

		if (OidIsValid(executor->dbid))
			continue;
		executor->generation++;
		executor->dbid = dbid;
		executor->owner = owner;
		executor->pid = 0;
		executor->proc = NULL;
		executor->since = GetCurrentTimestamp();
		executor->attached = executor->connected = false;
		executor->refusal[0] = '\0';
		pg_atomic_write_u32(&executor->stop, WF_STOP_NO);
		pg_atomic_write_u32(&executor->head, 0);
		pg_atomic_write_u32(&executor->tail, 0);
		pg_atomic_write_u32(&executor->refill, 0);
		pg_atomic_write_u32(&executor->average_us, 0);
		SpinLockAcquire(&executor->mutex);
		executor->busy = executor->cancel = false;
		executor->begun = 0;
		SpinLockRelease(&executor->mutex);
		return executor;
	}
	return NULL;
}

void
wf_executor_free(WfExecutor *executor)
{
	Assert(LWLockHeldByMeInMode(wf_shared->lock, LW_EXCLUSIVE));
	Assert(executor->pid == 0);

	executor->dbid = InvalidOid;
}

void
wf_executor_stop(WfExecutor *executor, WfStop stop)
{
	uint32		told = pg_atomic_read_u32(&executor->stop);

	Assert(LWLockHeldByMe(wf_shared->lock));

	while (told < stop &&
		   !pg_atomic_compare_exchange_u32(&executor->stop, &told, stop))
		;
	if (executor->proc != NULL)
		SetLatch(&executor->proc->procLatch);
}

/*
 * The slot is looked up once.  Reading dbid and generation without the lock
 * may be wrong while the launcher gives the slot to another database, which
 * is then woken, or told of entries, for nothing.
 */
WfDatabase *
wf_database_mine(void)
{
	static WfDatabase *mine = NULL;
	static uint32 generation = 0;

	if (wf_shared == NULL || !OidIsValid(MyDatabaseId))
		return NULL;
	if (mine != NULL && mine->dbid == MyDatabaseId &&
		mine->generation == generation)
		return mine;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	mine = wf_database_find(MyDatabaseId);
	if (mine != NULL)
		generation = mine->generation;
	LWLockRelease(wf_shared->lock);
	return mine;
}

void
wf_note_writing(void)
{
	WfDatabase *database = wf_database_mine();

	if (database != NULL && pg_atomic_read_u32(&database->written) == 0)
		pg_atomic_write_u32(&database->written, 1);
}

/*
 * While work is set, whoever set it has set the latch, and nobody has begun
 * to look since.  The barrier stands between what the caller has published
 * and the test.  Without a slot, take one: the launcher will see it.
 */
void
wf_wake_dispatcher(void)
{
	WfDatabase *database = wf_database_mine();
	LWLockMode	mode = database != NULL ? LW_SHARED : LW_EXCLUSIVE;

	if (wf_shared == NULL || !OidIsValid(MyDatabaseId))
		return;

	pg_memory_barrier();
	if (database != NULL && pg_atomic_read_u32(&database->work) != 0)
		return;

	LWLockAcquire(wf_shared->lock, mode);
	database = wf_database_find(MyDatabaseId);
	if (database == NULL && mode == LW_EXCLUSIVE)
		database = wf_database_take(MyDatabaseId);
	if (database != NULL)
		wake_process_of(database);
	else
		pg_atomic_write_u32(&wf_shared->revisit, 1);
	LWLockRelease(wf_shared->lock);
}

static void
wake_process_of(WfDatabase *database)
{
	PGPROC	   *proc = database->dispatcher ? database->dispatcher : wf_shared->launcher;

	Assert(LWLockHeldByMe(wf_shared->lock));

	pg_atomic_write_u32(&database->work, 1);
	pg_memory_barrier();
	if (proc != NULL)
		SetLatch(&proc->procLatch);
}

void
wf_wake_launcher(void)
{
	if (wf_shared == NULL)
		return;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	if (wf_shared->launcher != NULL)
		SetLatch(&wf_shared->launcher->procLatch);
	LWLockRelease(wf_shared->lock);
}
