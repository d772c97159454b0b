/*-------------------------------------------------------------------------
 * worker_args.c
 *		The arguments that the functions for external workers share.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "ops/access.h"
#include "ops/worker_args.h"
#include "store/workflow_store.h"

#define LONGEST_LEASE USECS_PER_DAY

static int	all_to_work(int32 **ids);
static int32 workflow_of_name(Datum name);

int
wf_workflows_to_work(FunctionCallInfo fcinfo, int argument, int32 **ids)
{
	ArrayType  *array;
	Datum	   *names;
	bool	   *nulls;
	int			n;
	int			found = 0;

	if (PG_ARGISNULL(argument))
		return all_to_work(ids);
	array = PG_GETARG_ARRAYTYPE_P(argument);
	if (ARR_NDIM(array) > 1 || array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"workflows\""),
				 ARR_NDIM(array) > 1 ?
				 errdetail("It has %d dimensions.", ARR_NDIM(array)) :
				 errdetail("One of its elements is null."),
				 errhint("Pass an array of names, or NULL for all workflows that you may work for.")));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	*ids = palloc(sizeof(int32) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		int32		id = workflow_of_name(names[i]);
		int			j;

		for (j = 0; j < found && (*ids)[j] != id; j++)
			;
		if (j == found)
			(*ids)[found++] = id;
	}
	return found;
}

/* Those without a handler on which the caller has the privilege. */
static int
all_to_work(int32 **ids)
{
	int			n = wf_workflow_ids(ids);
	int			found = 0;

	for (int i = 0; i < n; i++)
	{
		const WfWorkflow *workflow = wf_workflow_by_id((*ids)[i]);

		if (workflow != NULL && !workflow->has_handler &&
			(wf_workflow_rights(workflow) & WF_MAY_WORK) != 0)
			(*ids)[found++] = (*ids)[i];
	}
	return found;
}

static int32
workflow_of_name(Datum name)
{
	text	   *string = DatumGetTextPP(name);
	const WfWorkflow *workflow = wf_workflow_require(VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string),
													 WF_MAY_WORK);

	if (workflow->has_handler)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workflow \"%s\" has a handler", workflow->name),
				 errdetail("Its runs are executed in the background."),
				 errhint("Remove the handler with wf_alter_workflow(name, handler => '-') to have external workers claim the runs.")));
	return workflow->id;
}

int64
wf_lease_length(const Interval *lease)
{
	int64		us = wf_interval_us(lease);

	if (us <= 0 || us > LONGEST_LEASE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"lease\""),
				 errdetail("It is %s.",
						   DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(lease)))),
				 errhint("Accepted is more than zero and at most one day; wf_heartbeat() renews a lease.")));
	return us;
}
