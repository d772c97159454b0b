/*-------------------------------------------------------------------------
 * hash_key.c
 *		wf_hash_key: a key from the content of a payload.
 *
 * SHA-256 of the operation in UTF-8, a zero byte, and the payload's text by
 * RFC 8785, in lower-case hex.  Text holds no zero byte, so no two pairs give
 * the same bytes.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
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
	const char *utf8 = VARDATA_ANY(operation);
	int			length = VARSIZE_ANY_EXHDR(operation);
	StringInfoData canonical;
	uint8		digest[WF_DIGEST_LENGTH];
	char		hex[2 * WF_DIGEST_LENGTH];

	if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII)
	{
		const char *converted = pg_server_to_any(utf8, length, PG_UTF8);

		if (converted != utf8)
			length = strlen(converted);
		utf8 = converted;
	}
	initStringInfo(&canonical);
	wf_append_canonical_json(&canonical, PG_GETARG_JSONB_P(0));

	wf_digest_begin();
	wf_digest_update(utf8, length);
	wf_digest_update("", 1);
	wf_digest_update(canonical.data, canonical.len);
	wf_digest_final(digest);
	hex_encode((const char *) digest, sizeof(digest), hex);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(hex, sizeof(hex)));
}
