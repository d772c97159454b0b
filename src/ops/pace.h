/*-------------------------------------------------------------------------
 * pace.h
 *		Owners whose executors fail to start, and when to try again.
 *-------------------------------------------------------------------------
 */
#ifndef WF_PACE_H
#define WF_PACE_H

#include "datatype/timestamp.h"

extern void wf_pace_failed(Oid owner);
extern void wf_pace_started(Oid owner);

/* when the next start may be tried, by wf_clock_now(); maybe in the past */
extern TimestampTz wf_pace_next(Oid owner);

#endif							/* WF_PACE_H */
