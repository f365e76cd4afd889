//! What is right and what is wrong with a configuration and its provider, each with its cure.
//!
//! [`Doctor`] reads the same environment variables as [`mod@env`](crate::env), and tells one [`Finding`] for each thing
//! that it looks at: a code that does not change, the setting, what was found, and the remedy, in the words of the
//! provider where its issuer tells which one it is. The example `doctor` prints them, as
//! [the manual](crate::manual::doctor) shows.
//!
//! ```
//! use tower_oidc::doctor::{Doctor, Shape};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let doctor = Doctor::of_pairs([
//!     ("OPENID_ISSUER", "https://tenant.us.auth0.com/"),
//!     ("OPENID_AUDIANCE", "https://api.example.com"),
//! ]);
//! let report = doctor.examining(Shape::Api).check_settings(); // calls nothing
//! let wrong: Vec<_> = report.wrong().map(|finding| (finding.code(), finding.setting().unwrap())).collect();
//! assert_eq!(wrong, [("setting_unknown", "OPENID_AUDIANCE"), ("setting_missing", "OPENID_AUDIENCE")]);
//! # }
//! ```
//!
//! # Security
//! A report holds no secret, no token and, of tokens, no claim but `iss` and `aud`. [`Doctor::examine`] calls the
//! provider, the store and the site as these settings name them: a token is asked for with the client's credentials
//! and thrown away, and one record is written to the store and removed.

mod discovery;
mod finding;
mod grants;
mod keys;
mod metadata;
mod pairs;
mod profile;
mod shape;
mod site;
mod store;
mod subject;
mod token;
mod vendor;

use std::fmt;
use std::sync::Arc;

use crate::clock::SharedClock;
use crate::env::{LoginSettings, Variables};
use crate::error::ConfigError;
use crate::login::SessionStore;
use crate::settings::OPENID_INTROSPECTION;

pub use self::finding::{Finding, Level, Report};
pub use self::profile::{Profile, ProfileReport, ProfileRule};
pub use self::shape::Shape;

use self::discovery::Discovered;
use self::pairs::Pairs;
use self::shape::Loaded;
use self::subject::Subject;

/// Examines a configuration.
#[derive(Clone)]
#[must_use]
pub struct Doctor {
    pairs: Pairs,
    shape: Option<Shape>,
}

