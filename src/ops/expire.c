/*-------------------------------------------------------------------------
 * expire.c
 *		Give back the space of runs and keys that are over.
 *
 * Only cleaning: whether a run is purged or a key expired is decided when it
 * is looked at.  A sealed slice is walked in bounded steps, its front ahead of
 * the rest, as runs come to be over; if all its runs are it is truncated, and
 * if a few are not, these are carried to the current slice first.  Of those
 * that are not terminal only the dispatcher moves any, and of these only what
 * is queued and not handed over: a slice waits for what somebody is at.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/inval.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/wakeup.h"
#include "ops/enqueue.h"
#include "ops/expire.h"
#include "ops/lease.h"
#include "ops/outcome.h"
#include "ops/positions.h"
#include "ops/queues.h"
#include "ops/ripe.h"
#include "ops/task_expire.h"
#include "ops/turn.h"
#include "store/audit_store.h"
#include "store/clock_store.h"
#include "store/filter_store.h"
#include "store/relations.h"
#include "store/ring.h"
#include "store/run_store.h"
#include "store/task_owner.h"
#include "store/workflow_sql.h"
#include "store/workflow_store.h"

PG_FUNCTION_INFO_V1(wf_expire);

#define STEP_RUNS 100			/* looked at in a step of the background, ... */
#define HURRIED_RUNS 500		/* ... or so many where there is no rest */
#define REST_MOST 99			/* times what a step took: a walk that is in
								 * time has a hundredth of a processor, ... */
#define REST_OTHERS 3			/* ... other cleaning a quarter */
#define STEP_REST 2000			/* at least, in microseconds */
#define TURN_BLOCKS 32768		/* a slice is full with 256 MB of runs, if
								 * there are others to spare, ... */
#define TURN_SPARE 3			/* ... which are for old ones */
#define CARRY_SHARE 5			/* up to a fifth of a slice's runs are
								 * carried, */
#define CARRY_FEW 1000			/* or so many where the others have had their
								 * time */
#define BLOCK_RUNS 100			/* no more fit into a block */
#define AGAIN_MS 60000			/* a slice that is not over is looked at
								 * again, at the soonest, ... */
#define REST_FACTOR 20			/* ... and after so many times what it took */
#define WALK_SHARE 8			/* a walk is to be at its end after an eighth
								 * of the time in which a slice is filled */
#define SOON_MS 1000			/* a slice that is locked, or not ripe, is
								 * looked at again, at the soonest, ... */
#define SAMPLE_MAX_MS 3600000	/* ... and one that is not ripe at the latest */
#define RIPENING_SHARE 64		/* one that ripens is looked at after so small
								 * a share of the time in which it is filled,
								 * at the soonest */

/* The first blocks of a slice, whose runs are all over.  They stay so. */
typedef struct Front
{
	WfWalkMark	mark;			/* of when it began */
	BlockNumber next;			/* the first that is not among them; 0: none
								 * is */
	int64		over;			/* runs that are over, and keys with them */
	int64		runs_over;
} Front;

/* What is known of a sealed slice; forgotten if one of the first two changes. */
typedef struct Known
{
	TimestampTz sealed_at;		/* it is of this filling of the slice, ... */
	uint64		definitions;	/* ... by wf_workflow_epoch() */
	TimestampTz look_again;
	TimestampTz sampled_at;		/* 0: not yet */
	TimestampTz ripens_at;		/* by that sample */
	TimestampTz ripe_at;
	Front		front;
	bool		is_over;		/* that is all there is */
	int			in_vain;		/* walks whose end was not the end of it */
} Known;

