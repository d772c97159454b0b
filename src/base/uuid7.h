/*-------------------------------------------------------------------------
 * uuid7.h
 *		Identifiers of runs: UUID version 7 (RFC 9562).
 *-------------------------------------------------------------------------
 */
#ifndef WF_UUID7_H
#define WF_UUID7_H

#include "utils/uuid.h"

/*
 * A new identifier, larger than all that this backend has made before.  The
 * slice is put into four of its random bits: a hint where to look first.
 */
extern void wf_uuid7(pg_uuid_t *uuid, int slice);
extern int	wf_uuid7_slice(const pg_uuid_t *uuid);

#endif							/* WF_UUID7_H */
