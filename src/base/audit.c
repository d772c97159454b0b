/*-------------------------------------------------------------------------
 * audit.c
 *		Counters of each workflow, and a ring of its latest duplicates.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/ip.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "base/audit.h"
#include "base/guc.h"
#include "base/shmem.h"

#define LINE 64					/* bytes of the processor's cache that belong
								 * together */

/* of a whole number of lines, so that a short entry touches two of them */
typedef struct Slot
{
	slock_t		mutex;
	/* under mutex */
	bool		taken;			/* by the dispatcher, who writes it */
	WfAuditEntry entry;
} Slot;

StaticAssertDecl(sizeof(Slot) % LINE == 0, "slots are not aligned to lines");

typedef struct Ring
{
	pg_atomic_uint64 last;		/* number of the newest entry */
	char		apart[LINE -sizeof(pg_atomic_uint64)];
	Slot		slots[WF_AUDIT_RING];
} Ring;

static Ring *ring = NULL;
static HTAB *counters = NULL;	/* entries are added and removed under
								 * WfShared.lock; their fields are atomic */
static Oid	extension = InvalidOid; /* this database's */
static long places_kept = 0;	/* of counters, when some were last given back */

static HASHCTL
counters_layout(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = offsetof(WfCounters, counts);
	ctl.entrysize = sizeof(WfCounters);
	return ctl;
}

Size
wf_audit_shmem_size(void)
{
	return add_size(sizeof(Ring), hash_estimate_size(WF_AUDIT_WORKFLOWS, sizeof(WfCounters)));
}

