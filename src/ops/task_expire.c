/*-------------------------------------------------------------------------
 * task_expire.c
 *		Give back the space of tasks that are over.
 *
 * Only cleaning: whether a task is over is decided when it is looked at.  A
 * sealed slice never changes, and a row in it that is over, or that a later
 * row of its task has superseded, stays so.  The oldest slice is walked in
 * bounded steps, and truncated when all its rows are such; if a few are not,
 * or if the ring has no room left, these are written again in the current
 * slice first.  Slices go from the oldest on, since a row that was superseded
 * would count again if the later one went first.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "ops/task_expire.h"
#include "store/task_ring.h"
#include "store/task_owner.h"
#include "store/task_store.h"

#define STEP_ROWS 2000			/* looked at in a step of the background */
#define TURN_BLOCKS 32768		/* a slice is full with 256 MB ... */
#define TURN_SHARE 4			/* ... and a quarter of all slices together */
#define TURN_AGE USECS_PER_DAY	/* or old */
#define CARRY_SHARE 5			/* up to a fifth of what is over is carried
								 * ... */
#define CARRY_ROWS_PER_BLOCK 6	/* ... or of a slice */
#define AGAIN_US USECS_PER_MINUTE	/* a slice that is not over is looked at
									 * again ... */
#define AGAIN_ROW_US 50			/* ... the later, the more there was to look
								 * at */

typedef enum WalkKind
{
	WALK_NONE,
	WALK_CURRENT,				/* is most in the current slice over? */
	WALK_LOOK,					/* what is not over in the oldest slice? */
	WALK_CARRY					/* write that again */
} WalkKind;

/* How far the walk through a slice has come. */
typedef struct Walk
{
	WalkKind	kind;
	int			slice;
	BlockNumber next;
	TimestampTz now;
	int64		over;			/* tasks whose last row is over */
	int64		kept;			/* last rows that are not */
	int64		keep_most;		/* the walk ends when there are more */
	bool		in_doubt;		/* of some it could not be told */
	bool		carried;		/* a second look */
} Walk;

static Walk walk;
static TimestampTz look_again = 0;
static TimestampTz current_again = 0;

static bool step(int64 carry, int64 *removed);
static bool look_at(const WfTask *row, void *arg);

/* The oldest sealed slice; -1: there is none. */
static int
oldest_slice(const WfRing *ring)
{
	for (int i = 1; i < WF_SLICES; i++)
	{
		int			slice = (ring->current + i) % WF_SLICES;

		if (ring->state[slice] == WF_SLICE_SEALED)
			return slice;
	}
	return -1;
}

/*
 * A slice grows with what is stored in all: so what has to be written again
 * while the ring turns round once is bounded by what is new.
 */
static bool
current_is_full(const WfRing *ring, TimestampTz now)
{
	BlockNumber blocks = wf_task_blocks(ring->current);
	uint64		total = 0;

	if (blocks == 0)
		return false;
	if (ring->opened_at[ring->current] != 0 && now - ring->opened_at[ring->current] >= TURN_AGE)
		return true;
	if (blocks < TURN_BLOCKS)
		return false;
	wf_ring_foreach(ring, slice)
		total += wf_task_blocks(slice);
	return blocks >= total / TURN_SHARE;
}

static void
begin_walk(WalkKind kind, int slice, TimestampTz now, int64 keep_most, bool carried)
{
	memset(&walk, 0, sizeof(walk));
	walk.kind = kind;
	walk.slice = slice;
	walk.now = now;
	walk.keep_most = keep_most;
	walk.carried = carried;
}

/* Of so many rows that are not over a slice is freed by writing them again. */
static int64
few(int slice, int64 carry)
{
	return Max((int64) wf_task_blocks(slice) * CARRY_ROWS_PER_BLOCK, carry);
}