/* How far the walk through a slice has come. */
typedef struct Walk
{
	bool		active;
	int			slice;
	Front		front;			/* all that has been met, if nothing is kept */
	BlockNumber first;			/* where it began */
	BlockNumber blocks;			/* of the slice */
	int64		kept;			/* not over, and may be carried */
	bool		unfinished;		/* met one that may not */
	bool		held_up;		/* met one that somebody has in hand */
	bool		ahead;			/* only up to the first that is not over */
	bool		carrying;		/* second walk */
	uint64		definitions;	/* wf_workflow_epoch() when it began */
	TimestampTz sealed_at;		/* of the slice, at that time */
	TimestampTz now;			/* what is over is so at this time */
	int64		spent;			/* microseconds of work so far, ... */
	int64		steps;			/* ... in so many steps */
	TimestampTz begun;			/* by the system's clock */
	WfEventReader *events;		/* of the slice, during a step */

	/* ahead: */
	BlockNumber block;			/* the last that was met, ... */
	Front		before;			/* ... and what there is before it */
	TimestampTz over_at;		/* when the first that is not over will be */
} Walk;

static Walk walk;
static Known known[WF_SLICES];
static bool in_background = false;	/* this is the dispatcher */
static uint64 roles_changes = 1;	/* how often roles may have changed */
static bool urgent = false;		/* the ring should turn, and has no room */
static TimestampTz due = 0;		/* when the ring is to be looked at next */

static bool step(int64 carry_most, bool patient, int64 *removed);

/* What is known of a slice as it is now: nothing yet, where it is another. */
static Known *
known_of(const WfRing *ring, int slice)
{
	Known	   *k = &known[slice];

	if (k->sealed_at != ring->sealed_at[slice] || k->definitions != wf_workflow_epoch())
	{
		memset(k, 0, sizeof(*k));
		k->sealed_at = ring->sealed_at[slice];
		k->definitions = wf_workflow_epoch();
	}
	return k;
}

static bool
is_dropped(int32 workflow_id)
{
	const WfWorkflow *workflow = wf_workflow_by_id(workflow_id);

	return workflow == NULL || workflow->dropped;
}

/* Move a run to the current slice, unless somebody is at it: nobody is waited for. */
static bool
carry(WfRun *run, const WfEvent *last, bool purged)
{
	int			to = wf_ring()->current;
	WfHolder	holder;

	if (wf_holder_lock_run(run, last, &holder) != WF_ROW_LOCKED)
		return false;
	wf_event_carry(&run->run_id, run->slice, to, purged);
	wf_run_carry(run, to, purged);
	return true;
}

/* Is it queued, and nobody about to execute it?  Only the dispatcher knows. */
static bool
is_at_rest(const WfRun *run, const WfEvent *last)
{
	return in_background && wf_event_state(last) == WF_QUEUED &&
		!wf_outstanding_has(&run->run_id);
}

/*
 * carry() for a run that is queued.  Whoever is about to append its next
 * event finds that it has been appended, and looks for the run again.
 */
static bool
carry_queued(WfRun *run, const WfEvent *last)
{
	int			to = wf_ring()->current;
	int			stream = last->seq == 0 ? WF_STREAM_RUN(to) : WF_STREAM_EVENT(to);
	WfEvent		moved;
	WfHolder	holder;

	wf_event_follow(&moved, last, WF_EVENT_MOVED, wf_clock_now());
	moved.workflow_id = run->workflow_id;
	wf_run_moves(run, last);
	if (wf_holder_lock_run(run, last, &holder) != WF_ROW_LOCKED ||
		!wf_event_try_append(&run->run_id, run->slice, &moved))
		return false;
	wf_event_carry(&run->run_id, run->slice, to, false);
	wf_run_carry(run, to, false);
	wf_wakeup_carried(run->workflow_id, last->run_at, stream);
	return true;
}

/* A run that is not over: it has been carried, or may be, or its slice waits. */
static bool
note_kept(Walk *w, bool movable)
{
	if (movable)
		w->kept++;
	else
		w->unfinished = true;
	return movable;
}

/*
 * A run's last event.  One without events is queued; that it has just been
 * carried to another slice only matters to who is about to carry it.  False: somebody
 * has the run in hand, and may bring it to life again.
 */
static bool
last_event(Walk *w, WfRun *run, WfEvent *last)
{
	if (run->locked || !wf_event_reader_last(w->events, &run->run_id, last))
	{
		w->held_up = true;
		return false;
	}
	if (last->kind == WF_EVENT_MOVED || (w->carrying && last->kind == WF_EVENT_NONE))
		wf_event_of_run(run, NULL, last);
	return true;
}