void
wf_audit_shmem_init(void)
{
	HASHCTL		ctl = counters_layout();
	bool		found;

	ring = ShmemInitStruct("pg_workflow duplicates", sizeof(Ring), &found);
	if (!found)
	{
		memset(ring, 0, sizeof(Ring));
		pg_atomic_init_u64(&ring->last, 0);
		for (int i = 0; i < WF_AUDIT_RING; i++)
			SpinLockInit(&ring->slots[i].mutex);
	}
	counters = ShmemInitHash("pg_workflow counters", WF_AUDIT_WORKFLOWS,
							 WF_AUDIT_WORKFLOWS, &ctl, HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
}

void
wf_audit_set_extension(Oid of)
{
	extension = of;
}

/*
 * Counters of a workflow, made at first use; NULL: no place is left.  A place
 * that was given back does not have the key that is remembered any more.
 */
static WfCounters *
counters_of(Oid dbid, Oid of, int32 workflow_id)
{
	static WfCounters *last = NULL;
	static TimestampTz full_at = 0;
	WfCounters	key;
	WfCounters *c;
	bool		found;

	if (counters == NULL || !OidIsValid(dbid))
		return NULL;
	if (last != NULL && last->workflow_id == workflow_id && last->extension == of &&
		last->dbid == dbid)
		return last;

	memset(&key, 0, offsetof(WfCounters, counts));
	key.dbid = dbid;
	key.extension = of;
	key.workflow_id = workflow_id;
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	c = hash_search(counters, &key, HASH_FIND, NULL);
	LWLockRelease(wf_shared->lock);
	if (c == NULL && full_at != 0 && GetCurrentTimestamp() - full_at < USECS_PER_SEC)
		return NULL;
	if (c == NULL)
	{
		LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
		c = hash_search(counters, &key, HASH_ENTER_NULL, &found);
		if (c != NULL && !found)
		{
			for (int i = 0; i < WF_COUNTS; i++)
			{
				pg_atomic_init_u64(&c->counts[i], 0);
				c->written[i] = 0;
			}
			for (int i = 0; i < WF_LATENCY_BUCKETS; i++)
				pg_atomic_init_u32(&c->latency[i], 0);
			pg_atomic_init_u32(&c->gauged, 0);
			pg_atomic_init_u64(&c->unfinished, 0);
		}
		LWLockRelease(wf_shared->lock);
		full_at = c == NULL ? GetCurrentTimestamp() : 0;
	}
	last = c;
	return c;
}

void
wf_count(int32 workflow_id, WfCount what, uint64 n)
{
	WfCounters *c = counters_of(MyDatabaseId, extension, workflow_id);

	if (c == NULL)
		return;
	pg_atomic_fetch_add_u64(&c->counts[what], n);
	if (what == WF_COUNT_ENQUEUED)
		pg_atomic_fetch_add_u64(&c->unfinished, n);
	else if (what == WF_COUNT_COMPLETED || what == WF_COUNT_FAILED || what == WF_COUNT_CANCELLED)
		pg_atomic_fetch_sub_u64(&c->unfinished, n);
}

void
wf_count_reopened(int32 workflow_id)
{
	WfCounters *c = counters_of(MyDatabaseId, extension, workflow_id);

	if (c != NULL)
		pg_atomic_fetch_add_u64(&c->unfinished, 1);
}

/*
 * What commits while the first caller counts may be counted twice or not at
 * all: the limit that this is for may be overshot by concurrent calls.
 */
int64
wf_count_unfinished(int32 workflow_id, int64 (*count) (int32 workflow_id))
{
	WfCounters *c = counters_of(MyDatabaseId, extension, workflow_id);

	if (c == NULL)
		return count(workflow_id);
	if (pg_atomic_read_u32(&c->gauged) == 0)
	{
		int64		found = count(workflow_id);

		if (pg_atomic_exchange_u32(&c->gauged, 1) == 0)
			pg_atomic_write_u64(&c->unfinished, (uint64) found);
	}
	return (int64) pg_atomic_read_u64(&c->unfinished);
}

void
wf_count_latency(int32 workflow_id, int64 us)
{
	WfCounters *c = counters_of(MyDatabaseId, extension, workflow_id);
	int			bucket = us < 1 ? 0 : (int) (log2((double) us) * 4);

	if (c != NULL)
		pg_atomic_fetch_add_u32(&c->latency[Min(bucket, WF_LATENCY_BUCKETS - 1)], 1);
}

int64
wf_latency_quantile(WfCounters *c, double share)
{
	uint64		total = 0;
	uint64		seen = 0;

	for (int i = 0; i < WF_LATENCY_BUCKETS; i++)
		total += pg_atomic_read_u32(&c->latency[i]);
	for (int i = 0; i < WF_LATENCY_BUCKETS; i++)
	{
		seen += pg_atomic_read_u32(&c->latency[i]);
		if (seen > 0 && seen >= share * total)
			return (int64) exp2((i + 1) / 4.0);
	}
	return -1;
}

/* The client's address, as pg_stat_activity shows it; a session has one. */
static const char *
client_address(void)
{
	static bool known = false;
	static char text[INET6_ADDRSTRLEN];
	const SockAddr *client = MyBEEntry == NULL ? NULL : &MyBEEntry->st_clientaddr;

	if (known || client == NULL)
		return text;
	known = true;
	if ((client->addr.ss_family == AF_INET || client->addr.ss_family == AF_INET6) &&
		pg_getnameinfo_all(&client->addr, client->salen, text, sizeof(text), NULL, 0,
						   NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		text[0] = '\0';
	return text;
}

static uint8
put_text(WfAuditEntry *entry, int at, const char *text, int length)
{
	if (length > WF_AUDIT_TEXT - at)
		return 0;
	memcpy(entry->text + at, text, length);
	return length;
}

static void
put_texts(WfAuditEntry *entry, const char *key, int key_length)
{
	const char *application = application_name != NULL ? application_name : "";
	const char *client = client_address();
	int			n;

	StaticAssertStmt(NAMEDATALEN + INET6_ADDRSTRLEN <= WF_AUDIT_TEXT,
					 "an entry has no room for a name and an address");
	n = entry->application_length = put_text(entry, 0, application, strnlen(application, NAMEDATALEN - 1));
	n += entry->client_length = put_text(entry, n, client, strlen(client));
	entry->key_length = put_text(entry, n, key, key_length);
}

/* An entry without what its texts do not use. */
static void
copy_entry(WfAuditEntry *to, const WfAuditEntry *from)
{
	memcpy(to, from, wf_audit_key(from) + from->key_length - (const char *) from);
}

/* An entry has been overwritten that nobody had taken; is it anybody's still? */
static void
note_loss(const WfAuditEntry *entry)
{
	bool		lost;
	WfCounters *c;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	lost = wf_database_find(entry->dbid) != NULL &&
		(entry->dbid != MyDatabaseId || entry->extension == extension);
	LWLockRelease(wf_shared->lock);
	if (lost && (c = counters_of(entry->dbid, entry->extension, entry->workflow_id)) != NULL)
		pg_atomic_fetch_add_u64(&c->counts[WF_COUNT_LOST_AUDIT], 1);
}

bool
wf_audit_urgent(void)
{
	WfDatabase *database = wf_database_mine();

	return database != NULL && ring != NULL &&
		(pg_atomic_read_u64(&ring->last) - pg_atomic_read_u64(&database->audit_written) >=
		 WF_AUDIT_RING / 8 ||
		 hash_get_num_entries(counters) - places_kept >= WF_AUDIT_WORKFLOWS / 8);
}

void
wf_audit_record(int32 workflow_id, const pg_uuid_t *run_id,
				const char *key, int key_length, char outcome, TimestampTz at)
{
	WfAuditEntry entry;
	WfAuditEntry old;			/* without its texts */
	const WfAuditEntry *gone = &old;
	Slot	   *slot;
	bool		lost;

	if (ring == NULL || wf_audit == WF_AUDIT_OFF)
		return;
	wf_count(workflow_id, outcome == WF_OUTCOME_MISMATCH ?
			 WF_COUNT_MISMATCHES : WF_COUNT_DUPLICATES, 1);
	if (wf_audit == WF_AUDIT_COUNT)
		return;

	entry.dbid = MyDatabaseId;
	entry.extension = extension;
	entry.workflow_id = workflow_id;
	entry.at = at;
	entry.run_id = *run_id;
	entry.role = GetUserId();
	entry.outcome = outcome;
	put_texts(&entry, key, key_length);
	entry.number = pg_atomic_fetch_add_u64(&ring->last, 1) + 1;

	slot = &ring->slots[entry.number % WF_AUDIT_RING];
	SpinLockAcquire(&slot->mutex);
	memcpy(&old, &slot->entry, offsetof(WfAuditEntry, text));
	lost = old.number != 0 && !slot->taken;
	if (old.number < entry.number)
	{
		copy_entry(&slot->entry, &entry);
		slot->taken = false;
	}
	else
	{
		gone = &entry;			/* others have gone round meanwhile */
		lost = true;
	}
	SpinLockRelease(&slot->mutex);
	if (lost)
		note_loss(gone);

	/* have it written before it is overrun */
	if (entry.number % (WF_AUDIT_RING / 8) == 0)
		wf_wake_dispatcher();
}

static bool
is_mine(const WfAuditEntry *entry)
{
	return entry->dbid == MyDatabaseId && entry->extension == extension;
}

int
wf_audit_read(uint64 *after, WfAuditEntry *entries, int room, bool take)
{
	uint64		last;
	int			n = 0;

	if (ring == NULL)
		return 0;
	last = pg_atomic_read_u64(&ring->last);
	if (last > WF_AUDIT_RING && *after < last - WF_AUDIT_RING)
		*after = last - WF_AUDIT_RING;
	for (; *after < last && n < room; (*after)++)
	{
		Slot	   *slot = &ring->slots[(*after + 1) % WF_AUDIT_RING];

		SpinLockAcquire(&slot->mutex);
		copy_entry(&entries[n], &slot->entry);
		if (take && entries[n].number == *after + 1 && is_mine(&entries[n]))
			slot->taken = true;
		SpinLockRelease(&slot->mutex);

		/* not there yet: its writer is a few instructions away */
		if (entries[n].number < *after + 1)
			break;
		if (entries[n].number == *after + 1 && is_mine(&entries[n]))
			n++;
	}
	return n;
}

int
wf_counters_mine(WfCounters ***found)
{
	HASH_SEQ_STATUS seq;
	WfCounters *c;
	int			n = 0;

	if (counters == NULL)
		return 0;
	*found = palloc(sizeof(WfCounters *) * WF_AUDIT_WORKFLOWS);
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	hash_seq_init(&seq, counters);
	while ((c = hash_seq_search(&seq)) != NULL)
		if (c->dbid == MyDatabaseId && c->extension == extension)
			(*found)[n++] = c;
	LWLockRelease(wf_shared->lock);
	return n;
}

static bool
is_written(const WfCounters *c)
{
	for (int i = 0; i < WF_COUNTS; i++)
		if (pg_atomic_read_u64((pg_atomic_uint64 *) &c->counts[i]) != c->written[i])
			return false;
	return true;
}

static void
forget(WfCounters *c)
{
	(void) hash_search(counters, c, HASH_REMOVE, NULL);
	memset(c, 0, offsetof(WfCounters, counts));
}

void
wf_counters_forget(WfCounters **gone, int n)
{
	HASH_SEQ_STATUS seq;
	WfCounters *c;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
		if (is_written(gone[i]))
			forget(gone[i]);
	hash_seq_init(&seq, counters);
	while ((c = hash_seq_search(&seq)) != NULL)
		if (c->dbid == MyDatabaseId && c->extension != extension)
			forget(c);
	places_kept = hash_get_num_entries(counters);
	LWLockRelease(wf_shared->lock);
}
