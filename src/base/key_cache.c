/*-------------------------------------------------------------------------
 * key_cache.c
 *		Where the rows of keys were last found: a cache.
 *
 * A table of lines, each as long as a line of the processor's cache.  A key
 * belongs to one of them, and has one of its entries or none; where all are
 * others' it takes one of these over.
 *
 * Nobody takes a lock.  The two halves of an entry may be of different writers
 * for a moment: that is a wrong place, as is one that is out of date.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/shmem.h"

#include "base/guc.h"
#include "base/key_cache.h"
#include "pg_workflow.h"

#define LINE_SIZE 64
#define ENTRIES 4				/* of a line */

/* whose, block; buffer, offset, slice: 0 if the entry is free */
typedef struct Entry
{
	pg_atomic_uint64 first;
	pg_atomic_uint64 second;
} Entry;

typedef struct Line
{
	Entry		entries[ENTRIES];
} Line;

StaticAssertDecl(sizeof(Line) == LINE_SIZE, "a line does not fit");

static Line *lines = NULL;
static uint32 nlines = 0;

Size
wf_key_cache_shmem_size(void)
{
	Size		memory = (Size) wf_key_cache_memory * 1024;

	return memory == 0 ? 0 : add_size(memory, LINE_SIZE);
}

void
wf_key_cache_shmem_init(void)
{
	Size		size = wf_key_cache_shmem_size();
	bool		found;
	void	   *memory;

	if (size == 0)
		return;
	memory = ShmemInitStruct("pg_workflow key cache", size, &found);
	if (!found)
		memset(memory, 0, size);
	lines = (Line *) TYPEALIGN(LINE_SIZE, memory);
	nlines = (uint32) ((size - LINE_SIZE) / LINE_SIZE);
}

/* A digest is random: any of its bits will do. */
static Line *
line_of(const pg_uuid_t *digest, uint32 *whose)
{
	uint32		number;

	memcpy(&number, digest->data, sizeof(number));
	memcpy(whose, digest->data + sizeof(number), sizeof(*whose));
	*whose ^= MyDatabaseId;
	return &lines[((uint64) number * nlines) >> 32];
}

bool
wf_key_cache_recall(const pg_uuid_t *digest, WfKeyPlace *place)
{
	uint32		whose;
	Line	   *line;

	if (lines == NULL)
		return false;
	line = line_of(digest, &whose);
	for (int i = 0; i < ENTRIES; i++)
	{
		uint64		first = pg_atomic_read_u64(&line->entries[i].first);
		uint64		second = pg_atomic_read_u64(&line->entries[i].second);

		if ((uint32) (first >> 32) != whose || second == 0)
			continue;
		place->buffer = (Buffer) (second >> 32);
		place->slice = (int) (second & 0xffff) % WF_SLICES;
		ItemPointerSet(&place->tid, (BlockNumber) first, (OffsetNumber) (second >> 16));
		return true;
	}
	return false;
}

/* The entry that is the key's, or free, or else one that its digest chooses. */
static Entry *
entry_for(Line *line, uint32 whose, const pg_uuid_t *digest)
{
	Entry	   *free = NULL;

	for (int i = 0; i < ENTRIES; i++)
	{
		Entry	   *entry = &line->entries[i];

		if (pg_atomic_read_u64(&entry->second) == 0)
			free = entry;
		else if ((uint32) (pg_atomic_read_u64(&entry->first) >> 32) == whose)
			return entry;
	}
	return free != NULL ? free : &line->entries[digest->data[UUID_LEN - 1] % ENTRIES];
}

void
wf_key_cache_remember(const pg_uuid_t *digest, const WfKeyPlace *place)
{
	uint32		whose;
	Line	   *line;
	Entry	   *entry;

	if (lines == NULL)
		return;
	line = line_of(digest, &whose);
	entry = entry_for(line, whose, digest);
	pg_atomic_write_u64(&entry->first,
						(uint64) whose << 32 | ItemPointerGetBlockNumber(&place->tid));
	pg_atomic_write_u64(&entry->second,
						(uint64) place->buffer << 32 |
						(uint64) ItemPointerGetOffsetNumber(&place->tid) << 16 | (uint64) place->slice);
}
