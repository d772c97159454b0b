/*-------------------------------------------------------------------------
 * es_number.c
 *		Numbers as digits and a power of ten, written as ECMAScript does.
 *
 * ECMA-262, Number::toString: the digits of a double are as few as read back
 * as it, and of these the nearest to it.  The server's own shortest output is
 * nearly that, but avoids exact midpoints: 0x44b52d02c7e14af6 is 1e23 and
 * printed as 9.999999999999999e22.  Rounding to ever more digits until they
 * read back is nearly that, too, but a power of two is nearer to its
 * neighbour below than to that above: 2^-1017 rounded down is not it, while
 * the next number of as many digits is.  So both are done: the server's
 * output gives a length, and one less is tried, rounded and next above.
 *
 * A numeric is never expanded: whether a double holds it is told by its
 * weight, and its digits are those that are stored.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "port/pg_bswap.h"
#include "utils/fmgrprotos.h"

#include "keys/es_number.h"

/* 0.d1d2...dk times ten to the point, d1 and dk not zero; k = 0: zero */
typedef struct Decimal
{
	bool		negative;
	const char *digits;			/* not terminated */
	int			ndigits;
	int			point;
} Decimal;

/* The digits of a double are at most 17; here is room for its text. */
#define DOUBLE_TEXT 40

/* the digits of a positive double, in the making */
typedef struct Shortest
{
	double		value;
	char		digits[DOUBLE_TEXT];
	int			ndigits;
	int			point;
} Shortest;

/* Any decimal of so many digits is told from others of as many by a double. */
#define SAFE_DIGITS 15
#define SAFE_POINT 300

/* from here on every decimal is more than the greatest double, 0.18e309 */
#define INFINITE_POINT 310

/* ECMAScript writes numbers below 10^21, and not below 10^-6, without exponent */
#define LAST_POINT 21
#define FIRST_POINT (-5)

static void
append_decimal(StringInfo out, const Decimal *d)
{
	int			k = d->ndigits;
	int			n = d->point;

	if (k > 0 && d->negative)
		appendStringInfoChar(out, '-');
	if (k == 0)
		appendStringInfoChar(out, '0');
	else if (k <= n && n <= LAST_POINT)
	{
		appendBinaryStringInfo(out, d->digits, k);
		for (int i = k; i < n; i++)
			appendStringInfoChar(out, '0');
	}
	else if (0 < n && n <= LAST_POINT)
	{
		appendBinaryStringInfo(out, d->digits, n);
		appendStringInfoChar(out, '.');
		appendBinaryStringInfo(out, d->digits + n, k - n);
	}
	else if (FIRST_POINT <= n && n <= 0)
	{
		appendBinaryStringInfo(out, "0.00000", 2 - n);
		appendBinaryStringInfo(out, d->digits, k);
	}
	else
	{
		appendStringInfoChar(out, d->digits[0]);
		if (k > 1)
			appendStringInfoChar(out, '.');
		appendBinaryStringInfo(out, d->digits + 1, k - 1);
		appendStringInfo(out, "e%+d", n - 1);
	}
}

/* ---- doubles ---- */

/* Take digits and point from text like 15e+22, 1.5e-7 or 0.00123. */
static void
read_digits(Shortest *s, const char *text)
{
	bool		after_point = false;

	s->ndigits = 0;
	s->point = 0;
	for (; *text != '\0' && *text != 'e'; text++)
	{
		bool		digit = *text != '.' && (*text != '0' || s->ndigits > 0);

		if (digit)
			s->digits[s->ndigits++] = *text;
		if (digit && !after_point)
			s->point++;
		else if (!digit && after_point)
			s->point--;
		after_point |= *text == '.';
	}
	if (*text == 'e')
		s->point += atoi(text + 1);
	while (s->ndigits > 0 && s->digits[s->ndigits - 1] == '0')
		s->ndigits--;
}

static bool
reads_back(const Shortest *s)
{
	char		text[DOUBLE_TEXT];

	snprintf(text, sizeof(text), "0.%.*se%d", s->ndigits, s->digits, s->point);
	return strtod(text, NULL) == s->value;
}

