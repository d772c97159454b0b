/*-------------------------------------------------------------------------
 * turn.h
 *		A transaction of the dispatcher's own.
 *-------------------------------------------------------------------------
 */
#ifndef WF_TURN_H
#define WF_TURN_H

/*
 * Begin, with a snapshot, in the memory context that was current; and commit.
 * Between the two the extension stays: DROP EXTENSION waits for us, and we
 * for it, before either has locked anything else.
 */
extern void wf_turn_begin(void);
extern void wf_turn_end(void);

/* the lock alone, first thing in a transaction */
extern void wf_turn_lock_extension(void);

#endif							/* WF_TURN_H */
