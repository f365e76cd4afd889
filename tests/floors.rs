//! Imports go down only, and a foreign crate is named in its own room alone: `src/` held against
//! the picture of the crate.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The modules from the ground up; each may use those before it.
const ORDER: [&str; 44] = [
    // Ground: words.
    "settings",
    "error",
    "observe",
    "clock",
    "expiry",
    "log_pace",
    "retry_after",
    "claim_path",
    "claims",
    "jwt",
    "token",
    "secret",
    "flight",
    "slots",
    "allowance",
    "lenient_json",
    "cookies",
    "claim_test",
    "claims_error",
    "revocations",
    "principal",
    // First floor: sources.
    "http_client",
    "renew",
    "lookup",
    "keys",
    "provider",
    // Second floor: judgement.
    "verify",
    // Third floor: rooms, and what they share.
    "gate",
    "resource_metadata",
    "client_keys",
    "streams",
    "bearer",
    "require",
    "login",
    "outbound",
    "danger",
    // Roof: adapters.
    "axum",
    "grpc",
    "env",
    "doctor",
    "manual",
    "openidconnect",
    "testing",
    "lib",
];

/// Where a foreign crate may be named: any of them can be replaced in an afternoon.
const ROOMS: [(&str, &[&str]); 30] = [
    (
        "arc_swap",
        &[
            "claim_test",
            "renew",
            "slots",
            "lookup/answers",
            "login/sessions/opened",
            "login/store/near_cache",
            "login/store/redis",
        ],
    ),
    (
        "aws_lc_rs",
        &[
            "keys/jwk_set",
            "keys/public_key",
            "keys/remote",
            "revocations/memory",
            "secret",
            "login/sessions/seal",
            "login/sessions/id",
            "login/store/key",
            "testing",
        ],
    ),
    ("axum", &["login/browser/mount", "testing"]),
    ("axum_core", &["axum"]),
    ("h2", &["http_client"]),
    (
        "base64",
        &[
            "keys/jwk_set",
            "secret",
            "error/outbound",
            "provider/client/assertion_key",
            "provider/client/credentials",
            "login/browser/cookie",
            "login/browser/page",
            "login/browser/session_cookie",
            "login/sessions/id",
            "login/store/key",
            "testing",
        ],
    ),
    ("base64_simd", &["jwt", "login/sessions/id"]),
    (
        "http_body_util",
        &[
            "http_client",
            "resource_metadata",
            "login/forms",
            "testing/browser",
        ],
    ),
    ("cookie", &["login/browser/cookie", "testing/browser"]),
    ("flate2", &["testing"]),
    ("futures_util", &["login/store/redis"]),
    ("httpdate", &["retry_after"]),
    ("humantime", &["error/config", "env", "doctor"]),
    (
        "jsonwebtoken",
        &["keys/jwk_set", "provider/client/assertion_key"],
    ),
    ("memchr", &["cookies", "jwt"]),
    ("metrics", &["observe"]),
    ("moka", &["login/store/memory", "outbound/exchanged"]),
    ("nix", &["clock"]),
    ("openidconnect", &["openidconnect"]),
    (
        "percent_encoding",
        &[
            "login/browser/return_path",
            "login/store/sqlite/file",
            "provider/client/credentials",
        ],
    ),
    (
        "pin_project",
        &[
            "gate/future",
            "outbound/future",
            "login/hosts/future",
            "grpc",
            "streams",
        ],
    ),
    (
        "quick_cache",
        &[
            "verify/cache",
            "verify/introspection/memory",
            "lookup/answers",
        ],
    ),
    ("redis", &["login/store/redis"]),
    ("reqwest", &["http_client", "outbound/reqwest_client"]),
    (
        "sqlx",
        &[
            "login/store/postgres",
            "login/store/sql",
            "login/store/sqlite",
        ],
    ),
    ("strsim", &["env"]),
    ("zeroize", &["secret"]),
    (
        "tokio",
        &[
            "http_client",
            "flight",
            "renew",
            "keys/key_file",
            "provider/client/assertion",
            "provider/client/endpoint_call",
            "provider/client/kept_file",
            "provider/client/secret_file",
            "provider/discovery",
            "revocations/sharing",
            "lookup",
            "login/assembly",
            "login/sessions",
            "login/sign_in",
            "login/forms",
            "login/shared_revocations",
            "login/store/changes",
            "login/store/postgres",
            "login/store/redis",
            "login/store/sqlite",
            "outbound/granter",
            "expiry",
            "testing",
        ],
    ),
    ("tonic", &["grpc"]),
    (
        "url",
        &[
            "claims",
            "keys/remote",
            "http_client",
            "provider",
            "token/target",
            "resource_metadata",
            "login/browser/base_path",
            "login/browser/query",
            "login/browser/reply",
            "login/assembly",
            "login/browser/return_path",
            "login/sign_in/initiated",
            "login/sign_out",
            "gate/same_origin",
            "login/browser/site",
            "outbound/destination",
            "testing",
            "env",
            "doctor",
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
            } else if path.extension().is_some_and(|end| end == "rs")
                && path.file_name().unwrap() != "tests.rs"
            {
                let name = path.strip_prefix(root).unwrap().with_extension("");
                let name = name.to_str().unwrap().trim_end_matches("/mod").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let (code, tests) = text.split_once("mod tests").unwrap_or((&text, ";"));
                assert!(
                    tests.trim() == ";" || tests.starts_with(" {"),
                    "src/{name} has code behind its tests"
                );
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

/// The paths that begin with `root`, each as its segments after it. Groups in braces are spelt out.
fn paths(root: &str, code: &str) -> Vec<Vec<String>> {
    /// Reads the path or the group that `rest` begins with, and returns what follows it.
    fn read<'a>(rest: &'a str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
        let mut rest = rest.trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            rest = group;
            loop {
                rest = read(rest, prefix, found).trim_start();
                match rest.strip_prefix(',').map(str::trim_start) {
                    Some(next) if !next.starts_with('}') => rest = next,
                    Some(end) => return &end[1..],
                    None => return rest.strip_prefix('}').unwrap_or(rest),
                }
            }
        }
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let end = rest.find(|character| !is_part(character));
        let (segment, after) = rest.split_at(end.unwrap_or(rest.len()));
        let path = [prefix, &[segment.to_owned()]].concat();
        match after.strip_prefix("::") {
            Some(after) if after.starts_with(|first| is_part(first) || first == '{') => {
                read(after, &path, found)
            }
            _ => {
                found.push(path);
                // A renamed import: ` as Kind`.
                let renamed = after.trim_start().strip_prefix("as ");
                renamed.map_or(after, |name| name.trim_start_matches(is_part))
            }
        }
    }
    let mut found = Vec::new();
    for after in code.split(root).skip(1) {
        read(after, &[], &mut found);
    }
    found
}

/// The other files that each file imports from.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let sources = sources();
    let file_of = |path: &[String]| {
        (1..=path.len())
            .rev()
            .map(|length| path[..length].join("/"))
            .find(|file| sources.contains_key(file))
    };
    let used = |file: &str, code: &str| {
        // A visibility names a file and imports nothing.
        let code = &code.replace("pub(in crate::", "pub(in ");
        let above: Vec<_> = file.split('/').map(str::to_owned).collect();
        let above = &above[..above.len() - 1];
        let beside = paths("super::", code).into_iter();
        let beside = beside.map(|path| [above, &path].concat());
        let all = paths("crate::", code).into_iter().chain(beside);
        let files = all.filter_map(|path| file_of(&path));
        files.filter(|used| used != file).collect()
    };
    let each = sources.iter();
    each.map(|(file, code)| (file.clone(), used(file, code)))
        .collect()
}

