-- ---------------------------------------------------------------------------
-- Views
--
-- Each shows what the caller may see, by a list of workflows that is made
-- once per query.  All are security barriers.  Names and keys, which are
-- compared byte by byte, are shown in the default collation, so that they can
-- be joined to other columns.  Runs are filtered by their own column and by
-- their workflow's: with one of the two alone, EXPLAIN ANALYZE and the time it
-- takes would tell how many runs, or whether a key, of somebody else there are.
-- ---------------------------------------------------------------------------

CREATE FUNCTION wf.readable_workflows()
RETURNS integer[]
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'wf_readable_workflows';
COMMENT ON FUNCTION wf.readable_workflows() IS 'for the views: workflows whose runs the caller may read';

CREATE FUNCTION wf.visible_workflows()
RETURNS integer[]
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'wf_visible_workflows';
COMMENT ON FUNCTION wf.visible_workflows() IS 'for the views: workflows that the caller may know of';

CREATE FUNCTION wf.time_add(moment timestamptz, delay interval)
RETURNS timestamptz
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'wf_time_add';
COMMENT ON FUNCTION wf.time_add(timestamptz, interval) IS 'for the views: time plus delay in UTC; infinity for a thousand years or more';

CREATE FUNCTION wf.is_past(moment timestamptz)
RETURNS boolean
LANGUAGE C VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'wf_is_past';
COMMENT ON FUNCTION wf.is_past(timestamptz) IS 'for the views: has the time come, by the clock';

CREATE FUNCTION wf.executing_attempt(run_id uuid)
RETURNS integer
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'wf_executing_attempt';
COMMENT ON FUNCTION wf.executing_attempt(uuid) IS 'for the views: the attempt that an executor is at now, or NULL';

CREATE FUNCTION wf.workers_list(
	OUT pid integer,
	OUT kind text,
	OUT database text,
	OUT owner oid,
	OUT workflow_id integer,
	OUT run_id uuid,
	OUT since timestamptz)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'wf_workers';
COMMENT ON FUNCTION wf.workers_list() IS 'for the views: processes of pg_workflow';

-- Every run with its last event, slice by slice: a run's events are in the
-- slice that the run is in.  Nobody may read it; the views build on it.
DO $run_state$
DECLARE
	body text;
BEGIN
	SELECT pg_catalog.string_agg(pg_catalog.format($sql$
		SELECT r.run_id, r.run_at AS enqueued_for, r.enqueued_at, r.workflow_id,
			   r.priority AS enqueued_priority, r.payload, r.key_digest, r.key,
			   r.key_anchor, r.key_ttl, r.replaces,
			   e.at, e.seq, e.attempt, e.priority, e.tries, e.crashes, e.kind, e.run_at,
			   e.lease_until, e.started_at, e.result, e.worker, e.sqlstate, e.error
		  FROM wf.run_%1$s r
		  LEFT JOIN LATERAL (
			   SELECT *
				 FROM wf.event_%1$s l
				WHERE l.run_id OPERATOR(pg_catalog.=) r.run_id
				ORDER BY l.seq DESC
				LIMIT 1) e ON true$sql$, s), ' UNION ALL ')
	  INTO body
	  FROM pg_catalog.generate_series(0, 7) s;
	EXECUTE 'CREATE VIEW wf.run_state AS ' OPERATOR(pg_catalog.||) body;
END
$run_state$;
COMMENT ON VIEW wf.run_state IS 'every stored run with its last event; for the other views, readable by nobody';

