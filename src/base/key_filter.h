/*-------------------------------------------------------------------------
 * key_filter.h
 *		Which keys a slice surely does not have: Bloom filters.
 *
 * In shared memory of a fixed size, of all databases.  A dispatcher makes the
 * filters of its database (store/filter_store.c); while there is none, or none
 * that fits, a slice has to be looked into.
 *-------------------------------------------------------------------------
 */
#ifndef WF_KEY_FILTER_H
#define WF_KEY_FILTER_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/*
 * What a filter is about.  A slice that is filled anew has another sealed_at, or
 * another file; sealed_at is 0 while it is filled.
 */
typedef struct WfFilterOf
{
	Oid			dbid;
	Oid			table;
	Oid			file;			/* its relfilenode: another after TRUNCATE */
	TimestampTz sealed_at;
} WfFilterOf;

typedef struct WfFilter WfFilter;

extern Size wf_key_filter_shmem_size(void);
extern void wf_key_filter_shmem_init(void);

/*
 * The filter of a table of this database, complete or not, NULL if there is
 * none; good while wf_key_filter_changes() stays as it was before the call.
 */
extern WfFilter *wf_key_filter_find(Oid table);
extern uint32 wf_key_filter_changes(void);

/* Is the filter about this, and is the digest surely not in it?  No lock. */
extern bool wf_key_filter_excludes(WfFilter *filter, const WfFilterOf *of,
								   const pg_uuid_t *digest);

/* Add a key, by the dispatcher or by who binds it. */
extern void wf_key_filter_add(WfFilter *filter, const pg_uuid_t *digest);

/*
 * For the dispatcher: a filter with room for so many keys, which excludes
 * nothing before it is published; NULL: no room.
 */
extern WfFilter *wf_key_filter_begin(const WfFilterOf *of, uint64 keys);

/* false: it has been dropped, for a database that seemed to be gone */
extern bool wf_key_filter_publish(WfFilter *filter, const WfFilterOf *of);

/* Has it been published? */
extern bool wf_key_filter_is_complete(WfFilter *filter);

/* Is there a filter about this, published or being made? */
extern bool wf_key_filter_exists(const WfFilterOf *of);

/* Drop this database's filters that keep() says no to. */
extern void wf_key_filter_prune(bool (*keep) (WfFilter *filter, const WfFilterOf *of));

#endif							/* WF_KEY_FILTER_H */
