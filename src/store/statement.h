/*-------------------------------------------------------------------------
 * statement.h
 *		A statement is data: prepared at first use, kept, run as the
 *		extension's owner, its result code checked.
 *-------------------------------------------------------------------------
 */
#ifndef WF_STATEMENT_H
#define WF_STATEMENT_H

#include "executor/spi.h"

typedef struct WfStatement
{
	const char *purpose;
	const char *sql;			/* literal, every name and operator qualified */
	int			nargs;
	const Oid  *argtypes;
	int			expect;			/* SPI_OK_... */
	bool		by_index;		/* whatever is known of the table's size */
	SPIPlanPtr	plan;			/* kept by statement.c */
} WfStatement;

/*
 * Run a statement between wf_spi_begin and wf_spi_end.  nulls may be NULL.
 * Returns the number of rows; these are in SPI_tuptable.  What is to outlive
 * wf_spi_end must be copied to the caller's memory first.
 */
extern void wf_spi_begin(void);
extern uint64 wf_spi_run(WfStatement *statement, Datum *values,
						 const char *nulls, long limit);
extern void wf_spi_end(void);

#endif							/* WF_STATEMENT_H */
