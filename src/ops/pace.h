/*-------------------------------------------------------------------------
 * pace.h
 *		Owners whose executors fail to start, and when to try again.
 *-------------------------------------------------------------------------
 */
#ifndef WF_PACE_H
#define WF_PACE_H

#include "datatype/timestamp.h"

#include "base/shmem.h"

/* An executor of this database has not come to serve its owner, or has. */
extern void wf_pace_failed(const WfExecutor *executor);
extern void wf_pace_started(Oid owner);

/* when the next start may be tried, by wf_clock_now(); maybe in the past */
extern TimestampTz wf_pace_next(Oid owner);

/*
 * What the owner's last executor was told, and when the next is tried; false:
 * nothing is known against him.  For any session.
 */
extern bool wf_pace_refusal(Oid owner, char refusal[WF_REFUSAL], TimestampTz *next);

#endif							/* WF_PACE_H */
