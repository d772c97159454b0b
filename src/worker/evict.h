/*-------------------------------------------------------------------------
 * evict.h
 *		Clear a database of our processes, for a statement that wants it for
 *		itself.
 *-------------------------------------------------------------------------
 */
#ifndef WF_EVICT_H
#define WF_EVICT_H

/*
 * Have them leave, wait for a few seconds until they have, and keep them away
 * until wf_evict_end.  A run that is under way is waited for, or ended where
 * the statement does that to all sessions.
 */
extern void wf_evict(Oid dbid, bool by_force);

/* the end of the transaction: they may come back; does not throw */
extern void wf_evict_end(void);

#endif							/* WF_EVICT_H */
