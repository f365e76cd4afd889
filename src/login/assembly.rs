//! From the choices of a builder to the parts of a layer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use url::Url;

use crate::allowance::Allowance;
use crate::claims::Audience;
use crate::error::{ConfigError, duration_within};
use crate::login::asked_for::{
    OURS, OURS_AT_SIGN_OUT, check_parameters, check_scope, check_targets, later_resources,
};
use crate::login::browser::cookie::CookieNames;
use crate::login::browser::mount::SentToStart;
use crate::login::browser::open_paths::OpenPaths;
use crate::login::browser::site::{OwnPath, Paths, Site, parse_target};
use crate::login::party::Party;
use crate::login::sessions::information::SessionInformation;
use crate::login::sessions::mode::Mode;
use crate::login::sessions::parts::SessionParts;
use crate::login::sessions::renewals::{Lifetimes, RefreshRequest};
use crate::login::sessions::seal::KeyRing;
use crate::login::sign_in::SignIn;
use crate::login::sign_in::request::{AuthorizationRequest, OfflineAccess};
use crate::login::sign_out::{SignOut, SignOutSettings};
use crate::login::store::near_cache::LONGEST_NEAR_CACHE_AGE;
use crate::login::store::{MemoryStore, SessionStore};
use crate::provider::Provider;
use crate::settings::{
    ABSOLUTE_LIMIT, ADDITIONAL_AUDIENCE, ADDRESS, AUTHORIZATION_PARAMETER, END_SESSION_PARAMETER,
    IDLE_LIMIT, NEAR_CACHE_AGE, POST_LOGOUT_REDIRECT, RESPONSE_MODE, ROTATION_GRACE,
    SESSION_SECRET, SESSIONS_PER_SUBJECT, SILENT_SIGN_IN, TOKEN_PROFILE, VERIFIER,
};
use crate::token::target::check_resource;
use crate::verify::Verifier;
use crate::verify::id_token::IdTokenVerifier;
use crate::verify::logout_token::LogoutTokenVerifier;

use crate::login::builder::LoginBuilder;
use crate::login::signs_in_by::SignsInBy;

const SHORTEST_LIMIT: Duration = Duration::from_secs(60);
const LONGEST_LIMIT: Duration = Duration::from_secs(400 * 24 * 3600);

const LONGEST_GRACE: Duration = Duration::from_secs(60);

/// Beyond it a limit on the sessions of a subject costs a sign-in more than it is worth.
const MOST_PER_SUBJECT: usize = 1_000;

/// Refresh grants under way at once, at the most, and as many sign-ins.
const MOST_GRANTS: usize = 64;

impl LoginBuilder {
    /// Asks a store outside of this process once and behind, so that one that does not answer is logged at the
    /// start and not at the first visitor.
    #[cfg(feature = "reqwest")]
    pub(crate) fn ask_store_once(&self) {
        let shared = self.store.as_ref().filter(|store| store.is_shared());
        if let (Some(store), Ok(runtime)) = (shared, tokio::runtime::Handle::try_current()) {
            let store = Arc::clone(store);
            let unused = crate::login::store::StoreKey::of(&["start"]);
            runtime.spawn(async move {
                // The store logs what it has to say.
                let _ = store.load(unused).await;
            });
        }
    }

    /// The site, its cookies, and where a sign-out at the provider comes back to.
    fn site(&self) -> Result<(Site, CookieNames, Url), ConfigError> {
        let site = Site::new(&self.address, self.paths(), &self.trusted_origins)?
            .beside(self.other_paths.clone())
            .with_login_page(self.login_page.clone())?
            .in_languages(self.languages.clone())?;
        let mut cookies = CookieNames::new(&self.cookie_name, site.is_secure)?;
        if self.form_post {
            if !site.is_secure {
                return Err(ConfigError::invalid(
                    RESPONSE_MODE,
                    "form_post",
                    "this site is reached by plain http, and browsers keep the cookies that it needs over https alone",
                    "give the site an https address, or remove it",
                ));
            }
            cookies = cookies.for_posted_answers();
        }
        let back_to = match &self.back_to {
            Some(url) => parse_target(POST_LOGOUT_REDIRECT, url)?,
            None => parse_target(ADDRESS, &format!("{}{}", site.origin, site.home()))?,
        };
        check_back_to(&site, &back_to)?;
        Ok((site, cookies, back_to))
    }

    /// The paths that the layer answers itself.
    pub(super) fn paths(&self) -> Paths {
        let mut paths = Paths::below(&self.start);
        if let Some(callback) = &self.callback {
            paths.callback.clone_from(callback);
        }
        paths
    }

