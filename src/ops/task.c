/*-------------------------------------------------------------------------
 * task.c
 *		Tasks: one idempotent step, begun, then completed or failed.
 *
 * Each call looks at the last row of its task.  If that answers it, nothing
 * is written; otherwise the call appends the next row, and the unique index
 * on (task, seq) decides between those who would do so at the same time: who
 * comes second looks again.  No row lock, no advisory lock, no subtransaction.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/audit.h"
#include "base/clock.h"
#include "ops/enqueue.h"
#include "ops/task.h"
#include "store/table.h"

/* how long a task that is not completed is remembered after its lease or failure */
#define KEPT_US (7 * USECS_PER_DAY)

static bool look(const WfTaskRequest *request, WfTask *last, TimestampTz *now);
static void follow(const WfTaskRequest *request, const WfTask *last, bool live,
				   char kind, TimestampTz now, WfTask *row);
static void check_payload(const WfTaskRequest *request, const WfTask *last, TimestampTz now);
static void report_stale(const WfTaskRequest *request, int32 attempt, const WfTask *last,
						 bool live) pg_attribute_noreturn();
static void report_completed(int32 attempt) pg_attribute_noreturn();

WfTaskStatus
wf_task_do_begin(const WfTaskRequest *request, const Interval *lease, WfTask *task)
{
	for (;;)
	{
		WfTask		last;
		TimestampTz now;
		bool		live = look(request, &last, &now);

		if (live)
			check_payload(request, &last, now);
		if (live && (last.kind == WF_TASK_COMPLETED ||
					 (last.kind == WF_TASK_BEGUN && last.lease_until > now)))
		{
			wf_audit_record(request->owner.number, &request->task,
							request->key, request->key_length, WF_OUTCOME_RETURNED, now);
			*task = last;
			if (last.kind == WF_TASK_BEGUN)
				return WF_TASK_IN_PROGRESS;
			wf_flush_writer(last.xmin);
			return WF_TASK_IS_COMPLETED;
		}

		follow(request, &last, live, WF_TASK_BEGUN, now, task);
		task->attempt = last.attempt + 1;
		task->lease_until = wf_clock_add(now, lease);
		task->expires_at = task->lease_until + KEPT_US;
		if (wf_task_append(task))
			return WF_TASK_EXECUTE;
	}
}

Datum
wf_task_do_complete(const WfTaskRequest *request, int32 attempt, Datum result,
					const Interval *ttl)
{
	for (;;)
	{
		WfTask		last;
		WfTask		row;
		TimestampTz now;
		bool		live = look(request, &last, &now);

		if (!live || last.attempt != attempt || last.kind == WF_TASK_FAILED)
			report_stale(request, attempt, &last, live);
		if (last.kind == WF_TASK_COMPLETED)
		{
			wf_flush_writer(last.xmin);
			return last.result;
		}

		follow(request, &last, live, WF_TASK_COMPLETED, now, &row);
		row.result = result;
		row.expires_at = wf_clock_add(now, ttl);
		if (wf_task_append(&row))
			return result;
	}
}

void
wf_task_do_fail(const WfTaskRequest *request, int32 attempt, char *error)
{
	for (;;)
	{
		WfTask		last;
		WfTask		row;
		TimestampTz now;
		bool		live = look(request, &last, &now);

		if (!live || last.attempt != attempt)
			report_stale(request, attempt, &last, live);
		if (last.kind == WF_TASK_COMPLETED)
			report_completed(attempt);
		if (last.kind == WF_TASK_FAILED)
		{
			if (strcmp(last.error, error) != 0)
				report_stale(request, attempt, &last, live);
			return;
		}

		follow(request, &last, live, WF_TASK_FAILED, now, &row);
		row.error = error;
		row.expires_at = now + KEPT_US;
		if (wf_task_append(&row))
			return;
	}
}

/*
 * It ends an attempt that is under way: whose worker then is given, at its
 * completion, what was stored here, the first write.
 */
Datum
wf_task_do_put(const WfTaskRequest *request, Datum result, const Interval *ttl)
{
	for (;;)
	{
		WfTask		last;
		WfTask		row;
		TimestampTz now;
		bool		live = look(request, &last, &now);

		if (live && last.kind == WF_TASK_COMPLETED)
		{
			wf_audit_record(request->owner.number, &request->task,
							request->key, request->key_length, WF_OUTCOME_RETURNED, now);
			wf_flush_writer(last.xmin);
			return last.result;
		}

		follow(request, &last, live, WF_TASK_COMPLETED, now, &row);
		if (!live || last.kind != WF_TASK_BEGUN)
			row.attempt = last.attempt + 1;
		row.result = result;
		row.expires_at = wf_clock_add(now, ttl);
		if (wf_task_append(&row))
			return result;
	}
}

