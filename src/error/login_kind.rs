//! The kinds of sign-in errors, one row each.

use http::StatusCode as Status;

use crate::error::kinds::kinds;

struct Facts {
    name: &'static str,
    status: Status,
    sign_in_again: bool,
    /// What a visitor of the site is told, in a visitor's words.
    told: &'static str,
    /// What a visitor can do.
    advice: &'static str,
    message: &'static str,
    remedy: &'static str,
}

kinds! {
    /// The kind of a [`LoginError`](crate::LoginError). The set is closed, so that a kind can be the label of a metric.
    pub enum LoginErrorKind: Facts {
        /// The request has no session.
        NotSignedIn {
            name: "not_signed_in", status: Status::UNAUTHORIZED, sign_in_again: true,
            told: "you are not signed in",
            advice: "sign in",
            message: "the request has no session",
            remedy: "sign in",
        }
        /// The session has ended: by signing out, by its time limit, or because the provider rejected its
        /// refresh token.
        SessionEnded {
            name: "session_ended", status: Status::UNAUTHORIZED, sign_in_again: true,
            told: "your session has ended",
            advice: "sign in",
            message: "the session has ended",
            remedy: "sign in",
        }
        /// The session lives, its access token has ended, and it has no refresh token to get another. Only
        /// sessions of [`LoginLayer::identity`](crate::LoginLayer::identity) outlive their access token.
        NoAccessToken {
            name: "no_access_token", status: Status::UNAUTHORIZED, sign_in_again: true,
            told: "this part of the site needs a new sign-in",
            advice: "sign in",
            message: "the session's access token has ended, and there is no refresh token to get another",
            remedy: "have the provider issue refresh tokens: ask for the scope offline_access (OPENID_SCOPE), or at \
                Google for access_type=offline and prompt=consent (OPENID_AUTHORIZATION_PARAMETERS)",
        }
        /// The session lives, and the provider gives no other tokens before the user has signed in again.
        InteractionRequired {
            name: "interaction_required", status: Status::UNAUTHORIZED, sign_in_again: true,
            told: "the sign-in service wants you to sign in again",
            advice: "sign in",
            message: "the session needs a new sign-in: the provider refreshes it only after the user has signed in \
                again",
            remedy: "sign in",
        }
        /// The provider refuses a token for this target. The session goes on.
        TargetRefused {
            name: "target_refused", status: Status::FORBIDDEN, sign_in_again: true,
            told: "this part of the site is not open to your account",
            advice: "sign in once more; if that does not help, tell the operator of this site the code below",
            message: "the provider refuses a token for this target",
            remedy: "allow the client to ask for this target at the provider, and the user to grant it (Entra ID: \
                consent to the scopes of the API); it is asked for again after a minute",
        }
        /// The provider answered with a token for another target than the one that was asked for.
        TargetOfOtherAudience {
            name: "target_of_other_audience", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "a service behind this site cannot be reached",
            advice: "tell the operator of this site the code below",
            message: "the provider answered with a token for another audience than the one that was asked for",
            remedy: "ask in the form that the provider expects (Target::audience, Target::resource or Target::scope), \
                spelt as the API's identifier is, a final slash included: the log names what came instead; Auth0 \
                issues tokens for the audience of the sign-in unless multi-resource refresh tokens are allowed for \
                the application",
        }
        /// The tokens of all targets together are larger than a session may hold (32 KiB).
        TargetTooLarge {
            name: "target_too_large", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "a service behind this site cannot be reached",
            advice: "tell the operator of this site the code below",
            message: "the tokens for other targets are larger than 32 KiB together",
            remedy: "configure the provider to put less into the tokens, or ask for fewer targets",
        }
        /// A token is asked for a target that the layer was not told of.
        UnknownTarget {
            name: "unknown_target", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "a service behind this site cannot be reached",
            advice: "tell the operator of this site the code below",
            message: "the target is none that the layer was told of",
            remedy: "name each target when the layer is built (LoginBuilder::add_target)",
        }
        /// The request would change something and does not prove that it comes from this site.
        CrossOrigin {
            name: "cross_origin", status: Status::FORBIDDEN, sign_in_again: false,
            told: "the request did not come from a page of this site, and was not carried out",
            advice: "open the page again, and repeat there what you did",
            message: "the request does not prove that it comes from this site",
            remedy: "send it from a page of this origin; browsers then add Origin or Sec-Fetch-Site \
                themselves",
        }
        /// The request is not a top-level navigation, and only those are sent to the provider.
        NotANavigation {
            name: "not_a_navigation", status: Status::UNAUTHORIZED, sign_in_again: true,
            told: "you are not signed in",
            advice: "sign in",
            message: "only a top-level navigation can sign in",
            remedy: "sign in",
        }
        /// This path does not accept the method.
        MethodNotAllowed {
            name: "method_not_allowed", status: Status::METHOD_NOT_ALLOWED, sign_in_again: false,
            told: "this address cannot be used in this way",
            advice: "go back, and follow a link of this site",
            message: "this path does not accept the method",
            remedy: "use a method that the Allow header names",
        }
        /// The callback lacks a parameter, or has one twice.
        MalformedCallback {
            name: "malformed_callback", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "the answer of the sign-in service is not complete",
            advice: "start the sign-in again",
            message: "the callback lacks a parameter or has one twice",
            remedy: "start the sign-in again",
        }
        /// This browser has not started a sign-in with this state.
        UnknownAttempt {
            name: "unknown_attempt", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "this browser has no such sign-in under way",
            advice: "allow cookies for this site, and start the sign-in again in this browser; if that does not help, tell the operator of this site the code below",
            message: "this browser has not started a sign-in with this state",
            remedy: "start the sign-in again, in one browser; if this persists, the browser drops the \
                cookie: allow cookies, and open the site at its configured address (DOMAIN_SERVER)",
        }
        /// The sign-in took longer than ten minutes.
        AttemptExpired {
            name: "attempt_expired", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "the sign-in took longer than ten minutes",
            advice: "start the sign-in again",
            message: "the sign-in took longer than ten minutes",
            remedy: "start the sign-in again",
        }
        /// The callback of this sign-in was used before.
        AttemptReplayed {
            name: "attempt_replayed", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "this sign-in was completed before",
            advice: "start the sign-in again",
            message: "the callback of this sign-in was used before",
            remedy: "start the sign-in again",
        }
        /// The callback comes from another provider than the one that was asked, or does not name it.
        IssuerMismatch {
            name: "issuer_mismatch", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "the answer does not come from the sign-in service that was asked",
            advice: "start the sign-in again; if that does not help, tell the operator of this site the code below",
            message: "the callback does not come from the provider that was asked",
            remedy: "start the sign-in again; if this persists, compare the iss parameter of the callback \
                with the configured issuer (OPENID_ISSUER)",
        }
        /// Another site has begun a sign-in at a provider that is not this site's.
        InitiatorRefused {
            name: "initiator_refused", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "you were sent here to sign in at a service that this site does not use",
            advice: "sign in from this site",
            message: "a sign-in was initiated at another provider, or at none",
            remedy: "let the site that initiates it send the configured issuer as iss (OPENID_ISSUER)",
        }
        /// The user or the provider declined the sign-in.
        Denied {
            name: "denied", status: Status::FORBIDDEN, sign_in_again: true,
            told: "the sign-in was declined",
            advice: "sign in with an account that may use this site",
            message: "the sign-in was declined",
            remedy: "sign in with an account that may use this service",
        }
        /// The application, or a setting of it, does not let this user sign in.
        SignInRefused {
            name: "sign_in_refused", status: Status::FORBIDDEN, sign_in_again: true,
            told: "your account may not sign in to this site",
            advice: "sign in with another account, or ask the operator of this site for access",
            message: "this application does not let the user sign in",
            remedy: "the log names the user and the reason; OPENID_REQUIRED_ROLE and \
                OPENID_ALLOWED_EMAIL_DOMAINS are such reasons, and a hook of the application is another",
        }
        /// Whether this user may sign in could not be decided.
        SignInUndecided {
            name: "sign_in_undecided", status: Status::SERVICE_UNAVAILABLE, sign_in_again: true,
            told: "this site cannot check at the moment whether you may sign in",
            advice: "try again in a moment",
            message: "it could not be decided whether the user may sign in",
            remedy: "the hook of the application panicked, took longer than ten seconds or could not decide: \
                the log names the reason",
        }
        /// The provider refused the authorization request.
        RequestRefused {
            name: "request_refused", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "the sign-in service refused the request of this site",
            advice: "tell the operator of this site the code below",
            message: "the provider refused the request to sign in",
            remedy: "compare client id, callback URL, scope and audience with what the provider has \
                registered (OPENID_CLIENT_ID, OPENID_CALLBACK_URL, OPENID_SCOPE, OPENID_AUDIENCE); some providers \
                refuse scopes that they do not know, such as offline_access",
        }
        /// The provider rejected the authorization code.
        CodeRejected {
            name: "code_rejected", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "the sign-in service did not complete the sign-in",
            advice: "start the sign-in again; if that does not help, tell the operator of this site the code below",
            message: "the provider rejected the authorization code",
            remedy: "start the sign-in again; if this persists, compare the callback URL with the registered \
                one (OPENID_CALLBACK_URL, DOMAIN_SERVER)",
        }
        /// The ID token was refused.
        IdTokenRefused {
            name: "id_token_refused", status: Status::BAD_GATEWAY, sign_in_again: true,
            told: "this site cannot accept the answer of the sign-in service",
            advice: "start the sign-in again; if that does not help, tell the operator of this site the code below",
            message: "the ID token was refused",
            remedy: "start the sign-in again; if this persists, compare issuer, client id and clocks \
                (OPENID_ISSUER, OPENID_CLIENT_ID, OPENID_CLOCK_TOLERANCE)",
        }
        /// The claims of UserInfo are about another subject, or could not be fetched.
        UserInfoRefused {
            name: "user_info_refused", status: Status::BAD_GATEWAY, sign_in_again: true,
            told: "this site cannot accept what the sign-in service says about you",
            advice: "start the sign-in again; if that does not help, tell the operator of this site the code below",
            message: "the claims of UserInfo cannot be used",
            remedy: "start the sign-in again, or turn UserInfo off",
        }
        /// The access token is of a kind that can never be verified here, and a new one would be the
        /// same.
        UnusableToken {
            name: "unusable_token", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "this site cannot use the answers of the sign-in service",
            advice: "tell the operator of this site the code below",
            message: "the access token can never be verified here",
            remedy: "make the provider issue a JWT for this service: name it in the request (Auth0: set \
                OPENID_AUDIENCE to the API identifier; Entra ID: ask for a scope api://<application \
                id>/.default in OPENID_SCOPE; others: OPENID_RESOURCE)",
        }
        /// A new access token was refused.
        TokenRefused {
            name: "token_refused", status: Status::BAD_GATEWAY, sign_in_again: true,
            told: "this site cannot accept the answer of the sign-in service",
            advice: "start the sign-in again; if that does not help, tell the operator of this site the code below",
            message: "a new access token was refused",
            remedy: "compare issuer, algorithms and clocks with the provider's (OPENID_ISSUER, \
                OPENID_ALGORITHMS, OPENID_CLOCK_TOLERANCE)",
        }
        /// The provider issued no refresh token, and one is required.
        NoRefreshToken {
            name: "no_refresh_token", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "the sign-in service does not allow this site to keep you signed in",
            advice: "tell the operator of this site the code below",
            message: "the provider issued no refresh token",
            remedy: "ask for offline_access in the scope (OPENID_SCOPE) and allow it at the provider \
                (Auth0: Allow Offline Access on the API; Google takes other parameters for it: \
                OPENID_AUTHORIZATION_PARAMETERS=access_type=offline&prompt=consent), or allow short sessions, \
                which end with the access token (OPENID_REQUIRE_REFRESH_TOKEN=false)",
        }
        /// Several sign-ins in a row ended in the same way.
        SignInLoop {
            name: "sign_in_loop", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "you have signed in several times, and this site still does not let you in",
            advice: "allow cookies for this site; if that does not help, tell the operator of this site the code below",
            message: "signing in ends the same way again and again",
            remedy: "the sign-in works, but the application refuses the signed-in user: its log says what \
                it demands; if the browser drops cookies, allow them",
        }
        /// A setting here or at the provider must change.
        Misconfigured {
            name: "misconfigured", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "the sign-in service does not accept this site",
            advice: "tell the operator of this site the code below",
            message: "the provider refused the configuration of this service",
            remedy: "compare client id, secret, scope and audience with what the provider has registered \
                (OPENID_CLIENT_ID, OPENID_CLIENT_SECRET, OPENID_SCOPE, OPENID_AUDIENCE); the log names \
                the code",
        }
        /// The layer is nested below a prefix, where requests for its own paths do not reach it.
        Misplaced {
            name: "misplaced", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "signing in does not work on this site at the moment",
            advice: "tell the operator of this site the code below",
            message: "the sign-in stands where its own paths do not reach it",
            remedy: "add the layer by Router::layer to the outermost router, after the last nest, and not to a \
                router that is nested below a prefix; or mount the router by nest_service and put the prefix \
                behind the address of the site (DOMAIN_SERVER)",
        }
        /// The address of the site has a path, and no proxy takes it off the paths of requests.
        BasePathKept {
            name: "base_path_kept", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "signing in does not work on this site at the moment",
            advice: "tell the operator of this site the code below",
            message: "requests arrive with the path of the site's address",
            remedy: "have the proxy take the path off (nginx: proxy_pass with a final slash; Caddy: handle_path; \
                Traefik: StripPrefix), or write the address without a path (DOMAIN_SERVER) and put the path \
                before that of the sign-in (OPENID_PATH, OPENID_CALLBACK_URL)",
        }
        /// The host of the request belongs to no site of [`LoginHosts`](crate::login::LoginHosts).
        UnknownHost {
            name: "unknown_host", status: Status::MISDIRECTED_REQUEST, sign_in_again: false,
            told: "there is no site at this address",
            advice: "check the address, and open the site by a link that you know",
            message: "the host of the request belongs to no site",
            remedy: "if it should be one of a site, write it as the host of that site's address; behind a proxy, let it \
                pass on the host that the browser asked for (nginx: proxy_set_header Host $host; Apache: \
                ProxyPreserveHost On); health checks that ask by the IP address need an open path \
                (LoginHosts::with_open_paths)",
        }
        /// The request names no host, or two that differ.
        MalformedHost {
            name: "malformed_host", status: Status::BAD_REQUEST, sign_in_again: false,
            told: "the request does not say which site it is for",
            advice: "open the site by a link that you know",
            message: "the request names no host, or not in one way",
            remedy: "send one Host field, and in HTTP/2 the same host as in :authority; a proxy that adds a Host of its \
                own has to take the other one away",
        }
        /// It is unknown whether the host belongs to a site: the [`SiteSource`](crate::login::SiteSource) failed, or too
        /// many hosts would have to be looked up.
        SiteUnavailable {
            name: "site_unavailable", status: Status::SERVICE_UNAVAILABLE, sign_in_again: false,
            told: "this site cannot be looked up at the moment",
            advice: "try again in a moment",
            message: "it is unknown whether the host belongs to a site",
            remedy: "see the error of the function that the SiteSource was made of; where too many look-ups are the \
                cause, find out who sends requests for unknown hosts; no restart is needed",
        }
        /// The provider cannot be reached, or answers with an error.
        ProviderUnavailable {
            name: "provider_unavailable", status: Status::SERVICE_UNAVAILABLE, sign_in_again: true,
            told: "the sign-in service cannot be reached at the moment",
            advice: "try again in a moment",
            message: "the provider is not available",
            remedy: "try again in a moment; no restart is needed",
        }
        /// The session store cannot be reached.
        StoreUnavailable {
            name: "store_unavailable", status: Status::SERVICE_UNAVAILABLE, sign_in_again: true,
            told: "this site cannot look up sessions at the moment",
            advice: "try again in a moment",
            message: "the session store is not available",
            remedy: "try again in a moment; no restart is needed",
        }
        /// Too many sign-ins are being finished.
        TooManySignIns {
            name: "too_many_sign_ins", status: Status::SERVICE_UNAVAILABLE, sign_in_again: true,
            told: "many visitors are signing in at the moment",
            advice: "load this address again in a moment",
            message: "too many sign-ins are being finished at the moment",
            remedy: "load this address again in a moment",
        }
        /// A logout token was refused.
        LogoutTokenRefused {
            name: "logout_token_refused", status: Status::BAD_REQUEST, sign_in_again: false,
            told: "the logout token was refused",
            advice: "send each logout token once, with this client as its audience",
            message: "the logout token was refused",
            remedy: "send each logout token once, with this client as its audience",
        }
    }
}

impl LoginErrorKind {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> Status {
        self.facts().status
    }

    /// Whether signing in again may help.
    #[must_use]
    pub fn can_sign_in_again(self) -> bool {
        self.facts().sign_in_again
    }
    pub(super) fn told(self) -> &'static str {
        self.facts().told
    }

    pub(super) fn advice(self) -> &'static str {
        self.facts().advice
    }

    pub(super) fn message(self) -> &'static str {
        self.facts().message
    }

    pub(super) fn remedy(self) -> &'static str {
        self.facts().remedy
    }
}
