/*-------------------------------------------------------------------------
 * key_text.c
 *		wf_key: a readable key from several parts.
 *
 * The parts, joined by colons:
 *
 *	text		as it is where it begins with a letter or underscore, goes on
 *				with letters, digits and any of _ . @ / + -, and is not one of
 *				the words below; else in single quotes, a quote doubled
 *	numbers		as ECMAScript writes them, whatever their type: 7, 0.5, 1e+22;
 *				integers and numerics with all their digits, floats with those
 *				of the double that they are
 *	others		true, false, null, NaN, Infinity, -Infinity; uuid'...',
 *				bytea'hex', json'canonical, with all digits', date'...', time'...', timetz'...',
 *				timestamp'...', timestamptz'...' in UTC, interval'ISO 8601'
 *	arrays		[part,part]
 *
 * Each part can be told from its first character on where it ends and what it
 * was, so different parts never give the same key.  Bytes that begin a
 * character of several bytes count as letters.  No setting has a part in it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

#include "keys/canonical_json.h"
#include "keys/es_number.h"

PG_FUNCTION_INFO_V1(wf_key);

static void append_part(StringInfo out, Datum value, bool isnull, Oid type);
static void append_array(StringInfo out, ArrayType *array);

static bool
is_letter(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c >= 0x80;
}

static bool
may_stand_bare(const char *text, int length)
{
	static const char *const words[] = {"true", "false", "null", "NaN", "Infinity"};

	if (length == 0 || !is_letter(text[0]))
		return false;
	for (int i = 1; i < length; i++)
		if (!is_letter(text[i]) && !(text[i] >= '0' && text[i] <= '9') &&
			strchr(".@/+-", text[i]) == NULL)
			return false;
	for (int i = 0; i < lengthof(words); i++)
		if (length == strlen(words[i]) && memcmp(text, words[i], length) == 0)
			return false;
	return true;
}

static void
append_quoted(StringInfo out, const char *text, int length)
{
	appendStringInfoChar(out, '\'');
	for (int i = 0; i < length; i++)
	{
		if (text[i] == '\'')
			appendStringInfoChar(out, '\'');
		appendStringInfoChar(out, text[i]);
	}
	appendStringInfoChar(out, '\'');
}

static void
append_text(StringInfo out, const char *text, int length)
{
	if (may_stand_bare(text, length))
		appendBinaryStringInfo(out, text, length);
	else
		append_quoted(out, text, length);
}

static void
append_double(StringInfo out, double value)
{
	if (isnan(value))
		appendStringInfoString(out, "NaN");
	else if (isinf(value))
		appendStringInfoString(out, value < 0 ? "-Infinity" : "Infinity");
	else
		wf_append_double(out, value);
}

static bool
is_positive(Numeric number)
{
	return DatumGetBool(DirectFunctionCall2(numeric_gt, NumericGetDatum(number),
											NumericGetDatum(int64_to_numeric(0))));
}

static void
append_numeric(StringInfo out, Numeric number)
{
	if (numeric_is_nan(number))
		appendStringInfoString(out, "NaN");
	else if (numeric_is_inf(number))
		appendStringInfoString(out, is_positive(number) ? "Infinity" : "-Infinity");
	else
		wf_append_exact_number(out, number);
}

static void
append_time(StringInfo out, const char *name, Datum value, Oid type)
{
	char		text[MAXDATELEN + 1];
	int			utc = 0;

	JsonEncodeDateTime(text, value, type, type == TIMESTAMPTZOID ? &utc : NULL);
	appendStringInfo(out, "%s'%s'", name, text);
}

static void
append_interval(StringInfo out, const Interval *span)
{
	char		text[MAXDATELEN + 1];
	struct pg_itm itm;

#ifdef INTERVAL_NOT_FINITE
	if (INTERVAL_NOT_FINITE(span))
	{
		appendStringInfo(out, "interval'%sinfinity'", INTERVAL_IS_NOBEGIN(span) ? "-" : "");
		return;
	}
#endif
	interval2itm(*span, &itm);
	EncodeInterval(&itm, INTSTYLE_ISO_8601, text);
	appendStringInfo(out, "interval'%s'", text);
}

static void
append_json(StringInfo out, Jsonb *json)
{
	StringInfoData canonical;
	char	   *text;

	initStringInfo(&canonical);
	wf_append_canonical_json(&canonical, json, WF_NUMBERS_EXACT);
	text = canonical.data;
	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		text = pg_any_to_server(canonical.data, canonical.len, PG_UTF8);
	appendStringInfoString(out, "json");
	append_quoted(out, text, strlen(text));
}

static void
append_bytes(StringInfo out, bytea *bytes)
{
	int			length = VARSIZE_ANY_EXHDR(bytes);

	appendStringInfoString(out, "bytea'");
	enlargeStringInfo(out, 2 * length);
	out->len += hex_encode(VARDATA_ANY(bytes), length, out->data + out->len);
	appendStringInfoChar(out, '\'');
}

static void
refuse_type(Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("wf_key does not accept a part of type %s", format_type_be(type)),
			 errhint("Accepted are boolean, numbers, text types, uuid, bytea, date and time types, json, jsonb, and arrays of these; cast others to text.")));
}

static void
append_part(StringInfo out, Datum value, bool isnull, Oid type)
{
	type = getBaseType(type);
	if (isnull)
	{
		appendStringInfoString(out, "null");
		return;
	}
	switch (type)
	{
		case BOOLOID:
			appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
			break;
		case INT2OID:
			appendStringInfo(out, "%d", DatumGetInt16(value));
			break;
		case INT4OID:
			appendStringInfo(out, "%d", DatumGetInt32(value));
			break;
		case INT8OID:
			appendStringInfo(out, INT64_FORMAT, DatumGetInt64(value));
			break;
		case NUMERICOID:
			append_numeric(out, DatumGetNumeric(value));
			break;
		case FLOAT4OID:
			append_double(out, DatumGetFloat4(value));
			break;
		case FLOAT8OID:
			append_double(out, DatumGetFloat8(value));
			break;
		case UNKNOWNOID:
		case CSTRINGOID:
			append_text(out, DatumGetCString(value), strlen(DatumGetCString(value)));
			break;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			append_text(out, VARDATA_ANY(DatumGetTextPP(value)), VARSIZE_ANY_EXHDR(DatumGetTextPP(value)));
			break;
		case NAMEOID:
			append_text(out, NameStr(*DatumGetName(value)), strlen(NameStr(*DatumGetName(value))));
			break;
		case UUIDOID:
			appendStringInfo(out, "uuid'%s'", DatumGetCString(DirectFunctionCall1(uuid_out, value)));
			break;
		case BYTEAOID:
			append_bytes(out, DatumGetByteaPP(value));
			break;
		case DATEOID:
			append_time(out, "date", value, type);
			break;
		case TIMEOID:
			append_time(out, "time", value, type);
			break;
		case TIMETZOID:
			append_time(out, "timetz", value, type);
			break;
		case TIMESTAMPOID:
			append_time(out, "timestamp", value, type);
			break;
		case TIMESTAMPTZOID:
			append_time(out, "timestamptz", value, type);
			break;
		case INTERVALOID:
			append_interval(out, DatumGetIntervalP(value));
			break;
		case JSONOID:
			append_json(out, DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
																CStringGetDatum(TextDatumGetCString(value)))));
			break;
		case JSONBOID:
			append_json(out, DatumGetJsonbP(value));
			break;
		default:
			if (!OidIsValid(get_base_element_type(type)))
				refuse_type(type);
			append_array(out, DatumGetArrayTypeP(value));
			break;
	}
}

/* One dimension of an array; the elements are taken in order. */
static void
append_dimension(StringInfo out, const ArrayType *array, int dimension, Datum *values,
				 bool *nulls, int *next)
{
	check_stack_depth();
	appendStringInfoChar(out, '[');
	for (int i = 0; i < ARR_DIMS(array)[dimension]; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			appendStringInfoChar(out, ',');
		if (dimension + 1 < ARR_NDIM(array))
			append_dimension(out, array, dimension + 1, values, nulls, next);
		else
		{
			append_part(out, values[*next], nulls[*next], ARR_ELEMTYPE(array));
			(*next)++;
		}
	}
	appendStringInfoChar(out, ']');
}

