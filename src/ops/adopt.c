/*-------------------------------------------------------------------------
 * adopt.c
 *		wf_adopt: this copy of the database may dispatch from now on.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "ops/access.h"
#include "ops/workflow.h"
#include "store/installation.h"

PG_FUNCTION_INFO_V1(wf_adopt);

/*
 * wf_adopt(): roles are found by their names; whose name is not there stays
 * without an owner, and its runs wait.
 */
Datum
wf_adopt(PG_FUNCTION_ARGS)
{
	int64		ownerless;
	int64		lost_grants;

	PreventCommandIfReadOnly("wf_adopt()");
	wf_administrator_require("adopt a copy of a database");
	wf_installation_adopt(&ownerless, &lost_grants);

	if (ownerless > 0)
		ereport(WARNING,
				(errmsg("%lld workflows have no owner here", (long long) ownerless),
				 errdetail("There are no roles of the names that their owners had."),
				 errhint("Create the roles and call wf_adopt() again, or hand the workflows over with "
						 "wf_alter_workflow(name, owner => role).")));
	if (lost_grants > 0)
		ereport(WARNING,
				(errmsg("%lld grants on workflows have been removed", (long long) lost_grants),
				 errdetail("There are no roles of the names that they were made to.")));
	wf_wake_at_commit();
	PG_RETURN_VOID();
}
