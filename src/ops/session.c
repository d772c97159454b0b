/*-------------------------------------------------------------------------
 * session.c
 *		Nothing of a run's session outlives it.
 *
 * What DISCARD ALL does, but for the kept plans, which are what makes the
 * next run fast and tell it nothing; and the seed of random(), which it
 * leaves.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "ops/session.h"

static bool
has_temporary_objects(void)
{
	Oid			temporary;
	Oid			toast;

	GetTempNamespaceState(&temporary, &toast);
	return OidIsValid(temporary);
}

/*
 * A superuser's handler may have become somebody else, any other a role that
 * its owner is a member of.  Neither is reset by ResetAllOptions; and a source
 * below PGC_S_SESSION would leave alone what the handler has set.
 */
static void
reset_identity(void)
{
	if (GetSessionUserId() != GetAuthenticatedUserId())
		SetConfigOption("session_authorization", NULL, PGC_SUSET, PGC_S_SESSION);
	if (OidIsValid(GetCurrentRoleId()))
		SetConfigOption("role", "none", PGC_SUSET, PGC_S_SESSION);
}

static void
reset_seed(void)
{
	DirectFunctionCall1(setseed, Float8GetDatum(pg_prng_double(&pg_global_prng_state)));
}

/*
 * Runs of a batch share locks of their transaction, so only those of the
 * session are released.
 */
void
wf_session_reset_within(void)
{
	PortalHashTableDeleteAll();
	DropAllPreparedStatements();
	LockReleaseSession(USER_LOCKMETHOD);
	ResetSequenceCaches();
	reset_seed();
	if (has_temporary_objects())
		ResetTempTableNamespace();
}

void
wf_session_reset(void)
{
	PortalHashTableDeleteAll();
	reset_identity();
	ResetAllOptions();
	DropAllPreparedStatements();
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetSequenceCaches();
	reset_seed();
	if (has_temporary_objects())
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		ResetTempTableNamespace();
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
}
