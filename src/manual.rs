//! The reason for every default.
//!
//! | what | default | bounds | why |
//! |---|---|---|---|
//! | leeway for `exp`, `nbf`, `iat` | 60 seconds | 0 to 5 minutes | clocks that are synchronised differ by less; more would let a stolen token live on |
//! | algorithms | RS256, PS256, ES256, ES384, EdDSA, as far as the provider lists them | never `none`, never HMAC | asymmetric ones of 128 bits of strength; a party that verifies by a symmetric key could also sign |
//! | token profile | lenient | | what Auth0, Entra ID, Okta and Keycloak issue; strict is RFC 9068 to the letter |
//! | accepted tokens remembered | 10 000, for 5 minutes at the most | 0 to 10 000 000 | a signature costs two hundred times what all the rest does; the clock is asked each time, other keys end it, and a flood of bad tokens fills nothing |
//! | token size | 16 KiB | 256 bytes to 1 MiB | more than any header limit of common servers; refused unread |
//! | lifetime of keys | 10 minutes, or the provider's `max-age` up to 24 hours (`with_longest_key_lifetime`) | 1 minute to 24 hours | a withdrawn key stops working soon, and the provider is hardly asked |
//! | fetches of keys, unknown `kid`s apart | one in a minute | | a provider that forbids caching is not asked for every token |
//! | keys kept of a set | the first 100 that can be used | | more than any provider publishes |
//! | renewal ahead of that | 60 seconds, give or take 5 %, never in the first half | | requests do not wait for it, and many processes do not ask at once |
//! | keys used past their lifetime | 1 hour | 0 to 24 hours | an outage of the provider is not ours |
//! | keys of a file read again | 10 seconds after the last reading, and behind requests from 5 seconds on; after a failure at most 10 seconds later | | a withdrawn key stops working soon; a file costs little to read |
//! | attempts after a failure | 1 second apart, doubling to 60 | | counted by attempt, so that an outage brings no flood |
//! | attempts for an unknown `kid` | 2 at once, then 1 in 30 seconds, counted apart for bearer tokens, logout tokens and tokens from the token endpoint | | enough for a rotation, too little for an attack by random names |
//! | keys tried without `kid` | 8 | | signatures cost time |
//! | keys in a set | 100 | | the same |
//! | a whole call to the provider | 5 seconds, 2 of them to connect | up to 1 minute | a request that waits for keys waits no longer |
//! | an idle connection to the provider kept | 3 seconds | | shorter than common servers keep it: whether a token arrived on a connection that was just being closed cannot be known |
//! | time until the next place of the metadata is asked too (`Discovery::Either`) | half a second | | a place that does not answer delays the start little |
//! | size of metadata and key set | 256 KiB and 512 KiB | | far more than any provider sends |
//! | looking for an endpoint that is gone (404, 410, 301, 308) | 2 fetches of the metadata at once, then 1 in 30 seconds | | a moved endpoint is found without a restart, and one that is gone for good causes no flood |
//! | redirects by the provider | refused | | keys come from the configured place |
//! | transport | https | http on loopback by [`danger`](crate::danger) | a party that can change the keys on their way can sign tokens |
//! | issuers that are not configured | refused | [`IssuerSource`](crate::IssuerSource) | whom a service trusts is a decision of the application |
//! | issuers that were looked up | 1 000, 10 minutes each | up to 10 000, and 1 second to 24 hours | bounded; a removed tenant is refused after that time, or at once with [`forget`](crate::IssuerSource::forget) |
//! | look-ups of issuers | 16 at once, 50 a second, 10 seconds each; as many for known ones | | strangers can invent issuers, and not use up what known ones need |
//! | issuers that the application does not know | 1 000, a minute each | | a client with a wrong issuer causes one look-up a minute |
//! | revocation | none | [`with_revocations`](crate::VerifierBuilder::with_revocations) | a JWT is good until it ends, unless the application says otherwise; only the application knows when |
//! | revocations remembered | 100 000, for 24 hours | 1 to ten million, a minute to 400 days, [`builder`](crate::Revocations::builder) | bounded; one that has to be forgotten to make room would let a token in again |
//! | tokens bound by `cnf` | refused | [`danger`](crate::danger) | the binding cannot be checked here, and a stolen one must stay worthless |
//! | where a token stands | the `Authorization` field | [`with_token_in`](crate::BearerLayer::with_token_in) | the only place that no browser fills by itself, and that caches know; the query is none, because addresses are logged |
//! | anonymous requests | refused | [`allow_anonymous`](crate::BearerLayer::allow_anonymous) | forgetting a layer must not open a route |
//!
//! For browsers (feature `login`):
//!
//! | what | default | bounds | why |
//! |---|---|---|---|
//! | refresh in the background, and before a request | 60 and 10 seconds before the end of the access token (or of the refresh token, if that is earlier), at most a fifth of the lifetime | | requests do not wait, and short-lived tokens are not refreshed without end |
//! | a token's lifetime that is not told | its `exp`, else 5 minutes; from 5 seconds up | | what a provider writes there is not always a number |
//! | a lease on a refresh token; a grant within it; a call to the store | 20 seconds; 12; 2 | | reading the session, taking the lease and the grant fit into the lease, so that no other replica begins meanwhile |
//! | waiting for a refresh by another task | 10 seconds, and until 14 seconds after its lease began | | a living task has answered by then; after that the live token, or 503 with the time until a probe |
//! | storing refreshed tokens | tried again every 500 milliseconds for 60 seconds | | the old refresh token is spent: these must not be lost |
//! | a probe after a lost answer | 3 seconds after the doubt was written down and not before the access token's end; then after 5 seconds, doubling to 60 | | the task that was away comes first; an old token is not sent without need |
//! | rotation grace of the provider | none | up to 60 seconds, [`with_rotation_grace`](crate::login::LoginBuilder::with_rotation_grace) | only where the provider takes an old token again may it be sent again at once |
//! | records of a shared store kept in memory | 1 second | 0 to 60 seconds, [`with_near_cache_age`](crate::login::LoginBuilder::with_near_cache_age) | a page with twenty requests costs one round trip; the bound within which a sign-out elsewhere holds if its message is lost |
//! | refresh grants at once; codes of sign-ins exchanged at once | 64 and 64 a process | | a provider is not flooded when many sessions are due, nor by strangers with invented codes; neither holds up the other |
//! | pause after a failed refresh | 5 seconds, then 15, or the provider's `Retry-After` up to 10 minutes; 60 where a setting must change | | an outage brings few attempts |
//! | end of an idle session; end of any session | 8 hours after the last refresh, or the refresh token's lifetime where the provider tells it; 24 hours | 1 minute to 400 days | never before the access token ends; [`count_idle_from_use`](crate::login::LoginBuilder::count_idle_from_use) counts from the last request instead, as it is with identities without a refresh token |
//! | sessions of a subject | no limit | 1 to 1 000, [`with_sessions_per_subject`](crate::login::LoginBuilder::with_sessions_per_subject) | how many devices a user may have is a decision; the oldest gives way |
//! | refresh token | required; in [identity mode](crate::LoginLayer::identity) not | [`allow_short_session`](crate::login::LoginBuilder::allow_short_session), [`require_refresh_token`](crate::login::LoginBuilder::require_refresh_token) | in token mode a session without one ends in an hour, which should be a choice |
//! | a sign-in | 10 minutes; 6 at once in a browser, one of them with a return path of more than about 140 bytes | | tabs do not collide, and their cookies together stay within 6 KiB, since default nginx answers 400 to more than 8 |
//! | callbacks whose codes are exchanged at once | 64 a process, each waits up to 10 seconds | | strangers can send callbacks; refreshes have a bound of their own |
//! | a session that another has replaced | 10 seconds | | requests of other tabs are on their way with its cookie |
//! | a return path | 2 KiB; a longer one gives way to its path without the query, then to `/` | | it has to fit into a cookie |
//! | audiences of an ID token beside the client | accepted where `azp` is the client | [`add_additional_audience`](crate::login::LoginBuilder::add_additional_audience) | another audience could use the token as its own |
//! | a name for the session's cookie | `session` | 1 to 32 characters, [`with_cookie_name`](crate::login::LoginBuilder::with_cookie_name) | two applications on one host need two |
//! | open paths | none | [`with_open_paths`](crate::login::LoginBuilder::with_open_paths) | what is open is a decision |
//! | where browsers are sent that have to sign in | the provider | [`with_login_page`](crate::login::LoginBuilder::with_login_page) | one provider needs no choice; several need a [`LoginSet`](crate::login::LoginSet) |
//! | what scripts may ask about a session | nothing | [`with_session_information`](crate::login::LoginBuilder::with_session_information) | which claims a page may read is a decision; asking keeps no session alive, since pages poll |
//! | sessions of a person in a list | 1 000 | | bounded, however many there are |
//! | sign-ins with the same end | 3 in 30 seconds, counted from the last sign-out | | more is a loop, and a page says so |
//! | cookies set by one answer | 3 500 bytes | | default nginx answers 502 beyond |
//! | sessions in memory | 100 000 | [`MemoryStore::with_capacity`](crate::login::MemoryStore::with_capacity) | the session that was not used for longest is dropped |
//!
//! For calls that leave (feature `outbound`):
//!
//! | what | default | bounds | why |
//! |---|---|---|---|
//! | destinations | https, one, more by choice | http on loopback; elsewhere by [`danger`](crate::danger) | a token goes where it was meant to go, by an encrypted way |
//! | renewal behind requests, and before them | 60 and 10 seconds before the end, a fifth of the lifetime at the most | | as for sessions |
//! | renewals because a service refused the token | 2 at once, then 1 in 30 seconds | | enough for a token that was withdrawn; a service that refuses all of them causes no storm |
//! | requests repeated with a newer token | once, those without a body | [`with_repeat`](crate::OutboundLayer::with_repeat) | nothing is buffered |
//! | attempts after a failed grant | 1 second apart, doubling to 60, or the provider's `Retry-After`; 60 where waiting alone mends nothing | | an outage brings few attempts |
//! | grants at once | 64 a source | | a provider is not flooded |
//! | exchanged tokens kept | 10 000, ten minutes after their last use | never longer than either token lives | bounded, however many call |
//! | `Authorization` that is there already | an error | [`keep_authorization`](crate::OutboundLayer::keep_authorization) | two sources of tokens are most often a mistake |
//! | a caller's token kept for relaying | no | [`allow_relay`](crate::BearerLayer::allow_relay) | a token for this service is not meant for others |
//! | streams that outlive their token or session (feature `tonic`) | go on | `StreamExpiryLayer`: 60 seconds after the token's end, about a second after the session's | both are checked when a call begins; some want more |
//!
//! # When an answer is lost
//!
//! Whether a refresh token was spent cannot be known if the provider's answer does not arrive. Sending it again
//! may make the provider revoke all tokens of the sign-in. So the access token is used until its end, and then
//! the old refresh token is sent as a probe, with growing pauses, until the provider answers. Only its
//! `invalid_grant` ends the session. A status 500, 502 or 504, a page of a firewall or an answer that is cut off
//! ends none.
//!
//! # When the provider is away
//!
//! Before the first keys have come, requests with a token are answered 503 with `Retry-After`: the
//! token may be good, and a 401 would make clients throw it away. Afterwards the keys at hand are
//! used until an hour past their lifetime. Good tokens do not wait for a provider that stalls. It
//! heals by itself.
//!
//! # When the provider changes its keys
//!
//! A token with an unknown `kid` waits for one fetch of the key set and is then judged. Where too many
//! such tokens came to fetch it now, a token that may be newer than the keys at hand gets 503 with
//! `Retry-After`, because it may be good. A key that
//! left the set stops working with the next renewal: after the lifetime at the latest, which is the
//! time a withdrawn key can still be misused. Keys that are in a file
//! ([`with_jwks_file`](crate::ProviderBuilder::with_jwks_file)) are read again within 10 seconds.
//!
//! # Tokens that cannot be verified here
//!
//! Providers that are not told for which API a token is wanted answer with one only they can read.
//! Auth0 does so without `audience`. Such a token is refused as [`Opaque`] or [`Encrypted`], the log
//! names the setting that cures it, and the client gets a plain 401: refreshing would bring the same
//! kind again. [`VerifyErrorKind::is_structural`](crate::VerifyErrorKind::is_structural) tells such
//! refusals from those that a fresh token mends.
//!
//! Where the provider tells what such a token is worth (introspection, RFC 7662), an API can have it asked
//! ([`with_introspection`](crate::VerifierBuilder::with_introspection)). What it said counts for a minute, which is the
//! time for which a revoked token can still be used: an answer that counts for less costs more calls than most
//! providers like. A refusal counts for ten seconds, so that a token that is sent over and over costs six calls a
//! minute. The bounds on calls (32 at once, 100 a second) exist twice: for tokens that the provider has called active
//! before and for all others, so that a sender of made-up tokens does not keep known callers out. Beyond a bound, and while
//! the provider does not answer, it is unknown whether the token is good: the answer is 503 with `Retry-After`, never 401.
//!
//! [`Opaque`]: crate::VerifyErrorKind::Opaque
//! [`Encrypted`]: crate::VerifyErrorKind::Encrypted
