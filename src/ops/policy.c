/*-------------------------------------------------------------------------
 * policy.c
 *		What a request gets that finds its key taken.
 *
 * A table, in code: state of the key's run, payload the same or not, the
 * workflow's on_failed and on_mismatch, the call's on_conflict.  No I/O but
 * for the texts of errors.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "keys/difference.h"
#include "keys/fingerprint.h"
#include "ops/enqueue.h"
#include "ops/read.h"

TimestampTz
wf_key_expiry(const WfRun *run, const WfEvent *last)
{
	if (!wf_state_is_terminal(wf_event_state(last)))
		return DT_NOEND;
	if (wf_interval_is_zero(&run->key_ttl))
		return last->at;
	return wf_clock_add(run->anchor_enqueue ? run->enqueued_at : last->at,
						&run->key_ttl);
}

bool
wf_key_expired(const WfRun *run, const WfEvent *last, TimestampTz now)
{
	return wf_key_expiry(run, last) <= now;
}

TimestampTz
wf_run_purged_at(const WfRun *run, const WfEvent *last)
{
	const WfWorkflow *workflow;

	if (!wf_state_is_terminal(wf_event_state(last)))
		return DT_NOEND;
	workflow = wf_workflow_by_id(run->workflow_id);
	if (workflow == NULL || workflow->dropped)
		return DT_NOBEGIN;
	return wf_clock_add(last->at, &workflow->retention);
}

bool
wf_run_purged(const WfRun *run, const WfEvent *last, TimestampTz now)
{
	return wf_run_purged_at(run, last) <= now;
}

TimestampTz
wf_run_over_at(const WfRun *run, const WfEvent *last)
{
	TimestampTz purged_at = wf_run_purged_at(run, last);

	return run->holds_key ? Max(purged_at, wf_key_expiry(run, last)) : purged_at;
}

const uint8 *
wf_item_fingerprint(WfRequestItem *item)
{
	if (!item->has_fingerprint)
	{
		Jsonb	   *json = DatumGetJsonbP(item->payload);

		wf_fingerprint(json, item->fingerprint);
		item->has_fingerprint = true;
		if (JsonbPGetDatum(json) != item->payload)
			pfree(json);
	}
	return item->fingerprint;
}

/* Are they the same bytes?  If not they may still be the same value, as 1 and 1.0 are. */
static bool
is_same_bytes(Datum a, Datum b)
{
	struct varlena *x = (struct varlena *) DatumGetPointer(a);
	struct varlena *y = (struct varlena *) DatumGetPointer(b);

	return x != NULL && y != NULL &&
		!VARATT_IS_EXTERNAL(x) && !VARATT_IS_COMPRESSED(x) &&
		!VARATT_IS_EXTERNAL(y) && !VARATT_IS_COMPRESSED(y) &&
		VARSIZE_ANY_EXHDR(x) == VARSIZE_ANY_EXHDR(y) &&
		memcmp(VARDATA_ANY(x), VARDATA_ANY(y), VARSIZE_ANY_EXHDR(x)) == 0;
}

static bool
is_same_payload(WfRequestItem *item, const WfRun *run)
{
	return is_same_bytes(run->payload, item->payload) ||
		memcmp(run->fingerprint, wf_item_fingerprint(item), WF_FINGERPRINT_LENGTH) == 0;
}

WfDecision
wf_decide(const WfRequest *request, WfRequestItem *item, const WfRun *run,
		  const WfEvent *last, TimestampTz now)
{
	const WfWorkflow *workflow = &request->workflow;
	WfState		state = wf_event_state(last);
	TimestampTz since;
	bool		fits = workflow->mismatch_return ||
		is_same_payload(item, run);

	/* what the table creates, every option creates */
	if (wf_key_expired(run, last, now))
		return WF_DECIDE_NEW;
	if (state == WF_FAILED && fits &&
		(workflow->on_failed == WF_ON_FAILED_NEW ||
		 (workflow->on_failed == WF_ON_FAILED_RESUME &&
		  (!run->has_payload || wf_run_purged(run, last, now)))))
		return WF_DECIDE_NEW;

	/* from here on the call is a duplicate */
	switch (request->on_conflict)
	{
		case WF_ON_CONFLICT_ERROR:
			return WF_DECIDE_DUPLICATE;
		case WF_ON_CONFLICT_SKIP:
			return WF_DECIDE_SKIP;
		case WF_ON_CONFLICT_FORCE:
			return WF_DECIDE_NEW;
		case WF_ON_CONFLICT_REPLACE:
			if (state == WF_QUEUED && wf_run_executing(&run->run_id, &since) == 0)
				return WF_DECIDE_REPLACE;
			break;
		case WF_ON_CONFLICT_RETURN:
			break;
	}
	if (!fits)
		return WF_DECIDE_MISMATCH;
	if (state == WF_FAILED && workflow->on_failed == WF_ON_FAILED_RESUME)
		return WF_DECIDE_RESUME;
	return WF_DECIDE_RETURN;
}

static char *
uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}

/* "Item 3: ", or nothing for a call with a single item */
const char *
wf_item_prefix(int ordinal)
{
	return ordinal == 0 ? "" : psprintf("Item %d: ", ordinal);
}

/*
 * Where two payloads differ would let a caller who may only enqueue guess a
 * stored payload field by field: only for those who may read it.
 */
static char *
mismatch_path(const WfRequest *request, const WfRequestItem *item, const WfRun *run)
{
	WfRun		stored;
	char	   *path;

	if (!request->may_read ||
		!wf_run_find(&run->run_id, NULL, true, &stored) || !stored.has_payload)
		return "";
	path = wf_payload_difference(DatumGetJsonbP(stored.payload), DatumGetJsonbP(item->payload));
	return path == NULL ? "" : psprintf(" The payloads differ at %s.", path);
}

void
wf_report_mismatch(const WfRequest *request, const WfRequestItem *item, const WfRun *run)
{
	ereport(ERROR,
			(errcode(ERRCODE_WF_PAYLOAD_MISMATCH),
			 errmsg("idempotency key is bound to a run with another payload"),
			 errdetail("%sKey \"%s\" of workflow \"%s\" is bound to run %s.%s",
					   wf_item_prefix(item->ordinal), pnstrdup(item->key, item->key_length),
					   request->workflow.name, uuid_text(&run->run_id),
					   mismatch_path(request, item, run)),
			 errdetail_log("%sThe key is bound to run %s of workflow \"%s\".",
						   wf_item_prefix(item->ordinal), uuid_text(&run->run_id), request->workflow.name),
			 errhint("Use another key for another payload, or see on_conflict and the workflow's on_mismatch.")));
}

void
wf_report_duplicate(const WfRequest *request, const WfRequestItem *item, const WfRun *run)
{
	ereport(ERROR,
			(errcode(ERRCODE_WF_DUPLICATE),
			 errmsg("idempotency key is taken"),
			 errdetail("%sKey \"%s\" of workflow \"%s\" is bound to run %s.",
					   wf_item_prefix(item->ordinal), pnstrdup(item->key, item->key_length),
					   request->workflow.name, uuid_text(&run->run_id)),
			 errdetail_log("%sThe key is bound to run %s of workflow \"%s\".",
						   wf_item_prefix(item->ordinal), uuid_text(&run->run_id), request->workflow.name),
			 errhint("Use another key, or another on_conflict to be given the run.")));
}
