/*-------------------------------------------------------------------------
 * event_store.h
 *		All access to wf.event: what has happened to runs.
 *-------------------------------------------------------------------------
 */
#ifndef WF_EVENT_STORE_H
#define WF_EVENT_STORE_H

#include "datatype/timestamp.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

#include "store/run_store.h"

/* kinds of events, as they are stored */
#define WF_EVENT_NONE		'\0'	/* nothing has happened yet */
#define WF_EVENT_STARTED	's' /* claimed by an external worker */
#define WF_EVENT_HEARTBEAT	'h'
#define WF_EVENT_COMPLETED	'c'
#define WF_EVENT_FAILED		'f'
#define WF_EVENT_CANCELLED	'x'
#define WF_EVENT_RETRY		'r' /* the attempt failed, another will follow */
#define WF_EVENT_LOST		'l' /* the lease ended, another attempt will
								 * follow */
#define WF_EVENT_RELEASED	'b' /* given back; the attempt does not count */
#define WF_EVENT_CRASHED	'k' /* the server went down during the attempt */
#define WF_EVENT_REQUEUED	'q' /* wf_retry, on_failed => 'resume' */
#define WF_EVENT_RESCHEDULED 'd'
#define WF_EVENT_MOVED		'm' /* the run goes on in another slice; stays
								 * behind, so that nobody who comes late
								 * appends to what is left here */

typedef struct WfEvent
{
	TimestampTz at;
	int32		seq;			/* 0: nothing has happened to the run yet */
	int32		attempt;
	int32		workflow_id;
	int32		priority;
	int16		tries;
	int16		crashes;
	char		kind;
	TimestampTz run_at;			/* DT_NOBEGIN: not queued by this event */
	TimestampTz lease_until;	/* DT_NOBEGIN: none */
	int64		lease_us;		/* length of the lease as it was claimed; 0:
								 * none */
	TimestampTz started_at;		/* DT_NOBEGIN: not known */
	Datum		result;			/* jsonb, maybe toasted; 0: NULL */
	char	   *worker;			/* texts: NULL where there is none */
	char	   *sqlstate;
	char	   *error;
	char	   *detail;
	char	   *context;
	TransactionId xmin;			/* who wrote it */
} WfEvent;

typedef enum WfState
{
	WF_QUEUED,
	WF_RUNNING,
	WF_COMPLETED,
	WF_FAILED,
	WF_CANCELLED
} WfState;

/* the one place that says which event makes which state */
extern WfState wf_event_state(const WfEvent *event);
extern const char *wf_state_name(WfState state);
#define wf_state_is_terminal(state) ((state) >= WF_COMPLETED)

/*
 * The last event of a run in a slice; kind WF_EVENT_NONE if there is none.
 * snapshot NULL: what is committed now, and our own.
 */
extern void wf_event_last(const pg_uuid_t *run_id, int slice, Snapshot snapshot,
						  WfEvent *event);

/*
 * The same for many runs of a slice, one after the other, as they are committed
 * or our own: the tables are opened once.  False: another transaction is writing the
 * event that comes next.
 */
typedef struct WfEventReader WfEventReader;

extern WfEventReader *wf_event_reader_begin(int slice);
extern bool wf_event_reader_last(WfEventReader *reader, const pg_uuid_t *run_id, WfEvent *event);
extern void wf_event_reader_end(WfEventReader *reader);

/*
 * What is committed now; false: another transaction is writing the event that
 * comes next.
 */
extern bool wf_event_last_settled(const pg_uuid_t *run_id, int slice, WfEvent *event);

/*
 * The same for a run at hand; where nothing has happened, as if it were queued
 * by one.  A run that has just been carried is followed: run->slice.
 */
extern void wf_event_of_run(WfRun *run, Snapshot snapshot, WfEvent *event);

/* the same as the caller's isolation level has it */
extern void wf_event_for_caller(WfRun *run, WfEvent *event);

/*
 * Is there an event with that number, or somebody writing one?  writer: who,
 * xid invalid if it is committed or ours.
 */
extern bool wf_event_peek(const pg_uuid_t *run_id, int slice, int32 seq,
						  WfHolder *writer);

/*
 * Append an event.  event->seq says which: false if the run has another event
 * with that number already.  Waits for a transaction that is writing one.
 */
extern bool wf_event_append(const pg_uuid_t *run_id, int slice,
							const WfEvent *event);

/*
 * The same without waiting: false, too, if another transaction is writing
 * such an event.
 */
extern bool wf_event_try_append(const pg_uuid_t *run_id, int slice,
								const WfEvent *event);

/*
 * wf_event_try_append for several events of a slice, with entries in the same indexes, up
 * to `most` at once: add each, append, ask by the number of each, clear.  run_id stays
 * where it is until then.
 */
typedef struct WfEventBatch WfEventBatch;

extern WfEventBatch *wf_event_batch_begin(int most);
extern void wf_event_batch_add(WfEventBatch *batch, const pg_uuid_t *run_id, int slice,
							   const WfEvent *event);
extern void wf_event_batch_append(WfEventBatch *batch);
extern bool wf_event_batch_appended(const WfEventBatch *batch, int i);
extern void wf_event_batch_clear(WfEventBatch *batch);

/*
 * The same where hardly anybody can be in the way: an error 23505 instead of
 * false, and cheaper.
 */
extern void wf_event_append_or_fail(const pg_uuid_t *run_id, int slice,
									const WfEvent *event);

/*
 * An attempt was begun that came to nothing, since the run has moved on: the
 * next one is to have another number.  No change if it has anyway.  False,
 * only if not to wait: another transaction is writing the run's next event.
 */
extern bool wf_event_use_up_attempt(const pg_uuid_t *run_id, int slice, int32 attempt,
									bool wait);

/* Remove results and error texts of a run's events. */
extern void wf_event_erase(const pg_uuid_t *run_id, int slice);

/*
 * Call back for each event of a workflow that has ended a run without success;
 * whether it is the run's last the callback has to see.
 */
extern void wf_event_each_failed(int32 workflow_id,
								 void (*callback) (const pg_uuid_t *run_id, void *arg),
								 void *arg);

/*
 * Move a run's events to another slice, but for WF_EVENT_MOVED; a tombstone
 * keeps no texts or results.
 */
extern void wf_event_carry(const pg_uuid_t *run_id, int from, int to, bool tombstone);

/* an event to fill in that follows last */
extern void wf_event_follow(WfEvent *event, const WfEvent *last, char kind,
							TimestampTz at);

/* wait until the transaction that wrote the event is on disk */
extern void wf_event_flush(const WfEvent *event);

#endif							/* WF_EVENT_STORE_H */
