/*-------------------------------------------------------------------------
 * workflow_store.c
 *		Definitions of workflows, as every backend keeps them.
 *
 * A definition is read when it is first asked for and kept until wf.workflow,
 * a role or a membership changes; then all of them are forgotten, and read
 * again one by one.  That there is none of a name is kept too.  Nothing is
 * freed while an invalidation is received, only at the next look-up, so a
 * definition does not vanish under whoever is using it.
 *
 * A change that is rolled back, to a savepoint or altogether, is forgotten
 * too: the invalidations of a transaction's own changes come back to it then.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "store/relations.h"
#include "store/workflow_read.h"
#include "store/workflow_store.h"

typedef struct NameKey
{
	const char *name;			/* not terminated */
	int			length;
} NameKey;

typedef struct NamedEntry
{
	NameKey		key;
	WfWorkflow *workflow;		/* NULL: there is none of that name */
	char		status;
} NamedEntry;

typedef struct NumberedEntry
{
	int32		id;
	WfWorkflow *workflow;
	char		status;
} NumberedEntry;

#define SH_PREFIX named
#define SH_ELEMENT_TYPE NamedEntry
#define SH_KEY_TYPE NameKey
#define SH_KEY key
#define SH_HASH_KEY(tb, k) hash_bytes((const unsigned char *) (k).name, (k).length)
#define SH_EQUAL(tb, a, b) \
	((a).length == (b).length && memcmp((a).name, (b).name, (a).length) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define SH_PREFIX numbered
#define SH_ELEMENT_TYPE NumberedEntry
#define SH_KEY_TYPE int32
#define SH_KEY id
#define SH_HASH_KEY(tb, k) murmurhash32((uint32) (k))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* names that do not exist, of which a caller may invent as many as he likes */
#define MAX_ABSENT 1000

static MemoryContext context = NULL;	/* of all that is kept */
static struct named_hash *by_name;
static struct numbered_hash *by_id;
static int	absent;				/* names kept that do not exist */
static Oid	table_oid;			/* wf.workflow, when last read */
static bool stale = true;		/* forget all before the next look-up */
static uint64 epoch = 1;

static void forget_all(void);
static void relation_changed(Datum arg, Oid relid);
static void role_changed(Datum arg, int cacheid, uint32 hashvalue);
static void keep_by_id(WfWorkflow *w);

const WfWorkflow *
wf_workflow_by_name(const char *name, int length)
{
	NameKey		key = {name, length};
	NamedEntry *entry;
	WfWorkflow *w;
	bool		found;

	if (stale)
		forget_all();
	entry = named_lookup(by_name, key);
	if (entry != NULL)
		return entry->workflow;

	if (length < 1 || length > WF_MAX_NAME)
		return NULL;
	w = wf_workflow_read_by_name(name, length, context);
	if (w != NULL)
		keep_by_id(w);
	else if (++absent > MAX_ABSENT)
		stale = true;

	key.name = w != NULL ? w->name : MemoryContextStrdup(context, pnstrdup(name, length));
	entry = named_insert(by_name, key, &found);
	entry->workflow = w;
	return w;
}

const WfWorkflow *
wf_workflow_by_id(int32 id)
{
	NumberedEntry *entry;
	WfWorkflow *w;

	if (stale)
		forget_all();
	entry = numbered_lookup(by_id, id);
	if (entry != NULL)
		return entry->workflow;

	w = wf_workflow_read_by_id(id, context);
	if (w != NULL)
		keep_by_id(w);
	return w;
}

uint64
wf_workflow_epoch(void)
{
	/* from now on changes are noticed, even if nothing was kept yet */
	if (stale)
		forget_all();
	return epoch;
}

/*
 * The owner, and whoever has the owner's privileges, may do everything.  A
 * superuser has every role's.
 */
int
wf_workflow_privileges(const WfWorkflow *w, Oid role)
{
	int			privileges = 0;

	if (OidIsValid(w->owner) && has_privs_of_role(role, w->owner))
		return WF_MAY_ALL | WF_MAY_OWN;
	for (int i = 0; i < w->ngrants; i++)
	{
		const WfGrant *g = &w->grants[i];

		/* memberships cost a look-up, so only for what would be added */
		if ((g->privileges & ~privileges) != 0 &&
			(!OidIsValid(g->role) || g->role == role || has_privs_of_role(role, g->role)))
			privileges |= g->privileges;
	}
	return privileges;
}

/* Start anew, with nothing kept. */
static void
forget_all(void)
{
	Oid			oid = wf_relations()->workflow;

	if (context == NULL)
	{
		context = AllocSetContextCreate(CacheMemoryContext, "pg_workflow definitions",
										ALLOCSET_DEFAULT_SIZES);
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHOID, role_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, role_changed, (Datum) 0);
	}
	MemoryContextReset(context);
	by_name = named_create(context, 64, NULL);
	by_id = numbered_create(context, 64, NULL);
	absent = 0;
	table_oid = oid;

	/* what comes in while something is read makes it stale again */
	stale = false;
}

/* relcache callback */
static void
relation_changed(Datum arg, Oid relid)
{
	if (OidIsValid(relid) && relid != table_oid)
		return;
	stale = true;
	epoch++;
}

/* syscache callback: a role or a membership has changed */
static void
role_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	stale = true;
	epoch++;
}

static void
keep_by_id(WfWorkflow *w)
{
	bool		found;

	numbered_insert(by_id, w->id, &found)->workflow = w;
}
