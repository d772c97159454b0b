/*-------------------------------------------------------------------------
 * grant.c
 *		wf_grant and wf_revoke: privileges on one workflow.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "ops/access.h"
#include "ops/settings.h"

PG_FUNCTION_INFO_V1(wf_grant);
PG_FUNCTION_INFO_V1(wf_revoke);

#define WORDS "enqueue work read operate"

/* the arguments of both */
#define ARG_WORKFLOW 0
#define ARG_ROLE 1
#define ARG_PRIVILEGES 2

static void read_arguments(FunctionCallInfo fcinfo, int *privileges);
static int	read_privileges(ArrayType *array);
static const WfWorkflow *lock_by_argument(FunctionCallInfo fcinfo);
static int	granted(const WfWorkflow *w, Oid role);

/*
 * wf_grant(workflow, role, privileges): in addition to what the role has.
 */
Datum
wf_grant(PG_FUNCTION_ARGS)
{
	Oid			role;
	int			privileges;
	const WfWorkflow *w;
	int			before;

	PreventCommandIfReadOnly("wf_grant()");
	read_arguments(fcinfo, &privileges);
	role = PG_GETARG_OID(ARG_ROLE);
	w = lock_by_argument(fcinfo);
	if (OidIsValid(role))
		wf_role_require(role);
	wf_adopted_require();

	before = granted(w, role);
	if ((before | privileges) != before)
		wf_grant_store(w->id, role, before | privileges);
	PG_RETURN_VOID();
}

/*
 * wf_revoke(workflow, role, privileges): quiet about what the role has not.
 */
Datum
wf_revoke(PG_FUNCTION_ARGS)
{
	Oid			role;
	int			privileges;
	const WfWorkflow *w;
	int			before;

	PreventCommandIfReadOnly("wf_revoke()");
	read_arguments(fcinfo, &privileges);
	role = PG_GETARG_OID(ARG_ROLE);
	w = lock_by_argument(fcinfo);

	/* a role that has been dropped may be given by its number */
	before = granted(w, role);
	if ((before & ~privileges) != before || before == 0)
		wf_grant_store(w->id, role, before & ~privileges);
	PG_RETURN_VOID();
}

static void
read_arguments(FunctionCallInfo fcinfo, int *privileges)
{
	if (PG_ARGISNULL(ARG_WORKFLOW))
		wf_refuse_null("workflow");
	if (PG_ARGISNULL(ARG_ROLE))
		wf_refuse_null("role");
	if (PG_ARGISNULL(ARG_PRIVILEGES))
		wf_refuse_null("privileges");
	*privileges = read_privileges(PG_GETARG_ARRAYTYPE_P(ARG_PRIVILEGES));
}

/* An array of words as bits of WF_MAY_... */
static int
read_privileges(ArrayType *array)
{
	Datum	   *words;
	int			n;
	int			privileges = 0;

	if (ARR_NDIM(array) != 1 || array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"privileges\""),
				 ARR_NDIM(array) == 0 ? errdetail("It is empty.") :
				 ARR_NDIM(array) > 1 ? errdetail("It has %d dimensions.", ARR_NDIM(array)) :
				 errdetail("It contains a null."),
				 errhint("Accepted are one or more of \"enqueue\", \"work\", \"read\" and \"operate\".")));

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &words, NULL, &n);
	for (int i = 0; i < n; i++)
		privileges |= 1 << wf_word_require("privileges", DatumGetTextPP(words[i]), WORDS);
	return privileges;
}

static const WfWorkflow *
lock_by_argument(FunctionCallInfo fcinfo)
{
	text	   *name = PG_GETARG_TEXT_PP(ARG_WORKFLOW);

	return wf_workflow_require_locked(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), WF_MAY_OWN);
}

static int
granted(const WfWorkflow *w, Oid role)
{
	for (int i = 0; i < w->ngrants; i++)
		if (w->grants[i].role == role)
			return w->grants[i].privileges;
	return 0;
}
