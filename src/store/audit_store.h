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

/* Forget duplicates that are over, some of them at a time; how many. */
extern int64 wf_duplicate_purge(bool (*is_over) (int32 workflow_id, TimestampTz at));

#endif							/* WF_AUDIT_STORE_H */