impl Doctor {
    /// Of the environment of this process.
    ///
    /// # Errors
    /// [`ConfigError`] if a variable of this crate is not UTF-8.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self::of_pairs(Variables::from_env()?.into_pairs()))
    }

    /// Of names and values from another source, such as a file.
    pub fn of_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let pairs = pairs.into_iter();
        Self {
            pairs: Pairs::new(pairs.map(|(name, value)| (name.into(), value.into()))),
            shape: None,
        }
    }

    /// The shape of the service, which says which settings are read. Default: a site if there is a session secret, or a
    /// client that is not there for introspection; else an API.
    pub fn examining(mut self, shape: Shape) -> Self {
        self.shape = Some(shape);
        self
    }

    /// The shape of the service.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape.unwrap_or_else(|| Shape::guess(&self.pairs))
    }

    /// Reads the settings as the program does, and what can be told from them alone. Calls nothing. With `REDIS_URL` it
    /// needs a tokio runtime, as the program does.
    #[must_use]
    pub fn check_settings(&self) -> Report {
        Report::new(match self.read() {
            (found, Some(loaded)) => of_settings(found, &Subject::new(&self.pairs, &loaded)),
            (found, None) => found,
        })
    }

    /// Reads the settings, and then asks the provider, the store and the site. Settings that cannot be used are told
    /// alone, because what follows from them would mislead.
    pub async fn examine(&self) -> Report {
        let (found, Some(loaded)) = self.read() else {
            return self.check_settings();
        };
        let subject = Subject::new(&self.pairs, &loaded);
        let mut found = of_settings(found, &subject);
        let Discovered {
            found: discovered,
            document,
            jwks_uri,
        } = discovery::check(&subject).await;
        found.extend(discovered);
        if let Some(document) = &document {
            found.extend(metadata::check(&subject, document));
        }
        found.extend(keys::check(&subject, document.as_ref(), jwks_uri.as_ref()).await);
        if document.is_some() {
            found.extend(grants::request(&subject).await);
        }
        if let Loaded::Site(settings, login) = &loaded {
            if let Some(store) = chosen_store(settings) {
                found.push(store::round_trip(&subject, &store).await);
            }
            found.extend(site::probe(&subject, login).await);
        }
        Report::new(found)
    }

    /// Explains a token: what it looks like, whether it passes every check that needs no key, and if not, which setting
    /// refuses it and which would let it pass. Calls nothing, and never shows the token.
    #[must_use]
    pub fn explain_token(&self, token: &str) -> Report {
        let (mut found, loaded) = self.read();
        found.retain(|finding| finding.level() == Level::Wrong);
        let now = SharedClock::system().now();
        let token = token.trim();
        found.extend(token::explain(
            self.shape(),
            &self.pairs,
            loaded.as_ref(),
            token,
            now,
        ));
        Report::new(found)
    }

    /// The same, and then verifies the token with the provider's keys. These are fetched; the token stays here, also
    /// where the settings let the provider be asked about tokens.
    pub async fn verify_token(&self, token: &str) -> Report {
        let explained = self.explain_token(token);
        if !explained.is_well() {
            return explained;
        }
        let pairs = self.pairs.without(&[OPENID_INTROSPECTION]);
        let Ok(loaded) = Loaded::read_all(self.shape(), &pairs) else {
            return explained;
        };
        let verified = loaded.verifier().verify(token.trim()).await;
        explained.and(Report::new(vec![match verified {
            Ok(_) => Finding::right(
                "token_accepted",
                "it is signed with a key of the provider, and accepted",
            ),
            Err(error) => token::of_refusal(&error, Level::Wrong),
        }]))
    }

    /// The rules of this crate that belong to a profile, and which of these settings depart from it. Calls nothing.
    #[must_use]
    pub fn check_profile(&self, profile: Profile) -> ProfileReport {
        ProfileReport::new(profile, self.shape(), &self.pairs)
    }

    /// The settings, and what reading them told.
    fn read(&self) -> (Vec<Finding>, Option<Loaded>) {
        let shape = self.shape();
        match Loaded::read_all(shape, &self.pairs) {
            Ok(loaded) => {
                let text = format!("the settings of this {} can be used", noun(shape));
                (vec![Finding::right("settings_right", text)], Some(loaded))
            }
            Err(found) => (found, None),
        }
    }
}

/// What can be told of settings that can be used.
fn of_settings(mut found: Vec<Finding>, subject: &Subject<'_>) -> Vec<Finding> {
    if let Some(vendor) = subject.vendor {
        let text = format!("the issuer is one of {}", vendor::name(vendor));
        found.push(Finding::note("provider_recognised", text));
    }
    found.extend(grants::audience(subject));
    found.extend(grants::refresh(subject));
    if let Loaded::Site(settings, login) = subject.loaded {
        found.extend(site::settings(subject, login));
        found.extend(store::chosen(
            chosen_store(settings).as_ref(),
            settings.replica_variable(),
        ));
    }
    found
}

fn chosen_store(settings: &LoginSettings) -> Option<Arc<dyn SessionStore>> {
    settings.unasked_builder().ok()?.chosen_store()
}

fn noun(shape: Shape) -> &'static str {
    match shape {
        Shape::Api => "API",
        Shape::Site => "site",
        Shape::Service => "service",
    }
}

impl fmt::Debug for Doctor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.pairs.0.keys().collect();
        formatter
            .debug_struct("Doctor")
            .field("shape", &self.shape())
            .field("settings", &names)
            .finish()
    }
}
