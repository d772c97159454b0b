/*-------------------------------------------------------------------------
 * read.h
 *		What a caller is told about a run.
 *-------------------------------------------------------------------------
 */
#ifndef WF_READ_H
#define WF_READ_H

#include "store/event_store.h"
#include "store/run_store.h"
#include "store/workflow_store.h"

typedef struct WfSight
{
	const char *state;			/* also "purged" */
	int32		attempt;
	Datum		result;			/* 0: none */
	const char *error;			/* the SQLSTATE for who may not read; or NULL */
	TimestampTz started_at;		/* DT_NOBEGIN: not yet */
	TimestampTz finished_at;	/* DT_NOBEGIN: not yet */
} WfSight;

/*
 * Where a run is, with a completion on disk before it is told.
 */
extern void wf_sight(const WfRun *run, const WfEvent *last, bool may_read,
					 WfSight *sight);

/*
 * A run that the caller has one of the privileges on, and its workflow (a
 * copy) and last event; 42704 where there is none the caller may know of,
 * 42501 where the privilege is missing.  A purged run is found only if asked
 * for.
 */
extern void wf_run_require(const pg_uuid_t *run_id, int privilege, bool purged_too,
						   WfRun *run, WfEvent *last, WfWorkflow *workflow);

/* the attempt that an executor is at right now; 0: none */
extern int32 wf_run_executing(const pg_uuid_t *run_id, TimestampTz *since);

#endif							/* WF_READ_H */