/* A run that goes with its slice, and its key. */
static bool
note_over(Walk *w, const WfRun *run)
{
	w->front.runs_over++;
	w->front.over += run->holds_key ? 2 : 1;
	return true;
}

static bool
look_at(const WfRun *run, void *arg)
{
	Walk	   *w = arg;
	WfRun		now = *run;
	WfEvent		last;

	/* nothing of a dropped workflow is started or shown any more */
	if (is_dropped(run->workflow_id))
		return note_over(w, run);
	if (!last_event(w, &now, &last))
		return false;
	if (now.slice != run->slice)
		return true;			/* has just been carried by somebody else */
	if (!wf_state_is_terminal(wf_event_state(&last)))
		return note_kept(w, is_at_rest(&now, &last) &&
						 (!w->carrying || carry_queued(&now, &last)));
	if (wf_run_over_at(run, &last) <= w->now)
		return note_over(w, run);

	/* a key lives on when the run is purged: as a tombstone */
	return note_kept(w, !w->carrying || carry(&now, &last, wf_run_purged(run, &last, w->now)));
}

/* The first run that is not over is the end of a walk that is ahead of its time. */
static bool
look_ahead(const WfRun *run, void *arg)
{
	Walk	   *w = arg;
	WfRun		now = *run;
	WfEvent		last;

	if (run->block != w->block)
	{
		w->block = run->block;
		w->before = w->front;
		w->before.next = run->block;
	}
	if (is_dropped(run->workflow_id))
		return note_over(w, run);
	if (!last_event(w, &now, &last))
		return false;
	w->over_at = wf_run_over_at(run, &last);
	return w->over_at <= w->now && note_over(w, run);
}

/* When the current slice is old; DT_NOEND: it is empty, or that is not known yet. */
static TimestampTz
old_at(const WfRing *ring)
{
	TimestampTz opened_at = ring->opened_at[ring->current];

	return opened_at == 0 || wf_run_blocks(ring->current) == 0 ? DT_NOEND :
		opened_at + wf_filling_time();
}

/* Is the current slice full, or old? */
static bool
wants_turn(const WfRing *ring, TimestampTz now)
{
	int			empty = 0;

	for (int i = 0; i < WF_SLICES; i++)
		empty += ring->state[i] == WF_SLICE_EMPTY ? 1 : 0;
	return (wf_run_blocks(ring->current) >= TURN_BLOCKS && empty > TURN_SPARE) ||
		old_at(ring) <= now;
}

/* The sealed slice that is worth a look, and was sealed first; -1: none is. */
static int
next_slice(const WfRing *ring, TimestampTz now)
{
	int			oldest = -1;

	for (int i = 0; i < WF_SLICES; i++)
		if (ring->state[i] == WF_SLICE_SEALED && known_of(ring, i)->look_again <= now &&
			(oldest < 0 || ring->sealed_at[i] < ring->sealed_at[oldest]))
			oldest = i;
	return oldest;
}

/* Walk through a slice, from behind its front by these definitions on. */
static void
begin_walk(int slice, const Front *front, uint64 definitions, TimestampTz now)
{
	memset(&walk, 0, sizeof(walk));
	walk.active = true;
	walk.slice = slice;
	walk.front = walk.before = *front;
	walk.first = front->next;
	walk.blocks = wf_run_blocks(slice);
	walk.block = InvalidBlockNumber;
	walk.now = now;
	walk.definitions = definitions;
	walk.sealed_at = wf_ring()->sealed_at[slice];
	walk.begun = GetCurrentTimestamp();
}

/* The same for a sealed slice; false: somebody is at its rows, so not now. */
static bool
begin_walk_of(int slice, TimestampTz now)
{
	Known	   *k = known_of(wf_ring(), slice);

	if (k->front.next == 0 && !wf_run_walk_begin(slice, &k->front.mark))
	{
		k->look_again = TimestampTzPlusMilliseconds(now, SOON_MS);
		return false;
	}
	begin_walk(slice, &k->front, k->definitions, now);
	return true;
}

