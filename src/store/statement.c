/*-------------------------------------------------------------------------
 * statement.c
 *		A statement is data: prepared at first use, kept, run as the
 *		extension's owner, its result code checked.
 *
 * For what is not hot; what is goes to the tables directly (table.c).
 * Reads see what is committed at the moment of the call, not what the
 * caller's statement saw when it began.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "store/relations.h"
#include "store/statement.h"

/*
 * What to restore, innermost first.  Each lives in its SPI connection's
 * memory; after an error the chain dangles, and nobody follows it.
 */
typedef struct Frame
{
	WfOwnerState state;
	struct Frame *outer;
} Frame;

static Frame *innermost = NULL;

void
wf_spi_begin(void)
{
	WfOwnerState state;
	Frame	   *frame;

	wf_become_owner(&state);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	frame = palloc(sizeof(Frame));
	frame->state = state;
	frame->outer = innermost;
	innermost = frame;
}

/*
 * A plan may be made while a slice is almost empty, and is kept while it fills
 * up.  What has no index then looks dear enough to be compiled.  Until
 * wf_spi_end.
 */
static void
plan_by_index(void)
{
	static const char *const off[] = {"enable_seqscan", "jit"};

	for (int i = 0; i < lengthof(off); i++)
		(void) set_config_option(off[i], "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

uint64
wf_spi_run(WfStatement *statement, Datum *values, const char *nulls, long limit)
{
	int			code;

	if (statement->by_index)
		plan_by_index();

	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->sql, statement->nargs,
									   (Oid *) statement->argtypes);

		if (plan == NULL)
			elog(ERROR, "could not prepare statement to %s: %s",
				 statement->purpose, SPI_result_code_string(SPI_result));
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "could not keep statement to %s", statement->purpose);
		statement->plan = plan;
	}

	code = SPI_execute_plan(statement->plan, values, nulls, false, limit);
	if (code != statement->expect)
		elog(ERROR, "could not %s: %s", statement->purpose,
			 SPI_result_code_string(code));
	return SPI_processed;
}

void
wf_spi_end(void)
{
	WfOwnerState state = innermost->state;

	innermost = innermost->outer;
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	wf_restore_user(&state);
}
