/*-------------------------------------------------------------------------
 * serve.h
 *		Execute what is in an executor's queue, alone or sharing a transaction.
 *-------------------------------------------------------------------------
 */
#ifndef WF_SERVE_H
#define WF_SERVE_H

/*
 * Execute the next run, or the next few of a workflow with a batch, and
 * record what became of them; errors are caught here.  How many they were; 0:
 * the queue is empty.
 */
extern int	wf_serve_next(void);

#endif							/* WF_SERVE_H */
