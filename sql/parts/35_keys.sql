-- ---------------------------------------------------------------------------
-- Keys
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.wf_key(VARIADIC "any")
RETURNS text
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'wf_key';
COMMENT ON FUNCTION @extschema@.wf_key("any") IS
'a readable idempotency key from several parts, never equal for different ones';

CREATE FUNCTION @extschema@.wf_hash_key(payload jsonb, operation text DEFAULT '')
RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'wf_hash_key';
COMMENT ON FUNCTION @extschema@.wf_hash_key(jsonb, text) IS
'SHA-256, in hex, of an operation, a zero byte and a payload''s canonical JSON';

CREATE FUNCTION @extschema@.wf_canonical_json(jsonb)
RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'wf_canonical_json';
COMMENT ON FUNCTION @extschema@.wf_canonical_json(jsonb) IS
'a value as RFC 8785 writes it';
