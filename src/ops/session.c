/*-------------------------------------------------------------------------
 * session.c
 *		Nothing of a run's session outlives it.
 *
 * What DISCARD ALL does, but for the kept plans, which are what makes the
 * next run fast and tell it nothing.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/portal.h"

#include "ops/session.h"

static bool
has_temporary_objects(void)
{
	Oid			temporary;
	Oid			toast;

	GetTempNamespaceState(&temporary, &toast);
	return OidIsValid(temporary);
}

void
wf_session_reset(void)
{
	PortalHashTableDeleteAll();
	if (OidIsValid(GetCurrentRoleId()))
		SetConfigOption("role", "none", PGC_SUSET, PGC_S_OVERRIDE);
	ResetAllOptions();
	DropAllPreparedStatements();
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetSequenceCaches();
	if (has_temporary_objects())
	{
		StartTransactionCommand();
		ResetTempTableNamespace();
		CommitTransactionCommand();
	}
}