    /// Whether what is asked of the provider can be asked.
    fn check_request(&self) -> Result<(), ConfigError> {
        check_scope(&self.scope)?;
        check_parameters(AUTHORIZATION_PARAMETER, &self.parameters, &OURS)?;
        check_parameters(
            END_SESSION_PARAMETER,
            &self.end_session_parameters,
            &OURS_AT_SIGN_OUT,
        )?;
        for audience in self.audience.iter().chain(&self.refresh_audience) {
            Audience::new(audience)?;
        }
        for resource in &self.resources {
            check_resource(resource)?;
        }
        check_targets(&self.targets)?;
        if self.silent && !self.anonymous {
            return Err(ConfigError::invalid(
                SILENT_SIGN_IN,
                "true",
                "requests without a session do not pass, so that a visitor who is not signed in at the provider \
                 would be asked to sign in anyway",
                "let them pass (OPENID_ALLOW_ANONYMOUS, LoginBuilder::allow_anonymous), or remove it",
            ));
        }
        for requirement in &self.admission.requirements {
            requirement.validate()?;
            if self.signs_in_by.is_identity() {
                requirement.validate_for_identity()?;
            }
        }
        Ok(())
    }

    fn id_tokens(&self, verifier: &Verifier) -> Result<IdTokenVerifier, ConfigError> {
        let others = self.additional_audiences.iter();
        let others = others.map(|audience| {
            Audience::new(audience).map_err(|error| error.renamed(ADDITIONAL_AUDIENCE))
        });
        let others = others.collect::<Result<_, _>>()?;
        IdTokenVerifier::new(verifier, self.client.id(), others)
    }

    fn lifetimes(&self) -> Result<Lifetimes, ConfigError> {
        Ok(Lifetimes {
            idle: limit(IDLE_LIMIT, self.idle)?,
            absolute: limit(ABSOLUTE_LIMIT, self.absolute)?,
            follow_use: self.follow_use,
        })
    }

    fn refresh_request(&self) -> RefreshRequest {
        RefreshRequest {
            sends_scope: self.sends_scope,
            audience: self.refresh_audience.clone(),
            resources: self.resources.clone(),
        }
    }

    pub(super) fn party(self) -> Result<Party, ConfigError> {
        check_profile(&self.signs_in_by)?;
        let verifier = self.signs_in_by.verifier(self.client.id())?;
        let provider = only_provider(&verifier)?;
        // What else the provider issues is judged likewise.
        let judge = verifier.with_choices(self.leeway, self.algorithms.as_deref())?;
        self.check_request()?;
        let request = self.refresh_request();
        check_sessions_per_subject(self.sessions_per_subject)?;
        let lifetimes = self.lifetimes()?;
        let open_paths = OpenPaths::new(self.open_paths.iter().map(String::as_str))?;
        let (site, cookies, back_to) = self.site()?;
        let id_tokens = self.id_tokens(&judge)?;
        let information = self.information.map(SessionInformation::new).transpose()?;
        let store = self
            .store
            .unwrap_or_else(|| Arc::new(MemoryStore::with_shared_clock(provider.clock().clone())));
        check_keys(&self.keys, &*store)?;
        let is_alone = !store.is_shared();
        let at_most =
            |setting, duration, most| duration_within(setting, duration, Duration::ZERO, most);
        let settings = SignOutSettings {
            at_provider: self.sign_out_at_provider,
            path_back: path_here(&site, &back_to).map(str::to_owned),
            back_to,
            parameters: self.end_session_parameters,
            frontchannel: self.frontchannel,
            revokes_offline_access: self.revokes_offline_access,
            signs_in_silently: self.silent,
        };
        let logout_tokens =
            LogoutTokenVerifier::new(&judge, self.client.id(), self.logout_without_expiry)?;
        let mode = mode(&self.signs_in_by, &verifier, &id_tokens);
        let later_resources = later_resources(&self.targets, &self.resources);
        let sessions = SessionParts {
            provider: provider.clone(),
            client: self.client.clone(),
            mode: mode.clone(),
            leeway: verifier.leeway(),
            id_tokens: id_tokens.clone(),
            store,
            near_cache_age: at_most(NEAR_CACHE_AGE, self.near_cache_age, LONGEST_NEAR_CACHE_AGE)?,
            keys: self.keys,
            address: site.address(),
            request,
            targets: self.targets,
            lifetimes,
            grace: at_most(ROTATION_GRACE, self.grace, LONGEST_GRACE)?,
            grants: MOST_GRANTS,
            revocations: self.revocations,
        }
        .assemble();
        let (site, cookies) = (Arc::new(site), Arc::new(cookies));
        Ok(Party {
            sign_in: SignIn {
                sessions: Arc::clone(&sessions),
                provider: provider.clone(),
                client: self.client.clone(),
                offline: self.offline.unwrap_or_else(|| default_offline(&mode)),
                mode,
                id_tokens,
                site: Arc::clone(&site),
                cookies: Arc::clone(&cookies),
                request: AuthorizationRequest {
                    scope: self.scope,
                    audience: self.audience,
                    resources: self.resources,
                    later_resources,
                    parameters: self.parameters,
                    passed_through: self.passed_through,
                    form_post: self.form_post,
                    pushes: self.pushes,
                    silent: self.silent,
                },
                lifetimes,
                with_userinfo: self.with_userinfo,
                admission: self.admission,
                sessions_per_subject: self.sessions_per_subject,
                codes: Semaphore::new(MOST_GRANTS),
                warnings: Allowance::full(provider.clock().monotonic()),
                lost_cookies: Allowance::full(provider.clock().monotonic()),
            },
            sign_out: SignOut {
                sessions: Arc::clone(&sessions),
                provider,
                client: self.client,
                logout_tokens,
                site: Arc::clone(&site),
                cookies: Arc::clone(&cookies),
                settings,
            },
            sessions,
            site,
            cookies,
            open_paths,
            information,
            allows_initiated: self.initiated,
            sent_to_start: SentToStart::new(is_alone),
            allows_anonymous: self.anonymous,
        })
    }
}