static void
read_elements(ArrayType *array, Datum **values, bool **nulls, int *n)
{
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, values, nulls, n);
}

static void
append_array(StringInfo out, ArrayType *array)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			next = 0;

	read_elements(array, &values, &nulls, &n);
	if (ARR_NDIM(array) == 0)
		appendStringInfoString(out, "[]");
	else
		append_dimension(out, array, 0, values, nulls, &next);
}

static void
refuse_nothing(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("wf_key needs at least one part"),
			 errdetail("There is none."),
			 errhint("Pass what identifies the operation, or NULL as the key for a run without one.")));
}

static void
append_parts_of_array(StringInfo out, ArrayType *array)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;

	read_elements(array, &values, &nulls, &n);
	if (n == 0)
		refuse_nothing();
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			appendStringInfoChar(out, ':');
		append_part(out, values[i], nulls[i], ARR_ELEMTYPE(array));
	}
}

static void
append_parts_of_call(StringInfo out, FunctionCallInfo fcinfo)
{
	if (PG_NARGS() == 0)
		refuse_nothing();
	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ':');
		append_part(out, PG_GETARG_DATUM(i), PG_ARGISNULL(i),
					get_fn_expr_argtype(fcinfo->flinfo, i));
	}
}

/*
 * wf_key(VARIADIC "any"): the parts as a key; VARIADIC array: its elements.
 */
Datum
wf_key(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoSpaces(&out, VARHDRSZ);
	if (!get_fn_expr_variadic(fcinfo->flinfo))
		append_parts_of_call(&out, fcinfo);
	else if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	else
		append_parts_of_array(&out, PG_GETARG_ARRAYTYPE_P(0));
	SET_VARSIZE(out.data, out.len);
	PG_RETURN_TEXT_P(out.data);
}
