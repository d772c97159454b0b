/*-------------------------------------------------------------------------
 * guc.h
 *		Settings, called pg_workflow.<name of the variable without wf_>.
 *-------------------------------------------------------------------------
 */
#ifndef WF_GUC_H
#define WF_GUC_H

typedef enum WfAudit
{
	WF_AUDIT_OFF,
	WF_AUDIT_COUNT,
	WF_AUDIT_LOG
} WfAudit;

extern bool wf_dispatch;
extern int	wf_key_wait;		/* ms, -1: for ever */
extern int	wf_audit;
extern int	wf_max_payload;		/* kB */
extern char *wf_handler_languages;
extern bool wf_allow_superuser_workflows;
extern bool wf_synchronous_commit;
extern int	wf_max_executors;	/* of one database */
extern int	wf_executor_idle_timeout;	/* ms */
extern int	wf_sweep_interval;	/* ms */
extern int	wf_executor_memory_limit;	/* kB, 0: none */
extern int	wf_crash_isolation_time;	/* ms */
extern int	wf_key_cache_memory;	/* kB, of all databases */
extern int	wf_key_filter_memory;	/* kB, of all databases */
extern int	wf_max_running_per_role;	/* 0: no limit */
extern char *wf_notify_channel;

extern void wf_guc_init(void);

#endif							/* WF_GUC_H */
