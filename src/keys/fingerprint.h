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

#endif							/* WF_FINGERPRINT_H */
