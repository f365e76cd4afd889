//! What a browser sends and gets: cookies, addresses, pages. Pure.

pub(crate) mod base_path;
pub(crate) mod cookie;
pub(crate) mod language;
pub(crate) mod mount;
pub(crate) mod open_paths;
pub(crate) mod page;
pub(crate) mod query;
pub(crate) mod reply;
pub(crate) mod return_path;
pub(crate) mod session_cookie;
pub(crate) mod site;