bool
wf_task_do_forget(const WfTaskRequest *request)
{
	for (;;)
	{
		WfTask		last;
		WfTask		row;
		TimestampTz now;

		if (!look(request, &last, &now))
			return false;
		follow(request, &last, false, WF_TASK_FORGOTTEN, now, &row);
		row.expires_at = now;
		if (wf_task_append(&row))
			return true;
	}
}

Datum
wf_task_do_get(const WfTaskRequest *request)
{
	WfTask		last;

	if (!wf_task_find(&request->task, &last) ||
		last.kind != WF_TASK_COMPLETED || last.expires_at <= wf_clock_now())
		return (Datum) 0;
	wf_flush_writer(last.xmin);
	return last.result;
}

/*
 * The last row of the task, with nobody at work on the next one; true: it
 * still counts.  now: the time at which that was decided.
 */
static bool
look(const WfTaskRequest *request, WfTask *last, TimestampTz *now)
{
	WfHolder	holder;
	bool		invisible;

	while (wf_task_probe(&request->task, true, last, &holder, &invisible) == WF_PROBE_IN_DOUBT)
	{
		wf_count(request->owner.number, WF_COUNT_WAITS, 1);
		wf_holder_wait(0, &holder);
	}
	if (invisible)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent use of a task"),
				 errdetail("The task was begun or has changed after this transaction's snapshot was taken."),
				 errhint("Retry the transaction.")));
	*now = wf_clock_now();
	return last->seq > 0 && last->expires_at > *now;
}

/* The next row of a task, but for what depends on its kind. */
static void
follow(const WfTaskRequest *request, const WfTask *last, bool live, char kind,
	   TimestampTz now, WfTask *row)
{
	if (last->seq == PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("task has been used too often"),
				 errdetail("%d things have happened to it.", last->seq),
				 errhint("Use another key.")));
	memset(row, 0, sizeof(*row));
	row->task = request->task;
	row->owner = request->owner.owner;
	row->seq = last->seq + 1;
	row->attempt = last->attempt;
	row->kind = kind;
	row->at = now;
	row->lease_until = DT_NOBEGIN;
	row->key = request->key;
	row->key_length = request->key_length;
	if (request->has_fingerprint || (live && last->has_fingerprint))
	{
		row->has_fingerprint = true;
		memcpy(row->fingerprint,
			   request->has_fingerprint ? request->fingerprint : last->fingerprint,
			   WF_FINGERPRINT_LENGTH);
	}
}

/* WF001 where both the call and the task have a payload, and not the same. */
static void
check_payload(const WfTaskRequest *request, const WfTask *last, TimestampTz now)
{
	if (!request->has_fingerprint || !last->has_fingerprint ||
		memcmp(request->fingerprint, last->fingerprint, WF_FINGERPRINT_LENGTH) == 0)
		return;
	wf_audit_record(request->owner.number, &request->task,
					request->key, request->key_length, WF_OUTCOME_MISMATCH, now);
	ereport(ERROR,
			(errcode(ERRCODE_WF_PAYLOAD_MISMATCH),
			 errmsg("idempotency key is bound to a task with another payload"),
			 errdetail("Task \"%s\" was begun with another payload; it is at attempt %d.",
					   pnstrdup(request->key, request->key_length), last->attempt),
			 errdetail_log("The task is at attempt %d.", last->attempt),
			 errhint("Use another key for another payload.")));
}

/* What has become of the attempt, or of the task. */
static char *
fate(int32 attempt, const WfTask *last, bool live)
{
	if (!live)
		return psprintf("Attempt %d is of a task that has never been begun, or has expired or been forgotten.", attempt);
	if (attempt < last->attempt)
		return psprintf("Attempt %d has taken over from attempt %d.", last->attempt, attempt);
	if (attempt > last->attempt)
		return psprintf("The task is at attempt %d, there is no attempt %d.", last->attempt, attempt);
	return psprintf("Attempt %d has failed.", attempt);
}

static void
report_stale(const WfTaskRequest *request, int32 attempt, const WfTask *last, bool live)
{
	ereport(ERROR,
			(errcode(ERRCODE_WF_STALE_ATTEMPT),
			 errmsg("attempt of the task is not current"),
			 errdetail("%s", fate(attempt, last, live)),
			 errhint("Roll back what the attempt has done, and call wf_task_begin() again.")));
}

static void
report_completed(int32 attempt)
{
	ereport(ERROR,
			(errcode(ERRCODE_WF_OTHER_OUTCOME),
			 errmsg("task has already completed"),
			 errdetail("Attempt %d has completed it.", attempt),
			 errhint("wf_task_get() gives its result.")));
}