/// The files of one circle, in the order of their imports, if there is any.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    /// Follows imports from the last file of `way`, and goes into no file twice.
    fn follow<'a>(
        imports: &'a BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        let file = *way.last()?;
        for used in imports.get(file)? {
            if let Some(start) = way.iter().position(|before| before == used) {
                return Some(way[start..].iter().map(|file| (*file).to_owned()).collect());
            }
            if done.insert(used) {
                way.push(used);
                if let Some(found) = follow(imports, way, done) {
                    return Some(found);
                }
                way.pop();
            }
        }
        None
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|file| {
        let is_new = done.insert(file.as_str());
        is_new.then(|| follow(imports, &mut vec![file], &mut done))?
    })
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let found = circle(&imports());
    assert!(
        found.is_none(),
        "these files import each other in a circle: {}",
        found.unwrap_or_default().join(" -> ")
    );
}

#[test]
fn a_circle_is_found_whatever_its_length_and_however_it_is_written() {
    let joined = |code: &str| -> Vec<String> {
        let paths = paths("crate::", code);
        paths.iter().map(|path| path.join("/")).collect()
    };
    assert_eq!(
        joined("use crate::a::{self, b::{C as D, e}, F}; crate::g::h(); use crate::{i, j::K};"),
        ["a/self", "a/b/C", "a/b/e", "a/F", "g/h", "i", "j/K"]
    );
    let graph = |edges: &[(&str, &[&str])]| -> BTreeMap<String, BTreeSet<String>> {
        let files = edges.iter().map(|(file, used)| {
            let used = used.iter().map(|file| (*file).to_owned());
            ((*file).to_owned(), used.collect())
        });
        files.collect()
    };
    let none = graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
    assert_eq!(circle(&none), None);
    let two = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
    assert_eq!(circle(&two).unwrap(), ["b", "c"]);
    let long = graph(&[("a", &["c"]), ("b", &["a"]), ("c", &["d"]), ("d", &["b"])]);
    assert_eq!(circle(&long).unwrap(), ["a", "c", "d", "b"]);
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

/// The types of the items that live as long as the process.
fn statics(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let words = line.trim_start();
        let item = words
            .split_once("static ")
            .filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
        item.map(|(_, item)| item)
    })
}

