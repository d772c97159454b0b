/*-------------------------------------------------------------------------
 * fingerprint.h
 *		A digest of a payload's value.
 *-------------------------------------------------------------------------
 */
#ifndef WF_FINGERPRINT_H
#define WF_FINGERPRINT_H

#include "utils/jsonb.h"

/* equal for equal JSON values, however spelled; different for different ones */
extern void wf_fingerprint(Jsonb *payload, uint8 digest[32]);

/* where two payloads first differ, as a path like $.items[2].price */
extern char *wf_payload_difference(Jsonb *a, Jsonb *b);

#endif							/* WF_FINGERPRINT_H */
