/*-------------------------------------------------------------------------
 * visible.c
 *		For the views: what the caller may see, once per query, and times as
 *		the C code computes them.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/inval.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "ops/access.h"
#include "store/workflow_store.h"

PG_FUNCTION_INFO_V1(wf_readable_workflows);
PG_FUNCTION_INFO_V1(wf_visible_workflows);
PG_FUNCTION_INFO_V1(wf_time_add);
PG_FUNCTION_INFO_V1(wf_is_past);

/* Numbers of the workflows on which the caller has one of the privileges. */
static ArrayType *
workflows_with(int privileges)
{
	int32	   *ids;
	int			n;
	Datum	   *found;
	int			nfound = 0;

	/* a transaction that has its locks already has heard of no REVOKE since */
	AcceptInvalidationMessages();
	n = wf_workflow_ids(&ids);
	found = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		const WfWorkflow *workflow = wf_workflow_by_id(ids[i]);

		if (workflow != NULL && (wf_workflow_rights(workflow) & privileges) != 0)
			found[nfound++] = Int32GetDatum(ids[i]);
	}
	return construct_array(found, nfound, INT4OID, sizeof(int32), true, TYPALIGN_INT);
}

/*
 * wf.readable_workflows(): those whose runs the caller may read.
 */
Datum
wf_readable_workflows(PG_FUNCTION_ARGS)
{
	PG_RETURN_ARRAYTYPE_P(workflows_with(WF_MAY_READ));
}

/*
 * wf.visible_workflows(): those that the caller may know of.
 */
Datum
wf_visible_workflows(PG_FUNCTION_ARGS)
{
	PG_RETURN_ARRAYTYPE_P(workflows_with(~0));
}

/*
 * wf.time_add(time, interval): in UTC; infinity for a thousand years or more.
 */
Datum
wf_time_add(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(wf_clock_add(PG_GETARG_TIMESTAMPTZ(0), PG_GETARG_INTERVAL_P(1)));
}

/*
 * wf.is_past(time): by the clock, now, not by the transaction's start.
 */
Datum
wf_is_past(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_TIMESTAMPTZ(0) <= wf_clock_now());
}
