/*-------------------------------------------------------------------------
 * launcher.c
 *		The launcher: one dispatcher for each database that has the extension.
 *
 * Goes by the list of databases and the slots, nothing else.  Every database
 * of the list gets a slot and a first visit by a dispatcher; where that finds no extension, the slot is given back, and the
 * database left alone until CREATE EXTENSION takes a slot for it again.
 * Dispatchers that end before their time come back with growing delays.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/shmem.h"
#include "worker/databases.h"
#include "worker/dispatcher.h"
#include "worker/launcher.h"
#include "worker/loop.h"

#define LIST_INTERVAL	(60 * USECS_PER_SEC)	/* look at pg_database anyway */
#define RESTART_FIRST	(100 * INT64CONST(1000))	/* after an early end,
													 * doubling ... */
#define RESTART_LAST	(60 * USECS_PER_SEC)	/* ... up to this */
#define EARLY			(60 * USECS_PER_SEC)	/* an end before this counts */
#define SHORTAGE_DELAY	(5 * USECS_PER_SEC) /* when no process is to be had */
#define SILENCE			(600 * USECS_PER_SEC)	/* between two complaints */
#define MAX_STARTING	4		/* visits at a time */

static TimestampTz list_at = 0;
static bool unvisited = false;	/* some listed database may lack a slot */

static BackgroundWorkerHandle *handles[WF_MAX_DATABASES];
static TimestampTz shortage_until = 0;

static void attach(void);
static void detach(int code, Datum arg);
static void list_if_due(TimestampTz now);
static void free_orphans(void);
static void take_slots(void);
static bool all_ready(void);
static TimestampTz tend_all(TimestampTz now);
static int	count_starting(void);
static TimestampTz tend(int slot, TimestampTz now, int *starting);
static void tell_of_shortage(TimestampTz now);
static void note_end(int slot, TimestampTz now);
static void give_back(WfDatabase *database);
static bool is_due(TimestampTz time, TimestampTz now, int64 longest);

void
wf_launcher_register(void)
{
	BackgroundWorker worker = {
		.bgw_name = "pg_workflow launcher",
		.bgw_type = "pg_workflow launcher",
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = 1,
		.bgw_library_name = WF_EXTENSION,
		.bgw_function_name = "wf_launcher_main"
	};

	if (!IsBinaryUpgrade)
		RegisterBackgroundWorker(&worker);
}

/* Ends with 1 when told to, so that the postmaster starts it again. */
void
wf_launcher_main(Datum arg)
{
	wf_loop_begin(1);
	attach();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	wf_loop_pin_settings();

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz next;

		wf_loop_absorb_interrupts();
		list_if_due(now);
		if (unvisited)
			take_slots();
		next = Min(tend_all(now), list_at);
		wf_loop_sleep(unvisited ? 0 : Max(next - now + 999, 0) / 1000);
	}
}

static void
attach(void)
{
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	wf_shared->launcher = MyProc;
	wf_shared->launcher_pid = MyProcPid;
	wf_shared->launcher_since = GetCurrentTimestamp();
	on_shmem_exit(detach, 0);
	LWLockRelease(wf_shared->lock);
}

static void
detach(int code, Datum arg)
{
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	wf_shared->launcher = NULL;
	wf_shared->launcher_pid = 0;
	LWLockRelease(wf_shared->lock);
}

/* A database that found no slot has all of them visited again, but not soon. */
static void
list_if_due(TimestampTz now)
{
	bool		asked = pg_atomic_exchange_u32(&wf_shared->relist, 0) != 0;

	if (!asked && !is_due(list_at, now, LIST_INTERVAL))
		return;
	list_at = now + LIST_INTERVAL;
	wf_databases_list(pg_atomic_exchange_u32(&wf_shared->revisit, 0) != 0);
	free_orphans();
	unvisited = true;
}

/*
 * Executors' slots are their dispatcher's to free.  Where the database has
 * none any more, they are ours.
 */
static void
free_orphans(void)
{
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WF_MAX_EXECUTORS; i++)
	{
		WfExecutor *executor = &wf_shared->executors[i];

		if (OidIsValid(executor->dbid) && executor->pid == 0 &&
			(executor->attached || now - executor->since > LIST_INTERVAL) &&
			wf_database_find(executor->dbid) == NULL)
			wf_executor_free(executor);
	}
	LWLockRelease(wf_shared->lock);
}

/* Too few slots are no news while some are taken for a first visit only. */
static void
take_slots(void)
{
	static bool told = false;

	unvisited = false;
	if (wf_databases_take_slots() || told || !all_ready())
		return;
	told = true;
	ereport(LOG,
			(errmsg("pg_workflow serves %d databases at most, there are more",
					WF_MAX_DATABASES)));
}

