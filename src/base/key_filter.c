/*-------------------------------------------------------------------------
 * key_filter.c
 *		Which keys a slice surely does not have: Bloom filters.
 *
 * The memory is a row of chunks; a filter has some that are next to each
 * other, as cache lines.  A key sets six bits of one line, all chosen by its digest,
 * which is random.  With ten bits for each key one in about sixty of the
 * others looks as if it were there.
 *
 * Readers take no lock.  The version of a filter is odd while it is changed or
 * not complete; who finds the same even version before and after has read
 * what belongs together.  Nor do those who add keys to the filter of the current slice: a
 * key that is added to a filter while that is dropped is lost, or a stray bit in another.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "base/guc.h"
#include "base/key_filter.h"
#include "base/shmem.h"

#define MAX_FILTERS 64			/* of all databases */
#define CHUNK_SIZE (128 * 1024)
#define LINE_SIZE 64			/* bytes; 512 bits, in words of 32 */
#define BITS_PER_KEY 10
#define BITS_OF_KEY 6			/* set for each key */

struct WfFilter
{
	pg_atomic_uint32 version;	/* odd: not to be read */

	/* written under WfShared.lock and with an odd version */
	WfFilterOf	of;				/* dbid InvalidOid: free */
	int			first;			/* chunk */
	int			nchunks;
};

typedef struct Pool
{
	pg_atomic_uint32 changes;	/* filters were begun, published or dropped */
	int			nchunks;
	char	   *memory;			/* the chunks; at the same address everywhere */
	WfFilter	filters[MAX_FILTERS];
	bool		used[FLEXIBLE_ARRAY_MEMBER];	/* each chunk; under
												 * WfShared.lock */
} Pool;

static Pool *pool = NULL;

static int
chunks_wanted(void)
{
	return (int) (((Size) wf_key_filter_memory * 1024) / CHUNK_SIZE);
}

static Size
pool_size(void)
{
	return add_size(offsetof(Pool, used), mul_size(sizeof(bool), chunks_wanted()));
}

Size
wf_key_filter_shmem_size(void)
{
	if (chunks_wanted() == 0)
		return 0;
	return add_size(pool_size(), add_size(mul_size(CHUNK_SIZE, chunks_wanted()), LINE_SIZE));
}

void
wf_key_filter_shmem_init(void)
{
	bool		found;
	char	   *memory;

	if (chunks_wanted() == 0)
		return;
	pool = ShmemInitStruct("pg_workflow key filters", pool_size(), &found);
	memory = ShmemInitStruct("pg_workflow key filters' bits",
							 mul_size(CHUNK_SIZE, chunks_wanted()), &found);
	if (found)
		return;
	memset(pool, 0, pool_size());
	pool->nchunks = chunks_wanted();
	pool->memory = memory;
	pg_atomic_init_u32(&pool->changes, 0);
	for (int i = 0; i < MAX_FILTERS; i++)
		pg_atomic_init_u32(&pool->filters[i].version, 1);
}

uint32
wf_key_filter_changes(void)
{
	return pool == NULL ? 0 : pg_atomic_read_u32(&pool->changes);
}

static bool
is_published(WfFilter *filter)
{
	return pg_atomic_read_u32(&filter->version) % 2 == 0;
}

static bool
is_about(const WfFilter *filter, const WfFilterOf *of)
{
	return filter->of.dbid == of->dbid && filter->of.table == of->table &&
		filter->of.file == of->file && filter->of.sealed_at == of->sealed_at;
}

WfFilter *
wf_key_filter_find(Oid table)
{
	if (pool == NULL)
		return NULL;
	for (int i = 0; i < MAX_FILTERS; i++)
	{
		WfFilter   *filter = &pool->filters[i];

		if (filter->of.dbid == MyDatabaseId && filter->of.table == table)
			return filter;
	}
	return NULL;
}

/*
 * The line of a key, and the bits in it, one after the other.  Whoever reads
 * without a lock may find values that do not belong together: then the line
 * is a wrong one, but never outside the memory.
 */
static pg_atomic_uint32 *
line_of(const WfFilter *filter, const pg_uuid_t *digest, uint64 *bits)
{
	const uint64 lines_per_chunk = CHUNK_SIZE / LINE_SIZE;
	uint32		lines = (uint32) filter->nchunks * lines_per_chunk;
	uint32		hash;
	uint64		line;

	memcpy(&hash, digest->data, sizeof(hash));
	memcpy(bits, digest->data + sizeof(hash), sizeof(*bits));
	line = (uint64) filter->first * lines_per_chunk + (((uint64) hash * lines) >> 32);
	line = Min(line, pool->nchunks * lines_per_chunk - 1);
	return (pg_atomic_uint32 *) (pool->memory + line * LINE_SIZE);
}

