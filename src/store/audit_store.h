/*-------------------------------------------------------------------------
 * audit_store.h
 *		All access to wf.duplicate and wf.counter.
 *-------------------------------------------------------------------------
 */
#ifndef WF_AUDIT_STORE_H
#define WF_AUDIT_STORE_H

#include "base/audit.h"

extern void wf_duplicate_insert(const WfAuditEntry *entries, int n);

/* Add to a workflow's counters. */
extern void wf_counter_add(int32 workflow_id, const uint64 *counts);

/* Forget duplicates older than their workflow's retention; how many. */
extern int64 wf_duplicate_purge(void);

#endif							/* WF_AUDIT_STORE_H */
