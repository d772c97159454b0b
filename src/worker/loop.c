/*-------------------------------------------------------------------------
 * loop.c
 *		What the loops of launcher, dispatchers and executors share.
 *
 * Core's signal handlers only.  A cancel request that arrives between two
 * pieces of work has nothing to cancel and is dropped; a request to end is
 * quiet then, and the usual FATAL in the midst of work.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/sinval.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "worker/loop.h"

typedef struct Setting
{
	const char *name;
	const char *value;
} Setting;

/*
 * Those which the majors do not all have are skipped where unknown.
 * default_transaction_read_only is observed, not overridden.
 */
static const Setting pinned[] = {
	{"role", "none"},
	{"search_path", "pg_catalog, pg_temp"},
	{"row_security", "on"},
	{"session_replication_role", "origin"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_deferrable", "off"},
	{"synchronous_commit", "off"},	/* what must be on disk is flushed by
									 * ForceSyncCommit */
	{"lock_timeout", "0"},
	{"statement_timeout", "0"},
	{"transaction_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
	{"array_nulls", "on"},
	{"bytea_output", "hex"},
	{"extra_float_digits", "1"},
	{"DateStyle", "ISO"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "UTC"},
	{"jit", "off"}
};

static int	exit_code_when_idle = 1;

static long milliseconds_until(TimestampTz time);
static bool wait_on_latch(long ms);

void
wf_loop_begin(int exit_code)
{
	exit_code_when_idle = exit_code;
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	/*
	 * A reload that came between the fork and now was ignored, and what was
	 * inherited is as it was before.
	 */
	ConfigReloadPending = true;
}

void
wf_loop_pin_settings(void)
{
	for (int i = 0; i < lengthof(pinned); i++)
	{
		if (GetConfigOption(pinned[i].name, true, false) != NULL)
			SetConfigOption(pinned[i].name, pinned[i].value,
							PGC_SUSET, PGC_S_OVERRIDE);
	}
}

void
wf_loop_pin_role(void)
{
	SetConfigOption("role", "none", PGC_SUSET, PGC_S_OVERRIDE);
}

void
wf_loop_absorb_interrupts(void)
{
	Assert(!IsTransactionState());

	if (ProcDiePending)
		proc_exit(exit_code_when_idle);
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();

	if (catchupInterruptPending)
		ProcessCatchupInterrupt();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

void
wf_loop_report(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, activity);
}

/*
 * Counters of the work done are flushed before: at once if core finds the
 * time ripe, else after the short time it asks for.
 */
bool
wf_loop_sleep(long ms)
{
	long		flush_in = pgstat_report_stat(false);

	pgstat_report_activity(STATE_IDLE, NULL);
	if (flush_in > 0 && flush_in < ms)
	{
		if (wait_on_latch(flush_in))
			return true;
		pgstat_report_stat(true);
		ms -= flush_in;
	}
	return wait_on_latch(ms);
}

bool
wf_loop_sleep_until(TimestampTz time)
{
	return wf_loop_sleep(milliseconds_until(time));
}

/* Rounded up, so as not to wake just before; a sweep interval at most. */
static long
milliseconds_until(TimestampTz time)
{
	TimestampTz now = wf_clock_now();

	if (time <= now)
		return 0;
	if (time >= TimestampTzPlusMilliseconds(now, wf_sweep_interval))
		return wf_sweep_interval;
	return (long) ((time - now + 999) / 1000);
}

static bool
wait_on_latch(long ms)
{
	static uint32 wait_event = 0;
	int			events;

	if (wait_event == 0)
		wait_event = WaitEventExtensionNew("PgWorkflowIdle");

	events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					   ms, wait_event);
	ResetLatch(MyLatch);
	return (events & WL_LATCH_SET) != 0;
}
