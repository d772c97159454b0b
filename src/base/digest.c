/*-------------------------------------------------------------------------
 * digest.c
 *		SHA-256, by OpenSSL.
 *
 * The algorithm is fetched once and the context kept, which is most of the
 * cost of a short digest.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "miscadmin.h"

#include "base/digest.h"

/* large data can be interrupted after so many bytes */
#define PIECE (1024 * 1024)

static EVP_MD_CTX *context = NULL;
static const EVP_MD *algorithm = NULL;

static void
fail(const char *step)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute a SHA-256 digest"),
			 errdetail("OpenSSL failed to %s.", step)));
}

void
wf_digest_begin(void)
{
	if (context == NULL)
	{
		context = EVP_MD_CTX_new();
		if (context == NULL)
			fail("allocate a context");
	}
	if (algorithm == NULL)
	{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
		algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
#else
		algorithm = EVP_sha256();
#endif
		if (algorithm == NULL)
			fail("find the algorithm");
	}
	if (EVP_DigestInit_ex(context, algorithm, NULL) != 1)
		fail("begin");
}

void
wf_digest_update(const void *data, size_t length)
{
	const char *next = data;

	for (; length > PIECE; next += PIECE, length -= PIECE)
	{
		CHECK_FOR_INTERRUPTS();
		if (EVP_DigestUpdate(context, next, PIECE) != 1)
			fail("update");
	}
	if (EVP_DigestUpdate(context, next, length) != 1)
		fail("update");
}

void
wf_digest_final(uint8 digest[WF_DIGEST_LENGTH])
{
	unsigned int length;

	if (EVP_DigestFinal_ex(context, digest, &length) != 1 || length != WF_DIGEST_LENGTH)
		fail("finish");
}
