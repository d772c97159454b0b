/*-------------------------------------------------------------------------
 * difference.c
 *		Where two payloads differ.
 *
 * Both are walked side by side, in jsonb's own order of members.  A member or
 * element that only one of them has is a difference at its place.  No
 * recursion: a payload that could be stored can be compared.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "keys/difference.h"

/* bytes of a path that are shown */
#define MAX_PATH 200

/* a container that both have, and which of its members is compared */
typedef struct Level
{
	JsonbIterator *a;
	JsonbIterator *b;
	JsonbIteratorToken kind;	/* WJB_BEGIN_ARRAY or WJB_BEGIN_OBJECT */
	bool		is_scalar;		/* not a real array: a payload that is a
								 * scalar */
	int			element;
	const char *name;			/* not terminated, in the payload */
	int			length;
} Level;

typedef struct Walk
{
	Level	   *levels;
	int			depth;
	int			room;
} Walk;

static void
append_name(StringInfo path, const char *name, int length)
{
	bool		bare = length > 0 && !(name[0] >= '0' && name[0] <= '9');
	char	   *text;

	if (length > MAX_PATH)
		length = pg_mbcliplen(name, length, MAX_PATH);
	for (int i = 0; i < length && bare; i++)
		bare = IS_HIGHBIT_SET(name[i]) || isalnum((unsigned char) name[i]) || name[i] == '_';
	text = pnstrdup(name, length);
	appendStringInfoChar(path, '.');
	if (bare)
		appendStringInfoString(path, text);
	else
		escape_json(path, text);
}

static char *
path_text(const Walk *walk)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfoChar(&path, '$');
	for (int i = 0; i < walk->depth && path.len <= MAX_PATH; i++)
	{
		const Level *level = &walk->levels[i];

		if (level->kind == WJB_BEGIN_OBJECT)
			append_name(&path, level->name, level->length);
		else if (!level->is_scalar)
			appendStringInfo(&path, "[%d]", level->element);
	}
	if (path.len > MAX_PATH)
	{
		path.len = pg_mbcliplen(path.data, path.len, MAX_PATH);
		path.data[path.len] = '\0';
		appendStringInfoString(&path, "...");
	}
	return path.data;
}

/* Go into two containers.  False: they are of different kinds. */
static bool
enter(Walk *walk, JsonbContainer *a, JsonbContainer *b)
{
	Level	   *level;
	JsonbValue	va;
	JsonbValue	vb;

	if (JsonContainerIsArray(a) != JsonContainerIsArray(b) ||
		JsonContainerIsScalar(a) != JsonContainerIsScalar(b))
		return false;
	if (walk->depth == walk->room)
	{
		walk->room *= 2;
		walk->levels = repalloc_huge(walk->levels, sizeof(Level) * walk->room);
	}
	level = &walk->levels[walk->depth++];
	level->a = JsonbIteratorInit(a);
	level->b = JsonbIteratorInit(b);
	level->kind = JsonbIteratorNext(&level->a, &va, true);
	(void) JsonbIteratorNext(&level->b, &vb, true);
	level->is_scalar = JsonContainerIsScalar(a);
	level->element = -1;
	return true;
}

static bool
same_scalar(const JsonbValue *a, const JsonbValue *b)
{
	switch (a->type)
	{
		case jbvString:
			return a->val.string.len == b->val.string.len &&
				memcmp(a->val.string.val, b->val.string.val, a->val.string.len) == 0;
		case jbvNumeric:
			return DatumGetBool(DirectFunctionCall2(numeric_eq,
													NumericGetDatum(a->val.numeric),
													NumericGetDatum(b->val.numeric)));
		case jbvBool:
			return a->val.boolean == b->val.boolean;
		default:
			return true;
	}
}

/* Are two values the same so far?  What they contain is compared next. */
static bool
compare_values(Walk *walk, const JsonbValue *a, const JsonbValue *b)
{
	if (a->type != b->type)
		return false;
	if (a->type == jbvBinary)
		return enter(walk, a->val.binary.data, b->val.binary.data);
	return same_scalar(a, b);
}

/* jsonb's order of names: by length, then by bytes */
static int
compare_names(const JsonbValue *a, const JsonbValue *b)
{
	if (a->val.string.len != b->val.string.len)
		return a->val.string.len < b->val.string.len ? -1 : 1;
	return memcmp(a->val.string.val, b->val.string.val, a->val.string.len);
}

static bool
is_end(JsonbIteratorToken token)
{
	return token == WJB_END_ARRAY || token == WJB_END_OBJECT;
}

/*
 * Go on to the next element or member of the innermost containers, or out of
 * them.  False: they differ there.
 */
static bool
step(Walk *walk)
{
	Level	   *level = &walk->levels[walk->depth - 1];
	JsonbValue	a;
	JsonbValue	b;
	bool		a_ends = is_end(JsonbIteratorNext(&level->a, &a, true));
	bool		b_ends = is_end(JsonbIteratorNext(&level->b, &b, true));

	if (a_ends && b_ends)
	{
		walk->depth--;
		return true;
	}
	level->element++;
	if (level->kind == WJB_BEGIN_OBJECT)
	{
		int			order = a_ends ? 1 : b_ends ? -1 : compare_names(&a, &b);

		level->name = order <= 0 ? a.val.string.val : b.val.string.val;
		level->length = order <= 0 ? a.val.string.len : b.val.string.len;
		if (order != 0)
			return false;
		(void) JsonbIteratorNext(&level->a, &a, true);
		(void) JsonbIteratorNext(&level->b, &b, true);
	}
	return !a_ends && !b_ends && compare_values(walk, &a, &b);
}

char *
wf_payload_difference(Jsonb *a, Jsonb *b)
{
	Walk		walk = {palloc(sizeof(Level) * 8), 0, 8};

	if (!enter(&walk, &a->root, &b->root))
		return path_text(&walk);
	while (walk.depth > 0)
	{
		CHECK_FOR_INTERRUPTS();
		if (!step(&walk))
			return path_text(&walk);
	}
	return NULL;
}
