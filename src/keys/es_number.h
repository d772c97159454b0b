/*-------------------------------------------------------------------------
 * es_number.h
 *		Numbers as digits and a power of ten, written as ECMAScript does.
 *-------------------------------------------------------------------------
 */
#ifndef WF_ES_NUMBER_H
#define WF_ES_NUMBER_H

#include "lib/stringinfo.h"
#include "utils/numeric.h"

/*
 * Exactly what the number is, as long as its digits, of which there are no
 * more than are stored: 1e131071 has one.  The number is finite.
 */
extern void wf_append_exact_number(StringInfo out, Numeric number);

/* The nearest double, as JavaScript would have read it; 22003 where none is. */
extern void wf_append_es_number(StringInfo out, Numeric number);

/* What is neither infinite nor NaN. */
extern void wf_append_double(StringInfo out, double value);

#endif							/* WF_ES_NUMBER_H */