bool
wf_key_filter_excludes(WfFilter *filter, const WfFilterOf *of, const pg_uuid_t *digest)
{
	uint32		version = pg_atomic_read_u32(&filter->version);
	bool		excluded = false;
	pg_atomic_uint32 *line;
	uint64		bits;

	pg_read_barrier();
	if (version % 2 != 0 || !is_about(filter, of))
		return false;
	line = line_of(filter, digest, &bits);
	for (int i = 0; i < BITS_OF_KEY && !excluded; i++, bits >>= 9)
		excluded = (pg_atomic_read_u32(&line[(bits & 511) / 32]) & (1U << (bits & 31))) == 0;
	pg_read_barrier();
	return excluded && pg_atomic_read_u32(&filter->version) == version;
}

void
wf_key_filter_add(WfFilter *filter, const pg_uuid_t *digest)
{
	uint64		bits;
	pg_atomic_uint32 *line = line_of(filter, digest, &bits);

	for (int i = 0; i < BITS_OF_KEY; i++, bits >>= 9)
		(void) pg_atomic_fetch_or_u32(&line[(bits & 511) / 32], 1U << (bits & 31));
}

/* Nobody may use the filter any more; the caller holds the lock. */
static void
drop(WfFilter *filter)
{
	if (is_published(filter))
		pg_atomic_fetch_add_u32(&filter->version, 1);
	pg_memory_barrier();
	memset(pool->used + filter->first, 0, filter->nchunks);
	memset(&filter->of, 0, sizeof(filter->of));
	filter->nchunks = 0;
	pg_atomic_fetch_add_u32(&pool->changes, 1);
}

/* Those of databases that are gone; the caller holds the lock. */
static void
drop_orphans(void)
{
	for (int i = 0; i < MAX_FILTERS; i++)
	{
		WfFilter   *filter = &pool->filters[i];

		if (OidIsValid(filter->of.dbid) && wf_database_find(filter->of.dbid) == NULL)
			drop(filter);
	}
}

/* The first of so many free chunks in a row, or -1; the caller holds the lock. */
static int
find_room(int nchunks)
{
	int			free = 0;

	for (int i = 0; i < pool->nchunks; i++)
	{
		free = pool->used[i] ? 0 : free + 1;
		if (free == nchunks)
			return i - nchunks + 1;
	}
	return -1;
}

/*
 * Take a place and chunks for it, less than wanted where there is not more.
 * Nobody finds it yet.
 */
static WfFilter *
take(int wanted)
{
	WfFilter   *filter = NULL;

	drop_orphans();
	for (int i = 0; i < MAX_FILTERS && filter == NULL; i++)
		if (!OidIsValid(pool->filters[i].of.dbid))
			filter = &pool->filters[i];
	if (filter == NULL)
		return NULL;
	for (int n = wanted; n >= Max(wanted / 2, 1); n--)
	{
		int			first = find_room(n);

		if (first < 0)
			continue;
		memset(pool->used + first, true, n);
		filter->of.dbid = MyDatabaseId;
		filter->first = first;
		filter->nchunks = n;
		return filter;
	}
	return NULL;
}

WfFilter *
wf_key_filter_begin(const WfFilterOf *of, uint64 keys)
{
	uint64		wanted = Max(keys, 1) * BITS_PER_KEY / 8 / CHUNK_SIZE + 1;
	WfFilter   *filter;

	if (pool == NULL || wanted > 2 * (uint64) pool->nchunks)
		return NULL;
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	filter = take((int) wanted);
	LWLockRelease(wf_shared->lock);
	if (filter == NULL)
		return NULL;
	memset(pool->memory + (Size) filter->first * CHUNK_SIZE, 0, (Size) filter->nchunks * CHUNK_SIZE);

	/* from here on it is found, and keys are added to it */
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	if (filter->of.dbid == MyDatabaseId)
		filter->of = *of;
	pg_atomic_fetch_add_u32(&pool->changes, 1);
	LWLockRelease(wf_shared->lock);
	return filter;
}

bool
wf_key_filter_publish(WfFilter *filter, const WfFilterOf *of)
{
	bool		ours;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	ours = is_about(filter, of) && !is_published(filter);
	if (ours)
	{
		pg_atomic_fetch_add_u32(&filter->version, 1);
		pg_atomic_fetch_add_u32(&pool->changes, 1);
	}
	LWLockRelease(wf_shared->lock);
	return ours;
}

bool
wf_key_filter_is_complete(WfFilter *filter)
{
	return is_published(filter);
}

bool
wf_key_filter_exists(const WfFilterOf *of)
{
	if (pool == NULL)
		return false;
	for (int i = 0; i < MAX_FILTERS; i++)
		if (is_about(&pool->filters[i], of))
			return true;
	return false;
}

void
wf_key_filter_prune(bool (*keep) (WfFilter *filter, const WfFilterOf *of))
{
	if (pool == NULL)
		return;
	for (int i = 0; i < MAX_FILTERS; i++)
	{
		WfFilter   *filter = &pool->filters[i];
		WfFilterOf	of = filter->of;

		/*
		 * nobody but its dispatcher changes a database's filters while it is
		 * there
		 */
		if (of.dbid != MyDatabaseId || keep(filter, &of))
			continue;
		LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
		if (filter->of.dbid == MyDatabaseId)
			drop(filter);
		LWLockRelease(wf_shared->lock);
	}
}