/* Walk on, through about so many runs; true: the end has been reached. */
static bool
go_on(int64 limit, bool (*callback) (const WfRun *run, void *arg))
{
	bool		done;

	walk.events = wf_event_reader_begin(walk.slice);
	done = wf_run_walk(walk.slice, &walk.front.next, limit, callback, &walk);
	wf_event_reader_end(walk.events);
	walk.events = NULL;
	return done;
}

/*
 * How many of the slice's runs are worth being carried, if so many are over?
 * Not those that only have to wait for their retention to be over.
 */
static int64
worth_carrying(const Walk *w, int64 runs_over)
{
	return Max(runs_over / CARRY_SHARE, wf_slice_is_outlived(w->slice, w->now) ? CARRY_FEW : 0);
}

/*
 * Is the slice likely to be over, but for what can be carried?  If not, when?
 * And are those over that came to it first?
 */
static bool
is_ripe(const WfRing *ring, int slice, TimestampTz now, bool *ripens)
{
	Known	   *k = known_of(ring, slice);
	TimestampTz soon = TimestampTzPlusMilliseconds(now, SOON_MS);
	TimestampTz outdated = k->sampled_at + SAMPLE_MAX_MS * INT64CONST(1000);

	*ripens = false;
	if (wf_slice_is_outlived(slice, now))
		return true;
	if (outdated <= now || k->ripe_at <= now || k->ripens_at > now)
	{
		k->ripe_at = wf_slice_ripe_at(ring, slice, CARRY_SHARE, &k->ripens_at);
		k->sampled_at = now;
	}
	if (k->ripe_at <= now)
		return true;
	*ripens = k->ripens_at <= now;
	if (TIMESTAMP_IS_NOEND(k->ripe_at))
		k->ripe_at = TimestampTzPlusMilliseconds(now, AGAIN_MS);
	k->look_again = Min(Max(Min(k->ripens_at, k->ripe_at), soon),
						TimestampTzPlusMilliseconds(now, SAMPLE_MAX_MS));
	return false;
}

/* Has it met more than will be carried, even if all that is left is over? */
static bool
is_futile(const Walk *w, int64 carry_most)
{
	int64		left = (int64) (wf_run_blocks(w->slice) - w->front.next) * BLOCK_RUNS;

	return !w->carrying && w->kept > Min(worth_carrying(w, w->front.runs_over + left), carry_most);
}

/* How much of a walk is left, as a share of what is done. */
static double
share_left(const Walk *w)
{
	return (double) (w->blocks - Min(w->front.next, w->blocks)) / Max(w->front.next - w->first, 1);
}

/* How long a walk may rest in all, in microseconds, to be at its end in time. */
static double
time_to_spare(const Walk *w)
{
	int64		time_left = w->begun + wf_filling_time() / WALK_SHARE - GetCurrentTimestamp();

	return Max(time_left - w->spent * share_left(w), 0);
}

/* Is there no time for rests at all?  Who calls wf_expire() waits for its end. */
static bool
is_hurried(const Walk *w)
{
	return !in_background || urgent || (w->active && time_to_spare(w) == 0);
}

/*
 * Truncate a slice whose runs are all over, unless somebody has it locked.  An
 * update may have put one to where the walk had been: then it is walked through anew.
 */
static void
empty(int slice, Known *k, int64 *removed)
{
	switch (wf_ring_empty(slice, k->definitions, &k->front.mark))
	{
		case WF_EMPTIED:
			*removed += k->front.over;
			return;
		case WF_EMPTIED_NOT_NOW:
			break;
		case WF_EMPTIED_NOT_SURE:
			memset(&k->front, 0, sizeof(k->front));
			k->is_over = false;
			if (k->in_vain++ == 0)
				return;			/* it is looked at again at once */
			break;
	}
	k->look_again = TimestampTzPlusMilliseconds(wf_clock_now(), SOON_MS);
}

/*
 * A walk that is ahead has come to a run that is not over, or to the end.  It goes
 * on when that run is.
 */
static void
end_walk_ahead(void)
{
	Known	   *k = known_of(wf_ring(), walk.slice);
	TimestampTz soonest = wf_clock_now() +
		Max(wf_filling_time() / RIPENING_SHARE, SOON_MS * INT64CONST(1000));

	walk.active = false;
	if (k->definitions != walk.definitions)
		return;					/* it is looked at again at once */
	k->front = walk.before;
	k->look_again = walk.held_up ? soonest : Min(Max(walk.over_at, soonest), k->ripe_at);
}

