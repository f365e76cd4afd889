//! The names of settings in errors. A developer knows a setting by words that resemble its builder
//! method, an operator by its environment variable.

#![cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "each feature has its own settings")
)]

pub(crate) const ABSOLUTE_LIMIT: &str = "absolute limit";
pub(crate) const ADDITIONAL_AUDIENCE: &str = "additional audience";
pub(crate) const ADDRESS: &str = "address";
pub(crate) const ALLOWED_CLIENTS: &str = "allowed clients";
pub(crate) const ALGORITHMS: &str = "algorithms";
pub(crate) const AUDIENCE: &str = "audience";
pub(crate) const AUTHORIZATION_PARAMETER: &str = "authorization parameter";
pub(crate) const CACHE_CAPACITY: &str = "cache capacity";
pub(crate) const CLIENT_AUDIENCE: &str = "client audience";
pub(crate) const CALL_TIMEOUT: &str = "call timeout";
pub(crate) const CERTIFICATE_AUTHORITY: &str = "certificate authority";
pub(crate) const CLAIM_PATH: &str = "claim path";
pub(crate) const CLAIM_VALUE: &str = "claim value";
pub(crate) const CLIENT_ASSERTION_FILE: &str = "client assertion file";
pub(crate) const CLIENT_CERTIFICATE: &str = "client certificate";
pub(crate) const CLIENT_ID: &str = "client id";
pub(crate) const CLIENT_KEY_ID: &str = "client key id";
pub(crate) const CLIENT_PRIVATE_KEY: &str = "client private key";
pub(crate) const CLIENT_PRIVATE_KEY_FILE: &str = "client private key file";
pub(crate) const CLIENT_SECRET: &str = "client secret";
pub(crate) const CLIENT_SECRET_FILE: &str = "client secret file";
pub(crate) const COOKIE_NAME: &str = "cookie name";
pub(crate) const DATABASE: &str = "database url";
pub(crate) const DATABASE_LISTEN: &str = "database listen url";
pub(crate) const DESTINATION: &str = "destination";
pub(crate) const EMAIL_DOMAIN: &str = "email domain";
pub(crate) const END_SESSION_PARAMETER: &str = "end session parameter";
pub(crate) const HTTP_HOST: &str = "http host";
pub(crate) const HTTP_CLIENT: &str = "http client";
pub(crate) const IDLE_LIMIT: &str = "idle limit";
pub(crate) const INITIAL_JWKS: &str = "initial jwks";
pub(crate) const INTROSPECTION: &str = "introspection";
pub(crate) const INTROSPECTION_URL: &str = "introspection url";
pub(crate) const ISSUER: &str = "issuer";
pub(crate) const ISSUER_CAPACITY: &str = "issuer capacity";
pub(crate) const ISSUER_LIFETIME: &str = "issuer lifetime";
pub(crate) const ISSUER_SOURCE: &str = "issuer source";
pub(crate) const JWKS: &str = "jwks";
pub(crate) const JWKS_FILE: &str = "jwks file";
pub(crate) const JWKS_URL: &str = "jwks url";
pub(crate) const KEY_LIFETIME: &str = "key lifetime";
pub(crate) const LANGUAGE: &str = "language";
pub(crate) const LEEWAY: &str = "leeway";
pub(crate) const LOGIN_PAGE: &str = "login page";
pub(crate) const LONGEST_TOKEN_LIFETIME: &str = "longest token lifetime";
pub(crate) const MAX_KEY_LIFETIME: &str = "longest key lifetime";
pub(crate) const METADATA: &str = "metadata";
pub(crate) const METADATA_URL: &str = "metadata url";
pub(crate) const NEAR_CACHE_AGE: &str = "near cache age";
pub(crate) const OPEN_PATH: &str = "open path";
pub(crate) const PATH: &str = "path";
pub(crate) const POST_LOGOUT_REDIRECT: &str = "post logout redirect";
pub(crate) const REALM: &str = "realm";
pub(crate) const REDIS_PREFIX: &str = "redis prefix";
pub(crate) const REDIS_SENTINEL_URLS: &str = "redis sentinels";
pub(crate) const REDIS_SERVER_URL: &str = "redis url";
pub(crate) const REQUIRED_ROLE: &str = "required role";
pub(crate) const RESPONSE_MODE: &str = "response mode";
pub(crate) const RESOURCE: &str = "resource";
pub(crate) const RESOURCE_DOCUMENTATION: &str = "resource documentation";
pub(crate) const REVOCATION_CAPACITY: &str = "capacity of revocations";
pub(crate) const ROLE_TOKEN: &str = "token of the required role";
pub(crate) const ROTATION_GRACE: &str = "rotation grace";
pub(crate) const SCOPE: &str = "scope";
pub(crate) const SESSION_INFORMATION: &str = "session information";
pub(crate) const SESSION_SECRET: &str = "session secret";
pub(crate) const SESSIONS_PER_SUBJECT: &str = "sessions per subject";
pub(crate) const SILENT_SIGN_IN: &str = "silent sign-in";
pub(crate) const SITE_CAPACITY: &str = "site capacity";
pub(crate) const SITE_LIFETIME: &str = "site lifetime";
pub(crate) const STALE_LIMIT: &str = "stale limit";
pub(crate) const START_PATH: &str = "start path";
pub(crate) const SUBJECT_TOKEN_TYPE: &str = "subject token type";
pub(crate) const TABLE_PREFIX: &str = "table prefix";
pub(crate) const TARGET: &str = "target";
pub(crate) const TENANTS: &str = "tenants";
pub(crate) const TOKEN: &str = "token";
pub(crate) const TOKEN_PLACE: &str = "token place";
pub(crate) const TOKEN_PROFILE: &str = "token profile";
pub(crate) const TOKEN_SIZE: &str = "token size";
pub(crate) const TRUSTED_ORIGIN: &str = "trusted origin";
pub(crate) const VERIFIER: &str = "verifier";

