/*-------------------------------------------------------------------------
 * ripe.c
 *		When a sealed slice is worth being walked, by a sample of its runs.
 *
 * A walk through a slice that is not over yet is in vain, and one that finds a
 * few runs that are not would carry them, though they might be over a moment
 * later.  How long a run is kept is known when it has ended.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "ops/enqueue.h"
#include "ops/ripe.h"

#define TURN_SHARE 6			/* slices for the longest retention */
#define SAMPLE_RUNS 1000		/* looked at, ... */
#define SAMPLE_BLOCKS 200		/* ... or so many blocks, spread over the
								 * slice */

typedef struct Sample
{
	int			n;
	TimestampTz over_at[SAMPLE_RUNS];
} Sample;

int64
wf_longest_retention(void)
{
	static int64 longest = 0;
	static uint64 epoch;
	uint64		seen = wf_workflow_epoch();
	int64		found = USECS_PER_MINUTE;
	int32	   *ids;
	int			n;

	if (longest != 0 && epoch == seen)
		return longest;
	n = wf_workflow_ids(&ids);
	for (int i = 0; i < n; i++)
	{
		const WfWorkflow *workflow = wf_workflow_by_id(ids[i]);

		if (workflow != NULL && !wf_interval_is_forever(&workflow->retention))
			found = Max(found, wf_interval_us(&workflow->retention));
	}
	epoch = seen;
	longest = found;
	return longest;
}

int64
wf_filling_time(void)
{
	return wf_longest_retention() / TURN_SHARE;
}

bool
wf_slice_is_outlived(int slice, TimestampTz now)
{
	TimestampTz sealed_at = wf_ring()->sealed_at[slice];

	return sealed_at != 0 && now - sealed_at >= wf_longest_retention();
}

/* wf_run_over_at, also of what a dropped workflow has left. */
static TimestampTz
over_at(const WfRun *run)
{
	const WfWorkflow *workflow = wf_workflow_by_id(run->workflow_id);
	WfEvent		last;

	if (workflow == NULL || workflow->dropped)
		return DT_NOBEGIN;
	wf_event_last(&run->run_id, run->slice, NULL, &last);
	return wf_run_over_at(run, &last);
}

/* for wf_run_walk_block */
static bool
note_run(const WfRun *run, void *arg)
{
	Sample	   *sample = arg;

	sample->over_at[sample->n++] = over_at(run);
	return sample->n < SAMPLE_RUNS;
}

static uint32
common_divisor(uint32 a, uint32 b)
{
	return b == 0 ? a : common_divisor(b, a % b);
}

/*
 * The first blocks of a walk that comes by each block of the slice once.  Its
 * steps are as long as keep any number of them spread evenly: a golden section
 * of the slice.  It begins elsewhere each time, so that one that misleads has an end.
 */
static void
take_sample(int slice, Sample *sample)
{
	BlockNumber blocks = wf_run_blocks(slice);
	BlockNumber block = blocks == 0 ? 0 : GetCurrentTimestamp() % blocks;
	uint32		step = Max(blocks * 0.618, 1);

	while (common_divisor(step, blocks) > 1)
		step++;
	sample->n = 0;
	for (int i = 0; i < Min(SAMPLE_BLOCKS, blocks) && sample->n < SAMPLE_RUNS; i++)
	{
		wf_run_walk_block(slice, block, note_run, sample);
		block = ((uint64) block + step) % blocks;
	}
}

static int
compare_times(const void *a, const void *b)
{
	TimestampTz x = *(const TimestampTz *) a;
	TimestampTz y = *(const TimestampTz *) b;

	return (x > y) - (x < y);
}

/*
 * Most runs of a slice end in the order in which they came.  So the last share of
 * them is waited for, rather than carried, for as long as it took to come.
 */
TimestampTz
wf_slice_ripe_at(const WfRing *ring, int slice, int share, TimestampTz *ripens_at)
{
	Sample		sample;
	int			rest;			/* so many may be carried */
	int64		patience = 0;
	TimestampTz ripe_at;

	*ripens_at = DT_NOBEGIN;
	take_sample(slice, &sample);
	if (sample.n == 0)
		return DT_NOBEGIN;
	qsort(sample.over_at, sample.n, sizeof(sample.over_at[0]), compare_times);
	rest = sample.n / (share + 1);
	*ripens_at = sample.over_at[rest];
	ripe_at = sample.over_at[sample.n - 1 - rest];
	if (TIMESTAMP_NOT_FINITE(ripe_at))
		return ripe_at;

	if (ring->opened_at[slice] != 0)
		patience = Min(ring->sealed_at[slice] - ring->opened_at[slice], wf_filling_time()) / share;
	while (rest > 0 && sample.over_at[sample.n - rest] <= ripe_at + patience)
		rest--;
	return sample.over_at[sample.n - 1 - rest];
}
