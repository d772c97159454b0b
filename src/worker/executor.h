/*-------------------------------------------------------------------------
 * executor.h
 *		An executor: logged in as an owner, executes what is in its queue.
 *
 * Started by ops/pool.c.
 *-------------------------------------------------------------------------
 */
#ifndef WF_EXECUTOR_H
#define WF_EXECUTOR_H

extern PGDLLEXPORT void wf_executor_main(Datum arg);

#endif							/* WF_EXECUTOR_H */
