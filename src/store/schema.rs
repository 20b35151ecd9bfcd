//! The tables, as forward-only migrations. One text for both databases: TEXT, BIGINT (epoch
//! milliseconds, counters, 0/1), BYTEA and DOUBLE PRECISION only. Keys start with `pool_id`, except the
//! directories (clients by id, domains, access keys, meta).

pub const MIGRATIONS: &[&str] = &[FIRST, SECOND, THIRD, FOURTH];

const FIRST: &str = "
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value BYTEA NOT NULL
);

CREATE TABLE pools (
  pool_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  doc TEXT NOT NULL,
  ver BIGINT NOT NULL,
  epoch_ms BIGINT NOT NULL,
  longest_token_ms BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  modified_ms BIGINT NOT NULL
);

CREATE TABLE clients (
  client_id TEXT PRIMARY KEY,
  pool_id TEXT NOT NULL,
  name TEXT NOT NULL,
  doc TEXT NOT NULL,
  ver BIGINT NOT NULL,
  epoch_ms BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  modified_ms BIGINT NOT NULL
);
CREATE INDEX clients_by_pool ON clients (pool_id, client_id);

CREATE TABLE domains (
  domain TEXT PRIMARY KEY,
  pool_id TEXT NOT NULL,
  doc TEXT NOT NULL,
  created_ms BIGINT NOT NULL
);
CREATE INDEX domains_by_pool ON domains (pool_id, domain);

CREATE TABLE users (
  pool_id TEXT NOT NULL,
  sub TEXT NOT NULL,
  username TEXT NOT NULL,
  status TEXT NOT NULL,
  enabled BIGINT NOT NULL,
  doc TEXT NOT NULL,
  ver BIGINT NOT NULL,
  password BYTEA,
  password_ver BIGINT NOT NULL,
  clock_ms BIGINT NOT NULL,
  epoch_ms BIGINT NOT NULL,
  code_epoch_ms BIGINT NOT NULL,
  sso_epoch_ms BIGINT NOT NULL,
  session_gen BIGINT NOT NULL,
  failures BIGINT NOT NULL,
  failed_ms BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  modified_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, sub)
);
CREATE INDEX users_by_status ON users (pool_id, status, sub);
CREATE INDEX users_by_enabled ON users (pool_id, enabled, sub);

CREATE TABLE password_history (
  pool_id TEXT NOT NULL,
  sub TEXT NOT NULL,
  password_ver BIGINT NOT NULL,
  password BYTEA NOT NULL,
  PRIMARY KEY (pool_id, sub, password_ver)
);

CREATE TABLE graves (
  pool_id TEXT PRIMARY KEY,
  deleted_ms BIGINT NOT NULL
);

CREATE TABLE logins (
  pool_id TEXT NOT NULL,
  login TEXT NOT NULL,
  kind TEXT NOT NULL,
  sub TEXT NOT NULL,
  PRIMARY KEY (pool_id, login)
);
CREATE INDEX logins_by_sub ON logins (pool_id, sub);

CREATE TABLE user_attributes (
  pool_id TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  sub TEXT NOT NULL,
  PRIMARY KEY (pool_id, name, value, sub)
);
CREATE INDEX user_attributes_by_sub ON user_attributes (pool_id, sub);

CREATE TABLE strangers (
  pool_id TEXT NOT NULL,
  login TEXT NOT NULL,
  failures BIGINT NOT NULL,
  failed_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, login)
);
CREATE INDEX strangers_by_age ON strangers (failed_ms);

