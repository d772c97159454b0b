/*-------------------------------------------------------------------------
 * recover.h
 *		What executors have finished, or have left behind.
 *-------------------------------------------------------------------------
 */
#ifndef WF_RECOVER_H
#define WF_RECOVER_H

#include "store/reservation_store.h"

#include "base/shmem.h"

/* a batch was pushed to an executor, under this reservation */
extern void wf_reap_expect(WfExecutor *executor, const WfReservationKey *reservation);

/*
 * Take note of finished runs, of ended executors; forget done reservations.
 * Returns when to look again, whatever happens.
 */
extern TimestampTz wf_reap(void);

/* once, when the dispatcher starts: what a former one, or a crash, has left */
extern void wf_recover(void);

#endif							/* WF_RECOVER_H */
