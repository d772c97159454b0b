/*-------------------------------------------------------------------------
 * settings.h
 *		The settings of a workflow, as arguments.
 *-------------------------------------------------------------------------
 */
#ifndef WF_SETTINGS_H
#define WF_SETTINGS_H

#include "fmgr.h"

#include "store/workflow_sql.h"

/*
 * Read and check the WF_SETTINGS arguments from position first on.  A null
 * one is not given; all_needed: then it is an error, 22023 like all others.
 */
extern void wf_settings_read(FunctionCallInfo fcinfo, int first, bool all_needed,
							 WfWorkflowChange *change);

/* 22023 unless value is one of the words, which are separated by spaces */
extern int	wf_word_require(const char *argument, text *value, const char *words);

/* 22023: an argument is null that must not be */
extern void wf_refuse_null(const char *argument) pg_attribute_noreturn();

#endif							/* WF_SETTINGS_H */
