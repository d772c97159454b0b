/*-------------------------------------------------------------------------
 * difference.h
 *		Where two payloads differ.
 *-------------------------------------------------------------------------
 */
#ifndef WF_DIFFERENCE_H
#define WF_DIFFERENCE_H

#include "utils/jsonb.h"

/*
 * The first place, in the order in which jsonb is printed, where two payloads
 * differ: a path like $.items[2]."unit price", cut off with ... when it is
 * long.  NULL: they are equal.
 */
extern char *wf_payload_difference(Jsonb *a, Jsonb *b);

#endif							/* WF_DIFFERENCE_H */
