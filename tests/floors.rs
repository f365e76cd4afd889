//! Imports go down only, and a foreign crate is named in its own room alone: `src/` held against
//! the picture of the crate.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The modules from the ground up; each may use those before it.
const ORDER: [&str; 29] = [
    // Ground: words.
    "error",
    "observe",
    "clock",
    "claims",
    "token",
    "jwt",
    "secret",
    "flight",
    "slots",
    "allowance",
    "principal",
    // First floor: sources.
    "http_client",
    "renew",
    "keys",
    "provider",
    // Second floor: judgement.
    "verify",
    // Third floor: rooms, and what they share.
    "gate",
    "resource_metadata",
    "bearer",
    "require",
    "login",
    "outbound",
    "danger",
    // Roof: adapters.
    "axum",
    "tonic",
    "env",
    "manual",
    "testing",
    "lib",
];

/// Where a foreign crate may be named: any of them can be replaced in an afternoon.
const ROOMS: [(&str, &[&str]); 26] = [
    (
        "arc_swap",
        &[
            "renew",
            "slots",
            "login/sessions/opened",
            "login/store/redis",
        ],
    ),
    (
        "aws_lc_rs",
        &[
            "keys/jwk_set",
            "keys/public_key",
            "keys/remote",
            "secret",
            "login/sessions/seal",
            "login/sessions/id",
            "testing",
        ],
    ),
    ("axum", &["testing"]),
    ("axum_core", &["axum"]),
    (
        "base64",
        &[
            "keys/jwk_set",
            "secret",
            "error/outbound",
            "provider/client",
            "login/sign_in/attempt",
            "login/browser/page",
            "login/sessions/id",
            "login/store/redis",
            "testing",
        ],
    ),
    ("base64_simd", &["jwt", "login/sessions/id"]),
    (
        "http_body_util",
        &["http_client", "resource_metadata", "login/service"],
    ),
    ("cookie", &["login/browser/cookie"]),
    ("flate2", &["testing"]),
    ("futures_util", &["login/store/redis"]),
    ("humantime", &["provider/builder", "env"]),
    ("jsonwebtoken", &["keys/jwk_set", "provider/client"]),
    ("memchr", &["jwt", "login/browser/cookie"]),
    ("metrics", &["observe"]),
    ("moka", &["login/store/memory", "outbound/exchanged"]),
    ("nix", &["clock"]),
    (
        "percent_encoding",
        &["login/browser/return_path", "provider/client"],
    ),
    ("pin_project", &["gate/future", "outbound/future", "tonic"]),
    ("quick_cache", &["verify/cache"]),
    ("redis", &["login/store/redis"]),
    ("reqwest", &["http_client"]),
    ("strsim", &["env"]),
    ("zeroize", &["secret"]),
    (
        "tokio",
        &[
            "http_client",
            "flight",
            "renew",
            "login/builder",
            "login/relying_party",
            "login/sessions/renewals",
            "login/service",
            "login/sign_out",
            "login/store/redis",
            "outbound/kept",
            "tonic/expiry",
            "testing",
        ],
    ),
    ("tonic", &["tonic"]),
    (
        "url",
        &[
            "claims",
            "keys/remote",
            "http_client",
            "provider",
            "resource_metadata",
            "login/sign_in/start",
            "login/builder",
            "login/relying_party",
            "login/browser/return_path",
            "login/sign_out",
            "login/browser/site",
            "outbound/destination",
            "testing",
            "env",
        ],
    ),
];

/// The text of each file that is not test code, by its module path with slashes.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if path.file_name().unwrap() != "tests.rs" {
                let name = path.strip_prefix(root).unwrap().with_extension("");
                let name = name.to_str().unwrap().trim_end_matches("/mod").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                let code = code
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .collect::<Vec<_>>()
                    .join("\n");
                found.insert(name, code);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    walk(&root, &root, &mut found);
    found
}

fn module(file: &str) -> &str {
    file.split('/').next().unwrap()
}

fn height(module: &str) -> usize {
    ORDER
        .iter()
        .position(|known| *known == module)
        .unwrap_or_else(|| panic!("src/{module} has no place in the picture"))
}

#[test]
fn imports_go_down_only() {
    for (file, code) in sources() {
        let own = height(module(&file));
        for after in code.split("crate::").skip(1) {
            let used: String = after
                .chars()
                .take_while(|character| character.is_ascii_lowercase() || *character == '_')
                .collect();
            if used.is_empty() || module(&file) == "lib" {
                continue;
            }
            assert!(
                height(&used) <= own,
                "src/{file} uses crate::{used} above it"
            );
        }
    }
}

#[test]
fn rooms_do_not_know_each_other() {
    for (file, code) in sources() {
        let rooms = ["bearer", "require", "login", "outbound"];
        for other in rooms.iter().filter(|other| **other != module(&file)) {
            let is_known = code.contains(&format!("crate::{other}"));
            assert!(
                !(is_known && rooms.contains(&module(&file))),
                "src/{file} knows {other}"
            );
        }
    }
}

#[test]
fn a_foreign_crate_is_named_in_its_own_room() {
    for (file, code) in sources() {
        for (name, rooms) in ROOMS {
            let is_named = code
                .split(&format!("{name}::"))
                .zip(code.split(&format!("{name}::")).skip(1))
                .any(|(before, _)| {
                    !before.ends_with(|last: char| {
                        last.is_alphanumeric() || last == '_' || last == ':'
                    })
                });
            let may = rooms
                .iter()
                .any(|room| file == *room || file.starts_with(&format!("{room}/")));
            assert!(!is_named || may, "src/{file} names {name}");
        }
    }
}

#[test]
fn time_and_process_state_are_where_they_belong() {
    for (file, code) in sources() {
        for word in ["SystemTime::now", "Instant::now"] {
            assert!(
                !code.contains(word) || module(&file) == "clock",
                "src/{file} reads {word}"
            );
        }
        for word in [
            "static mut",
            "OnceLock",
            "LazyLock",
            "thread_local!",
            "install_default",
        ] {
            assert!(
                !code.contains(word),
                "src/{file} keeps process-wide state: {word}"
            );
        }
    }
}

#[test]
fn only_verification_makes_a_principal() {
    for (file, code) in sources() {
        if code.contains("Principal::verified(") {
            assert_eq!(module(&file), "verify", "src/{file} makes a principal");
        }
    }
}

#[test]
fn files_stay_small() {
    for (file, code) in sources() {
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(
            lines <= 400,
            "src/{file} has {lines} lines: look for the second idea in it"
        );
    }
}
