/*-------------------------------------------------------------------------
 * clock_store.h
 *		The latest time seen, across restarts of the server.
 *-------------------------------------------------------------------------
 */
#ifndef WF_CLOCK_STORE_H
#define WF_CLOCK_STORE_H

/* The clock does not go back behind what is stored. */
extern void wf_clock_load(void);

/*
 * Store the present time, for wf_clock_load(); in the caller's transaction.
 * Nothing is stored where nobody has written rows since the last time.
 */
extern void wf_clock_save(void);

#endif							/* WF_CLOCK_STORE_H */
