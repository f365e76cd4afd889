//! Settings under the names operators already have.
//!
//! | name | meaning | default |
//! |---|---|---|
//! | `OPENID_ISSUER` | where the provider is: its issuer, or the full address of its metadata | must be set |
//! | `OPENID_AUDIENCE` | the audiences accepted, delimited by commas | must be set for an API; the client's identifier for sign-in |
//! | `OPENID_JWKS_URL` | where the keys are, instead of asking the metadata | from the metadata |
//! | `OPENID_JWKS_URL_CACHE_TIME` | how long keys are fresh: milliseconds, or `10m` | 10 minutes |
//! | `OPENID_ALGORITHMS` | the signature algorithms accepted, delimited by commas | RS256, PS256, ES256, ES384, EdDSA as far as the provider lists them |
//! | `OPENID_TOKEN_PROFILE` | `lenient` or `strict` ([`TokenProfile`](crate::TokenProfile)) | `lenient` |
//! | `OPENID_CLOCK_TOLERANCE` | the leeway in seconds, up to 300 | 60 |
//! | `OPENID_TOKEN_CACHE` | whether accepted tokens are remembered, which saves their signature ([`with_cache_capacity`](crate::VerifierBuilder::with_cache_capacity)) | `true` |
//! | `OPENID_REUSE_TOKENS` | must be `true` where it is set: it is what this crate does | `true` |
//! | `DEBUG_OPENID_REQUESTS` | whether to log more | `false` |
//! | `DOMAIN_SERVER` | the public address of the service | none |
//!
//! Browser sign-in (feature `login`, [`LoginSettings`]) reads these too:
//!
//! | name | meaning | default |
//! |---|---|---|
//! | `OPENID_CLIENT_ID` | the client's identifier | must be set |
//! | `OPENID_CLIENT_SECRET`, or `OPENID_CLIENT_SECRET_FILE` with the path of a file that holds it | the client's secret | none: a public client |
//! | `DOMAIN_SERVER` | the public origin of the site | `DOMAIN_CLIENT`, else the origin of `OPENID_CALLBACK_URL` |
//! | `DOMAIN_CLIENT` | where browsers are sent after signing out | `DOMAIN_SERVER` |
//! | `OPENID_CALLBACK_URL` | the callback: a path, or absolute on the same origin | `/oauth/openid/callback` |
//! | `OPENID_SESSION_SECRET` | secrets of 32 characters or more, delimited by commas: the first seals, all open | must be set |
//! | `OPENID_SCOPE` | what is asked for, delimited by spaces | `openid profile email offline_access` |
//! | `OPENID_REQUEST_AUDIENCE` | the audience asked for | the first of `OPENID_AUDIENCE` |
//! | `OPENID_RESOURCE` | the resources asked for (RFC 8707), delimited by commas | none |
//! | `OPENID_REFRESH_AUDIENCE` | the audience sent when tokens are renewed | none |
//! | `OPENID_USE_PKCE` | must be `true` where it is set | `true` |
//! | `OPENID_USE_END_SESSION_ENDPOINT` | whether signing out goes on to the provider, where the address it returns to must then be registered | `false` |
//! | `OPENID_POST_LOGOUT_REDIRECT_URI` | where the provider sends browsers afterwards | `DOMAIN_CLIENT` |
//! | `OPENID_BUTTON_LABEL`, `OPENID_IMAGE_URL` | what a sign-in button shows | `Continue with OpenID`, no image |
//! | `REDIS_URL` | where sessions live (feature `redis`): a server, or several nodes of a cluster delimited by commas | the memory of this process |
//! | `REDIS_SENTINELS` | sentinels, delimited by commas; the host in `REDIS_URL` is then the name of their master | none |
//! | `REDIS_KEY_PREFIX` | the beginning of all keys | `tower-oidc` |
//! | `REDIS_NEAR_CACHE_AGE` | how old a session may be that is served from memory: milliseconds, or `1s`; `0` for none | 1 second |
//!
//! A service that calls others with tokens of its own (feature `outbound`, [`ServiceSettings`]) reads
//! `OPENID_CLIENT_ID`, `OPENID_CLIENT_SECRET` (which must be set), `OPENID_REQUEST_AUDIENCE`,
//! `OPENID_RESOURCE` and `OPENID_SCOPE` as a sign-in does. Scopes that only a person can grant, such as
//! `openid` and `offline_access`, are left out.
//!
//! An empty value is an unset one. An API does not read the settings of sign-in, which may stand
//! beside its own. Any other name that begins with `OPENID_` is
//! an error, since a misspelt setting that has no effect is a trap; names that belong to LibreChat's
//! user management are listed once as ignored.
//!
//! `OPENID_ISSUER` says where the provider *is*, as a dashboard shows it. If the provider calls
//! itself the same with a final slash, as Auth0 does, its own word counts and a warning says so; any
//! other difference is an error. Plain http is allowed for loopback addresses only, with a warning.

mod api;
#[cfg(feature = "_client")]
mod client;
mod common;
#[cfg(feature = "login")]
mod login;
mod names;
mod read;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "outbound")]
mod service;

pub use self::api::ApiSettings;
#[cfg(feature = "login")]
pub use self::login::LoginSettings;
#[cfg(feature = "outbound")]
pub use self::service::ServiceSettings;

#[cfg(test)]
mod tests;