/*
 * The walk has come to the end of its slice, to a run that is not over, or to
 * too many of these.
 */
static void
end_walk(int64 carry_most, int64 *removed)
{
	int			slice = walk.slice;
	bool		carried = walk.carrying;
	Known	   *k = known_of(wf_ring(), slice);

	walk.active = false;
	if (k->definitions != walk.definitions)
		return;					/* it is looked at again at once */
	if (walk.held_up)
		k->look_again = TimestampTzPlusMilliseconds(wf_clock_now(), SOON_MS);
	else if (!walk.unfinished && walk.kept == 0)
	{
		k->front = walk.front;
		k->is_over = true;
		empty(slice, k, removed);
	}
	else if (!walk.unfinished &&
			 (carried || walk.kept <= Min(worth_carrying(&walk, walk.front.runs_over), carry_most)))
	{
		(void) wf_ring_for_write();
		begin_walk(slice, &k->front, walk.definitions, walk.now);
		walk.carrying = !carried;
	}
	else
		k->look_again = walk.now + Max(AGAIN_MS * INT64CONST(1000), REST_FACTOR * walk.spent);
}

/*
 * One step, in the caller's transaction; true: there may be more to do.  A
 * slice with more than carry_most runs that are not over is left as it is.
 * Only who is patient may hold up others (wf_ring_turn).
 */
static bool
step(int64 carry_most, bool patient, int64 *removed)
{
	const WfRing *ring = wf_ring();
	TimestampTz now = wf_clock_now();
	TimestampTz begun;			/* by the system's clock */
	bool		done;

	if (ring->opened_at[ring->current] == 0 && wf_run_blocks(ring->current) > 0)
		wf_ring_note_opening(now, patient);
	urgent = false;
	if (wants_turn(ring, now))
	{
		urgent = wf_ring_next(ring) < 0;
		if (!urgent && wf_ring_turn(now, patient))
			return true;
	}
	if (walk.active && walk.sealed_at != ring->sealed_at[walk.slice])
		walk.active = false;	/* somebody has emptied it meanwhile */
	if (!walk.active)
	{
		int			slice = next_slice(ring, now);
		bool		ripens = false;

		if (slice < 0)
			return false;
		if (known_of(ring, slice)->is_over)
		{
			empty(slice, known_of(ring, slice), removed);
			return true;
		}
		if ((in_background && !is_ripe(ring, slice, now, &ripens) && !ripens) ||
			!begin_walk_of(slice, now))
			return true;
		walk.ahead = ripens;
	}
	if (walk.carrying)
		(void) wf_ring_for_write();
	begun = GetCurrentTimestamp();
	done = go_on(is_hurried(&walk) ? HURRIED_RUNS : STEP_RUNS, walk.ahead ? look_ahead : look_at);
	walk.spent += GetCurrentTimestamp() - begun;
	walk.steps++;
	if (walk.ahead && (walk.held_up || walk.over_at > walk.now))
		end_walk_ahead();
	else if (done || walk.held_up || walk.unfinished || is_futile(&walk, carry_most))
		end_walk(carry_most, removed);
	return true;
}

/*
 * Duplicates stay as long as the runs of their workflow do; a week those of
 * tasks, and of a workflow that is not known, or not yet.  Nobody can see those
 * of a dropped one.
 */
static bool
duplicate_is_over(int32 workflow_id, TimestampTz at)
{
	static const Interval week = {.day = 7};
	const WfWorkflow *workflow = workflow_id < 0 ? NULL : wf_workflow_by_id(workflow_id);

	if (workflow != NULL && workflow->dropped)
		return true;
	return wf_clock_add(at, workflow == NULL ? &week : &workflow->retention) <= wf_clock_now();
}

/* syscache callback */
static void
note_roles(Datum arg, int cacheid, uint32 hashvalue)
{
	roles_changes++;
}

/*
 * What is stored goes by name in a restored dump, so names have to be right;
 * and a dropped role's OID may be another's one day.
 */
