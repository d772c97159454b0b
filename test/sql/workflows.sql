-- Workflows as a user meets them: what is printed.  Every argument and
-- SQLSTATE is in test/pgtap/workflows.sql.
\set VERBOSITY default
\pset null '-'
CREATE ROLE regress_wf_alice LOGIN;
CREATE ROLE regress_wf_bob LOGIN;
SELECT wf_grant_usage('regress_wf_alice'), wf_grant_usage('regress_wf_bob');
CREATE SCHEMA regress_wf AUTHORIZATION regress_wf_alice;
CREATE FUNCTION regress_wf.internal(jsonb) RETURNS jsonb LANGUAGE internal AS 'jsonb_concat';

SET ROLE regress_wf_alice;
CREATE FUNCTION regress_wf.send(mail jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT mail';
CREATE FUNCTION regress_wf.count(mail jsonb) RETURNS integer LANGUAGE sql AS 'SELECT 1';

-- a workflow with its defaults
SELECT wf_create_workflow('wf.mail', 'regress_wf.send(jsonb)');
SELECT * FROM wf.workflows WHERE name = 'wf.mail' \gx

-- it can be made only once, unless that is what one wants
SELECT wf_create_workflow('wf.mail', 'regress_wf.send(jsonb)');
SELECT wf_create_workflow('wf.mail', 'regress_wf.send(jsonb)', max_attempts => 5, on_exists => 'alter');
SELECT wf_create_workflow('wf.mail', on_exists => 'replace');

-- some of it can be changed
SELECT wf_alter_workflow('wf.mail', retry_delay => '10 seconds', key_ttl => '2000 years');
SELECT max_attempts, retry_delay, key_ttl, handler FROM wf.workflows WHERE name = 'wf.mail';
SELECT wf_alter_workflow('wf.mail', handler => '-');
SELECT handler FROM wf.workflows WHERE name = 'wf.mail';

-- what is refused, and what one is told
SELECT wf_create_workflow(NULL);
SELECT wf_create_workflow(repeat('x', 300));
SELECT wf_create_workflow('wf.other', max_attempts => 0);
SELECT wf_create_workflow('wf.other', retry_factor => 'NaN');
SELECT wf_create_workflow('wf.other', timeout => '-1 second');
SELECT wf_create_workflow('wf.other', retention => '-1 second');
SELECT wf_create_workflow('wf.other', key_anchor => 'start');
SELECT wf_create_workflow('wf.other', 'regress_wf.count(jsonb)');
SELECT wf_create_workflow('wf.other', 'regress_wf.internal(jsonb)');
SELECT wf_alter_workflow('wf.mail', owner => 'regress_wf_bob');

-- to others it is not there, until something is granted to them
SET ROLE regress_wf_bob;
SELECT wf_enqueue('wf.mail');
SELECT name FROM wf.workflows WHERE name = 'wf.mail';
SET ROLE regress_wf_alice;
SELECT wf_grant('wf.mail', 'regress_wf_bob', '{enqueue,execute}');
SELECT wf_grant('wf.mail', 'regress_wf_bob', '{}');
SELECT wf_grant('wf.mail', 'regress_wf_bob');
SELECT grants FROM wf.workflows WHERE name = 'wf.mail';
SET ROLE regress_wf_bob;
SELECT wf_enqueue('wf.mail') IS NOT NULL AS enqueued;
SELECT wf_pause('wf.mail');
SELECT wf_drop_workflow('wf.mail');
SELECT wf_grant_usage('regress_wf_bob');

-- pause, resume, drop
SET ROLE regress_wf_alice;
SELECT wf_pause('wf.mail');
SELECT paused FROM wf.workflows WHERE name = 'wf.mail';
SELECT wf_resume('wf.mail');
SELECT paused FROM wf.workflows WHERE name = 'wf.mail';
SELECT wf_drop_workflow('wf.mail');
SELECT wf_drop_workflow('wf.mail', force => true);
SELECT wf_drop_workflow('wf.mail');

-- a change that is rolled back leaves nothing, also not in this session
BEGIN;
SELECT wf_create_workflow('wf.short');
SELECT wf_enqueue('wf.short') IS NOT NULL AS enqueued;
ROLLBACK;
SELECT wf_enqueue('wf.short');

-- a definition is the present one in an old snapshot, too
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM wf.workflows WHERE name = 'wf.short';
SELECT wf_create_workflow('wf.short');
SELECT wf_enqueue('wf.short') IS NOT NULL AS enqueued;
COMMIT;
SELECT wf_drop_workflow('wf.short', true);

RESET ROLE;
SELECT wf_revoke_usage('regress_wf_alice'), wf_revoke_usage('regress_wf_bob');
DROP FUNCTION regress_wf.send(jsonb), regress_wf.count(jsonb), regress_wf.internal(jsonb);
DROP SCHEMA regress_wf;
DROP ROLE regress_wf_alice, regress_wf_bob;
