/*-------------------------------------------------------------------------
 * session.h
 *		Nothing of a run's session outlives it.
 *-------------------------------------------------------------------------
 */
#ifndef WF_SESSION_H
#define WF_SESSION_H

/* Undo what a handler may have left in the session; outside transactions. */
extern void wf_session_reset(void);

/*
 * The same between two runs that share a transaction, but for settings, which
 * the caller puts back.
 */
extern void wf_session_reset_within(void);

#endif							/* WF_SESSION_H */
