/*-------------------------------------------------------------------------
 * session.h
 *		Nothing of a run's session outlives it.
 *-------------------------------------------------------------------------
 */
#ifndef WF_SESSION_H
#define WF_SESSION_H

/* Undo what a handler may have left in the session; outside transactions. */
extern void wf_session_reset(void);

#endif							/* WF_SESSION_H */
