/*-------------------------------------------------------------------------
 * audit.h (ops)
 *		Write to the tables what was counted and recorded in shared memory.
 *-------------------------------------------------------------------------
 */
#ifndef WF_OPS_AUDIT_H
#define WF_OPS_AUDIT_H

/* One bounded step of the dispatcher's, in a transaction of its own if there
 * is something to write; true: there is more. */
extern bool wf_audit_write(void);

/* Is there nothing to write? */
extern bool wf_audit_idle(void);

#endif							/* WF_OPS_AUDIT_H */
