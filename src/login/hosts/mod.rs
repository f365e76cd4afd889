//! Several sites in one program: the host of a request chooses among them.
//!
//! 1. The host only selects a site. What goes into redirects, cookies and checks is the site's configured address
//!    ([`site`]).
//! 2. The host is that of the `Host` field or of `:authority` ([`host`]), compared as a whole. Forwarded fields are not
//!    read. A request with two hosts that differ, or with none, is refused.
//! 3. A host that belongs to no site is refused with 421 ([`choose`]).
//! 4. Sites that are not configured come from a function of the application ([`source`]), within bounds. Strangers
//!    cannot use up what hosts that are known need. In doubt the answer is 503.
//! 5. A caller that a layer further out has verified counts only at the site that the token is for ([`site`]).

mod choose;
mod future;
mod host;
mod layer;
mod service;
mod site;
mod source;

pub use self::future::HostsFuture;
pub use self::layer::LoginHosts;
pub use self::service::LoginOfHosts;
pub use self::site::LoginSite;
pub use self::source::{SiteSource, SiteSourceBuilder};
