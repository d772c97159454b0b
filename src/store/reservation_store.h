/*-------------------------------------------------------------------------
 * reservation_store.h
 *		All access to wf.reservation: runs handed to executors.
 *-------------------------------------------------------------------------
 */
#ifndef WF_RESERVATION_STORE_H
#define WF_RESERVATION_STORE_H

#include "storage/itemptr.h"

#include "base/shmem.h"

/* Which row: where it was, and its time in case that it has been moved. */
typedef struct WfReservationKey
{
	ItemPointerData tid;
	TimestampTz reserved_at;
} WfReservationKey;

typedef struct WfReservation
{
	WfReservationKey key;
	int			executor;
	int			n;
	pg_uuid_t  *run_ids;
	int32	   *seqs;
} WfReservation;

extern void wf_reservation_insert(int executor, const WfItem *items, int n,
								  WfReservationKey *key);
extern void wf_reservation_delete(const WfReservationKey *key);

/* all of them, palloc'ed; for the dispatcher's start */
extern int	wf_reservation_all(WfReservation **reservations);

#endif							/* WF_RESERVATION_STORE_H */
