/*-------------------------------------------------------------------------
 * canonical_json.h
 *		JSON text as RFC 8785 writes it.
 *-------------------------------------------------------------------------
 */
#ifndef WF_CANONICAL_JSON_H
#define WF_CANONICAL_JSON_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

typedef enum WfJsonNumbers
{
	WF_NUMBERS_AS_DOUBLES,		/* RFC 8785; 22003 where no double is near */
	WF_NUMBERS_EXACT			/* the same for what JavaScript would write,
								 * and digits that it would lose */
} WfJsonNumbers;

/* Append the canonical text of a value, in UTF-8; 54000 above 1 GB. */
extern void wf_append_canonical_json(StringInfo out, Jsonb *value, WfJsonNumbers numbers);

/*
 * Text of the database in UTF-8, which is as long as *length then says, and
 * the text itself or allocated.  Bytes of a SQL_ASCII database stay as they
 * are.
 */
extern const char *wf_to_utf8(const char *text, int *length);

#endif							/* WF_CANONICAL_JSON_H */