CREATE VIEW wf.runs WITH (security_barrier) AS
SELECT r.run_id,
	   w.name COLLATE "default" AS workflow,
	   r.key COLLATE "default" AS key,
	   r.payload,
	   CASE WHEN r.kind OPERATOR(pg_catalog.=) 'c' THEN 'completed'
			WHEN r.kind OPERATOR(pg_catalog.=) 'f' THEN 'failed'
			WHEN r.kind OPERATOR(pg_catalog.=) 'x' THEN 'cancelled'
			WHEN r.kind OPERATOR(pg_catalog.=) ANY ('{s,h}') THEN 'running'
			WHEN x.attempt IS NOT NULL THEN 'running'
			ELSE 'queued' END AS state,
	   coalesce(x.attempt, r.attempt, 0) AS attempt,
	   coalesce(r.priority, r.enqueued_priority) AS priority,
	   coalesce(r.run_at, r.enqueued_for) AS run_at,
	   r.result,
	   r.error,
	   r.sqlstate,
	   r.enqueued_at,
	   r.started_at,
	   CASE WHEN r.kind OPERATOR(pg_catalog.=) ANY ('{c,f,x}') THEN r.at END AS finished_at,
	   r.worker,
	   r.lease_until
  FROM wf.run_state r
  JOIN wf.workflow w ON w.id OPERATOR(pg_catalog.=) r.workflow_id
 CROSS JOIN LATERAL (
	   SELECT CASE WHEN r.kind OPERATOR(pg_catalog.=) ANY ('{c,f,x,s,h}') THEN NULL
				   ELSE wf.executing_attempt(r.run_id) END AS attempt) x
 WHERE r.workflow_id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(wf.readable_workflows())))
   AND w.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(wf.readable_workflows())))
   AND NOT coalesce(r.kind OPERATOR(pg_catalog.=) ANY ('{c,f,x}') AND wf.is_past(wf.time_add(r.at, w.retention)), false);
COMMENT ON VIEW wf.runs IS 'runs of the workflows that one may read';

-- A run that is cancelled while it waits for its next attempt has ended the
-- last one before.
CREATE VIEW wf.attempts WITH (security_barrier) AS
SELECT e.run_id,
	   e.attempt,
	   CASE e.kind WHEN 'c' THEN 'completed' WHEN 'f' THEN 'failed' WHEN 'r' THEN 'failed'
			WHEN 'x' THEN 'cancelled' WHEN 'l' THEN 'lost' WHEN 'b' THEN 'released'
			WHEN 'k' THEN 'crashed' END AS outcome,
	   e.sqlstate,
	   e.error,
	   e.detail,
	   e.context,
	   e.worker,
	   e.started_at,
	   e.at AS finished_at
  FROM wf.event e
 WHERE e.workflow_id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(wf.readable_workflows())))
   AND e.kind OPERATOR(pg_catalog.=) ANY ('{c,f,r,x,l,b,k}')
   AND e.attempt OPERATOR(pg_catalog.>) 0
   AND NOT (e.kind OPERATOR(pg_catalog.=) 'x' AND EXISTS (
	   SELECT
		 FROM wf.event b
		WHERE b.run_id OPERATOR(pg_catalog.=) e.run_id
		  AND b.attempt OPERATOR(pg_catalog.=) e.attempt
		  AND b.kind OPERATOR(pg_catalog.=) ANY ('{f,r,l,b,k}')));
COMMENT ON VIEW wf.attempts IS 'ended attempts of the runs that one may read';

CREATE VIEW wf.keys WITH (security_barrier) AS
SELECT w.name COLLATE "default" AS workflow,
	   r.key COLLATE "default" AS key,
	   r.run_id,
	   CASE WHEN NOT t.terminal THEN
			CASE WHEN r.kind OPERATOR(pg_catalog.=) ANY ('{s,h}') OR wf.executing_attempt(r.run_id) IS NOT NULL
				 THEN 'running' ELSE 'queued' END
			WHEN wf.is_past(wf.time_add(r.at, w.retention)) THEN 'purged'
			WHEN r.kind OPERATOR(pg_catalog.=) 'c' THEN 'completed'
			WHEN r.kind OPERATOR(pg_catalog.=) 'f' THEN 'failed'
			ELSE 'cancelled' END AS state,
	   r.enqueued_at,
	   t.expires_at
  FROM wf.run_state r
  JOIN wf.workflow w ON w.id OPERATOR(pg_catalog.=) r.workflow_id
 CROSS JOIN LATERAL (
	   SELECT coalesce(r.kind OPERATOR(pg_catalog.=) ANY ('{c,f,x}'), false) AS terminal,
			  CASE WHEN r.kind OPERATOR(pg_catalog.=) ANY ('{c,f,x}') THEN
				   CASE WHEN r.key_ttl OPERATOR(pg_catalog.=) '0' THEN r.at
						WHEN r.key_anchor OPERATOR(pg_catalog.=) 'e' THEN wf.time_add(r.enqueued_at, r.key_ttl)
						ELSE wf.time_add(r.at, r.key_ttl) END
			  END AS expires_at) t
 WHERE r.key_digest IS NOT NULL
   AND w.dropped_at IS NULL
   AND r.workflow_id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(wf.readable_workflows())))
   AND w.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(wf.readable_workflows())))
   AND NOT coalesce(wf.is_past(t.expires_at), false);