/* What to walk through next; false: nothing. */
static bool
choose_walk(const WfRing *ring, bool full, int64 carry, TimestampTz now)
{
	int			oldest = oldest_slice(ring);
	bool		stuck = full && ring->state[(ring->current + 1) % WF_SLICES] != WF_SLICE_EMPTY;

	if (oldest >= 0 && (look_again <= now || stuck))
		begin_walk(WALK_LOOK, oldest, now, stuck ? PG_INT64_MAX : few(oldest, carry), false);
	else if (oldest < 0 && current_again <= now && wf_task_blocks(ring->current) > 0)
		begin_walk(WALK_CURRENT, ring->current, now, few(ring->current, carry), false);
	return walk.kind != WALK_NONE;
}

/* The walk has come to the end of its slice, or met too much that is not over. */
static bool
end_walk(int64 carry, int64 *removed)
{
	Walk		w = walk;
	TimestampTz again = w.now + (w.in_doubt ? 0 : AGAIN_US) + (w.over + w.kept) * AGAIN_ROW_US;

	walk.kind = WALK_NONE;
	if (w.kind == WALK_CURRENT)
	{
		current_again = again;
		return w.over > 0 && w.kept <= w.keep_most &&
			(carry > 0 || w.kept <= w.over / CARRY_SHARE) && wf_task_ring_turn(w.now, carry == 0);
	}
	if (w.kind == WALK_CARRY)
	{
		begin_walk(WALK_LOOK, w.slice, w.now, 0, true);
		return true;
	}
	if (w.kept == 0 && wf_task_ring_empty(w.slice, wf_clock_now(), carry == 0))
	{
		*removed += w.over;
		return true;
	}
	if (w.kept > 0 && w.kept <= w.keep_most && !w.carried)
	{
		begin_walk(WALK_CARRY, w.slice, w.now, PG_INT64_MAX, false);
		return true;
	}
	look_again = again;
	return false;
}

/*
 * One step, in the caller's transaction; true: there may be more to do.  Up
 * to `carry` rows are written again even where that is not few for a slice.
 */
static bool
step(int64 carry, int64 *removed)
{
	TimestampTz now = wf_clock_now();

	if (walk.kind == WALK_NONE)
	{
		const WfRing *ring = wf_task_ring();
		bool		full = current_is_full(ring, now);

		if (full && ring->state[(ring->current + 1) % WF_SLICES] == WF_SLICE_EMPTY &&
			wf_task_ring_turn(now, carry == 0))
			return true;
		if (!choose_walk(ring, full, carry, now))
			return false;
	}
	if (!wf_task_walk(walk.slice, &walk.next, STEP_ROWS, look_at, &walk) &&
		walk.kept <= walk.keep_most)
		return true;
	return end_walk(carry, removed);
}

/* Write a row again where it will last longer. */
static void
write_again(const WfTask *row)
{
	WfTask		copy = *row;

	copy.seq++;

	/* false: somebody is at work on the task, and has written a later row */
	(void) wf_task_append(&copy);
}

static bool
look_at(const WfTask *row, void *arg)
{
	Walk	   *w = arg;
	bool		over = row->expires_at <= w->now;
	WfTask		last;
	WfHolder	holder;
	bool		invisible;

	switch (wf_task_probe(&row->task, false, &last, &holder, &invisible))
	{
		case WF_PROBE_IN_DOUBT:
			/* whoever is at work on it may yet roll back */
			w->kept += over ? 0 : 1;
			w->in_doubt = true;
			break;
		case WF_PROBE_FOUND:
		case WF_PROBE_NONE:
			if (last.seq != row->seq)
				break;
			if (over)
				w->over++;
			else
			{
				w->kept++;
				if (w->kind == WALK_CARRY)
					write_again(row);
			}
			break;
	}
	return w->kept <= w->keep_most;
}

bool
wf_task_expire_step(void)
{
	int64		removed = 0;

	return step(0, &removed);
}

int64
wf_task_expire_now(int64 max_rows)
{
	int64		removed = 0;

	/* what another call has left may be of another transaction */
	walk.kind = WALK_NONE;
	look_again = current_again = 0;
	(void) wf_task_owner_follow();
	while (removed < max_rows && step(max_rows, &removed))
		CHECK_FOR_INTERRUPTS();
	return removed;
}
