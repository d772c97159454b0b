/*-------------------------------------------------------------------------
 * expire.h
 *		Give back the space of runs and keys that are over.
 *-------------------------------------------------------------------------
 */
#ifndef WF_EXPIRE_H
#define WF_EXPIRE_H

#include "datatype/timestamp.h"

/* One bounded step, in transactions of its own; true: there is more to do. */
extern bool wf_expire_in_background(void);

/*
 * How long to rest after a step that took so long, both in microseconds, if there is more to
 * do.  0: there is no slice for the runs that will come, or a walk is behind.
 */
extern int64 wf_expire_rest(int64 worked);

/* By wf_clock_now(), and as of the last step: when it is worth while to take another. */
extern TimestampTz wf_expire_due(void);

#endif							/* WF_EXPIRE_H */
