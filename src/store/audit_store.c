/*-------------------------------------------------------------------------
 * audit_store.c
 *		All access to wf.duplicate and wf.counter.
 *
 * Only the dispatcher writes here, in batches.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/audit_store.h"
#include "store/statement.h"

/* the plain key is found with the run, while that is stored */
static WfStatement insert_duplicate = {
	.purpose = "write a duplicate",
	.sql =
	"INSERT INTO wf.duplicate "
	"       (at, workflow_id, run_id, outcome, role_name, application_name, client_addr, key) "
	"SELECT $1, $2, $3, $4, "
	"       (SELECT a.rolname FROM pg_catalog.pg_authid a WHERE a.oid OPERATOR(pg_catalog.=) $5), "
	"       $6, $7::pg_catalog.inet, "
	"       (SELECT r.key FROM wf.run r WHERE r.run_id OPERATOR(pg_catalog.=) $3)",
	.nargs = 7,
	.argtypes = (const Oid[]) {TIMESTAMPTZOID, INT4OID, UUIDOID, CHAROID, OIDOID, TEXTOID, TEXTOID},
	.expect = SPI_OK_INSERT,
};

static WfStatement add_counter = {
	.purpose = "write counters",
	.sql =
	"INSERT INTO wf.counter AS c "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
	"ON CONFLICT (workflow_id) DO UPDATE "
	"   SET enqueued = c.enqueued OPERATOR(pg_catalog.+) excluded.enqueued, "
	"       duplicates = c.duplicates OPERATOR(pg_catalog.+) excluded.duplicates, "
	"       mismatches = c.mismatches OPERATOR(pg_catalog.+) excluded.mismatches, "
	"       waits = c.waits OPERATOR(pg_catalog.+) excluded.waits, "
	"       completed = c.completed OPERATOR(pg_catalog.+) excluded.completed, "
	"       failed = c.failed OPERATOR(pg_catalog.+) excluded.failed, "
	"       cancelled = c.cancelled OPERATOR(pg_catalog.+) excluded.cancelled, "
	"       lost_audit = c.lost_audit OPERATOR(pg_catalog.+) excluded.lost_audit",
	.nargs = 9,
	.argtypes = (const Oid[]) {INT4OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID},
	.expect = SPI_OK_INSERT,
};

static WfStatement purge_duplicates = {
	.purpose = "forget old duplicates",
	.sql =
	"DELETE FROM wf.duplicate d "
	" WHERE d.ctid OPERATOR(pg_catalog.=) ANY (ARRAY( "
	"       SELECT o.ctid "
	"         FROM wf.workflow w, LATERAL ( "
	"              SELECT i.ctid "
	"                FROM wf.duplicate i "
	"               WHERE i.workflow_id OPERATOR(pg_catalog.=) w.id "
	"                 AND i.at OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) "
	"                     least(w.retention, '1000 years'::pg_catalog.interval)) "
	"               LIMIT 1000) o "
	"        LIMIT 1000))",
	.expect = SPI_OK_DELETE,
};

void
wf_duplicate_insert(const WfAuditEntry *entries, int n)
{
	wf_spi_begin();
	for (int i = 0; i < n; i++)
	{
		const WfAuditEntry *e = &entries[i];
		Datum		values[7];
		char		nulls[7] = "       ";

		values[0] = TimestampTzGetDatum(e->at);
		values[1] = Int32GetDatum(e->workflow_id);
		values[2] = UUIDPGetDatum(&e->run_id);
		values[3] = CharGetDatum(e->outcome);
		values[4] = ObjectIdGetDatum(e->role);
		values[5] = CStringGetTextDatum(e->application_name);
		values[6] = CStringGetTextDatum(e->client_addr);
		if (e->client_addr[0] == '\0')
			nulls[6] = 'n';
		(void) wf_spi_run(&insert_duplicate, values, nulls, 0);
	}
	wf_spi_end();
}

void
wf_counter_add(int32 workflow_id, const uint64 *counts)
{
	Datum		values[1 + WF_COUNTS];

	values[0] = Int32GetDatum(workflow_id);
	for (int i = 0; i < WF_COUNTS; i++)
		values[1 + i] = Int64GetDatum((int64) counts[i]);
	wf_spi_begin();
	(void) wf_spi_run(&add_counter, values, NULL, 0);
	wf_spi_end();
}

int64
wf_duplicate_purge(void)
{
	uint64		n;

	wf_spi_begin();
	n = wf_spi_run(&purge_duplicates, NULL, NULL, 0);
	wf_spi_end();
	return (int64) n;
}
