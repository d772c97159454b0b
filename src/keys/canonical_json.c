/*-------------------------------------------------------------------------
 * canonical_json.c
 *		JSON text as RFC 8785 writes it, byte for byte what JavaScript gives.
 *
 * Names of an object's members are sorted by UTF-16 code units, numbers are
 * written as ECMAScript writes doubles, strings are escaped as little as
 * possible, and there is no white space.  jsonb keeps the last of several
 * members with one name, which RFC 8785 does not allow in the first place.
 *
 * The text is made in UTF-8, whatever the database has.  Besides it only the
 * members of the objects that one is in are in memory.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "keys/canonical_json.h"
#include "keys/es_number.h"

PG_FUNCTION_INFO_V1(wf_canonical_json);

typedef struct Writer
{
	StringInfo	out;
	WfJsonNumbers numbers;
} Writer;

/* a member of an object */
typedef struct Member
{
	const char *name;			/* UTF-8 */
	int			length;
	bool		converted;		/* the name is ours to free */
	JsonbValue	value;
} Member;

/* the longest text of a number that a double holds, and some */
#define NUMBER_TEXT 64

static void append_container(Writer *w, JsonbContainer *container);

const char *
wf_to_utf8(const char *text, int *length)
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
report_too_long(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("canonical JSON is too long"),
			 errdetail("The text would have more than the %zu bytes that a value can have.",
					   (size_t) MaxAllocSize - VARHDRSZ),
			 errhint("Make keys of parts of the payload.")));
}

/* Where a text may end, a header and the StringInfo's zero byte find room. */
static inline void
reserve(StringInfo out, size_t length)
{
	if (length >= (size_t) MaxAllocSize - 2 * VARHDRSZ - out->len)
		report_too_long();
}

static inline void
put_bytes(StringInfo out, const char *data, int length)
{
	reserve(out, length);
	appendBinaryStringInfo(out, data, length);
}

static inline void
put_char(StringInfo out, char c)
{
	reserve(out, 1);
	appendStringInfoChar(out, c);
}

static void
append_escape(StringInfo out, unsigned char c)
{
	static const char letters[32] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
	};
	char		text[6] = {'\\', 'u', '0', '0', '0' + (c >> 4), "0123456789abcdef"[c & 15]};
	char		letter = c >= ' ' ? c : letters[c];

	CHECK_FOR_INTERRUPTS();
	if (letter != '\0')
		text[1] = letter;
	put_bytes(out, text, letter != '\0' ? 2 : 6);
}

static void
append_string(StringInfo out, const char *utf8, int length)
{
	int			done = 0;

	put_char(out, '"');
	for (int i = 0; i < length; i++)
	{
		unsigned char c = utf8[i];

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		put_bytes(out, utf8 + done, i - done);
		append_escape(out, c);
		done = i + 1;
	}
	put_bytes(out, utf8 + done, length - done);
	put_char(out, '"');
}

static void
append_text(StringInfo out, const char *text, int length)
{
	const char *utf8 = wf_to_utf8(text, &length);

	append_string(out, utf8, length);
	if (utf8 != text)
		pfree(unconstify(char *, utf8));
}

static void
append_number(Writer *w, Numeric number)
{
	if (numeric_is_nan(number) || numeric_is_inf(number))
		elog(ERROR, "unexpected number in jsonb");
	/* base 10000 digits are four decimal ones in two bytes */
	reserve(w->out, NUMBER_TEXT + 2 * VARSIZE_ANY(number));
	if (w->numbers == WF_NUMBERS_EXACT)
		wf_append_exact_number(w->out, number);
	else
		wf_append_es_number(w->out, number);
}

static void
append_value(Writer *w, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			put_bytes(w->out, "null", 4);
			break;
		case jbvBool:
			put_bytes(w->out, value->val.boolean ? "true" : "false", value->val.boolean ? 4 : 5);
			break;
		case jbvNumeric:
			append_number(w, value->val.numeric);
			break;
		case jbvString:
			append_text(w->out, value->val.string.val, value->val.string.len);
			break;
		case jbvBinary:
			append_container(w, value->val.binary.data);
			break;
		default:
			elog(ERROR, "unexpected jsonb value type: %d", (int) value->type);
	}
}

static void
append_array(Writer *w, JsonbIterator **it, bool scalar)
{
	JsonbValue	value;
	bool		first = true;

	if (!scalar)
		put_char(w->out, '[');
	while (JsonbIteratorNext(it, &value, true) == WJB_ELEM)
	{
		CHECK_FOR_INTERRUPTS();
		if (!first)
			put_char(w->out, ',');
		first = false;
		append_value(w, &value);
	}
	if (!scalar)
		put_char(w->out, ']');
}

/*
 * The order of UTF-16 code units is that of UTF-8 bytes, but that characters
 * above U+FFFF, which begin with F0 to F4, come before U+E000 to U+FFFF,
 * which begin with EE and EF.
 */
static inline int
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

	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < shared; i++)
		if (x->name[i] != y->name[i])
			return rank_of_byte(x->name[i]) - rank_of_byte(y->name[i]);
	return x->length - y->length;
}

/* The members of an object, sorted, and the iterator at its end. */
static Member *
read_members(JsonbIterator **it, int n)
{
	Member	   *members = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Member) * Max(n, 1));
	JsonbValue	name;

	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) JsonbIteratorNext(it, &name, true);
		members[i].length = name.val.string.len;
		members[i].name = wf_to_utf8(name.val.string.val, &members[i].length);
		members[i].converted = members[i].name != name.val.string.val;
		(void) JsonbIteratorNext(it, &members[i].value, true);
	}
	if (JsonbIteratorNext(it, &name, true) != WJB_END_OBJECT)
		elog(ERROR, "jsonb object has more members than it says");
	qsort(members, n, sizeof(Member), compare_members);
	return members;
}

static void
append_object(Writer *w, JsonbIterator **it, int n)
{
	Member	   *members = read_members(it, n);

	put_char(w->out, '{');
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			put_char(w->out, ',');
		append_string(w->out, members[i].name, members[i].length);
		put_char(w->out, ':');
		append_value(w, &members[i].value);
		if (members[i].converted)
			pfree(unconstify(char *, members[i].name));
	}
	put_char(w->out, '}');
	pfree(members);
}

static void
append_container(Writer *w, JsonbContainer *container)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbValue	value;

	check_stack_depth();
	if (JsonbIteratorNext(&it, &value, false) == WJB_BEGIN_ARRAY)
		append_array(w, &it, value.val.array.rawScalar);
	else
		append_object(w, &it, value.val.object.nPairs);
}

void
wf_append_canonical_json(StringInfo out, Jsonb *value, WfJsonNumbers numbers)
{
	Writer		writer = {out, numbers};

	append_container(&writer, &value->root);
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
	appendStringInfoSpaces(&out, VARHDRSZ);
	wf_append_canonical_json(&out, PG_GETARG_JSONB_P(0), WF_NUMBERS_AS_DOUBLES);
	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
	{
		SET_VARSIZE(out.data, out.len);
		PG_RETURN_TEXT_P(out.data);
	}
	text = pg_any_to_server(out.data + VARHDRSZ, out.len - VARHDRSZ, PG_UTF8);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}
