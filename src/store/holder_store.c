/*-------------------------------------------------------------------------
 * holder_store.c
 *		Names of prepared transactions.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/holder_store.h"
#include "store/statement.h"

static WfStatement find_gid = {
	.purpose = "find a prepared transaction",
	.sql =
	"SELECT p.gid "
	"  FROM pg_catalog.pg_prepared_xacts p "
	" WHERE p.transaction OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = (const Oid[]) {XIDOID},
	.expect = SPI_OK_SELECT,
};

char *
wf_prepared_gid(TransactionId xid)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[1] = {TransactionIdGetDatum(xid)};
	char	   *gid = NULL;

	wf_spi_begin();
	if (wf_spi_run(&find_gid, values, NULL, 1) == 1)
		gid = MemoryContextStrdup(caller,
								  SPI_getvalue(SPI_tuptable->vals[0],
											   SPI_tuptable->tupdesc, 1));
	wf_spi_end();
	return gid;
}
