/*-------------------------------------------------------------------------
 * es_number.h
 *		Numbers as digits and a power of ten.
 *-------------------------------------------------------------------------
 */
#ifndef WF_ES_NUMBER_H
#define WF_ES_NUMBER_H

#include "lib/stringinfo.h"
#include "utils/numeric.h"

/* 0.d1d2...dk times ten to the point, d1 and dk not zero; k = 0: zero */
typedef struct WfDecimal
{
	bool		negative;
	char	   *digits;			/* not terminated */
	int			ndigits;
	int			point;
} WfDecimal;

/* Of all shortest decimals that are this double, the nearest (ECMAScript). */
extern void wf_decimal_of_double(double value, WfDecimal *decimal);
extern void wf_decimal_of_float(float value, WfDecimal *decimal);

/* Exactly; bounded by the stored size of the numeric, which is finite. */
extern void wf_decimal_of_numeric(Numeric number, WfDecimal *decimal);

/* As ECMAScript's Number::toString writes it. */
extern void wf_append_decimal(StringInfo out, const WfDecimal *decimal);

/* The nearest double; error 22003 where none is near. */
extern double wf_double_of_numeric(Numeric number);

#endif							/* WF_ES_NUMBER_H */
