/*-------------------------------------------------------------------------
 * audit.h
 *		Counters of each workflow, and a ring of its latest duplicates.
 *
 * In shared memory: whoever counts or records writes to no table, waits for
 * nobody, and cannot fail.  The dispatcher writes to the tables what has
 * gathered (ops/audit.c).  A crash loses what it has not; an overrun of the
 * ring loses the oldest entries, and counts them.
 *-------------------------------------------------------------------------
 */
#ifndef WF_AUDIT_H
#define WF_AUDIT_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/spin.h"
#include "utils/uuid.h"

#define WF_AUDIT_RING		8192	/* entries, of all databases */
#define WF_AUDIT_WORKFLOWS	4096	/* workflows counted, of all databases */
#define WF_AUDIT_TEXT		132 /* bytes for an entry's texts; a key that does
								 * not fit in is left out */
#define WF_LATENCY_BUCKETS	96	/* of start latency, four per power of two */

typedef enum WfCount
{
	WF_COUNT_ENQUEUED,
	WF_COUNT_DUPLICATES,
	WF_COUNT_MISMATCHES,
	WF_COUNT_WAITS,
	WF_COUNT_COMPLETED,
	WF_COUNT_FAILED,
	WF_COUNT_CANCELLED,
	WF_COUNT_LOST_AUDIT,
	WF_COUNTS
} WfCount;

/* What a duplicate got, as one letter; ops/audit.c has the names. */
#define WF_OUTCOME_RETURNED	'r'
#define WF_OUTCOME_SKIPPED	's'
#define WF_OUTCOME_RESUMED	'a'
#define WF_OUTCOME_REPLACED	'p'
#define WF_OUTCOME_ERROR	'e'
#define WF_OUTCOME_MISMATCH	'm'

typedef struct WfAuditEntry
{
	uint64		number;			/* from 1; 0: never written */
	Oid			dbid;
	Oid			extension;		/* whose numbers of workflows these are */
	int32		workflow_id;	/* negative: of a role's tasks */
	Oid			role;
	TimestampTz at;
	pg_uuid_t	run_id;			/* or the digest of a task */
	char		outcome;
	uint8		application_length;
	uint8		client_length;
	uint8		key_length;		/* 0: left out */
	char		text[WF_AUDIT_TEXT];	/* application_name, the client's
										 * address (numeric; empty: a local
										 * socket) and the key, one after the
										 * other */
} WfAuditEntry;

/* These texts do not end with a zero. */
static inline const char *
wf_audit_application(const WfAuditEntry *entry)
{
	return entry->text;
}

static inline const char *
wf_audit_client(const WfAuditEntry *entry)
{
	return entry->text + entry->application_length;
}

static inline const char *
wf_audit_key(const WfAuditEntry *entry)
{
	return wf_audit_client(entry) + entry->client_length;
}

typedef struct WfCounters
{
	Oid			dbid;			/* hash key: these three */
	Oid			extension;
	int32		workflow_id;
	pg_atomic_uint64 counts[WF_COUNTS]; /* since the server started */
	uint64		written[WF_COUNTS]; /* of these, by the dispatcher alone */
	pg_atomic_uint32 latency[WF_LATENCY_BUCKETS];
	pg_atomic_uint32 gauged;	/* unfinished is right from here on */
	pg_atomic_uint64 unfinished;	/* runs that have not ended, committed
									 * ones */
} WfCounters;

extern Size wf_audit_shmem_size(void);
extern void wf_audit_shmem_init(void);

/* Count; nothing happens without shared memory or where all places are taken. */
extern void wf_count(int32 workflow_id, WfCount what, uint64 n);
extern void wf_count_latency(int32 workflow_id, int64 us);

/* A run that had ended has not any more. */
extern void wf_count_reopened(int32 workflow_id);

/*
 * Runs of a workflow that have not ended; count() is called to begin with,
 * and each time without shared memory.
 */
extern int64 wf_count_unfinished(int32 workflow_id, int64 (*count) (int32 workflow_id));

/* Record a duplicate, and count it, as pg_workflow.audit says. */
extern void wf_audit_record(int32 workflow_id, const pg_uuid_t *run_id,
							const char *key, int key_length, char outcome, TimestampTz at);

/*
 * Copy this database's entries with numbers above *after, the oldest first,
 * up to `room` of them; *after becomes the last number looked at.  take: they
 * will be written, and are not lost when they are overwritten.
 */
extern int	wf_audit_read(uint64 *after, WfAuditEntry *entries, int room, bool take);

/* Has so much gathered that it should be written soon? */
extern bool wf_audit_urgent(void);

/*
 * The extension that this database has: what was counted or recorded for one
 * that was dropped is nobody's.
 */
extern void wf_audit_set_extension(Oid extension);

/* This database's counters: copies of the pointers; NULL without shared memory. */
extern int	wf_counters_mine(WfCounters ***counters);

/*
 * Give back places: of these, which are of workflows that are gone, what has
 * been written; and of extensions that this database had before.
 */
extern void wf_counters_forget(WfCounters **gone, int n);

/* microseconds below which a share of the starts were; -1: none yet */
extern int64 wf_latency_quantile(WfCounters *counters, double share);

#endif							/* WF_AUDIT_H */
