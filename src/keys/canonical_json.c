/*-------------------------------------------------------------------------
 * canonical_json.c
 *		JSON text as RFC 8785 writes it, byte for byte what JavaScript gives.
 *
 * Names of an object's members are sorted by UTF-16 code units, numbers are
 * written as ECMAScript writes doubles, strings are escaped as little as
 * possible, and there is no white space.  jsonb keeps the last of several
 * members with one name, which RFC 8785 does not allow in the first place.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "keys/canonical_json.h"
#include "keys/es_number.h"

PG_FUNCTION_INFO_V1(wf_canonical_json);

/* a member of an object */
typedef struct Member
{
	const char *name;			/* UTF-8 */
	int			length;
	JsonbValue	value;
} Member;

static void append_container(StringInfo out, JsonbContainer *container);

/* Text of the database in UTF-8; length is set. */
static const char *
to_utf8(const char *text, int *length)
{
	char	   *utf8;

	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return text;
	utf8 = pg_server_to_any(text, *length, PG_UTF8);
	if (utf8 != text)
		*length = strlen(utf8);
	return utf8;
}

static void
append_string(StringInfo out, const char *utf8, int length)
{
	static const char escapes[32] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
	};
	int			done = 0;

	appendStringInfoChar(out, '"');
	for (int i = 0; i < length; i++)
	{
		unsigned char c = utf8[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		appendBinaryStringInfo(out, utf8 + done, i - done);
		done = i + 1;
		if (c >= 0x20)
			appendStringInfo(out, "\\%c", c);
		else if (escapes[c] != 0)
			appendStringInfo(out, "\\%c", escapes[c]);
		else
			appendStringInfo(out, "\\u%04x", c);
	}
	appendBinaryStringInfo(out, utf8 + done, length - done);
	appendStringInfoChar(out, '"');
}

/*
 * The order of UTF-16 code units is that of UTF-8 bytes, but that characters
 * above U+FFFF, which begin with F0 to F4, come before U+E000 to U+FFFF,
 * which begin with EE and EF.
 */
static int
rank_of_byte(unsigned char c)
{
	return c == 0xEE || c == 0xEF ? c + 0x10 : c;
}

static int
compare_members(const void *a, const void *b)
{
	const Member *x = a;
	const Member *y = b;
	int			shared = Min(x->length, y->length);

	for (int i = 0; i < shared; i++)
		if (x->name[i] != y->name[i])
			return rank_of_byte(x->name[i]) - rank_of_byte(y->name[i]);
	return x->length - y->length;
}

static void
append_value(StringInfo out, const JsonbValue *value)
{
	WfDecimal	decimal;
	const char *utf8;
	int			length;

	switch (value->type)
	{
		case jbvNull:
			appendStringInfoString(out, "null");
			break;
		case jbvBool:
			appendStringInfoString(out, value->val.boolean ? "true" : "false");
			break;
		case jbvNumeric:
			wf_decimal_of_double(wf_double_of_numeric(value->val.numeric), &decimal);
			wf_append_decimal(out, &decimal);
			pfree(decimal.digits);
			break;
		case jbvString:
			length = value->val.string.len;
			utf8 = to_utf8(value->val.string.val, &length);
			append_string(out, utf8, length);
			break;
		case jbvBinary:
			append_container(out, value->val.binary.data);
			break;
		default:
			elog(ERROR, "unexpected jsonb value type: %d", (int) value->type);
	}
}

static void
append_array(StringInfo out, JsonbIterator *it, bool scalar)
{
	JsonbValue	value;
	bool		first = true;

	if (!scalar)
		appendStringInfoChar(out, '[');
	while (JsonbIteratorNext(&it, &value, true) == WJB_ELEM)
	{
		CHECK_FOR_INTERRUPTS();
		if (!first)
			appendStringInfoChar(out, ',');
		first = false;
		append_value(out, &value);
	}
	if (!scalar)
		appendStringInfoChar(out, ']');
}

static void
append_object(StringInfo out, JsonbIterator *it, int n)
{
	Member	   *members = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Member) * Max(n, 1));
	JsonbValue	name;

	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) JsonbIteratorNext(&it, &name, true);
		members[i].length = name.val.string.len;
		members[i].name = to_utf8(name.val.string.val, &members[i].length);
		(void) JsonbIteratorNext(&it, &members[i].value, true);
	}
	qsort(members, n, sizeof(Member), compare_members);

	appendStringInfoChar(out, '{');
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ',');
		append_string(out, members[i].name, members[i].length);
		appendStringInfoChar(out, ':');
		append_value(out, &members[i].value);
	}
	appendStringInfoChar(out, '}');
	pfree(members);
}

static void
append_container(StringInfo out, JsonbContainer *container)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbValue	value;

	check_stack_depth();
	if (JsonbIteratorNext(&it, &value, false) == WJB_BEGIN_ARRAY)
		append_array(out, it, value.val.array.rawScalar);
	else
		append_object(out, it, value.val.object.nPairs);
}

void
wf_append_canonical_json(StringInfo out, Jsonb *value)
{
	append_container(out, &value->root);
}

/*
 * wf_canonical_json(jsonb): the canonical text, RFC 8785; 22003 for a number
 * that no double can hold.
 */
Datum
wf_canonical_json(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	char	   *text;

	initStringInfo(&out);
	wf_append_canonical_json(&out, PG_GETARG_JSONB_P(0));
	text = out.data;
	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		text = pg_any_to_server(out.data, out.len, PG_UTF8);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text, text == out.data ? out.len : strlen(text)));
}
