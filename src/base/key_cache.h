/*-------------------------------------------------------------------------
 * key_cache.h
 *		Where the rows of keys were last found: a cache.
 *
 * In shared memory of a fixed size, of all databases.  A place is no more than
 * a hint: the row there may be another's by now, so whoever goes there looks
 * if it is the key's.
 *-------------------------------------------------------------------------
 */
#ifndef WF_KEY_CACHE_H
#define WF_KEY_CACHE_H

#include "storage/buf.h"
#include "storage/itemptr.h"
#include "utils/uuid.h"

typedef struct WfKeyPlace
{
	int			slice;
	ItemPointerData tid;
	Buffer		buffer;			/* that had its block; InvalidBuffer: not
								 * known */
} WfKeyPlace;

extern Size wf_key_cache_shmem_size(void);
extern void wf_key_cache_shmem_init(void);

/* No lock.  false: nothing is known of the key. */
extern bool wf_key_cache_recall(const pg_uuid_t *digest, WfKeyPlace *place);
extern void wf_key_cache_remember(const pg_uuid_t *digest, const WfKeyPlace *place);

#endif							/* WF_KEY_CACHE_H */
