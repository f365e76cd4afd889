//! `Sessions` keeps no sessions
//! implements `SessionStore`

use tower_oidc::login::LoginBuilder;

struct Sessions;

fn main() {
    let _ = |builder: LoginBuilder| builder.with_store(Sessions);
}
