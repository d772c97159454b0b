/*-------------------------------------------------------------------------
 * canonical_json.h
 *		JSON text as RFC 8785 writes it.
 *-------------------------------------------------------------------------
 */
#ifndef WF_CANONICAL_JSON_H
#define WF_CANONICAL_JSON_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* Append the canonical text of a value, in UTF-8. */
extern void wf_append_canonical_json(StringInfo out, Jsonb *value);

#endif							/* WF_CANONICAL_JSON_H */
