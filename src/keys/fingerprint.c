/*-------------------------------------------------------------------------
 * fingerprint.c
 *		A digest of a payload's value.
 *
 * SHA-256 over the tokens of the value in jsonb's own order: a tag byte,
 * then for strings and keys the length and the UTF-8 bytes, for numbers
 * their normal form (base 10000 digits without zeros at either end, weight,
 * sign), never their text: 1e131071 is 22 bytes as jsonb and 131,072 as
 * text.  Arrays and objects begin with their number of elements, so no two
 * values have the same tokens.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "base/digest.h"
#include "keys/fingerprint.h"

#define FLUSH_AT 4096
#define MAX_PATH 200

/* tokens not yet given to the digest */
typedef struct Tokens
{
	int			n;
	char		data[FLUSH_AT];
} Tokens;

static void
put_bytes(Tokens *tokens, const void *data, int length)
{
	if (tokens->n + length > FLUSH_AT)
	{
		wf_digest_update(tokens->data, tokens->n);
		tokens->n = 0;
	}
	if (length > FLUSH_AT)
		wf_digest_update(data, length);
	else
	{
		memcpy(tokens->data + tokens->n, data, length);
		tokens->n += length;
	}
}

static void
put_tag(Tokens *tokens, char tag, uint32 number)
{
	char		token[5];

	number = pg_hton32(number);
	token[0] = tag;
	memcpy(token + 1, &number, sizeof(number));
	put_bytes(tokens, token, sizeof(token));
}

static void
put_string(Tokens *tokens, char tag, const char *string, int length)
{
	const char *utf8 = string;

	if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII)
	{
		utf8 = pg_server_to_any(string, length, PG_UTF8);
		if (utf8 != string)
			length = strlen(utf8);
	}
	put_tag(tokens, tag, length);
	put_bytes(tokens, utf8, length);
}

/*
 * The external binary form of a numeric is int16s: number of digits, weight,
 * sign, display scale, digits in base 10000.  All but the scale is its value;
 * zeros at the ends are not stored, but are taken off here all the same, as
 * the form does not promise it.
 */
static void
put_number(Tokens *tokens, Numeric number)
{
	bytea	   *wire = DatumGetByteaPP(DirectFunctionCall1(numeric_send,
														   NumericGetDatum(number)));
	int16		fields[4];
	const char *digits = VARDATA_ANY(wire) + sizeof(fields);
	int			first = 0;
	int			last;

	memcpy(fields, VARDATA_ANY(wire), sizeof(fields));
	last = pg_ntoh16(fields[0]);
#define DIGIT_IS_ZERO(i) (digits[2 * (i)] == 0 && digits[2 * (i) + 1] == 0)
	while (last > first && DIGIT_IS_ZERO(last - 1))
		last--;
	while (first < last && DIGIT_IS_ZERO(first))
		first++;
	if (first == last)
	{
		put_tag(tokens, 'z', 0);
		return;
	}
	put_tag(tokens, pg_ntoh16(fields[2]) == 0 ? 'p' : 'n', last - first);
	put_tag(tokens, 'w', (uint32) ((int16) pg_ntoh16(fields[1]) - first));
	put_bytes(tokens, digits + 2 * first, 2 * (last - first));
	pfree(wire);
}

static void
put_scalar(Tokens *tokens, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			put_tag(tokens, '0', 0);
			break;
		case jbvBool:
			put_tag(tokens, 'b', value->val.boolean);
			break;
		case jbvString:
			put_string(tokens, 's', value->val.string.val, value->val.string.len);
			break;
		case jbvNumeric:
			put_number(tokens, value->val.numeric);
			break;
		default:
			elog(ERROR, "unexpected jsonb value type: %d", (int) value->type);
	}
}

void
wf_fingerprint(Jsonb *payload, uint8 digest[32])
{
	JsonbIterator *it = JsonbIteratorInit(&payload->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	Tokens		tokens;

	tokens.n = 0;
	wf_digest_begin();
	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_BEGIN_ARRAY:
				CHECK_FOR_INTERRUPTS();
				put_tag(&tokens, value.val.array.rawScalar ? 'r' : 'a', value.val.array.nElems);
				break;
			case WJB_BEGIN_OBJECT:
				CHECK_FOR_INTERRUPTS();
				put_tag(&tokens, 'o', value.val.object.nPairs);
				break;
			case WJB_KEY:
				put_string(&tokens, 'k', value.val.string.val, value.val.string.len);
				break;
			case WJB_ELEM:
			case WJB_VALUE:
				put_scalar(&tokens, &value);
				break;
			default:
				break;
		}
	}
	wf_digest_update(tokens.data, tokens.n);
	wf_digest_final(digest);
}