COMMENT ON VIEW wf.keys IS 'live idempotency keys of the workflows that one may read; expires_at is NULL while the run has not ended';

CREATE VIEW wf.workflows WITH (security_barrier) AS
SELECT w.name COLLATE "default" AS name,
	   coalesce(o.rolname, w.owner_name) AS owner,
	   CASE WHEN w.handler_name IS NOT NULL
			THEN pg_catalog.format('%I.%I(jsonb)', w.handler_schema, w.handler_name) END AS handler,
	   w.max_attempts,
	   w.retry_delay,
	   w.retry_factor,
	   w.retry_max_delay,
	   w.retry_jitter,
	   w.timeout,
	   w.key_ttl,
	   w.key_anchor,
	   w.on_failed,
	   w.on_mismatch,
	   w.max_running,
	   w.priority,
	   w.batch,
	   w.retention,
	   w.max_queued,
	   w.paused,
	   (SELECT pg_catalog.jsonb_object_agg(
				   CASE WHEN g.role_oid OPERATOR(pg_catalog.=) 0::oid THEN 'PUBLIC'
						ELSE coalesce(gr.rolname, g.role_name)::text END, g.privileges)
		  FROM wf.workflow_grant g
		  LEFT JOIN pg_catalog.pg_roles gr ON gr.oid OPERATOR(pg_catalog.=) g.role_oid
		 WHERE g.workflow_id OPERATOR(pg_catalog.=) w.id) AS grants
  FROM wf.workflow w
  LEFT JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) w.owner_oid
 WHERE w.dropped_at IS NULL
   AND w.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(wf.visible_workflows())));
COMMENT ON VIEW wf.workflows IS 'workflows that one may know of, and their settings';

CREATE VIEW wf.workers WITH (security_barrier) AS
SELECT l.pid,
	   l.kind,
	   l.database,
	   l.owner::regrole AS owner,
	   w.name COLLATE "default" AS workflow,
	   l.run_id,
	   l.since
  FROM wf.workers_list() l
  LEFT JOIN wf.workflow w ON w.id OPERATOR(pg_catalog.=) l.workflow_id;
COMMENT ON VIEW wf.workers IS 'processes of pg_workflow, and what they are at';

CREATE FUNCTION wf.unwritten_duplicates(
	OUT at timestamptz,
	OUT workflow_id integer,
	OUT run_id uuid,
	OUT outcome "char",
	OUT role oid,
	OUT application_name text,
	OUT client_addr text)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'wf_unwritten_duplicates';
COMMENT ON FUNCTION wf.unwritten_duplicates() IS 'for the views: duplicates that are still in shared memory';

CREATE FUNCTION wf.unwritten_counters(
	OUT workflow_id integer,
	OUT enqueued bigint,
	OUT duplicates bigint,
	OUT mismatches bigint,
	OUT waits bigint,
	OUT completed bigint,
	OUT failed bigint,
	OUT cancelled bigint,
	OUT lost_audit bigint,
	OUT start_latency_p50 float8,
	OUT start_latency_p99 float8)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'wf_unwritten_counters';
COMMENT ON FUNCTION wf.unwritten_counters() IS 'for the views: counts that are still in shared memory';

