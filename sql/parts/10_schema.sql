-- complain if the script is sourced in psql rather than run by CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_workflow" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- Fails where a schema wf exists already: one made by somebody else is never
-- adopted.
CREATE SCHEMA wf;
COMMENT ON SCHEMA wf IS 'tables and views of the extension pg_workflow';
