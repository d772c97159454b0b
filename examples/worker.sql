-- What the example workers (worker.sh, worker.py, worker.js) work on: mails to be
-- sent, each once.  Run as the role that shall own the workflow.

CREATE SCHEMA example_mail;

CREATE TABLE example_mail.sent (
	run_id uuid NOT NULL,
	recipient text NOT NULL,
	worker text NOT NULL,
	sent_at timestamptz NOT NULL DEFAULT now()
);
-- On purpose there is no unique key: wf_complete() in the same transaction is
-- what keeps a mail from being noted twice.

SELECT wf_create_workflow('example-mail', max_attempts => 5, retry_delay => '100 ms');

-- The workers' role needs wf_grant('example-mail', role, '{work}') and INSERT here.
