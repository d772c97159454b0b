/*-------------------------------------------------------------------------
 * hash_key.c
 *		wf_hash_key: a key from the content of a payload.
 *
 * SHA-256 of the operation in UTF-8, a zero byte, and the payload's text by
 * RFC 8785, in lower-case hex.  Text holds no zero byte, so no two pairs give
 * the same bytes.  Numbers are doubles, as they are for JavaScript: payloads
 * that differ only beyond a double's precision have one hash key.
 *
 * test/vectors/keys.json has examples for other languages.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "base/digest.h"
#include "keys/canonical_json.h"

PG_FUNCTION_INFO_V1(wf_hash_key);

/*
 * wf_hash_key(payload, operation): NULL if one of them is.
 */
Datum
wf_hash_key(PG_FUNCTION_ARGS)
{
	text	   *operation = PG_GETARG_TEXT_PP(1);
	int			length = VARSIZE_ANY_EXHDR(operation);
	const char *utf8 = wf_to_utf8(VARDATA_ANY(operation), &length);
	StringInfoData canonical;
	uint8		digest[WF_DIGEST_LENGTH];
	char		hex[2 * WF_DIGEST_LENGTH];

	initStringInfo(&canonical);
	wf_append_canonical_json(&canonical, PG_GETARG_JSONB_P(0), WF_NUMBERS_AS_DOUBLES);

	wf_digest_begin();
	wf_digest_update(utf8, length);
	wf_digest_update("", 1);
	wf_digest_update(canonical.data, canonical.len);
	wf_digest_final(digest);
	hex_encode((const char *) digest, sizeof(digest), hex);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(hex, sizeof(hex)));
}