fn mode(signs_in_by: &SignsInBy, verifier: &Verifier, id_tokens: &IdTokenVerifier) -> Mode {
    match signs_in_by {
        SignsInBy::AccessToken(_) => Mode::Token(verifier.for_sessions()),
        SignsInBy::IdToken(_) => Mode::Identity(id_tokens.clone()),
    }
}

/// Without a refresh token a session of token mode ends with its access token, which should be a choice.
fn default_offline(mode: &Mode) -> OfflineAccess {
    match mode {
        Mode::Token(_) => OfflineAccess::Required,
        Mode::Identity(_) => OfflineAccess::MayBeShort,
    }
}

/// What is stored outlives the process, and so must what opens it.
fn check_keys(keys: &KeyRing, store: &dyn SessionStore) -> Result<(), ConfigError> {
    if store.is_shared() && keys.is_ephemeral() {
        return Err(ConfigError::invalid(
            SESSION_SECRET,
            "(random)",
            "the store is shared, and no other process could open what this one seals, nor this one after \
             a restart",
            "configure a secret that is the same in every replica; make one by `openssl rand -base64 48`",
        ));
    }
    Ok(())
}

fn limit(setting: &'static str, limit: Duration) -> Result<Duration, ConfigError> {
    duration_within(setting, limit, SHORTEST_LIMIT, LONGEST_LIMIT)
}

/// The access token of a sign-in is no ID token.
fn check_profile(signs_in_by: &SignsInBy) -> Result<(), ConfigError> {
    match signs_in_by {
        SignsInBy::AccessToken(verifier) if verifier.wants_id_tokens() => {
            Err(ConfigError::invalid(
                TOKEN_PROFILE,
                "id",
                "users are signed in by access tokens, which are no ID tokens",
                "sign in by ID tokens (LoginLayer::identity, OPENID_REUSE_TOKENS=false), or choose a profile of access \
                 tokens",
            ))
        }
        _ => Ok(()),
    }
}

/// Browsers are sent to one provider. A site with several needs a layer, and a path, for each.
fn only_provider(verifier: &Verifier) -> Result<Provider, ConfigError> {
    let mut providers = verifier.providers();
    let found = match (providers.next(), providers.next()) {
        (Some(provider), None) => return Ok(provider.clone()),
        (None, _) => "no configured provider",
        (Some(_), Some(_)) => "several providers",
    };
    Err(ConfigError::invalid(
        VERIFIER,
        found,
        "a browser is sent to one provider",
        "build a layer for each provider, with a path and a cookie name of its own",
    ))
}

/// The path of this address as requests have it, if it is of this site.
fn path_here<'a>(site: &Site, address: &'a Url) -> Option<&'a str> {
    let is_here = address.origin().ascii_serialization() == site.origin;
    is_here.then(|| site.base.strip(address.path())).flatten()
}

/// A browser that comes back from signing out must find something there.
fn check_back_to(site: &Site, back_to: &Url) -> Result<(), ConfigError> {
    match path_here(site, back_to).and_then(|path| site.paths.own(path)) {
        // A browser that is sent to the start signs in again, which some sites want.
        None | Some(OwnPath::Start) => Ok(()),
        Some(_) => Err(ConfigError::invalid(
            POST_LOGOUT_REDIRECT,
            back_to.as_str(),
            "it is a path that the sign-in answers itself, and that shows no page",
            "write the address of a page, such as the root of the site",
        )),
    }
}

fn check_sessions_per_subject(most: Option<usize>) -> Result<(), ConfigError> {
    match most {
        Some(most) if !(1..=MOST_PER_SUBJECT).contains(&most) => Err(ConfigError::out_of_bounds(
            SESSIONS_PER_SUBJECT,
            most.to_string(),
            format!(
                "choose from 1 to {MOST_PER_SUBJECT}, or remove it: there is no limit by default"
            ),
        )),
        _ => Ok(()),
    }
}
