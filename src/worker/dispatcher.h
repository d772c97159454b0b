/*-------------------------------------------------------------------------
 * dispatcher.h
 *		The dispatcher of one database, and how the launcher starts it.
 *-------------------------------------------------------------------------
 */
#ifndef WF_DISPATCHER_H
#define WF_DISPATCHER_H

#include "postmaster/bgworker.h"

#include "base/shmem.h"

/*
 * Start a dispatcher for the database that has the slot now.  NULL: no
 * process is to be had; otherwise to be freed with pfree.
 */
extern BackgroundWorkerHandle *wf_dispatcher_start(int slot, const char *database);

extern PGDLLEXPORT void wf_dispatcher_main(Datum arg);

#endif							/* WF_DISPATCHER_H */