CREATE TABLE sso_sessions (
  pool_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  sub TEXT NOT NULL,
  handle BYTEA NOT NULL,
  previous_handle BYTEA,
  client_id TEXT NOT NULL,
  birth_ms BIGINT NOT NULL,
  auth_ms BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  active_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  ended_ms BIGINT,
  ip TEXT NOT NULL,
  device TEXT NOT NULL,
  PRIMARY KEY (pool_id, session_id)
);
CREATE UNIQUE INDEX sso_sessions_by_handle ON sso_sessions (pool_id, handle);
CREATE INDEX sso_sessions_by_previous_handle ON sso_sessions (pool_id, previous_handle);
CREATE INDEX sso_sessions_by_user ON sso_sessions (pool_id, sub, ended_ms);
CREATE INDEX sso_sessions_by_expiry ON sso_sessions (expires_ms);
CREATE INDEX sso_sessions_by_end ON sso_sessions (ended_ms) WHERE ended_ms IS NOT NULL;

CREATE TABLE token_sessions (
  pool_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  sub TEXT NOT NULL,
  client_id TEXT NOT NULL,
  sso_id TEXT,
  flow TEXT NOT NULL,
  scope TEXT NOT NULL,
  nonce TEXT,
  birth_ms BIGINT NOT NULL,
  auth_ms BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  active_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  ended_ms BIGINT,
  ip TEXT NOT NULL,
  device TEXT NOT NULL,
  PRIMARY KEY (pool_id, session_id)
);
CREATE INDEX token_sessions_by_user ON token_sessions (pool_id, sub, ended_ms);
CREATE INDEX token_sessions_by_sso ON token_sessions (pool_id, sso_id);
CREATE INDEX token_sessions_by_expiry ON token_sessions (expires_ms);
CREATE INDEX token_sessions_by_end ON token_sessions (ended_ms) WHERE ended_ms IS NOT NULL;

CREATE TABLE refresh_tokens (
  pool_id TEXT NOT NULL,
  hash BYTEA NOT NULL,
  session_id TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  rotated_ms BIGINT,
  PRIMARY KEY (pool_id, hash)
);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_ms);

CREATE TABLE authorization_codes (
  pool_id TEXT NOT NULL,
  hash BYTEA NOT NULL,
  sub TEXT NOT NULL,
  client_id TEXT NOT NULL,
  sso_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  birth_ms BIGINT NOT NULL,
  doc TEXT NOT NULL,
  expires_ms BIGINT NOT NULL,
  consumed_ms BIGINT,
  PRIMARY KEY (pool_id, hash)
);
CREATE INDEX authorization_codes_by_sso ON authorization_codes (pool_id, sso_id);
CREATE INDEX authorization_codes_by_expiry ON authorization_codes (expires_ms);

CREATE TABLE challenges (
  pool_id TEXT NOT NULL,
  hash BYTEA NOT NULL,
  sub TEXT NOT NULL,
  client_id TEXT NOT NULL,
  birth_ms BIGINT NOT NULL,
  doc BYTEA NOT NULL,
  expires_ms BIGINT NOT NULL,
  consumed_ms BIGINT,
  PRIMARY KEY (pool_id, hash)
);
CREATE INDEX challenges_by_expiry ON challenges (expires_ms);

CREATE TABLE user_codes (
  pool_id TEXT NOT NULL,
  sub TEXT NOT NULL,
  purpose TEXT NOT NULL,
  mac BYTEA NOT NULL,
  birth_ms BIGINT NOT NULL,
  tries BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  consumed_ms BIGINT,
  PRIMARY KEY (pool_id, sub, purpose)
);
CREATE INDEX user_codes_by_expiry ON user_codes (expires_ms);

CREATE TABLE allowances (
  pool_id TEXT NOT NULL,
  subject TEXT NOT NULL,
  purpose TEXT NOT NULL,
  used BIGINT NOT NULL,
  since_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, subject, purpose)
);
CREATE INDEX allowances_by_age ON allowances (since_ms);

