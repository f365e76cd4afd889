//! The tools: each caller's own notes, to be read and to be added to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use rmcp::handler::server::tool::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ErrorData, schemars, tool, tool_router};
use serde::Deserialize;
use tower_oidc::Principal;

/// The scope that every call needs.
pub(crate) const READ: &str = "notes:read";

/// The scope that adding a note needs too.
pub(crate) const WRITE: &str = "notes:write";

const MOST: usize = 100;

/// The notes of all callers.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<HashMap<Owner, Vec<String>>>>);

/// Issuer and subject, because the same subject at two issuers is two people.
type Owner = (String, String);

#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Note {
    /// What to write down.
    text: String,
}

/// Whether a tool changes something.
pub(crate) fn writes(tool: &str) -> bool {
    tool == "add_note"
}

#[tool_router(server_handler)]
impl Notes {
    #[tool(description = "Lists your notes")]
    fn list_notes(&self, Extension(parts): Extension<Parts>) -> Result<String, ErrorData> {
        let owner = owner(caller(&parts)?)?;
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = all.get(&owner).map(Vec::as_slice).unwrap_or_default();
        Ok(format!("{notes:?}"))
    }

    #[tool(description = "Adds a note")]
    fn add_note(
        &self,
        Extension(parts): Extension<Parts>,
        Parameters(Note { text }): Parameters<Note>,
    ) -> Result<String, ErrorData> {
        let caller = caller(&parts)?;
        if !caller.has_scope(WRITE) {
            return Err(ErrorData::invalid_request("the scope is missing", None));
        }
        let owner = owner(caller)?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = all.entry(owner).or_default();
        if notes.len() == MOST {
            return Err(ErrorData::invalid_request("there are too many notes", None));
        }
        notes.push(text);
        Ok(format!("there are {} now", notes.len()))
    }
}

/// The verified caller, from the request that brought the message.
fn caller(parts: &Parts) -> Result<&Principal, ErrorData> {
    let caller = parts.extensions.get::<Principal>();
    caller.ok_or_else(|| ErrorData::internal_error("no layer has verified the caller", None))
}

fn owner(caller: &Principal) -> Result<Owner, ErrorData> {
    let subject = caller.subject();
    let subject =
        subject.ok_or_else(|| ErrorData::invalid_request("the token has no subject", None))?;
    Ok((caller.issuer().as_str().to_owned(), subject.to_owned()))
}
