/// How a development provider treats what the standards leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Manner {
    /// As Auth0: an access token is a JWT where an `audience` or `resource` was asked for, and encrypted where not.
    /// The scope `offline_access` brings a refresh token.
    #[default]
    Usual,
    /// As Google: access tokens are opaque, whatever was asked for. The scope `offline_access` is unknown and
    /// refused. A refresh token comes for `access_type=offline`, at the user's first sign-in alone unless
    /// `prompt=consent` was asked for, and it stays the same when it is spent.
    Google,
}