CREATE TABLE records (
  pool_id TEXT NOT NULL,
  signout_id TEXT NOT NULL,
  n BIGINT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  key16 BYTEA NOT NULL,
  sub TEXT,
  client_id TEXT,
  not_before_ms BIGINT NOT NULL,
  drop_after_ms BIGINT NOT NULL,
  reason TEXT NOT NULL,
  initiator TEXT NOT NULL,
  origin TEXT NOT NULL,
  txn TEXT NOT NULL,
  committed_ms BIGINT NOT NULL,
  seq BIGINT,
  PRIMARY KEY (pool_id, signout_id, n)
);
CREATE INDEX records_by_seq ON records (pool_id, seq);
CREATE INDEX records_by_age ON records (drop_after_ms);

CREATE TABLE messages (
  pool_id TEXT NOT NULL,
  message_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  address TEXT NOT NULL,
  subject TEXT NOT NULL,
  body BYTEA NOT NULL,
  created_ms BIGINT NOT NULL,
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  due_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, message_id)
);
CREATE INDEX messages_by_due ON messages (state, due_ms);
CREATE INDEX messages_by_address ON messages (address, created_ms);
CREATE INDEX messages_by_age ON messages (created_ms);

CREATE TABLE audit (
  pool_id TEXT NOT NULL,
  audit_id TEXT NOT NULL,
  at_ms BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  ip TEXT NOT NULL,
  request_id TEXT NOT NULL,
  result TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (pool_id, audit_id)
);
CREATE INDEX audit_by_time ON audit (at_ms);

CREATE TABLE signing_keys (
  pool_id TEXT NOT NULL,
  kid TEXT NOT NULL,
  use_for TEXT NOT NULL,
  state TEXT NOT NULL,
  secret BYTEA NOT NULL,
  created_ms BIGINT NOT NULL,
  retire_ms BIGINT,
  PRIMARY KEY (pool_id, kid)
);

CREATE TABLE access_keys (
  access_key_id TEXT PRIMARY KEY,
  secret BYTEA NOT NULL,
  doc TEXT NOT NULL,
  created_ms BIGINT NOT NULL
);
";

/// Groups, second factors, resource servers, and the looks of the hosted pages.
const SECOND: &str = "
CREATE TABLE groups (
  pool_id TEXT NOT NULL,
  name TEXT NOT NULL,
  doc TEXT NOT NULL,
  ver BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  modified_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, name)
);

CREATE TABLE group_members (
  pool_id TEXT NOT NULL,
  name TEXT NOT NULL,
  sub TEXT NOT NULL,
  joined_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, name, sub)
);
CREATE INDEX group_members_by_sub ON group_members (pool_id, sub, name);

CREATE TABLE software_tokens (
  pool_id TEXT NOT NULL,
  sub TEXT NOT NULL,
  secret BYTEA,
  pending BYTEA,
  device_name TEXT NOT NULL,
  last_step BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  verified_ms BIGINT,
  PRIMARY KEY (pool_id, sub)
);

CREATE TABLE resource_servers (
  pool_id TEXT NOT NULL,
  identifier TEXT NOT NULL,
  doc TEXT NOT NULL,
  ver BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  modified_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, identifier)
);

CREATE TABLE ui_customizations (
  pool_id TEXT NOT NULL,
  client_id TEXT NOT NULL,
  css TEXT NOT NULL,
  css_version TEXT NOT NULL,
  logo_hash TEXT,
  logo_width BIGINT,
  logo_height BIGINT,
  logo BYTEA,
  created_ms BIGINT NOT NULL,
  modified_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, client_id)
);

ALTER TABLE token_sessions ADD COLUMN resource TEXT;
";

/// Identity providers, who signed in through them, and what a sign-out owes them.
const THIRD: &str = "
CREATE TABLE identity_providers (
  pool_id TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  doc TEXT NOT NULL,
  secret BYTEA,
  ver BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  modified_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, name)
);

CREATE TABLE provider_identifiers (
  pool_id TEXT NOT NULL,
  identifier TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (pool_id, identifier)
);

