//! That a user is not signed in, and why.

/// A hook's answer that a user is not signed in. Made with a text for the visitor.
#[derive(Debug, Clone)]
#[must_use]
pub struct SignInRefusal {
    /// `None` where it could not be decided.
    pub(super) text: Option<String>,
    pub(super) reason: Option<String>,
}

impl SignInRefusal {
    /// The user may not sign in. The visitor reads this text, as plain text, on a page with status 403. It is cut at
    /// 1000 characters.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
            reason: None,
        }
    }

    /// Whether the user may sign in cannot be decided now, because a service that the decision needs is away. The
    /// visitor is told to try again, with status 503. The reason is for the log.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self {
            text: None,
            reason: Some(reason.into()),
        }
    }

    /// The reason as the log has it. Default: the text for the visitor.
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}