/* Where an iterator is: names and positions of the containers it is in. */
typedef struct Level
{
	bool		is_array;
	int			element;
	char	   *name;
} Level;

typedef struct Path
{
	Level	   *levels;
	int			depth;
	int			room;
} Path;

static void
path_push(Path *path, bool is_array)
{
	if (path->depth == path->room)
	{
		path->room = Max(path->room * 2, 8);
		path->levels = path->levels == NULL ?
			palloc(sizeof(Level) * path->room) :
			repalloc(path->levels, sizeof(Level) * path->room);
	}
	path->levels[path->depth++] = (Level) {is_array, -1, NULL};
}

static char *
path_text(const Path *path)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '$');
	for (int i = 0; i < path->depth && text.len < MAX_PATH; i++)
	{
		const Level *level = &path->levels[i];

		if (level->is_array && level->element >= 0)
			appendStringInfo(&text, "[%d]", level->element);
		else if (level->name != NULL)
			appendStringInfo(&text, ".%s", level->name);
	}
	if (text.len > MAX_PATH)
	{
		text.len = pg_mbcliplen(text.data, text.len, MAX_PATH);
		text.data[text.len] = '\0';
		appendStringInfoString(&text, "...");
	}
	return text.data;
}

/* Keep the path in step with a token. */
static void
path_follow(Path *path, JsonbIteratorToken token, const JsonbValue *value)
{
	Level	   *top = path->depth > 0 ? &path->levels[path->depth - 1] : NULL;

	switch (token)
	{
		case WJB_BEGIN_ARRAY:
		case WJB_BEGIN_OBJECT:
			if (top != NULL && top->is_array)
				top->element++;
			if (token == WJB_BEGIN_ARRAY && value->val.array.rawScalar)
				break;
			path_push(path, token == WJB_BEGIN_ARRAY);
			break;
		case WJB_END_ARRAY:
		case WJB_END_OBJECT:
			path->depth = Max(path->depth - 1, 0);
			break;
		case WJB_KEY:
			top->name = pnstrdup(value->val.string.val, value->val.string.len);
			break;
		case WJB_ELEM:
			if (top != NULL)
				top->element++;
			break;
		default:
			break;
	}
}

static bool
same_token(const JsonbValue *a, const JsonbValue *b, JsonbIteratorToken token)
{
	if (token == WJB_BEGIN_ARRAY)
		return a->val.array.nElems == b->val.array.nElems;
	if (token == WJB_BEGIN_OBJECT)
		return a->val.object.nPairs == b->val.object.nPairs;
	if (token != WJB_KEY && token != WJB_ELEM && token != WJB_VALUE)
		return true;
	if (a->type != b->type)
		return false;
	switch (a->type)
	{
		case jbvString:
			return a->val.string.len == b->val.string.len &&
				memcmp(a->val.string.val, b->val.string.val, a->val.string.len) == 0;
		case jbvNumeric:
			return DatumGetBool(DirectFunctionCall2(numeric_eq,
													NumericGetDatum(a->val.numeric),
													NumericGetDatum(b->val.numeric)));
		case jbvBool:
			return a->val.boolean == b->val.boolean;
		default:
			return true;
	}
}

char *
wf_payload_difference(Jsonb *a, Jsonb *b)
{
	JsonbIterator *ia = JsonbIteratorInit(&a->root);
	JsonbIterator *ib = JsonbIteratorInit(&b->root);
	Path		path = {0};

	for (;;)
	{
		JsonbValue	va;
		JsonbValue	vb;
		JsonbIteratorToken ta = JsonbIteratorNext(&ia, &va, false);
		JsonbIteratorToken tb = JsonbIteratorNext(&ib, &vb, false);

		CHECK_FOR_INTERRUPTS();
		if (ta == WJB_DONE || tb == WJB_DONE)
			return path_text(&path);
		if (ta != tb || !same_token(&va, &vb, ta))
		{
			if (ta == WJB_ELEM || ta == WJB_BEGIN_ARRAY || ta == WJB_BEGIN_OBJECT)
			{
				if (path.depth > 0 && path.levels[path.depth - 1].is_array)
					path.levels[path.depth - 1].element++;
			}
			return path_text(&path);
		}
		path_follow(&path, ta, &va);
	}
}