-- Here and below: what is a barrier must not be a UNION ALL itself, since the
-- planner would take the branches apart, and the barrier with it.
CREATE VIEW wf.duplicates WITH (security_barrier) AS
SELECT v.at, v.workflow, v.key, v.run_id, v.outcome, v.role, v.application_name, v.client_addr
  FROM (
SELECT d.at,
	   w.name COLLATE "default" AS workflow,
	   d.key COLLATE "default" AS key,
	   d.run_id,
	   CASE d.outcome WHEN 'r' THEN 'returned' WHEN 's' THEN 'skipped' WHEN 'a' THEN 'resumed'
			WHEN 'p' THEN 'replaced' WHEN 'e' THEN 'error' ELSE 'mismatch' END AS outcome,
	   d.role_name AS role,
	   d.application_name,
	   d.client_addr
  FROM (SELECT e.at, s.workflow_id, e.run_id, e.outcome, s.role_name,
			   s.application_name, s.client_addr, e.key
		  FROM wf.duplicate s,
			   ROWS FROM (pg_catalog.unnest(s.times), pg_catalog.unnest(s.run_ids), pg_catalog.unnest(s.outcomes),
						  pg_catalog.unnest(s.keys)) e (at, run_id, outcome, key)
		 UNION ALL
		SELECT u.at, u.workflow_id, u.run_id, u.outcome, a.rolname,
			   u.application_name, u.client_addr::inet,
			   (SELECT r.key COLLATE "default" FROM wf.run r WHERE r.run_id OPERATOR(pg_catalog.=) u.run_id)
		  FROM wf.unwritten_duplicates() u
		  LEFT JOIN pg_catalog.pg_roles a ON a.oid OPERATOR(pg_catalog.=) u.role) d
  JOIN wf.workflow w ON w.id OPERATOR(pg_catalog.=) d.workflow_id
 WHERE w.dropped_at IS NULL
   AND w.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(wf.readable_workflows())))
 UNION ALL
-- tasks: of no workflow, the digest in the place of a run
SELECT d.at,
	   NULL,
	   d.key COLLATE "default",
	   NULL,
	   CASE d.outcome WHEN 'r' THEN 'returned' ELSE 'mismatch' END,
	   d.role_name,
	   d.application_name,
	   d.client_addr
  FROM (SELECT e.at, e.outcome, s.role_name, s.application_name, s.client_addr, e.key
		  FROM wf.duplicate s,
			   ROWS FROM (pg_catalog.unnest(s.times), pg_catalog.unnest(s.outcomes), pg_catalog.unnest(s.keys)) e (at, outcome, key)
		 WHERE s.workflow_id OPERATOR(pg_catalog.=) (SELECT m.number FROM wf.my_tasks() m)
		 UNION ALL
		SELECT u.at, u.outcome, a.rolname, u.application_name, u.client_addr::inet,
			   (SELECT t.key COLLATE "default" FROM wf.task t WHERE t.task OPERATOR(pg_catalog.=) u.run_id LIMIT 1)
		  FROM wf.unwritten_duplicates() u
		  LEFT JOIN pg_catalog.pg_roles a ON a.oid OPERATOR(pg_catalog.=) u.role
		 WHERE u.workflow_id OPERATOR(pg_catalog.=) (SELECT m.number FROM wf.my_tasks() m)) d) v;
COMMENT ON VIEW wf.duplicates IS 'calls that found their idempotency key taken, of the workflows that one may read, and of one''s own tasks';

