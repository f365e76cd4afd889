//! The choice of a site by the host of a request.

use std::collections::HashMap;

use http::request::Parts;

use crate::clock::SharedClock;
use crate::error::{Chain, ConfigError, LoginError, LoginErrorKind as Kind};
use crate::gate::challenge::{ChallengeParameters, Challenges};
use crate::gate::route::Route;
use crate::log_pace::LogPace;
use crate::login::browser::open_paths::OpenPaths;
use crate::login::browser::page::Page;
use crate::login::browser::reply::Reply;
use crate::login::browser::site::{is_navigation, wants_html};
use crate::login::hosts::host::{host_of, name_of};
use crate::login::hosts::site::LoginSite;
use crate::login::hosts::source::{Known, SiteSource};
use crate::renew::Refusal;
use crate::settings::{ADDRESS, COOKIE_NAME, OPEN_PATH};

/// The sites of one program.
pub(super) struct Hosts {
    pub(super) configured: Vec<LoginSite>,
    by_host: HashMap<String, LoginSite>,
    pub(super) source: Option<SiteSource>,
    open_paths: OpenPaths,
    /// For answers that belong to no site. None of them is 401, so this is never sent.
    pub(super) challenges: Challenges,
    log: LogPace<CAUSES>,
}

/// A line is due for each of these by itself.
const CAUSES: usize = 3;
const UNKNOWN: usize = 0;
const FAILED: usize = 1;
const OF_OTHER_SITE: usize = 2;

/// Where a request goes on.
pub(super) enum Choice {
    Site(LoginSite),
    /// Past all sites, without a caller.
    Open,
    Refused(LoginError),
    /// The source must be asked about this host.
    LookUp(SiteSource, String),
}

impl Hosts {
    /// # Errors
    /// [`ConfigError`] if requests or cookies of one site could be taken for those of another.
    pub(super) fn new(configured: Vec<LoginSite>) -> Result<Self, ConfigError> {
        let mut by_host = HashMap::new();
        for (at, site) in configured.iter().enumerate() {
            check(site, &configured[..at])?;
            for host in site.hosts() {
                by_host.insert(host.clone(), site.clone());
            }
        }
        let clock = configured.first().map(|site| {
            let provider = &site.party().sign_in.provider;
            provider.clock().clone()
        });
        Ok(Self {
            by_host,
            configured,
            source: None,
            open_paths: OpenPaths::default(),
            challenges: Challenges::new(ChallengeParameters::of_cookies("")),
            log: LogPace::new(clock.unwrap_or_else(SharedClock::system)),
        })
    }

    pub(super) fn of_source(source: &SiteSource) -> Self {
        Self {
            configured: Vec::new(),
            by_host: HashMap::new(),
            source: Some(source.clone()),
            open_paths: OpenPaths::default(),
            challenges: Challenges::new(ChallengeParameters::of_cookies("")),
            log: LogPace::new(source.clock().clone()),
        }
    }

    /// The same sites with another source.
    pub(super) fn with_source(&self, source: Option<SiteSource>) -> Self {
        Self {
            configured: self.configured.clone(),
            by_host: self.by_host.clone(),
            source,
            open_paths: self.open_paths.clone(),
            challenges: self.challenges.clone(),
            log: LogPace::new(self.log.clock().clone()),
        }
    }

    /// The same sites with these open paths.
    pub(super) fn with_open_paths(&self, open_paths: OpenPaths) -> Result<Self, ConfigError> {
        for site in &self.configured {
            if let Some(path) = site.own_paths().find(|path| open_paths.contains_path(path)) {
                return Err(ConfigError::invalid(
                    OPEN_PATH,
                    path,
                    format!("the sign-in of {} answers it", site.address()),
                    "open a path that no sign-in uses, such as /healthz",
                ));
            }
        }
        Ok(Self {
            open_paths,
            ..self.with_source(self.source.clone())
        })
    }