/* The next number above that has, like this one, at most so many digits. */
static void
step_up(Shortest *s, int length)
{
	char		text[DOUBLE_TEXT];
	int64		number;

	memset(text, '0', length);
	memcpy(text, s->digits, s->ndigits);
	text[length] = '\0';
	number = strtoll(text, NULL, 10) + 1;
	snprintf(text, sizeof(text), INT64_FORMAT "e%d", number, s->point - length);
	read_digits(s, text);
}

/*
 * Are there so many digits that read back?  If so, take the nearest.  Where
 * the rounded ones do not, they are too low, just above the narrower of the
 * two gaps at a power of two.
 */
static bool
try_length(Shortest *s, int length)
{
	Shortest	candidate = *s;
	char		text[DOUBLE_TEXT];

	snprintf(text, sizeof(text), "%.*e", length - 1, s->value);
	read_digits(&candidate, text);
	if (!reads_back(&candidate))
	{
		step_up(&candidate, length);
		if (!reads_back(&candidate))
			return false;
	}
	*s = candidate;
	return true;
}

void
wf_append_double(StringInfo out, double value)
{
	Shortest	s;
	Decimal		decimal;
	char		text[DOUBLE_TEXT];

	s.value = fabs(value);
	double_to_shortest_decimal_buf(s.value, text);
	read_digits(&s, text);
	if (s.ndigits > 0)
		(void) try_length(&s, s.ndigits);
	while (s.ndigits > 1 && try_length(&s, s.ndigits - 1))
		;
	decimal.negative = value < 0;
	decimal.digits = s.digits;
	decimal.ndigits = s.ndigits;
	decimal.point = s.point;
	append_decimal(out, &decimal);
}

/* ---- numerics ---- */

/*
 * The external binary form of a numeric is int16s: number of digits, weight,
 * sign, display scale, and then the digits in base 10000.  The caller frees
 * the decimal's digits.
 */
static void
read_numeric(Numeric number, Decimal *decimal)
{
	bytea	   *wire = DatumGetByteaPP(DirectFunctionCall1(numeric_send,
														   NumericGetDatum(number)));
	const unsigned char *p = (unsigned char *) VARDATA_ANY(wire);
	uint16		fields[4];
	char	   *digits;
	int			first = 0;
	int			n;

	memcpy(fields, p, sizeof(fields));
	p += sizeof(fields);
	n = 4 * pg_ntoh16(fields[0]);
	digits = palloc(n + 1);
	for (int i = 0; i < n; i += 4, p += 2)
	{
		int			group = p[0] << 8 | p[1];

		digits[i] = '0' + group / 1000;
		digits[i + 1] = '0' + group / 100 % 10;
		digits[i + 2] = '0' + group / 10 % 10;
		digits[i + 3] = '0' + group % 10;
	}
	while (first < n && digits[first] == '0')
		first++;
	while (n > first && digits[n - 1] == '0')
		n--;
	memmove(digits, digits + first, n - first);

	decimal->negative = pg_ntoh16(fields[2]) != 0;
	decimal->digits = digits;
	decimal->ndigits = n - first;
	decimal->point = ((int16) pg_ntoh16(fields[1]) + 1) * 4 - first;
	pfree(wire);
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

/* The nearest double; strtod rounds correctly, however many the digits. */
static double
double_of_decimal(const Decimal *decimal)
{
	char	   *text;
	double		value;

	if (decimal->point >= INFINITE_POINT)
		report_out_of_range();
	text = psprintf("%s0.%.*se%d", decimal->negative ? "-" : "", decimal->ndigits,
					decimal->digits, decimal->point);
	value = strtod(text, NULL);
	if (isinf(value))
		report_out_of_range();
	pfree(text);
	return value;
}

void
wf_append_exact_number(StringInfo out, Numeric number)
{
	Decimal		decimal;

	read_numeric(number, &decimal);
	append_decimal(out, &decimal);
	pfree(unconstify(char *, decimal.digits));
}

void
wf_append_es_number(StringInfo out, Numeric number)
{
	Decimal		decimal;

	read_numeric(number, &decimal);
	if (decimal.ndigits <= SAFE_DIGITS && abs(decimal.point) <= SAFE_POINT)
		append_decimal(out, &decimal);
	else
		wf_append_double(out, double_of_decimal(&decimal));
	pfree(unconstify(char *, decimal.digits));
}
