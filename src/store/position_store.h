/*-------------------------------------------------------------------------
 * position_store.h
 *		How far the queues have been taken, across restarts.
 *-------------------------------------------------------------------------
 */
#ifndef WF_POSITION_STORE_H
#define WF_POSITION_STORE_H

#include "base/cursors.h"

/*
 * Store the positions of a workflow's cursors, in the caller's transaction.
 * False: those in a slice of which it is not known yet since when it is written
 * to were left out.
 */
extern bool wf_positions_store(int32 workflow_id, const WfCursors *cursors);

/* Call back with what is stored of each workflow, as cursors. */
extern void wf_positions_read(void (*callback) (int32 workflow_id, const WfCursors *cursors));

/* Forget those of a workflow that is not there any more. */
extern void wf_positions_forget(int32 workflow_id);

#endif							/* WF_POSITION_STORE_H */
