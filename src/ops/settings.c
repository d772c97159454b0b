/*-------------------------------------------------------------------------
 * settings.c
 *		The settings of a workflow, as arguments.
 *
 * One table says what each may be; the SQL functions and the columns of
 * wf.workflow have them in the same order.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "ops/settings.h"

typedef enum Kind
{
	KIND_INTEGER,
	KIND_NUMBER,
	KIND_INTERVAL,				/* below 1000 years */
	KIND_LIFETIME,				/* an interval that may be for ever */
	KIND_WORD
} Kind;

typedef struct Rule
{
	const char *name;
	Kind		kind;
	double		min;
	double		max;
	const char *words;			/* separated by spaces */
} Rule;

static const Rule rules[WF_SETTINGS] = {
	[WF_SETTING_MAX_ATTEMPTS] = {"max_attempts", KIND_INTEGER, 1, INT_MAX},
	[WF_SETTING_RETRY_DELAY] = {"retry_delay", KIND_INTERVAL},
	[WF_SETTING_RETRY_FACTOR] = {"retry_factor", KIND_NUMBER, 1, 1e6},
	[WF_SETTING_RETRY_MAX_DELAY] = {"retry_max_delay", KIND_INTERVAL},
	[WF_SETTING_RETRY_JITTER] = {"retry_jitter", KIND_NUMBER, 0, 1},
	[WF_SETTING_TIMEOUT] = {"timeout", KIND_INTERVAL},
	[WF_SETTING_KEY_TTL] = {"key_ttl", KIND_LIFETIME},
	[WF_SETTING_KEY_ANCHOR] = {"key_anchor", KIND_WORD, 0, 0, "completion enqueue"},
	[WF_SETTING_ON_FAILED] = {"on_failed", KIND_WORD, 0, 0, "new return resume"},
	[WF_SETTING_ON_MISMATCH] = {"on_mismatch", KIND_WORD, 0, 0, "error return"},
	[WF_SETTING_MAX_RUNNING] = {"max_running", KIND_INTEGER, 0, INT_MAX},
	[WF_SETTING_PRIORITY] = {"priority", KIND_INTEGER, INT_MIN, INT_MAX},
	[WF_SETTING_BATCH] = {"batch", KIND_INTEGER, 1, 10000},
	[WF_SETTING_RETENTION] = {"retention", KIND_LIFETIME},
	[WF_SETTING_MAX_QUEUED] = {"max_queued", KIND_INTEGER, 0, INT_MAX},
};

static void check(const Rule *rule, Datum value);
static void check_number(const Rule *rule, double value);
static void check_interval(const Rule *rule, const Interval *value);
static char *accepted_words(const char *words);

void
wf_settings_read(FunctionCallInfo fcinfo, int first, bool all_needed,
				 WfWorkflowChange *change)
{
	for (int i = 0; i < WF_SETTINGS; i++)
	{
		change->given[i] = !PG_ARGISNULL(first + i);
		change->settings[i] = PG_GETARG_DATUM(first + i);
		if (change->given[i])
			check(&rules[i], change->settings[i]);
		else if (all_needed)
			wf_refuse_null(rules[i].name);
	}
}

static void
check(const Rule *rule, Datum value)
{
	switch (rule->kind)
	{
		case KIND_INTEGER:
			check_number(rule, DatumGetInt32(value));
			break;
		case KIND_NUMBER:
			check_number(rule, DatumGetFloat8(value));
			break;
		case KIND_INTERVAL:
		case KIND_LIFETIME:
			check_interval(rule, DatumGetIntervalP(value));
			break;
		case KIND_WORD:
			(void) wf_word_require(rule->name, DatumGetTextPP(value), rule->words);
			break;
	}
}

/* A NaN is in no range. */
static void
check_number(const Rule *rule, double value)
{
	if (value >= rule->min && value <= rule->max)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\"", rule->name),
			 errdetail("It is %.15g.", value),
			 errhint("Accepted values are %.15g to %.15g.", rule->min, rule->max)));
}

static void
check_interval(const Rule *rule, const Interval *value)
{
	bool		forever_too = rule->kind == KIND_LIFETIME;

	if (!wf_interval_is_negative(value) && (forever_too || !wf_interval_is_forever(value)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\"", rule->name),
			 errdetail("It is %s.",
					   DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(value)))),
			 forever_too ?
			 errhint("Accepted are intervals from '0' on; 1000 years or more mean for ever.") :
			 errhint("Accepted are intervals from '0' on that are shorter than 1000 years.")));
}

int
wf_word_require(const char *argument, text *value, const char *words)
{
	const char *word = words;
	int			length = VARSIZE_ANY_EXHDR(value);

	for (int n = 0; *word != '\0'; n++)
	{
		int			end = strcspn(word, " ");

		if (end == length && memcmp(word, VARDATA_ANY(value), length) == 0)
			return n;
		word += end + strspn(word + end, " ");
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\"", argument),
			 errdetail("It is \"%s\".", text_to_cstring(value)),
			 errhint("Accepted values are %s.", accepted_words(words))));
}

/* "a b c" as: "a", "b", "c" */
static char *
accepted_words(const char *words)
{
	StringInfoData list;

	initStringInfo(&list);
	appendStringInfoChar(&list, '"');
	for (const char *c = words; *c != '\0'; c++)
	{
		if (*c == ' ')
			appendStringInfoString(&list, "\", \"");
		else
			appendStringInfoChar(&list, *c);
	}
	appendStringInfoChar(&list, '"');
	return list.data;
}

void
wf_refuse_null(const char *argument)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\"", argument),
			 errdetail("It is null."),
			 errhint("Pass a value; an argument that is left out has its default.")));
}