static bool
all_ready(void)
{
	bool		all = true;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	for (int slot = 0; slot < WF_MAX_DATABASES; slot++)
		all &= wf_shared->databases[slot].ready;
	LWLockRelease(wf_shared->lock);
	return all;
}

/* Returns when to look again at the latest. */
static TimestampTz
tend_all(TimestampTz now)
{
	TimestampTz next = DT_NOEND;
	int			starting = count_starting();

	for (int slot = 0; slot < WF_MAX_DATABASES; slot++)
		next = Min(next, tend(slot, now, &starting));
	return next;
}

/* How many have been asked for and have not found out where they are? */
static int
count_starting(void)
{
	int			n = 0;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	for (int slot = 0; slot < WF_MAX_DATABASES; slot++)
		n += (handles[slot] != NULL && !wf_shared->databases[slot].ready);
	LWLockRelease(wf_shared->lock);
	return n;
}

/* What a slot asks for. */
typedef enum Verdict
{
	LEAVE,
	LATER,
	START
} Verdict;

/*
 * Look at a slot, note what has ended, give it back if nobody wants it.
 * Whoever ends an eviction, or sets work, wakes us.
 */
static Verdict
judge(int slot, TimestampTz now)
{
	WfDatabase *database = &wf_shared->databases[slot];
	pid_t		pid;
	bool		stopped = handles[slot] != NULL &&
		GetBackgroundWorkerPid(handles[slot], &pid) == BGWH_STOPPED;

	Assert(LWLockHeldByMeInMode(wf_shared->lock, LW_EXCLUSIVE));

	if (!OidIsValid(database->dbid) || database->dispatcher_pid != 0)
		return LEAVE;
	if (database->attached || stopped)
		note_end(slot, now);
	if (handles[slot] != NULL || database->evicted > 0)
		return LEAVE;

	if (wf_databases_find(database->dbid) == NULL ||
		(database->no_extension && pg_atomic_read_u32(&database->work) == 0))
	{
		give_back(database);
		return LEAVE;
	}
	return is_due(database->next_start, now, RESTART_LAST) ? START : LATER;
}

static TimestampTz
tend(int slot, TimestampTz now, int *starting)
{
	WfDatabase *database = &wf_shared->databases[slot];
	Verdict		verdict;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	verdict = judge(slot, now);
	LWLockRelease(wf_shared->lock);

	if (verdict == LATER)
		return database->next_start;
	if (verdict == LEAVE || *starting >= MAX_STARTING)
		return DT_NOEND;		/* one that is ready, or ends, wakes us */
	if (!is_due(shortage_until, now, SHORTAGE_DELAY))
		return shortage_until;

	handles[slot] = wf_dispatcher_start(slot, NameStr(wf_databases_find(database->dbid)->name));
	if (handles[slot] != NULL)
	{
		(*starting)++;
		return DT_NOEND;
	}
	shortage_until = now + SHORTAGE_DELAY;
	tell_of_shortage(now);
	return shortage_until;
}

static void
tell_of_shortage(TimestampTz now)
{
	static TimestampTz told = 0;

	if (told != 0 && now - told < SILENCE)
		return;
	told = now;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("pg_workflow could not start a dispatcher: no background worker slot is free"),
			 errhint("You might need to increase max_worker_processes.")));
}

/* A dispatcher has ended, or never came up: when may the next one start? */
static void
note_end(int slot, TimestampTz now)
{
	WfDatabase *database = &wf_shared->databases[slot];

	if (handles[slot] != NULL)
		pfree(handles[slot]);
	handles[slot] = NULL;

	if (!database->attached || now - database->dispatcher_since < EARLY)
		database->failures++;
	else
		database->failures = 1;
	database->next_start = now +
		Min(RESTART_FIRST << Min(database->failures - 1, 16), RESTART_LAST);
	if (database->in_order)
	{
		database->failures = 0;
		database->next_start = now;
	}
	database->attached = false;
	database->ready = false;
	database->in_order = false;
}

static void
give_back(WfDatabase *database)
{
	WfListed   *entry = wf_databases_find(database->dbid);

	if (entry != NULL)
		entry->absent = true;
	wf_database_free(database);
	unvisited = true;			/* one that waits for a slot may have it */
}

/* Has the time come, or has the clock been set back since it was fixed? */
static bool
is_due(TimestampTz time, TimestampTz now, int64 longest)
{
	return time <= now || time - now > longest;
}