    pub(super) fn choose(&self, head: &Parts) -> Choice {
        let Ok(host) = host_of(head) else {
            return self.refuse(head, None, Kind::MalformedHost.into());
        };
        if self.open_paths.contains(head) {
            return Choice::Open;
        }
        let Some(host) = host else {
            return self.refuse(head, None, Kind::MalformedHost.into());
        };
        if let Some(site) = self.by_host.get(&*host) {
            return Choice::Site(site.clone());
        }
        let Some(source) = &self.source else {
            return self.refuse(head, Some(&host), Kind::UnknownHost.into());
        };
        match source.known(&host) {
            Known::Site(site) => Choice::Site(site),
            Known::Unknown => self.refuse(head, Some(&host), Kind::UnknownHost.into()),
            Known::NotYet => Choice::LookUp(source.clone(), host.into_owned()),
        }
    }

    /// The error where a look-up brought no site.
    pub(super) fn no_site(&self, head: &Parts, host: &str, refusal: Option<Refusal>) -> LoginError {
        let Some(Refusal { error, retry_after }) = refusal else {
            let error = Kind::UnknownHost.into();
            self.tell(head, Some(host), &error);
            return error;
        };
        let error = LoginError::provider(Kind::SiteUnavailable, error);
        let error = error.with_retry_after(retry_after);
        self.tell(head, Some(host), &error);
        error
    }

    fn refuse(&self, head: &Parts, host: Option<&str>, error: LoginError) -> Choice {
        self.tell(head, host, &error);
        Choice::Refused(error)
    }

    /// What strangers can cause is told now and then. The host has only characters of a host.
    fn tell(&self, head: &Parts, host: Option<&str>, error: &LoginError) {
        let (kind, remedy, route) = (error.kind(), error.remedy(), Route(head));
        match kind {
            Kind::UnknownHost if self.log.is_due(UNKNOWN) => tracing::warn!(
                host,
                %route,
                remedy,
                "a request for a host that belongs to no site was refused"
            ),
            Kind::SiteUnavailable if self.log.is_due(FAILED) => tracing::warn!(
                host,
                error = %Chain(error),
                remedy,
                "a request has to wait, because it is unknown whether its host belongs to a site"
            ),
            _ => tracing::debug!(
                kind = kind.as_str(),
                host,
                error = %Chain(error),
                %route,
                remedy,
                "a request was refused before a site was chosen"
            ),
        }
    }

    /// A caller's token was good, and for another site.
    pub(super) fn tell_of_other_site(&self, head: &Parts, site: &LoginSite) {
        if self.log.is_due(OF_OTHER_SITE) {
            tracing::warn!(
                site = site.address(),
                route = %Route(head),
                "a token that another layer has accepted was refused, because its issuer or audience is not one of \
                 this site; if it should count here, name it by the verifier of the site \
                 (LoginSite::with_bearer_verifier)"
            );
        }
    }
}

/// The answer where no site was chosen. Nothing of the request is in it.
pub(super) fn reply(head: &Parts, error: LoginError) -> Reply {
    let is_html = is_navigation(head) || wants_html(&head.headers);
    Reply::page(Page::new(error, is_html, None))
}

/// Whether requests and cookies of a site can be told from those of others.
fn check(site: &LoginSite, others: &[LoginSite]) -> Result<(), ConfigError> {
    for other in others {
        if site.hosts().iter().any(|host| other.is_at(host)) {
            return Err(ConfigError::invalid(
                ADDRESS,
                site.address(),
                format!("the site at {} has the same host", other.address()),
                "build one site for each host; several providers of one site make a LoginSet",
            ));
        }
        let name = |site: &LoginSite| site.hosts().first().map(|host| name_of(host).to_owned());
        if name(site) != name(other) {
            continue;
        }
        // Browsers keep cookies for a host, whatever the port.
        let pairs = site.parties().flat_map(|own| {
            let theirs = other.parties();
            theirs.map(move |their| (&own.cookies, &their.cookies))
        });
        let mut colliding = pairs.filter(|(own, theirs)| own.collide_with(theirs));
        if let Some((own, _)) = colliding.next() {
            return Err(ConfigError::invalid(
                COOKIE_NAME,
                &own.session,
                format!(
                    "browsers send the cookies of {} to {} too, because only the ports differ",
                    other.address(),
                    site.address()
                ),
                "choose a cookie name for each of them, such as staff and guests",
            ));
        }
    }
    Ok(())
}
