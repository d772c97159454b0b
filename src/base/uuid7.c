/*-------------------------------------------------------------------------
 * uuid7.c
 *		Identifiers of runs: UUID version 7 (RFC 9562).
 *
 * 48 bits of milliseconds, 12 bits of their fraction (RFC 9562 section 6.2,
 * method 3), 4 bits of slice, 58 random bits.  Time and fraction are forced
 * to grow within a backend, so that ids of a batch ascend.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "miscadmin.h"

#include "base/uuid7.h"

#define RANDOM_POOL 1024

static uint8 pool[RANDOM_POOL];
static int	pool_left = 0;
static int	pool_pid = 0;
static uint64 last_stamp = 0;

/* Milliseconds since 1970 and 12 bits of fraction, always growing. */
static uint64
next_stamp(void)
{
	struct timespec ts;
	uint64		stamp;

	clock_gettime(CLOCK_REALTIME, &ts);
	stamp = ((uint64) ts.tv_sec * 1000 + ts.tv_nsec / 1000000) << 12;
	stamp |= ((uint64) (ts.tv_nsec % 1000000) << 12) / 1000000;
	if (stamp <= last_stamp)
		stamp = last_stamp + 1;
	last_stamp = stamp;
	return stamp;
}

/* Eight strong random bytes; drawn in bulk, never shared with a forked child. */
static const uint8 *
random_bytes(void)
{
	if (pool_left < 8 || pool_pid != MyProcPid)
	{
		if (!pg_strong_random(pool, RANDOM_POOL))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
		pool_left = RANDOM_POOL;
		pool_pid = MyProcPid;
	}
	pool_left -= 8;
	return pool + pool_left;
}

void
wf_uuid7(pg_uuid_t *uuid, int slice)
{
	uint64		stamp = next_stamp();
	uint64		ms = stamp >> 12;

	for (int i = 0; i < 6; i++)
		uuid->data[i] = (uint8) (ms >> (40 - 8 * i));
	uuid->data[6] = 0x70 | ((stamp >> 8) & 0x0f);
	uuid->data[7] = stamp & 0xff;
	memcpy(&uuid->data[8], random_bytes(), 8);
	uuid->data[8] = 0x80 | ((slice & 0x0f) << 2) | (uuid->data[8] & 0x03);
}

int
wf_uuid7_slice(const pg_uuid_t *uuid)
{
	return (uuid->data[8] >> 2) & 0x0f;
}