static void
follow_roles(void)
{
	static bool registered = false;
	static uint64 followed = 0;
	uint64		changes = roles_changes;

	if (!registered)
		CacheRegisterSyscacheCallback(AUTHOID, note_roles, (Datum) 0);
	registered = true;
	if (changes == followed)
		return;
	(void) wf_workflow_follow_renames();
	(void) wf_task_owner_follow();
	followed = changes;
}

int64
wf_expire_rest(int64 worked)
{
	int64		rest = worked * REST_OTHERS;

	if (is_hurried(&walk))
		return 0;

	/* a step may have taken long for other reasons than its work */
	if (walk.active)
		rest = Min(worked * REST_MOST, time_to_spare(&walk) / Max(walk.steps * share_left(&walk), 1));
	return Max(rest, STEP_REST);
}

TimestampTz
wf_expire_due(void)
{
	return due;
}

/* When the ring may turn, or a sealed slice is to be looked at. */
static TimestampTz
next_due(TimestampTz now)
{
	const WfRing *ring = wf_ring();
	TimestampTz next = urgent ? DT_NOEND : old_at(ring);

	for (int i = 0; i < WF_SLICES; i++)
		if (ring->state[i] == WF_SLICE_SEALED)
			next = Min(next, known_of(ring, i)->look_again);
	return Max(next, TimestampTzPlusMilliseconds(now, SOON_MS));
}

bool
wf_expire_in_background(void)
{
	static TimestampTz positions_saved = 0;
	TimestampTz now = GetCurrentTimestamp();
	int64		removed = 0;
	bool		more = false;

	in_background = true;
	wf_turn_begin();
	more = step(PG_INT64_MAX, true, &removed) | wf_task_expire_step() |
		(wf_duplicate_purge(duplicate_is_over) > 0) | wf_slice_filter_step();
	follow_roles();
	if (!more || TimestampDifferenceExceeds(positions_saved, now, 1000))
	{
		wf_positions_save();
		positions_saved = now;
	}
	due = next_due(wf_clock_now());
	wf_clock_save();
	wf_turn_end();
	return more;
}

static bool
is_over(const WfRun *run, void *arg)
{
	const Walk *w = arg;

	return look_at(run, arg) && w->kept == 0;
}

/*
 * Is everything in the current slice over?  Then a call by hand need not wait
 * for the slice to fill up.
 */
static bool
current_is_over(TimestampTz now)
{
	static const Front nothing;
	Walk		saved = walk;
	bool		over;

	if (wf_ring_next(wf_ring()) < 0)
		return false;
	begin_walk(wf_ring()->current, &nothing, wf_workflow_epoch(), now);
	over = go_on(PG_INT64_MAX, is_over) && walk.front.runs_over > 0;
	walk = saved;
	return over;
}

/*
 * wf_expire(max_rows): remove runs, keys and tasks that are over, until about
 * max_rows have been removed; how many were.  A slice is looked at as a whole,
 * since the next call may come from another session, and goes as a whole.
 */
Datum
wf_expire(PG_FUNCTION_ARGS)
{
	int32		max_rows;
	int64		removed = 0;
	TimestampTz now = wf_clock_now();

	if (PG_ARGISNULL(0) || PG_GETARG_INT32(0) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"max_rows\""),
				 PG_ARGISNULL(0) ? errdetail("It is null.") :
				 errdetail("It is %d.", PG_GETARG_INT32(0)),
				 errhint("Accepted values are 1 to %d.", INT_MAX)));
	max_rows = PG_GETARG_INT32(0);
	PreventCommandIfReadOnly("wf_expire()");

	wf_lease_sweep_here(now);
	memset(&walk, 0, sizeof(walk));
	memset(known, 0, sizeof(known));
	if (current_is_over(now))
		(void) wf_ring_turn(now, false);
	while (removed < max_rows && step(max_rows, false, &removed))
		CHECK_FOR_INTERRUPTS();
	if (removed < max_rows)
		removed += wf_task_expire_now(max_rows - removed);
	wf_clock_save();
	PG_RETURN_INT64(removed);
}
