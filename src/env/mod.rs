//! Settings from environment variables, under the names that operators already use.
//!
//! | name | meaning | default |
//! |---|---|---|
//! | `OPENID_ISSUER` | the issuer of the provider, or the URL of its metadata | must be set |
//! | `OPENID_AUDIENCE` | the accepted audiences, separated by commas | must be set for an API; the client id for sign-in |
//! | `OPENID_JWKS_URL` | the URL of the key set | the `jwks_uri` of the metadata |
//! | `OPENID_JWKS_URL_CACHE_TIME` | how long keys are fresh: milliseconds, or with a unit such as `10m` | 10 minutes |
//! | `OPENID_ALGORITHMS` | the accepted signature algorithms, separated by commas | those of RS256, PS256, ES256, ES384 and EdDSA that the provider lists |
//! | `OPENID_TOKEN_PROFILE` | `lenient` or `strict` ([`TokenProfile`](crate::TokenProfile)) | `lenient` |
//! | `OPENID_CLOCK_TOLERANCE` | the leeway in seconds, up to 300 | 60 |
//! | `OPENID_TOKEN_CACHE` | whether accepted tokens are cached, so that their signature is not verified again ([`with_cache_capacity`](crate::VerifierBuilder::with_cache_capacity)) | `true` |
//! | `OPENID_REUSE_TOKENS` | must be `true` if it is set, because this crate supports nothing else | `true` |
//! | `DEBUG_OPENID_REQUESTS` | whether to log more | `false` |
//! | `DOMAIN_SERVER` | the public address of the service | none |
//!
//! Browser sign-in (feature `login`, [`LoginSettings`]) also reads:
//!
//! | name | meaning | default |
//! |---|---|---|
//! | `OPENID_CLIENT_ID` | the client id | must be set |
//! | `OPENID_CLIENT_SECRET`, or `OPENID_CLIENT_SECRET_FILE` with the path of a file that contains it | the client secret | none: a public client |
//! | `DOMAIN_SERVER` | the public origin of the site | `DOMAIN_CLIENT`, else the origin of `OPENID_CALLBACK_URL` |
//! | `DOMAIN_CLIENT` | where browsers are sent after signing out | `DOMAIN_SERVER` |
//! | `OPENID_CALLBACK_URL` | the callback: a path, or absolute on the same origin | `/oauth/openid/callback` |
//! | `OPENID_SESSION_SECRET` | secrets of 32 characters or more, separated by commas: the first one seals, all of them open | must be set |
//! | `OPENID_SCOPE` | the requested scopes, separated by spaces | `openid profile email offline_access` |
//! | `OPENID_REQUEST_AUDIENCE` | the requested audience | the first of `OPENID_AUDIENCE` |
//! | `OPENID_RESOURCE` | the requested resources (RFC 8707), separated by commas | none |
//! | `OPENID_REFRESH_AUDIENCE` | the audience that is sent with a refresh | none |
//! | `OPENID_SESSION_IDLE_LIMIT` | how long a session lasts that is not refreshed, a minute to 400 days: milliseconds, or with a unit such as `8h` ([`with_idle_limit`](crate::login::LoginBuilder::with_idle_limit)) | 8 hours, or the life of the refresh token where the provider tells |
//! | `OPENID_SESSION_ABSOLUTE_LIMIT` | how long a session lasts at most, a minute to 400 days: milliseconds, or with a unit such as `24h` | 24 hours |
//! | `OPENID_SESSION_IDLE_FROM_USE` | whether the idle limit counts from the last request ([`count_idle_from_use`](crate::login::LoginBuilder::count_idle_from_use)) | `false`: from the last refresh |
//! | `OPENID_SESSIONS_PER_SUBJECT` | how many sessions one user may have, 1 to 1000; a sign-in too many ends the oldest | no limit |
//! | `OPENID_ROTATION_GRACE` | how long the provider takes a spent refresh token again, up to a minute: milliseconds, or with a unit such as `30s`; never longer than the provider's own setting ([`with_rotation_grace`](crate::login::LoginBuilder::with_rotation_grace)) | 0 |
//! | `OPENID_USE_PKCE` | must be `true` if it is set | `true` |
//! | `OPENID_USE_END_SESSION_ENDPOINT` | whether signing out also ends the session at the provider, where the address to return to must be registered | `false` |
//! | `OPENID_POST_LOGOUT_REDIRECT_URI` | where the provider sends browsers after signing out | `DOMAIN_CLIENT` |
//! | `OPENID_OPEN_PATHS` | the paths that are open to everyone, separated by commas: exact paths, or prefixes that end in a slash ([`with_open_paths`](crate::login::LoginBuilder::with_open_paths)) | none |
//! | `OPENID_BUTTON_LABEL`, `OPENID_IMAGE_URL` | the text and the image of a sign-in button | `Continue with OpenID`, no image |
//! | `REDIS_URL` | where sessions are stored (feature `redis`): one server, or several nodes of a cluster separated by commas | the memory of this process |
//! | `REDIS_SENTINELS` | sentinels, separated by commas; the host in `REDIS_URL` is then the name of the master | none |
//! | `REDIS_KEY_PREFIX` | the prefix of all keys | `tower-oidc` |
//! | `REDIS_NEAR_CACHE_AGE` | the longest age of a session in the near cache: milliseconds, or with a unit such as `1s`; `0` turns the cache off | 1 second |
//!
//! A service that calls others with its own tokens (feature `outbound`, [`ServiceSettings`]) also
//! reads `OPENID_CLIENT_ID`, `OPENID_CLIENT_SECRET` (which must be set), `OPENID_REQUEST_AUDIENCE`,
//! `OPENID_RESOURCE` and `OPENID_SCOPE`. It leaves out scopes that only a person can grant, such as
//! `openid` and `offline_access`.
//!
//! An empty value counts as unset. An API ignores the settings of sign-in. Any other name that begins
//! with `OPENID_` is an error, because a misspelt setting would have no effect; the names of
//! LibreChat's user management are ignored, and logged once.
//!
//! `OPENID_ISSUER` may lack the final slash of the provider's issuer, because the dashboard of Auth0
//! shows it without. The issuer in the metadata counts then, and a warning says so; any other
//! difference is an error. Plain http is allowed on loopback addresses only, with a warning.

mod api;
#[cfg(any(feature = "login", feature = "outbound"))]
mod client;
mod common;
#[cfg(feature = "login")]
mod lifetimes;
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
