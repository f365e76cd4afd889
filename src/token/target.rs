//! What a requested token is for.

use crate::claims::{Audience, Scope};
use crate::error::ConfigError;
use crate::settings::RESOURCE;

/// What a requested token is for: audiences, resources and scopes, in the form that the provider expects.
///
/// ```
/// use tower_oidc::Target;
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let auth0 = Target::audience("https://orders.example.com")?;
/// let entra = Target::scope("api://orders/.default")?;
/// let rfc_8707 =
///     Target::resource("https://orders.example.com/")?.with_scope("orders:read orders:write")?;
/// # Ok(())
/// # }
/// ```
#[must_use]
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Target {
    audiences: Vec<String>,
    resources: Vec<String>,
    scope: Option<String>,
}

impl Target {
    /// No audience, resource or scope: the provider chooses.
    pub fn unspecified() -> Self {
        Self::default()
    }

    /// An audience, sent as `audience`, for Auth0 and for token exchange
    /// ([RFC 8693 §2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1)).
    ///
    /// # Errors
    /// [`ConfigError`] if it is empty.
    pub fn audience(audience: &str) -> Result<Self, ConfigError> {
        Self::default().add_audience(audience)
    }

    /// A resource, sent as `resource`
    /// ([RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2)). Write it as the provider has it registered:
    /// with or without a final slash are two resources.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not an absolute URI without a fragment.
    pub fn resource(resource: &str) -> Result<Self, ConfigError> {
        Self::default().add_resource(resource)
    }

    /// Scopes, separated by spaces.
    ///
    /// # Errors
    /// [`ConfigError`] if one of them is not a scope.
    pub fn scope(scope: &str) -> Result<Self, ConfigError> {
        Self::default().with_scope(scope)
    }

    /// Adds an audience.
    ///
    /// # Errors
    /// As [`audience`](Self::audience).
    pub fn add_audience(mut self, audience: &str) -> Result<Self, ConfigError> {
        Audience::new(audience)?;
        self.audiences.push(audience.to_owned());
        Ok(self)
    }

    /// Adds a resource.
    ///
    /// # Errors
    /// As [`resource`](Self::resource).
    pub fn add_resource(mut self, resource: &str) -> Result<Self, ConfigError> {
        check_resource(resource)?;
        self.resources.push(resource.to_owned());
        Ok(self)
    }

    /// Replaces the scopes, separated by spaces.
    ///
    /// # Errors
    /// As [`scope`](Self::scope).
    pub fn with_scope(mut self, scope: &str) -> Result<Self, ConfigError> {
        for word in scope.split(' ') {
            Scope::new(word)?;
        }
        self.scope = Some(scope.to_owned());
        Ok(self)
    }

    /// The parameters of a grant (RFC 6749 §3.3, RFC 8707 §2, RFC 8693 §2.1).
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let audiences = self.audiences.iter().map(|one| ("audience", one.as_str()));
        let resources = self.resources.iter().map(|one| ("resource", one.as_str()));
        let scope = self.scope.as_deref().map(|scope| ("scope", scope));
        audiences.chain(resources).chain(scope)
    }

    /// The resources, as they are sent.
    #[cfg(feature = "login")]
    pub(crate) fn resources(&self) -> &[String] {
        &self.resources
    }

    /// Its parameters as one text.
    #[cfg(feature = "login")]
    pub(crate) fn text(&self) -> String {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(self.parameters());
        text.finish()
    }

    /// Whether a token with these audiences is for another service. Where only scopes were asked for, they do not
    /// tell.
    ///
    /// They are compared as strings, a final slash included: `aud` is compared without any transformation
    /// ([RFC 7519 §2](https://www.rfc-editor.org/rfc/rfc7519#section-2)), a token for a `resource` should have its
    /// value as `aud` ([RFC 9068 §3](https://www.rfc-editor.org/rfc/rfc9068#section-3)), and an API that verifies its
    /// tokens compares in the same way.
    #[cfg(feature = "login")]
    pub(crate) fn is_missed_by(&self, audiences: &[String]) -> bool {
        let mut wanted = self.wanted_audiences().peekable();
        wanted.peek().is_some()
            && !audiences.is_empty()
            && !wanted.any(|wanted| audiences.contains(wanted))
    }

    /// One of these is the `aud` of a token for it.
    #[cfg(feature = "login")]
    pub(crate) fn wanted_audiences(&self) -> impl Iterator<Item = &String> {
        self.audiences.iter().chain(&self.resources)
    }
}

/// [RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2): an absolute URI without a
/// fragment.
pub(crate) fn check_resource(resource: &str) -> Result<(), ConfigError> {
    let is_absolute = url::Url::parse(resource).is_ok() && !resource.contains(['#', ' ']);
    if is_absolute {
        return Ok(());
    }
    Err(ConfigError::invalid(
        RESOURCE,
        resource,
        "it is not an absolute URI without a fragment",
        "write the identifier of the resource in full, such as https://api.example.com/",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    // OB-08
    #[test]
    fn a_target_is_checked_where_it_is_written() {
        assert!(Target::audience("").is_err());
        assert!(Target::resource("orders").is_err());
        assert!(Target::resource("https://a.example/#x").is_err());
        assert!(Target::scope("a  b").is_err());
        assert!(Target::scope("").is_err());
        let target = Target::audience("a")
            .and_then(|target| target.add_audience("b"))
            .and_then(|target| target.add_resource("https://c.example/"))
            .and_then(|target| target.with_scope("d e"))
            .unwrap();
        let parameters: Vec<_> = target.parameters().collect();
        let expected = [
            ("audience", "a"),
            ("audience", "b"),
            ("resource", "https://c.example/"),
            ("scope", "d e"),
        ];
        assert_eq!(parameters, expected);
    }
}
