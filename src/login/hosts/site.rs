use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};

use crate::error::{VerifyError, VerifyErrorKind};
use crate::gate::Verdict;
use crate::gate::answer::{EmptyBody, Rejection};
use crate::gate::challenge::{ChallengeParameters, Challenges};
use crate::gate::empty::CanBeEmpty;
use crate::login::browser::page::OnPage;
use crate::login::browser::reply::Reply;
use crate::login::browser::site::OwnPath;
use crate::login::hosts::host::spellings;
use crate::login::layer::LoginLayer;
use crate::login::party::{Found, Party, Pending};
use crate::login::sessions::background::Background;
use crate::login::set::{FoundOfSet, LoginSet, Set};
use crate::principal::Principal;
use crate::verify::Verifier;

/// One site of [`LoginHosts`](crate::login::LoginHosts): a [`LoginLayer`], or a [`LoginSet`] for a site with several
/// providers, whose address says at which host it is. Made by `From` of either; cheap to clone.
///
/// Pages are those of [`LoginHosts::on_page`](crate::login::LoginHosts::on_page).
#[must_use]
#[derive(Clone)]
pub struct LoginSite(Arc<Inner>);

struct Inner {
    layers: Box<[LoginLayer]>,
    kind: Kind,
    /// The ways in which requests name its host.
    hosts: Vec<String>,
    /// Verifies callers with a token of their own. `None` if there are none.
    verifiers: Vec<Verifier>,
    /// For callers with a token of their own.
    challenges: Challenges,
}

enum Kind {
    Layer(Arc<Party>),
    Set(Arc<Set>),
}

/// What a site found out while a request waited.
pub(super) enum FoundOfSite {
    OfLayer(Found),
    OfSet(FoundOfSet),
}

pub(super) type Decided = Verdict<Reply, Pending, FoundOfSite>;

impl From<LoginLayer> for LoginSite {
    fn from(layer: LoginLayer) -> Self {
        let kind = Kind::Layer(Arc::clone(&layer.party));
        Self::new([layer], kind)
    }
}

impl From<LoginSet> for LoginSite {
    fn from(set: LoginSet) -> Self {
        let kind = Kind::Set(Arc::clone(&set.set));
        Self::new(set.layers().iter().cloned(), kind)
    }
}

impl LoginSite {
    fn new(layers: impl IntoIterator<Item = LoginLayer>, kind: Kind) -> Self {
        let layers: Box<[_]> = layers.into_iter().collect();
        let party = kind.party();
        let origin = &party.site.origin;
        let hosts = spellings(origin);
        let verifiers = layers.iter();
        let verifiers = verifiers.filter_map(|layer| layer.party.sign_in.mode.verifier().cloned());
        Self(Arc::new(Inner {
            verifiers: verifiers.collect(),
            challenges: Challenges::new(ChallengeParameters::with_visible_realm(origin)),
            layers,
            kind,
            hosts,
        }))
    }

    /// Lets callers pass whose token a [`BearerLayer`](crate::BearerLayer) further out has accepted, if its issuer and
    /// an audience of it are those of this verifier, one that the verifier is configured with. Any other is refused with
    /// 401, so that a token for one site is of no use at another. Default: the verifiers that the site's layers sign in
    /// by; a site in [identity mode](LoginLayer::identity) has none, and takes no token.
    pub fn with_bearer_verifier(self, verifier: &Verifier) -> Self {
        let former = &*self.0;
        Self(Arc::new(Inner {
            layers: former.layers.clone(),
            kind: match &former.kind {
                Kind::Layer(party) => Kind::Layer(Arc::clone(party)),
                Kind::Set(set) => Kind::Set(Arc::clone(set)),
            },
            hosts: former.hosts.clone(),
            verifiers: vec![verifier.clone()],
            challenges: former.challenges.clone(),
        }))
    }

    /// Its layers, of which a [`LoginSet`] has several: for links, sessions and readiness.
    pub fn layers(&self) -> &[LoginLayer] {
        &self.0.layers
    }

    /// The public address, as it is configured.
    #[must_use]
    pub fn address(&self) -> String {
        self.party().site.address()
    }

