/*-------------------------------------------------------------------------
 * guc.c
 *		Settings, called pg_workflow.<name of the variable without wf_>.
 *
 * Who may set what follows from whom it protects: what bounds users is a
 * superuser's, and may differ between databases and roles; what the launcher
 * and dispatchers go by is the configuration file's; only the wait for one's
 * own keys is everybody's.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "base/guc.h"
#include "base/shmem.h"

bool		wf_dispatch = true;
int			wf_key_wait = -1;
int			wf_audit = WF_AUDIT_LOG;
int			wf_max_payload = 16 * 1024;
char	   *wf_handler_languages = NULL;
bool		wf_allow_superuser_workflows = true;
bool		wf_synchronous_commit = false;
int			wf_max_executors = 4;
int			wf_executor_idle_timeout = 60 * 1000;
int			wf_sweep_interval = 10 * 1000;
int			wf_executor_memory_limit = 0;
int			wf_crash_isolation_time = 60 * 1000;
int			wf_key_cache_memory = 8 * 1024;
int			wf_key_filter_memory = 16 * 1024;
int			wf_max_running_per_role = 0;
char	   *wf_notify_channel = NULL;

static const struct config_enum_entry audit_options[] = {
	{"off", WF_AUDIT_OFF, false},
	{"count", WF_AUDIT_COUNT, false},
	{"log", WF_AUDIT_LOG, false},
	{"false", WF_AUDIT_OFF, true},
	{"no", WF_AUDIT_OFF, true},
	{NULL, 0, false}
};

static void define_user_settings(void);
static void define_handler_settings(void);
static void define_process_settings(void);
static bool check_languages(char **newval, void **extra, GucSource source);
static bool check_channel(char **newval, void **extra, GucSource source);

void
wf_guc_init(void)
{
	define_user_settings();
	define_handler_settings();
	define_process_settings();
	MarkGUCPrefixReserved(WF_EXTENSION);
}

/* what callers of SQL functions meet */
static void
define_user_settings(void)
{
	DefineCustomIntVariable("pg_workflow.key_wait",
							"Sets how long to wait for a key that another transaction is taking.",
							"-1 waits for ever, 0 not at all; after that, error WF003.",
							&wf_key_wait, -1, -1, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomEnumVariable("pg_workflow.audit",
							 "Sets what is remembered of duplicate calls.",
							 "\"count\" counts them, \"log\" also records each in wf.duplicates.",
							 &wf_audit, WF_AUDIT_LOG, audit_options,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_workflow.max_payload",
							"Sets the largest payload or result that is accepted.",
							NULL,
							&wf_max_payload, 16 * 1024, 1, 256 * 1024,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomStringVariable("pg_workflow.notify_channel",
							   "Sets the channel that is notified when runs for external workers are due.",
							   "Empty: none is.",
							   &wf_notify_channel, "",
							   PGC_SUSET, 0, check_channel, NULL, NULL);
}

/* what handlers may be, and how they are run */
static void
define_handler_settings(void)
{
	DefineCustomStringVariable("pg_workflow.handler_languages",
							   "Lists the languages that handlers may be written in.",
							   "A handler in some other languages can ignore both cancellation and termination.",
							   &wf_handler_languages, "sql, plpgsql",
							   PGC_SUSET, GUC_LIST_INPUT, check_languages, NULL, NULL);
	DefineCustomBoolVariable("pg_workflow.allow_superuser_workflows",
							 "Allows workflows that belong to a superuser to have a handler.",
							 NULL,
							 &wf_allow_superuser_workflows, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pg_workflow.synchronous_commit",
							 "Lets the transaction of a handler wait until its commit is flushed.",
							 "Without it, a crash of the server may lose the last completions "
							 "together with their effects; those runs are then executed again.",
							 &wf_synchronous_commit, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
}

/* what the background processes go by */
static void
define_process_settings(void)
{
	DefineCustomBoolVariable("pg_workflow.dispatch",
							 "Lets runs of this database be dispatched, and its keys expire, in the background.",
							 NULL,
							 &wf_dispatch, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_workflow.max_executors",
							"Sets the number of processes that execute the handlers of one database.",
							NULL,
							&wf_max_executors, 4, 1, WF_MAX_EXECUTORS,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_workflow.executor_idle_timeout",
							"Sets how long an executor stays when there is nothing to execute.",
							NULL,
							&wf_executor_idle_timeout, 60 * 1000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_workflow.sweep_interval",
							"Sets how often expired keys, lapsed leases and lost wake-ups are looked for.",
							NULL,
							&wf_sweep_interval, 10 * 1000, 10, 24 * 60 * 60 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_workflow.executor_memory_limit",
							"Sets how much private memory an executor may allocate.",
							"0 sets no limit.",
							&wf_executor_memory_limit, 0, 0, MAX_KILOBYTES,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_workflow.crash_isolation_time",
							"Sets how long a run that a crash of the server has interrupted runs alone.",
							"0 lets others start beside it.",
							&wf_crash_isolation_time, 60 * 1000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_workflow.max_running_per_role",
							"Sets how many runs of one owner's workflows are executed at once.",
							"0 sets no limit.",
							&wf_max_running_per_role, 0, 0, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	/* a later session could not define it, and has no use for it */
	if (process_shared_preload_libraries_in_progress)
	{
		DefineCustomIntVariable("pg_workflow.key_cache_memory",
								"Sets the shared memory that tells where the runs of keys are.",
								"16 bytes for each key that is enqueued, of all databases, are of use; 0 has duplicates looked up in an index.",
								&wf_key_cache_memory, 8 * 1024, 0, 1024 * 1024,
								PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
		DefineCustomIntVariable("pg_workflow.key_filter_memory",
								"Sets the shared memory that tells which keys older slices do not have.",
								"About 1.3 bytes for each key of all databases are of use; 0 has every key looked up in every slice.",
								&wf_key_filter_memory, 16 * 1024, 0, 1024 * 1024,
								PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
	}
}

static bool
check_languages(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *languages;
	bool		valid = SplitIdentifierString(copy, ',', &languages);

	if (!valid)
		GUC_check_errdetail("List syntax is invalid.");
	list_free(languages);
	pfree(copy);
	return valid;
}

static bool
check_channel(char **newval, void **extra, GucSource source)
{
	if (strlen(*newval) < NAMEDATALEN)
		return true;
	GUC_check_errdetail("A channel's name has at most %d bytes.", NAMEDATALEN - 1);
	return false;
}
