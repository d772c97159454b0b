/*-------------------------------------------------------------------------
 * pg_workflow.h
 *		Names and limits that every file shares.
 *-------------------------------------------------------------------------
 */
#ifndef PG_WORKFLOW_H
#define PG_WORKFLOW_H

#define WF_EXTENSION		"pg_workflow"
#define WF_VERSION			"0.1"	/* the SQL objects this library serves */
#define WF_SCHEMA			"wf"

#define WF_MAX_KEY			512 /* bytes of a key */
#define WF_MAX_NAME			200 /* bytes of a workflow's name */
#define WF_MAX_ERROR_TEXT	8192	/* bytes of an error text that are kept */

#define WF_SLICES			8	/* slices of wf.run and wf.event */

/* SQLSTATEs of our own, class WF */
#define ERRCODE_WF_PAYLOAD_MISMATCH MAKE_SQLSTATE('W', 'F', '0', '0', '1')
#define ERRCODE_WF_DUPLICATE		MAKE_SQLSTATE('W', 'F', '0', '0', '2')
#define ERRCODE_WF_KEY_BUSY			MAKE_SQLSTATE('W', 'F', '0', '0', '3')
#define ERRCODE_WF_STALE_ATTEMPT	MAKE_SQLSTATE('W', 'F', '0', '0', '4')
#define ERRCODE_WF_OTHER_OUTCOME	MAKE_SQLSTATE('W', 'F', '0', '0', '5')

#endif							/* PG_WORKFLOW_H */
