//! For applications of the `openidconnect` crate: their metadata makes a [`Provider`](crate::Provider), and their token
//! responses make sessions. The page that shows it is [`manual::openidconnect`](crate::manual::openidconnect).

mod metadata;
mod tokens;
