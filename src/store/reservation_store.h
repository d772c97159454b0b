/*-------------------------------------------------------------------------
 * reservation_store.h
 *		All access to wf.reservation: runs handed to executors.
 *-------------------------------------------------------------------------
 */
#ifndef WF_RESERVATION_STORE_H
#define WF_RESERVATION_STORE_H

#include "storage/itemptr.h"

#include "base/shmem.h"

typedef struct WfReservation
{
	ItemPointerData tid;
	int			executor;
	TimestampTz reserved_at;
	int			n;
	pg_uuid_t  *run_ids;
	int32	   *seqs;
} WfReservation;

extern void wf_reservation_insert(int executor, const WfItem *items, int n,
								  ItemPointer tid);
extern void wf_reservation_delete(ItemPointer tid);

/* all of them, palloc'ed; for the dispatcher's start */
extern int	wf_reservation_all(WfReservation **reservations);

#endif							/* WF_RESERVATION_STORE_H */