CREATE TABLE provider_learned (
  pool_id TEXT NOT NULL,
  name TEXT NOT NULL,
  what TEXT NOT NULL,
  url TEXT NOT NULL,
  body TEXT NOT NULL,
  fetched_ms BIGINT NOT NULL,
  due_ms BIGINT NOT NULL,
  failed_ms BIGINT,
  failure TEXT NOT NULL,
  PRIMARY KEY (pool_id, name, what)
);
CREATE INDEX provider_learned_by_due ON provider_learned (due_ms);

CREATE TABLE saml_certificates (
  pool_id TEXT NOT NULL,
  use_for TEXT NOT NULL,
  n BIGINT NOT NULL,
  secret BYTEA NOT NULL,
  certificate BYTEA NOT NULL,
  created_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, use_for, n)
);

CREATE TABLE identities (
  pool_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  attribute TEXT NOT NULL,
  value_key BYTEA NOT NULL,
  sub TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, provider, attribute, value_key)
);
CREATE INDEX identities_by_sub ON identities (pool_id, sub);

CREATE TABLE handshakes (
  pool_id TEXT NOT NULL,
  hash BYTEA NOT NULL,
  purpose TEXT NOT NULL,
  doc BYTEA NOT NULL,
  expires_ms BIGINT NOT NULL,
  consumed_ms BIGINT,
  PRIMARY KEY (pool_id, hash)
);
CREATE INDEX handshakes_by_expiry ON handshakes (expires_ms);

CREATE TABLE seen_messages (
  pool_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  message_key BYTEA NOT NULL,
  expires_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, provider, message_key)
);
CREATE INDEX seen_messages_by_expiry ON seen_messages (expires_ms);

CREATE TABLE upstream_sessions (
  pool_id TEXT NOT NULL,
  upstream_id TEXT NOT NULL,
  sso_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  sub TEXT NOT NULL,
  subject_key BYTEA NOT NULL,
  session_key BYTEA,
  secret BYTEA NOT NULL,
  created_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  ended_ms BIGINT,
  PRIMARY KEY (pool_id, upstream_id)
);
CREATE INDEX upstream_sessions_by_sso ON upstream_sessions (pool_id, sso_id);
CREATE INDEX upstream_sessions_by_user ON upstream_sessions (pool_id, sub, provider);
CREATE INDEX upstream_sessions_by_subject ON upstream_sessions (pool_id, provider, subject_key);
CREATE INDEX upstream_sessions_by_session ON upstream_sessions (pool_id, provider, session_key);
CREATE INDEX upstream_sessions_by_expiry ON upstream_sessions (expires_ms);

CREATE TABLE upstream_signouts (
  pool_id TEXT NOT NULL,
  signout_id TEXT NOT NULL,
  upstream_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  sub TEXT NOT NULL,
  state TEXT NOT NULL,
  detail TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  due_ms BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  done_ms BIGINT,
  satisfied_ms BIGINT,
  PRIMARY KEY (pool_id, signout_id, upstream_id)
);
CREATE INDEX upstream_signouts_by_user ON upstream_signouts (pool_id, sub, provider);
CREATE INDEX upstream_signouts_by_due ON upstream_signouts (due_ms) WHERE done_ms IS NULL;
CREATE INDEX upstream_signouts_by_age ON upstream_signouts (created_ms);
";

