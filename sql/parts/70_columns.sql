-- ---------------------------------------------------------------------------
-- Comments on columns: by name, or by relation and name where that says more
-- ---------------------------------------------------------------------------

DO $columns$
DECLARE
	words constant jsonb := $json${
		"adopted_at": "when wf_adopt() was called last, or the first workflow or task made",
		"application_name": "application_name of the session that called",
		"at": "when it happened",
		"attempt": "number of the attempt, from 1; 0: none has begun",
		"batch": "runs of a SQL handler per transaction",
		"cancelled": "runs that were cancelled",
		"client_addr": "address of the client; NULL: a local socket",
		"completed": "runs that completed",
		"context": "context of the error",
		"crashes": "attempts that a crash of the server has ended",
		"database": "database that the process is in",
		"database_oid": "OID of the database",
		"detail": "detail of the error",
		"duplicates": "calls that found their key taken",
		"enqueued": "runs that were enqueued",
		"enqueued_at": "when the run was enqueued",
		"enqueued_for": "when the run was to start, as it was enqueued",
		"enqueued_priority": "priority as it was enqueued",
		"error": "message of the last failed attempt, or why it was cancelled",
		"executor": "slot of the executor",
		"expires_at": "when the key ends; NULL while the run has not ended",
		"failed": "runs that failed for good",
		"finished_at": "when it ended",
		"grants": "privileges that others have, by role",
		"handler": "function that is called; NULL: external workers claim the runs",
		"handler_schema": "schema of the handler",
		"id": "number of the workflow",
		"key": "idempotency key; NULL: none",
		"key_anchor": "whether key_ttl counts from completion or enqueue",
		"key_digest": "what the unique index holds; NULL: no key, or it has moved on",
		"key_ttl": "how long the key holds after the anchor",
		"kind": "what it is",
		"lease_until": "until when an external worker holds the run",
		"lost_audit": "duplicates that were counted but not recorded, as too many came at once",
		"max_attempts": "attempts before the run fails for good",
		"max_queued": "runs that may be waiting at once; 0: no limit",
		"max_running": "runs that may be running at once; 0: no limit",
		"mismatches": "calls that found their key bound to another payload",
		"name": "name of the workflow",
		"on_failed": "what a key of a failed run gives: new, return or resume",
		"on_mismatch": "what another payload under a key gives: error or return",
		"opened_at": "when it became the current slice",
		"outcome": "what came of it",
		"owner": "role that owns it, and that handlers run as",
		"paused": "whether nothing is started",
		"payload": "argument of the handler; NULL: purged or erased",
		"pid": "process ID",
		"priority": "lower ones start first",
		"privileges": "of enqueue, work, read and operate",
		"queued": "runs that are waiting",
		"replaces": "the run that had the key before",
		"reserved_at": "when they were handed over",
		"result": "what the handler returned",
		"retention": "how long runs are kept after they have ended",
		"retry_delay": "before the second attempt",
		"retry_factor": "by which the delay grows with each further attempt",
		"retry_jitter": "share of the delay that is added at random",
		"retry_max_delay": "longest delay",
		"role": "role that called",
		"role_name": "name of the role",
		"run_at": "when the run is due",
		"run_id": "the run",
		"run_ids": "the runs, in the order in which they are executed",
		"running": "runs that are being executed",
		"sealed_at": "when the next slice became the current one",
		"seen": "it is never taken to be earlier than this",
		"seq": "number of the event, from 1 for each run",
		"since": "since when it has been at that",
		"slice": "number of the slice",
		"sqlstate": "SQLSTATE of the error",
		"start_latency_p50": "median time from when a run was due to its start, since the server started",
		"start_latency_p99": "the same, 99 percent",
		"started_at": "when the attempt began",
		"state": "queued, running, completed, failed or cancelled",
		"keys.state": "queued, running, completed, failed, cancelled or purged",
		"slice.state": "current: written to; sealed: read and emptied; empty",
		"task_slice.state": "as in wf.slice",
		"system_identifier": "identifier of the server, as pg_control_system() shows it",
		"timeout": "longest time of an attempt; 0: no limit",
		"tries": "attempts that count against max_attempts",
		"waits": "calls that had to wait for another transaction's key",
		"worker": "name of the external worker",
		"workflow": "name of the workflow",
		"workflow_id": "number of the workflow",
		"task.at": "when the row was written",
		"task.attempt": "number of the attempt, the fencing token",
		"task.error": "of kind f: why the attempt failed",
		"task.key": "idempotency key of the task",
		"task.lease_until": "of kind s: until when nobody else is told to execute",
		"task_owner.since": "when the row was written",
		"tasks.attempt": "number of the last attempt",
		"tasks.error": "why the last attempt failed",
		"tasks.expires_at": "when the result is forgotten; NULL: not completed",
		"tasks.key": "idempotency key of the task",
		"tasks.lease_until": "until when nobody else is told to execute it",
		"tasks.result": "what wf_task_get gives",
		"tasks.status": "in_progress, completed or failed",
		"workers.kind": "launcher, dispatcher or executor"
	}$json$;
	c record;
BEGIN
	FOR c IN
		SELECT r.relname, a.attname
		  FROM pg_class r
		  JOIN pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) r.oid
		 WHERE r.relnamespace OPERATOR(pg_catalog.=) 'wf'::regnamespace
		   AND r.relkind OPERATOR(pg_catalog.=) ANY ('{r,v}')
		   AND a.attnum OPERATOR(pg_catalog.>) 0
		   AND col_description(r.oid, a.attnum) IS NULL
		   AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid OPERATOR(pg_catalog.=) r.oid)
	LOOP
		EXECUTE format('COMMENT ON COLUMN wf.%I.%I IS %L', c.relname, c.attname,
					   coalesce(words OPERATOR(pg_catalog.->>) format('%s.%s', c.relname, c.attname),
								words OPERATOR(pg_catalog.->>) c.attname::text));
	END LOOP;
END
$columns$;
