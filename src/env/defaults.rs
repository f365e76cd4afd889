//! The defaults as they are shown at the start, where a setting is not set.

use crate::settings::{
    DOMAIN_SERVER, OPENID_ADDITIONAL_AUDIENCES, OPENID_ALGORITHMS, OPENID_AUTHORIZATION_PARAMETERS,
    OPENID_CA_FILE, OPENID_CLOCK_TOLERANCE, OPENID_COOKIE_NAME, OPENID_DISCOVERY,
    OPENID_END_SESSION_PARAMETERS, OPENID_IMAGE_URL, OPENID_JWKS_STALE_LIMIT, OPENID_JWKS_URL,
    OPENID_JWKS_URL_CACHE_TIME, OPENID_JWKS_URL_MAX_CACHE_TIME, OPENID_OPEN_PATHS,
    OPENID_PASSED_PARAMETERS, OPENID_REFRESH_AUDIENCE, OPENID_REQUEST_AUDIENCE,
    OPENID_REQUEST_TIMEOUT, OPENID_RESOURCE, OPENID_ROTATION_GRACE, OPENID_SCOPE,
    OPENID_SCOPE_CLAIMS, OPENID_SESSION_ABSOLUTE_LIMIT, OPENID_SESSION_IDLE_LIMIT,
    OPENID_SESSIONS_PER_SUBJECT, OPENID_TENANTS, OPENID_TOKEN_CACHE_CAPACITY, OPENID_TOKEN_MAX_AGE,
    OPENID_TOKEN_SIZE_LIMIT, OPENID_TRUSTED_ORIGINS, REDIS_KEY_PREFIX, REDIS_NEAR_CACHE_AGE,
    REDIS_SENTINELS, REDIS_URL,
};

/// The effective value of a setting that is not set. `None` if the program tells it itself.
pub(super) fn default_of(setting: &str) -> Option<&'static str> {
    let value = match setting {
        OPENID_JWKS_URL => "the jwks_uri of the metadata",
        OPENID_JWKS_URL_CACHE_TIME => "10m",
        OPENID_ALGORITHMS => "RS256,PS256,ES256,ES384,EdDSA, as far as the provider lists them",
        OPENID_CLOCK_TOLERANCE => "1m",
        OPENID_DISCOVERY => "openid",
        OPENID_JWKS_STALE_LIMIT => "1h",
        OPENID_REQUEST_TIMEOUT => "5s",
        OPENID_TOKEN_SIZE_LIMIT => "16384",
        OPENID_TOKEN_CACHE_CAPACITY => "10000",
        OPENID_COOKIE_NAME => "session",
        OPENID_SCOPE => "openid profile email offline_access",
        OPENID_SESSION_IDLE_LIMIT => {
            "8h, or the life of the refresh token where the provider tells"
        }
        OPENID_JWKS_URL_MAX_CACHE_TIME | OPENID_SESSION_ABSOLUTE_LIMIT => "24h",
        OPENID_ROTATION_GRACE => "0s",
        OPENID_SESSIONS_PER_SUBJECT | OPENID_TOKEN_MAX_AGE => "no limit",
        REDIS_URL => "none: sessions are in the memory of this process",
        REDIS_KEY_PREFIX => "tower-oidc",
        REDIS_NEAR_CACHE_AGE => "1s",
        DOMAIN_SERVER
        | OPENID_ADDITIONAL_AUDIENCES
        | OPENID_AUTHORIZATION_PARAMETERS
        | OPENID_CA_FILE
        | OPENID_END_SESSION_PARAMETERS
        | OPENID_IMAGE_URL
        | OPENID_OPEN_PATHS
        | OPENID_PASSED_PARAMETERS
        | OPENID_REFRESH_AUDIENCE
        | OPENID_REQUEST_AUDIENCE
        | OPENID_RESOURCE
        | OPENID_SCOPE_CLAIMS
        | OPENID_TENANTS
        | OPENID_TRUSTED_ORIGINS
        | REDIS_SENTINELS => "none",
        _ => return None,
    };
    Some(value)
}
