/*-------------------------------------------------------------------------
 * ddl_hook.h
 *		Statements that our processes have to make way for, or hear of.
 *-------------------------------------------------------------------------
 */
#ifndef WF_DDL_HOOK_H
#define WF_DDL_HOOK_H

/* called from _PG_init, when preloaded */
extern void wf_ddl_hook_init(void);

#endif							/* WF_DDL_HOOK_H */