#[test]
fn the_items_that_live_as_long_as_the_process_are_found() {
    let code = "pub(crate) static A: OnceLock<u8> = x;\n    static B: u8 = 1;\nconst C: &'static str = \"\";";
    let found: Vec<_> = statics(code).collect();
    assert_eq!(found, ["A: OnceLock<u8> = x;", "B: u8 = 1;"]);
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
        for word in ["static mut", "LazyLock", "thread_local!", "install_default"] {
            assert!(
                !code.contains(word),
                "src/{file} keeps process-wide state: {word}"
            );
        }
        for item in statics(&code) {
            for word in ["Once", "Atomic", "Mutex", "RwLock", "ArcSwap", "Cell"] {
                assert!(
                    !item.contains(word),
                    "src/{file} keeps process-wide state: {item}"
                );
            }
        }
    }
}

// LM-08
#[test]
fn exposed_secrets_are_not_compared_by_operators() {
    for (file, code) in sources() {
        let code: String = code.split_whitespace().collect();
        for comparison in [".expose()==", ".expose()!="] {
            assert!(
                !code.contains(comparison),
                "src/{file} compares a secret: use is_same"
            );
        }
        for before in ["==", "!="] {
            for operand in code.split(before).skip(1) {
                let is_part = |one: char| one.is_alphanumeric() || "_.&*:".contains(one);
                let end = operand.find(|one| !is_part(one)).unwrap_or(operand.len());
                let is_secret =
                    operand[end..].starts_with("()") && operand[..end].ends_with(".expose");
                assert!(!is_secret, "src/{file} compares a secret: use is_same");
            }
        }
    }
}

// LM-12
#[test]
fn randomness_comes_from_the_system_and_secrets_are_wiped() {
    let sources = sources();
    for (file, code) in &sources {
        let is_source = file == "secret" || file.starts_with("testing/");
        assert!(
            is_source || !code.contains("rand::"),
            "src/{file} draws random bytes"
        );
        // Spreads fetches over time, and is no secret.
        let is_jitter = file == "renew/pace";
        assert!(
            is_jitter || !code.contains("RandomState"),
            "src/{file} draws numbers"
        );
    }
    assert!(sources["secret"].contains("aws_lc_rs::rand::fill"));
    assert!(sources["secret"].contains("struct Secret(Zeroizing<String>)"));
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

/// The words of a text that begin like an environment variable of this crate.
fn variables(text: &str) -> BTreeSet<&str> {
    text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .filter(|word| {
            ["OPENID_", "DOMAIN_", "REDIS_"]
                .iter()
                .any(|beginning| word.len() > beginning.len() && word.starts_with(beginning))
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        })
        .collect()
}

#[test]
fn every_variable_that_an_error_or_a_log_line_names_is_one_that_is_read() {
    let sources = sources();
    let mut known = variables(&sources["settings"]);
    known.extend(variables(&sources["env/names"]));
    for (file, code) in &sources {
        for name in variables(code) {
            assert!(known.contains(name), "src/{file} names {name}");
        }
    }
}

#[test]
fn the_names_of_settings_come_from_one_file() {
    let before_a_name = [
        "ConfigError::missing(",
        "ConfigError::invalid(",
        "parse_url(",
        "parse_target(",
        "within(",
        ".renamed(",
        "setting: ",
        "other: ",
    ];
    for (file, code) in sources() {
        for beginning in before_a_name {
            for after in code.split(beginning).skip(1) {
                let after = after.trim_start();
                // The one URL that is a member of the metadata and no setting.
                let is_literal = after.starts_with('"') && !after.starts_with("\"jwks_uri\"");
                let line = after.lines().next().unwrap_or_default();
                assert!(!is_literal, "src/{file} names a setting itself: {line}");
            }
        }
    }
}

#[test]
fn what_one_platform_has_stands_behind_a_cfg() {
    fn walk(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "examples"] {
        walk(&root.join(folder), &mut files);
    }
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            for platform in ["unix", "windows"] {
                if line.contains(&format!("::{platform}::")) {
                    let before = &lines[at.saturating_sub(3)..at];
                    let cfg = format!("#[cfg({platform})]");
                    let is_behind = before.iter().any(|line| line.contains(&cfg));
                    assert!(is_behind, "{}:{}: {line}", path.display(), at + 1);
                }
            }
        }
    }
}
