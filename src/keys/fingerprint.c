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

#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "base/digest.h"
#include "keys/canonical_json.h"
#include "keys/fingerprint.h"

#define FLUSH_AT 4096

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
	const char *utf8 = wf_to_utf8(string, &length);

	put_tag(tokens, tag, length);
	put_bytes(tokens, utf8, length);
	if (utf8 != string)
		pfree(unconstify(char *, utf8));
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
		put_tag(tokens, 'z', 0);
	else
	{
		put_tag(tokens, pg_ntoh16(fields[2]) == 0 ? 'p' : 'n', last - first);
		put_tag(tokens, 'w', (uint32) ((int16) pg_ntoh16(fields[1]) - first));
		put_bytes(tokens, digits + 2 * first, 2 * (last - first));
	}
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
		CHECK_FOR_INTERRUPTS();
		switch (token)
		{
			case WJB_BEGIN_ARRAY:
				put_tag(&tokens, value.val.array.rawScalar ? 'r' : 'a', value.val.array.nElems);
				break;
			case WJB_BEGIN_OBJECT:
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
