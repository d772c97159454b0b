/*-------------------------------------------------------------------------
 * es_number.c
 *		Numbers as digits and a power of ten.
 *
 * ECMA-262, Number::toString: the digits of a double are the shortest that
 * read back as it, and of these the nearest to it.  The server's own shortest
 * output is nearly that: it avoids exact midpoints, so one digit fewer may do
 * (2^82.. printed as 9.999999999999999e22 is 1e23), and rounding the value to
 * fewer digits misses neighbours that only one side of a power of two allows
 * (2^-1017).  So from its length on, shorter ones and their neighbours are
 * tried, with strtod as the judge.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "port/pg_bswap.h"
#include "utils/fmgrprotos.h"

#include "keys/es_number.h"

#define MAX_DIGITS 17
#define MAX_WEIGHT 77			/* 10000^77 is the largest power below 1.8e308 */

/* Take sign, digits and exponent from text like -1.5e+22 or 0.00123. */
static void
read_decimal(const char *text, WfDecimal *decimal)
{
	char	   *digits = palloc(strlen(text) + 1);
	int			n = 0;
	int			point = 0;
	bool		seen_point = false;
	bool		started = false;
	const char *p = text;

	decimal->negative = *p == '-';
	if (*p == '-' || *p == '+')
		p++;
	for (; *p != '\0' && *p != 'e' && *p != 'E'; p++)
	{
		if (*p == '.')
		{
			seen_point = true;
			continue;
		}
		started = started || *p != '0';
		if (started)
			digits[n++] = *p;
		if (started && !seen_point)
			point++;
		else if (!started && seen_point)
			point--;
	}
	if (*p != '\0')
		point += atoi(p + 1);
	while (n > 0 && digits[n - 1] == '0')
		n--;
	decimal->digits = digits;
	decimal->ndigits = n;
	decimal->point = n > 0 ? point : 0;
	if (n == 0)
		decimal->negative = false;
}

/* Does the decimal read back as the (positive) value? */
static bool
reads_back(const WfDecimal *decimal, double value)
{
	char		text[MAX_DIGITS + 16];

	snprintf(text, sizeof(text), "0.%.*se%d", decimal->ndigits, decimal->digits, decimal->point);
	return strtod(text, NULL) == value;
}

/* The decimal of the same length next above or below. */
static bool
neighbour(const WfDecimal *decimal, int length, int step, WfDecimal *result)
{
	char		padded[MAX_DIGITS + 2];
	int64		number;
	char		text[32];

	memset(padded, '0', length);
	memcpy(padded, decimal->digits, decimal->ndigits);
	padded[length] = '\0';
	number = strtoll(padded, NULL, 10) + step;
	if (number <= 0)
		return false;
	snprintf(text, sizeof(text), INT64_FORMAT "e%d", number, decimal->point - length);
	read_decimal(text, result);
	return result->ndigits <= length;
}

/* A decimal of at most `length` digits that reads back, the nearest first. */
static bool
try_length(double value, int length, WfDecimal *decimal)
{
	char		text[40];
	WfDecimal	nearest;

	snprintf(text, sizeof(text), "%.*e", length - 1, value);
	read_decimal(text, &nearest);
	*decimal = nearest;
	if (reads_back(decimal, value))
		return true;
	for (int step = 1; step >= -1; step -= 2)
		if (neighbour(&nearest, length, step, decimal) && reads_back(decimal, value))
			return true;
	return false;
}

void
wf_decimal_of_double(double value, WfDecimal *decimal)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];
	WfDecimal	shorter;
	double		positive = fabs(value);

	double_to_shortest_decimal_buf(positive, text);
	read_decimal(text, decimal);
	if (decimal->ndigits > 0 && try_length(positive, decimal->ndigits, &shorter))
		*decimal = shorter;
	while (decimal->ndigits > 1 && try_length(positive, decimal->ndigits - 1, &shorter))
		*decimal = shorter;
	decimal->negative = value < 0;
}

void
wf_decimal_of_float(float value, WfDecimal *decimal)
{
	char		text[FLOAT_SHORTEST_DECIMAL_LEN];

	float_to_shortest_decimal_buf(value, text);
	read_decimal(text, decimal);
}

/*
 * The external binary form of a numeric: number of digits, weight, sign and
 * display scale as int16, then the digits in base 10000.
 */
void
wf_decimal_of_numeric(Numeric number, WfDecimal *decimal)
{
	bytea	   *wire = DatumGetByteaPP(DirectFunctionCall1(numeric_send, NumericGetDatum(number)));
	uint16		fields[4];
	const char *p = VARDATA_ANY(wire);
	int			n;
	int			ndigits = 0;
	int			zeros = 0;

	memcpy(fields, p, sizeof(fields));
	p += sizeof(fields);
	n = pg_ntoh16(fields[0]);
	decimal->negative = pg_ntoh16(fields[2]) == 0x4000;
	decimal->digits = palloc(4 * n + 1);
	for (int i = 0; i < n; i++)
	{
		uint16		group;

		memcpy(&group, p + 2 * i, sizeof(group));
		group = pg_ntoh16(group);
		for (int power = 1000; power > 0; power /= 10)
		{
			char		digit = '0' + group / power % 10;

			if (digit != '0' || ndigits > 0)
				decimal->digits[ndigits++] = digit;
			else
				zeros++;
		}
	}
	while (ndigits > 0 && decimal->digits[ndigits - 1] == '0')
		ndigits--;
	decimal->ndigits = ndigits;
	decimal->point = ndigits == 0 ? 0 : ((int16) pg_ntoh16(fields[1]) + 1) * 4 - zeros;
	if (ndigits == 0)
		decimal->negative = false;
}

void
wf_append_decimal(StringInfo out, const WfDecimal *d)
{
	int			k = d->ndigits;
	int			n = d->point;

	if (k == 0)
	{
		appendStringInfoChar(out, '0');
		return;
	}
	if (d->negative)
		appendStringInfoChar(out, '-');
	if (k <= n && n <= 21)
	{
		appendBinaryStringInfo(out, d->digits, k);
		appendStringInfoSpaces(out, n - k);
		memset(out->data + out->len - (n - k), '0', n - k);
	}
	else if (0 < n && n <= 21)
		appendStringInfo(out, "%.*s.%.*s", n, d->digits, k - n, d->digits + n);
	else if (-6 < n && n <= 0)
		appendStringInfo(out, "0.%.*s%.*s", -n, "00000", k, d->digits);
	else
	{
		appendStringInfoChar(out, d->digits[0]);
		if (k > 1)
			appendStringInfo(out, ".%.*s", k - 1, d->digits + 1);
		appendStringInfo(out, "e%+d", n - 1);
	}
}

static void
report_out_of_range(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("number is out of the range of canonical JSON"),
			 errdetail("RFC 8785 writes numbers as IEEE 754 doubles, which end at about 1.8e308."),
			 errhint("Pass such a number as a string.")));
}

double
wf_double_of_numeric(Numeric number)
{
	WfDecimal	decimal;
	char	   *text;
	double		value;

	/* judged before anything is expanded: 1e131071 is short as jsonb */
	wf_decimal_of_numeric(number, &decimal);
	if (decimal.point > (MAX_WEIGHT + 1) * 4)
		report_out_of_range();
	text = psprintf("%s0.%.*se%d", decimal.negative ? "-" : "", decimal.ndigits,
					decimal.digits, decimal.point);
	value = strtod(text, NULL);
	if (isinf(value))
		report_out_of_range();
	pfree(text);
	pfree(decimal.digits);
	return value;
}
