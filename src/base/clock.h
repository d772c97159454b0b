/*-------------------------------------------------------------------------
 * clock.h
 *		The time at which something is decided.
 *-------------------------------------------------------------------------
 */
#ifndef WF_CLOCK_H
#define WF_CLOCK_H

#include "datatype/timestamp.h"

/* now, but never before what any backend of this server was told earlier */
extern TimestampTz wf_clock_now(void);

/* It is not before this time either, as is known from before the server's start. */
extern void wf_clock_raise(TimestampTz seen);

/* time + interval, in UTC, so that a day has 24 hours; saturates at infinity */
extern TimestampTz wf_clock_add(TimestampTz time, const Interval *interval);

/* zero; and 1000 years or more, or infinite: for ever */
extern bool wf_interval_is_zero(const Interval *interval);
extern bool wf_interval_is_forever(const Interval *interval);
extern bool wf_interval_is_negative(const Interval *interval);

/* microseconds of an interval, a month as 30 days; saturates */
extern int64 wf_interval_us(const Interval *interval);

#endif							/* WF_CLOCK_H */
