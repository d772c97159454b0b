/*-------------------------------------------------------------------------
 * loop.h
 *		What the loops of launcher, dispatchers and executors share.
 *
 * A loop absorbs interrupts, does its work, sleeps on the latch; nothing is
 * held while it sleeps.
 *-------------------------------------------------------------------------
 */
#ifndef WF_LOOP_H
#define WF_LOOP_H

#include "datatype/timestamp.h"

/*
 * First thing in a main function: signals.  The exit code is used when the
 * process is told to end while it has nothing to do.
 */
extern void wf_loop_begin(int exit_code);

/*
 * Once connected: force the settings that our own work relies on, whatever
 * the owner of the database has put in front of us; for executors, whose
 * settings are their owner's, only the role.
 */
extern void wf_loop_pin_settings(void);
extern void wf_loop_pin_role(void);

/* serve interrupts and a changed configuration; may end the process */
extern void wf_loop_absorb_interrupts(void);

/* say what the process is doing, in pg_stat_activity */
extern void wf_loop_report(const char *activity);

/*
 * Sleep until the latch is set (true) or so many milliseconds have passed
 * (false).  Resets the latch: look for work after it, not before.
 */
extern bool wf_loop_sleep(long ms);

/* the same until wf_clock_now() has come to a time, or a sweep is due */
extern bool wf_loop_sleep_until(TimestampTz time);

#endif							/* WF_LOOP_H */
