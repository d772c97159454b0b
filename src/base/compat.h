/*-------------------------------------------------------------------------
 * compat.h
 *		What differs between the majors that are supported.
 *
 * The only file that looks at PG_VERSION_NUM.  A wrapper has the newest
 * signature and a name ending in _compat.
 *-------------------------------------------------------------------------
 */
#ifndef WF_COMPAT_H
#define WF_COMPAT_H

#include "access/genam.h"
#include "access/relscan.h"
#include "catalog/pg_database.h"
#include "catalog/pg_proc.h"
#include "postmaster/bgworker.h"
#include "utils/acl.h"
#include "utils/acl.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "pg_workflow needs PostgreSQL 15 or later"
#endif

/* PG 18 passes instrumentation to index_beginscan (postgres 0fbceae841c). */
static inline IndexScanDesc
index_beginscan_compat(Relation heap, Relation index, Snapshot snapshot,
					   int nkeys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(heap, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(heap, index, snapshot, nkeys, 0);
#endif
}

/* PG 16 has one function for the privileges on all kinds of objects (postgres c727f511bd7). */
static inline AclResult
object_aclcheck_compat(Oid catalog, Oid object, Oid role, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(catalog, object, role, mode);
#else
	Assert(catalog == ProcedureRelationId);
	return pg_proc_aclcheck(object, role, mode);
#endif
}

/* PG 17 named wait events for extensions (postgres c9af0546530). */
#if PG_VERSION_NUM < 170000
#define WaitEventExtensionNew(name) PG_WAIT_EXTENSION
#endif

/* PG 17 lets a worker log in as a role without LOGIN. */
#ifdef BGWORKER_BYPASS_ROLELOGINCHECK
#define WF_LOGIN_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#define WF_LOGIN_NEEDS_CANLOGIN false
#else
#define WF_LOGIN_FLAGS 0
#define WF_LOGIN_NEEDS_CANLOGIN true
#endif

/* Minor releases of 2023 mark databases whose DROP was interrupted. */
#ifndef DATCONNLIMIT_INVALID_DB
#define DATCONNLIMIT_INVALID_DB -2
#endif

/* PG 16 has one function for the owners of everything (postgres afbfc02983f). */
static inline bool
database_ownercheck_compat(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, role);
#else
	return pg_database_ownercheck(database, role);
#endif
}

/* PG 16 renamed where a relation is stored (postgres b0a55e43299). */
#if PG_VERSION_NUM < 160000
#define rd_locator rd_node
#endif

#endif							/* WF_COMPAT_H */
