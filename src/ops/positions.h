/*-------------------------------------------------------------------------
 * positions.h
 *		Go on where the queues had been taken to before a restart.
 *-------------------------------------------------------------------------
 */
#ifndef WF_POSITIONS_H
#define WF_POSITIONS_H

/* When the dispatcher starts, in a transaction of the caller's. */
extern void wf_positions_load(void);

/* For the next start: in a sweep's transaction. */
extern void wf_positions_save(void);

/*
 * Read on in what is before the positions that were loaded, a bounded step in
 * a transaction of its own.  True: there is more.
 */
extern bool wf_positions_look_behind(void);

#endif							/* WF_POSITIONS_H */