-- What is not kept as a counter is counted in a join that the planner leaves
-- out of a query that asks for neither.
CREATE VIEW wf.stats WITH (security_barrier) AS
SELECT v.workflow, v.enqueued, v.duplicates, v.mismatches, v.waits, v.completed, v.failed, v.cancelled,
	   v.queued, v.running, v.lost_audit, v.start_latency_p50, v.start_latency_p99
  FROM (
SELECT w.name COLLATE "default" AS workflow,
	   coalesce(c.enqueued, 0) OPERATOR(pg_catalog.+) coalesce(u.enqueued, 0) AS enqueued,
	   coalesce(c.duplicates, 0) OPERATOR(pg_catalog.+) coalesce(u.duplicates, 0) AS duplicates,
	   coalesce(c.mismatches, 0) OPERATOR(pg_catalog.+) coalesce(u.mismatches, 0) AS mismatches,
	   coalesce(c.waits, 0) OPERATOR(pg_catalog.+) coalesce(u.waits, 0) AS waits,
	   coalesce(c.completed, 0) OPERATOR(pg_catalog.+) coalesce(u.completed, 0) AS completed,
	   coalesce(c.failed, 0) OPERATOR(pg_catalog.+) coalesce(u.failed, 0) AS failed,
	   coalesce(c.cancelled, 0) OPERATOR(pg_catalog.+) coalesce(u.cancelled, 0) AS cancelled,
	   n.queued,
	   n.running,
	   coalesce(c.lost_audit, 0) OPERATOR(pg_catalog.+) coalesce(u.lost_audit, 0) AS lost_audit,
	   pg_catalog.make_interval(secs => u.start_latency_p50) AS start_latency_p50,
	   pg_catalog.make_interval(secs => u.start_latency_p99) AS start_latency_p99
  FROM wf.workflow w
  LEFT JOIN wf.counter c ON c.workflow_id OPERATOR(pg_catalog.=) w.id
  LEFT JOIN wf.unwritten_counters() u ON u.workflow_id OPERATOR(pg_catalog.=) w.id
  LEFT JOIN LATERAL (
	   SELECT pg_catalog.count(*) FILTER (WHERE x.running) AS running,
			  pg_catalog.count(*) FILTER (WHERE NOT x.running) AS queued
		 FROM (SELECT coalesce(r.kind OPERATOR(pg_catalog.=) ANY ('{s,h}'), false)
					  OR wf.executing_attempt(r.run_id) IS NOT NULL AS running
				 FROM wf.run_state r
				WHERE r.workflow_id OPERATOR(pg_catalog.=) w.id
				  AND NOT coalesce(r.kind OPERATOR(pg_catalog.=) ANY ('{c,f,x}'), false)) x) n ON true
 WHERE w.dropped_at IS NULL
   AND w.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(wf.readable_workflows())))
 UNION ALL
SELECT NULL,
	   NULL,
	   coalesce(c.duplicates, 0) OPERATOR(pg_catalog.+) coalesce(u.duplicates, 0),
	   coalesce(c.mismatches, 0) OPERATOR(pg_catalog.+) coalesce(u.mismatches, 0),
	   coalesce(c.waits, 0) OPERATOR(pg_catalog.+) coalesce(u.waits, 0),
	   NULL,
	   NULL,
	   NULL,
	   NULL,
	   NULL,
	   coalesce(c.lost_audit, 0) OPERATOR(pg_catalog.+) coalesce(u.lost_audit, 0),
	   NULL,
	   NULL
  FROM wf.my_tasks() m
  LEFT JOIN wf.counter c ON c.workflow_id OPERATOR(pg_catalog.=) m.number
  LEFT JOIN wf.unwritten_counters() u ON u.workflow_id OPERATOR(pg_catalog.=) m.number
 WHERE c.workflow_id IS NOT NULL OR u.workflow_id IS NOT NULL) v;
COMMENT ON VIEW wf.stats IS 'counts and start latency of the workflows that one may read; without a name: of one''s own tasks';

-- A task is its last row.
CREATE VIEW wf.tasks WITH (security_barrier) AS
SELECT t.key COLLATE "default" AS key,
	   CASE t.kind WHEN 's' THEN 'in_progress' WHEN 'c' THEN 'completed' ELSE 'failed' END AS status,
	   t.attempt,
	   t.result,
	   t.error,
	   t.lease_until,
	   CASE t.kind WHEN 'c' THEN t.expires_at END AS expires_at
  FROM wf.task t
 WHERE t.owner OPERATOR(pg_catalog.=) (SELECT m.owner FROM wf.my_tasks() m)
   AND t.kind OPERATOR(pg_catalog.<>) 'd'
   AND NOT wf.is_past(t.expires_at)
   AND NOT EXISTS (
	   SELECT
		 FROM wf.task later
		WHERE later.task OPERATOR(pg_catalog.=) t.task
		  AND later.seq OPERATOR(pg_catalog.>) t.seq);
COMMENT ON VIEW wf.tasks IS 'one''s own tasks, as long as they live';
