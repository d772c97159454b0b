-- The shop that the webhooks are for: its roles, tables, handlers, workflows.
-- Run by an administrator of the database, once.

CREATE EXTENSION pg_workflow;

-- ---------------------------------------------------------------------------
-- Roles.  app_owner owns the tables and the workflows; its handlers run logged
-- in as app_owner.  app_web is what faces the internet: all it can do is hand
-- a webhook over.
-- ---------------------------------------------------------------------------

CREATE ROLE app_owner LOGIN;
CREATE ROLE app_web LOGIN;
SELECT wf_grant_usage('app_owner');
SELECT wf_grant_usage('app_web');

CREATE SCHEMA app AUTHORIZATION app_owner;
ALTER ROLE app_owner SET search_path = app, public;

SET SESSION AUTHORIZATION app_owner;
SET search_path = app, public;

-- ---------------------------------------------------------------------------
-- Tables.  There is no unique constraint, no ON CONFLICT and no "was it booked
-- already?" on purpose: that everything is booked once is pg_workflow's work.
-- ---------------------------------------------------------------------------

CREATE TABLE payments (
	payment text NOT NULL,
	status text NOT NULL,
	amount bigint NOT NULL,             -- in cents
	currency text NOT NULL,
	customer text NOT NULL
);
CREATE INDEX ON payments (payment);

-- Each booking is a few entries that add up to zero.
CREATE TABLE ledger_entries (
	entry bigint GENERATED ALWAYS AS IDENTITY,
	event text NOT NULL,
	payment text NOT NULL,
	account text NOT NULL,
	amount bigint NOT NULL,
	currency text NOT NULL,
	run_id uuid NOT NULL DEFAULT wf_current_run(),
	attempt integer NOT NULL DEFAULT wf_current_attempt()
);
CREATE INDEX ON ledger_entries (event);

-- Our bank accounts.  Nobody has thought of JPY yet.
CREATE TABLE bank_accounts (currency text PRIMARY KEY);
INSERT INTO bank_accounts VALUES ('EUR'), ('USD'), ('GBP'), ('SEK');

CREATE TABLE reports (
	day date NOT NULL,
	report jsonb NOT NULL,
	made_at timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------------------
-- Handlers: a function of one jsonb.  What it does and the word "completed"
-- are one transaction; an error undoes all of it and is tried again later.
-- ---------------------------------------------------------------------------

CREATE FUNCTION book_payment(event jsonb) RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	data jsonb := event -> 'data';
	pay text := data ->> 'payment';
	cents bigint := (data ->> 'amount')::numeric;
	fee bigint := coalesce((data ->> 'fee')::numeric, 0);
	cur text := data ->> 'currency';
BEGIN
	IF NOT EXISTS (SELECT FROM bank_accounts WHERE currency = cur) THEN
		RAISE 'there is no bank account for %', cur;
	END IF;

	CASE event ->> 'type'
		WHEN 'payment.captured', 'payment.failed' THEN
			INSERT INTO payments
			VALUES (pay, substr(event ->> 'type', 9), cents, cur, data #>> '{customer,id}');
		WHEN 'payment.refunded', 'payment.disputed' THEN
			-- it may have overtaken its payment: then later, please
			UPDATE payments SET status = substr(event ->> 'type', 9) WHERE payment = pay;
			IF NOT FOUND THEN
				RAISE 'the payment is not booked yet';
			END IF;
	END CASE;

	INSERT INTO ledger_entries (event, payment, account, amount, currency)
	SELECT event ->> 'id', pay, account, change, cur
	  FROM (VALUES ('payment.captured', 'bank', cents - fee),
	               ('payment.captured', 'fees', fee),
	               ('payment.captured', 'sales', -cents),
	               ('payment.refunded', 'bank', -cents),
	               ('payment.refunded', 'refunds', cents),
	               ('payment.disputed', 'bank', -cents),
	               ('payment.disputed', 'disputes', cents)) AS booking (type, account, change)
	 WHERE type = event ->> 'type';

	-- the outside world: one in twenty has bad luck at first, after it has booked
	IF wf_current_attempt() = 1 AND hashtext(event ->> 'id') % 20 = 0 THEN
		RAISE 'the fraud check did not answer';
	END IF;

	RETURN jsonb_build_object('payment', pay, 'status', substr(event ->> 'type', 9));
END
$$;

CREATE FUNCTION nightly_report(request jsonb) RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
	totals jsonb;
BEGIN
	SELECT jsonb_object_agg(currency, total) INTO totals
	  FROM (SELECT currency, sum(amount) AS total
	          FROM ledger_entries WHERE account = 'bank' GROUP BY currency) AS t;
	INSERT INTO reports VALUES ((request ->> 'day')::date, totals);
	RETURN totals;
END
$$;

-- ---------------------------------------------------------------------------
-- Workflows
-- ---------------------------------------------------------------------------

SELECT wf_create_workflow('payment-webhook', 'book_payment(jsonb)',
	max_attempts => 8,
	retry_delay => '50 ms',
	retry_max_delay => '1 second');
SELECT wf_grant('payment-webhook', 'app_web', '{enqueue}');

SELECT wf_create_workflow('nightly-report', 'nightly_report(jsonb)');

RESET SESSION AUTHORIZATION;
RESET search_path;