macro_rules! variables {
    ($($name:ident)*) => {
        $(pub(crate) const $name: &str = stringify!($name);)*

        /// Every environment variable that this crate reads.
        pub(crate) const VARIABLES: &[&str] = &[$($name),*];
    };
}

variables! {
    AZURE_AUTHORITY_HOST
    AZURE_CLIENT_ID
    AZURE_FEDERATED_TOKEN_FILE
    AZURE_TENANT_ID
    DATABASE_LISTEN_URL
    DATABASE_TABLE_PREFIX
    DATABASE_URL
    DEBUG_OPENID_REQUESTS
    DOMAIN_CLIENT
    DOMAIN_SERVER
    OPENID_ADDITIONAL_AUDIENCES
    OPENID_ALGORITHMS
    OPENID_ALLOWED_CLIENTS
    OPENID_ALLOWED_EMAIL_DOMAINS
    OPENID_ALLOW_ANONYMOUS
    OPENID_ALLOW_HTTP
    OPENID_ALLOW_LOGOUT_WITHOUT_EXPIRY
    OPENID_AUDIENCE
    OPENID_AUTHORIZATION_PARAMETERS
    OPENID_BUTTON_LABEL
    OPENID_CA_FILE
    OPENID_CALLBACK_URL
    OPENID_CLIENT_ASSERTION_AUDIENCE
    OPENID_CLIENT_ASSERTION_FILE
    OPENID_CLIENT_AUDIENCES
    OPENID_CLIENT_CERTIFICATE_FILE
    OPENID_CLIENT_CERTIFICATE_KEY_FILE
    OPENID_CLIENT_ID
    OPENID_CLIENT_PRIVATE_KEY_ALGORITHM
    OPENID_CLIENT_PRIVATE_KEY_FILE
    OPENID_CLIENT_PRIVATE_KEY_ID
    OPENID_CLIENT_PUBLISHED_KEY_FILE
    OPENID_CLIENT_SECRET
    OPENID_CLIENT_SECRET_FILE
    OPENID_CLOCK_TOLERANCE
    OPENID_COOKIE_NAME
    OPENID_DISCOVERY
    OPENID_END_SESSION_PARAMETERS
    OPENID_FRONTCHANNEL_LOGOUT
    OPENID_IMAGE_URL
    OPENID_INITIATED_SIGN_IN
    OPENID_INTROSPECTION
    OPENID_INTROSPECTION_SIGNED
    OPENID_INTROSPECTION_URL
    OPENID_ISSUER
    OPENID_JWKS_FILE
    OPENID_JWKS_URL
    OPENID_JWKS_STALE_LIMIT
    OPENID_JWKS_URL_CACHE_TIME
    OPENID_JWKS_URL_MAX_CACHE_TIME
    OPENID_LOGIN_PAGE
    OPENID_METADATA_URL
    OPENID_NEAR_CACHE_AGE
    OPENID_OPEN_PATHS
    OPENID_PASSED_PARAMETERS
    OPENID_PATH
    OPENID_POST_LOGOUT_REDIRECT_URI
    OPENID_REALM
    OPENID_REFRESH_AUDIENCE
    OPENID_REFRESH_SCOPE
    OPENID_REQUEST_AUDIENCE
    OPENID_REQUEST_TIMEOUT
    OPENID_REQUIRED_ROLE
    OPENID_REQUIRED_ROLE_PARAMETER_PATH
    OPENID_REQUIRED_ROLE_TOKEN_KIND
    OPENID_REQUIRE_REFRESH_TOKEN
    OPENID_RESOURCE
    OPENID_RESOURCE_DOCUMENTATION
    OPENID_RESOURCE_NAME
    OPENID_RESOURCE_SCOPES
    OPENID_RESPONSE_MODE
    OPENID_REUSE_TOKENS
    OPENID_REVOKE_OFFLINE_ACCESS
    OPENID_ROTATION_GRACE
    OPENID_SCOPE
    OPENID_SCOPE_CLAIMS
    OPENID_SESSIONS_PER_SUBJECT
    OPENID_SESSION_ABSOLUTE_LIMIT
    OPENID_SESSION_IDLE_FROM_USE
    OPENID_SESSION_IDLE_LIMIT
    OPENID_SESSION_INFORMATION
    OPENID_SESSION_SECRET
    OPENID_SILENT_SIGN_IN
    OPENID_SUBJECT_TOKEN_TYPE
    OPENID_TENANTS
    OPENID_TOKEN_CACHE
    OPENID_TOKEN_CACHE_CAPACITY
    OPENID_TOKEN_ENDPOINT_AUTH_METHOD
    OPENID_TOKEN_MAX_AGE
    OPENID_TOKEN_PLACES
    OPENID_TOKEN_PROFILE
    OPENID_TOKEN_SIZE_LIMIT
    OPENID_TRUSTED_ORIGINS
    OPENID_USERINFO
    OPENID_USE_END_SESSION_ENDPOINT
    OPENID_USE_PAR
    OPENID_USE_PKCE
    REDIS_KEY_PREFIX
    REDIS_SENTINELS
    REDIS_URL
}

