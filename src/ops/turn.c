/*-------------------------------------------------------------------------
 * turn.c
 *		A transaction of the dispatcher's own.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "ops/turn.h"
#include "store/relations.h"

static MemoryContext outside = NULL;

void
wf_turn_begin(void)
{
	outside = CurrentMemoryContext;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	wf_turn_lock_extension();
	MemoryContextSwitchTo(outside);
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
wf_turn_end(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(outside);
}

void
wf_turn_lock_extension(void)
{
	LockDatabaseObject(ExtensionRelationId, wf_relations()->extension, 0, AccessShareLock);
}