/// Sign-outs are numbered, published and delivered.
const FOURTH: &str = "
DROP INDEX records_by_seq;
ALTER TABLE records ADD COLUMN chain BYTEA;
ALTER TABLE records ADD COLUMN expanded_ms BIGINT;
ALTER TABLE records ADD COLUMN expand_cursor TEXT;
UPDATE records SET expanded_ms = committed_ms;
CREATE UNIQUE INDEX records_by_seq ON records (pool_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX records_unnumbered ON records (pool_id, committed_ms, signout_id, n) WHERE seq IS NULL;
CREATE INDEX records_unexpanded ON records (committed_ms, signout_id, n) WHERE expanded_ms IS NULL;

CREATE TABLE feed_heads (
  pool_id TEXT PRIMARY KEY,
  incarnation TEXT NOT NULL,
  base BIGINT NOT NULL,
  last BIGINT NOT NULL,
  chain BYTEA NOT NULL,
  kid TEXT NOT NULL,
  created_ms BIGINT NOT NULL
);

CREATE TABLE feed_keys (
  pool_id TEXT NOT NULL,
  kid TEXT NOT NULL,
  secret BYTEA NOT NULL,
  public_key BYTEA NOT NULL,
  created_ms BIGINT NOT NULL,
  retired_ms BIGINT,
  PRIMARY KEY (pool_id, kid)
);

CREATE TABLE feed_consumers (
  pool_id TEXT NOT NULL,
  owner TEXT NOT NULL,
  consumer TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  since BIGINT NOT NULL,
  policy TEXT NOT NULL,
  max_staleness_ms BIGINT NOT NULL,
  seen_ms BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, owner, consumer)
);
CREATE INDEX feed_consumers_by_age ON feed_consumers (seen_ms);

CREATE TABLE participations (
  pool_id TEXT NOT NULL,
  sid TEXT NOT NULL,
  sso_id TEXT,
  client_id TEXT NOT NULL,
  sub TEXT NOT NULL,
  birth_ms BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  ended_ms BIGINT,
  ended_by TEXT,
  PRIMARY KEY (pool_id, sid)
);
CREATE INDEX participations_by_sso ON participations (pool_id, sso_id);
CREATE INDEX participations_by_user ON participations (pool_id, sub, sid);
CREATE INDEX participations_by_client ON participations (pool_id, client_id, sid);
CREATE INDEX participations_by_expiry ON participations (expires_ms);
CREATE INDEX participations_by_end ON participations (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX participations_by_ender ON participations (pool_id, ended_by) WHERE ended_by IS NOT NULL;

ALTER TABLE token_sessions ADD COLUMN sid TEXT;

CREATE TABLE targets (
  pool_id TEXT NOT NULL,
  target_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  doc TEXT NOT NULL,
  secret BYTEA,
  ver BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  modified_ms BIGINT NOT NULL,
  PRIMARY KEY (pool_id, target_id)
);
CREATE INDEX targets_by_kind ON targets (pool_id, kind, target_id);

CREATE TABLE deliveries (
  pool_id TEXT NOT NULL,
  delivery_id TEXT NOT NULL,
  signout_id TEXT NOT NULL,
  n BIGINT NOT NULL,
  kind TEXT NOT NULL,
  target TEXT NOT NULL,
  lane TEXT NOT NULL,
  sid TEXT NOT NULL,
  sub TEXT NOT NULL,
  doc TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  due_ms BIGINT NOT NULL,
  lease_ms BIGINT NOT NULL,
  since_ms BIGINT NOT NULL,
  replays BIGINT NOT NULL,
  status BIGINT,
  detail TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  first_ms BIGINT,
  done_ms BIGINT,
  PRIMARY KEY (pool_id, delivery_id)
);
CREATE UNIQUE INDEX deliveries_once ON deliveries (pool_id, signout_id, n, kind, target, sid);
CREATE INDEX deliveries_by_target ON deliveries (pool_id, kind, target, delivery_id);
CREATE INDEX deliveries_in_order ON deliveries (lane, delivery_id) WHERE state = 'pending';
CREATE INDEX deliveries_by_due ON deliveries (lane, due_ms) WHERE state = 'pending';
CREATE INDEX deliveries_waiting ON deliveries (created_ms) WHERE state = 'pending';
CREATE INDEX deliveries_held ON deliveries (lane, delivery_id) WHERE state = 'held';
CREATE INDEX deliveries_dead ON deliveries (pool_id, kind, target, delivery_id) WHERE state = 'dead';
CREATE INDEX deliveries_by_end ON deliveries (done_ms) WHERE done_ms IS NOT NULL;
";