/// The environment variable for a setting of a builder.
pub(crate) fn variable_of(setting: &str) -> Option<&'static str> {
    let variable = match setting {
        ABSOLUTE_LIMIT => OPENID_SESSION_ABSOLUTE_LIMIT,
        ADDITIONAL_AUDIENCE => OPENID_ADDITIONAL_AUDIENCES,
        ADDRESS => DOMAIN_SERVER,
        ALGORITHMS => OPENID_ALGORITHMS,
        ALLOWED_CLIENTS => OPENID_ALLOWED_CLIENTS,
        AUTHORIZATION_PARAMETER => OPENID_AUTHORIZATION_PARAMETERS,
        CACHE_CAPACITY => OPENID_TOKEN_CACHE_CAPACITY,
        CLIENT_AUDIENCE => OPENID_CLIENT_AUDIENCES,
        CALL_TIMEOUT => OPENID_REQUEST_TIMEOUT,
        CLAIM_PATH => OPENID_REQUIRED_ROLE_PARAMETER_PATH,
        EMAIL_DOMAIN => OPENID_ALLOWED_EMAIL_DOMAINS,
        REQUIRED_ROLE => OPENID_REQUIRED_ROLE,
        ROLE_TOKEN => OPENID_REQUIRED_ROLE_TOKEN_KIND,
        RESPONSE_MODE => OPENID_RESPONSE_MODE,
        SILENT_SIGN_IN => OPENID_SILENT_SIGN_IN,
        END_SESSION_PARAMETER => OPENID_END_SESSION_PARAMETERS,
        STALE_LIMIT => OPENID_JWKS_STALE_LIMIT,
        TABLE_PREFIX => DATABASE_TABLE_PREFIX,
        TENANTS => OPENID_TENANTS,
        TOKEN_PLACE => OPENID_TOKEN_PLACES,
        TOKEN_PROFILE => OPENID_TOKEN_PROFILE,
        TOKEN_SIZE => OPENID_TOKEN_SIZE_LIMIT,
        TRUSTED_ORIGIN => OPENID_TRUSTED_ORIGINS,
        AUDIENCE => OPENID_AUDIENCE,
        CERTIFICATE_AUTHORITY => OPENID_CA_FILE,
        CLIENT_ASSERTION_FILE => OPENID_CLIENT_ASSERTION_FILE,
        CLIENT_CERTIFICATE => OPENID_CLIENT_CERTIFICATE_FILE,
        CLIENT_ID => OPENID_CLIENT_ID,
        CLIENT_KEY_ID => OPENID_CLIENT_PRIVATE_KEY_ID,
        CLIENT_PRIVATE_KEY | CLIENT_PRIVATE_KEY_FILE => OPENID_CLIENT_PRIVATE_KEY_FILE,
        CLIENT_SECRET => OPENID_CLIENT_SECRET,
        CLIENT_SECRET_FILE => OPENID_CLIENT_SECRET_FILE,
        COOKIE_NAME => OPENID_COOKIE_NAME,
        DATABASE => DATABASE_URL,
        DATABASE_LISTEN => DATABASE_LISTEN_URL,
        HTTP_HOST => OPENID_ALLOW_HTTP,
        IDLE_LIMIT => OPENID_SESSION_IDLE_LIMIT,
        INTROSPECTION => OPENID_INTROSPECTION,
        INTROSPECTION_URL => OPENID_INTROSPECTION_URL,
        ISSUER => OPENID_ISSUER,
        JWKS_FILE => OPENID_JWKS_FILE,
        JWKS_URL => OPENID_JWKS_URL,
        KEY_LIFETIME => OPENID_JWKS_URL_CACHE_TIME,
        LEEWAY => OPENID_CLOCK_TOLERANCE,
        LOGIN_PAGE => OPENID_LOGIN_PAGE,
        MAX_KEY_LIFETIME => OPENID_JWKS_URL_MAX_CACHE_TIME,
        METADATA_URL => OPENID_METADATA_URL,
        NEAR_CACHE_AGE => OPENID_NEAR_CACHE_AGE,
        OPEN_PATH => OPENID_OPEN_PATHS,
        PATH => OPENID_CALLBACK_URL,
        POST_LOGOUT_REDIRECT => OPENID_POST_LOGOUT_REDIRECT_URI,
        REALM => OPENID_REALM,
        REDIS_PREFIX => REDIS_KEY_PREFIX,
        REDIS_SENTINEL_URLS => REDIS_SENTINELS,
        REDIS_SERVER_URL => REDIS_URL,
        RESOURCE => OPENID_RESOURCE,
        RESOURCE_DOCUMENTATION => OPENID_RESOURCE_DOCUMENTATION,
        SUBJECT_TOKEN_TYPE => OPENID_SUBJECT_TOKEN_TYPE,
        ROTATION_GRACE => OPENID_ROTATION_GRACE,
        SCOPE => OPENID_SCOPE,
        SESSION_INFORMATION => OPENID_SESSION_INFORMATION,
        SESSION_SECRET => OPENID_SESSION_SECRET,
        START_PATH => OPENID_PATH,
        SESSIONS_PER_SUBJECT => OPENID_SESSIONS_PER_SUBJECT,
        _ => return None,
    };
    Some(variable)
}
