/*-------------------------------------------------------------------------
 * launcher.h
 *		The launcher: one dispatcher for each database that has the extension.
 *-------------------------------------------------------------------------
 */
#ifndef WF_LAUNCHER_H
#define WF_LAUNCHER_H

#include "pg_workflow.h"

/* called from _PG_init; does nothing during pg_upgrade */
extern void wf_launcher_register(void);

extern PGDLLEXPORT void wf_launcher_main(Datum arg);

#endif							/* WF_LAUNCHER_H */