    /// The ways in which requests name its host.
    pub(super) fn hosts(&self) -> &[String] {
        &self.0.hosts
    }

    pub(super) fn is_at(&self, host: &str) -> bool {
        self.0.hosts.iter().any(|own| own == host)
    }

    /// The party that answers where it does not matter which: those of a set share the site.
    pub(super) fn party(&self) -> &Arc<Party> {
        self.0.kind.party()
    }

    pub(super) fn parties(&self) -> impl Iterator<Item = &Arc<Party>> {
        self.0.layers.iter().map(|layer| &layer.party)
    }

    /// The paths that it answers itself.
    pub(super) fn own_paths(&self) -> impl Iterator<Item = &str> {
        let sign_out = match &self.0.kind {
            Kind::Layer(_) => None,
            Kind::Set(set) => Some(set.sign_out()),
        };
        let paths = self.parties().flat_map(|party| party.site.paths.each());
        paths.chain(sign_out)
    }

    pub(super) fn backgrounds(&self) -> impl Iterator<Item = Background> {
        self.parties().map(|party| party.sessions.background())
    }

    /// Why the caller that a layer further out has verified does not count here.
    pub(super) fn refusal_of(&self, head: &Parts) -> Option<VerifyError> {
        let principal = head.extensions.get::<Principal>()?;
        let verifiers = &self.0.verifiers;
        if verifiers.iter().any(|verifier| verifier.is_for(principal)) {
            return None;
        }
        Some(VerifyErrorKind::WrongAudience.into())
    }

    pub(super) fn refuse<B: CanBeEmpty>(&self, error: VerifyError) -> Response<B> {
        Rejection::from(error).into_response(&self.0.challenges, &EmptyBody)
    }

    /// The layer that reads the body of this request, and what it is for.
    pub(super) fn takes_form<B>(&self, request: &Request<B>) -> Option<(&Arc<Party>, OwnPath)> {
        self.parties()
            .find_map(|party| Some((party, party.takes_form(request)?)))
    }

    pub(super) fn check(&self, head: &mut Parts) -> Decided {
        match &self.0.kind {
            Kind::Layer(party) => map(party.check(head), FoundOfSite::OfLayer),
            Kind::Set(set) => map(set.check(head), FoundOfSite::OfSet),
        }
    }

    pub(super) fn check_found(&self, found: FoundOfSite, head: &mut Parts) -> Decided {
        match (&self.0.kind, found) {
            (Kind::Layer(party), FoundOfSite::OfLayer(found)) => {
                map(party.decide(found, head), FoundOfSite::OfLayer)
            }
            (Kind::Set(set), FoundOfSite::OfSet(found)) => {
                map(set.check_found(found, head), FoundOfSite::OfSet)
            }
            // A request waits for the site that it is judged by.
            _ => Verdict::Answer(Reply::empty(http::StatusCode::INTERNAL_SERVER_ERROR)),
        }
    }

    pub(super) fn answer<B: CanBeEmpty>(
        &self,
        reply: Reply,
        pages: &impl OnPage<B>,
    ) -> Response<B> {
        reply.into_response(pages, &self.party().site.challenges)
    }

    pub(super) fn finish<B: CanBeEmpty>(
        &self,
        pages: &impl OnPage<B>,
        kept: Pending,
        response: &mut Response<B>,
    ) {
        self.party().finish(pages, kept, response);
    }
}

impl Kind {
    fn party(&self) -> &Arc<Party> {
        match self {
            Self::Layer(party) => party,
            Self::Set(set) => set.first(),
        }
    }
}

fn map<F: Send + 'static>(
    verdict: Verdict<Reply, Pending, F>,
    of_site: fn(F) -> FoundOfSite,
) -> Decided {
    match verdict {
        Verdict::Pass(pending) => Verdict::Pass(pending),
        Verdict::Answer(reply) => Verdict::Answer(reply),
        Verdict::Wait(found) => Verdict::Wait(Box::pin(async move { of_site(found.await) })),
    }
}

impl fmt::Debug for LoginSite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginSite")
            .field("layers", &self.0.layers)
            .finish_non_exhaustive()
    }
}
