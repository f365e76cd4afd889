//! The page of settings against the code: no choice is missing, none is invented, and its defaults and bounds
//! are those of the code.

use std::collections::BTreeSet;
use std::fs;

use tower_oidc::env::LoginSettings;

/// A row of the page: its cells without the backticks.
struct Row {
    variables: Vec<String>,
    in_code: Vec<String>,
    default: String,
    bounds: String,
}

/// The text between backticks.
fn quoted(cell: &str) -> Vec<String> {
    let pieces = cell.split('`').skip(1).step_by(2);
    pieces.map(str::to_owned).collect()
}

/// A choice without a variable says why it has none. It has no bounds.
fn reason(why: &str) -> String {
    assert!(why.len() > 8, "a reason: {why}");
    String::new()
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string("docs/settings.md").expect("the page");
    let lines = page.lines().filter(|line| line.starts_with('|'));
    let cells = lines.map(|line| {
        let inner = line.trim_matches('|').split('|');
        inner.map(str::trim).collect::<Vec<_>>()
    });
    let rows = cells.filter(|cells| !cells[0].starts_with("---"));
    let rows = rows.filter(|cells| !["variable", "in code"].contains(&cells[0]));
    rows.map(|cells| match *cells {
        [variables, in_code, _, default, bounds] => Row {
            variables: quoted(variables),
            in_code: quoted(in_code),
            default: default.to_owned(),
            bounds: bounds.to_owned(),
        },
        [in_code, _, default, why] => Row {
            variables: Vec::new(),
            in_code: quoted(in_code),
            default: default.to_owned(),
            bounds: reason(why),
        },
        _ => panic!("a row of another form: {cells:?}"),
    })
    .collect()
}

#[test]
fn every_variable_has_its_row_and_every_row_its_variable() {
    let source = fs::read_to_string("src/settings.rs").expect("the source");
    let list = source.split("variables! {").nth(1).expect("the list");
    let list = list.split('}').next().expect("its end");
    let known: BTreeSet<_> = list.split_whitespace().map(str::to_owned).collect();
    let mut told = BTreeSet::new();
    for variable in rows().into_iter().flat_map(|row| row.variables) {
        assert!(told.insert(variable.clone()), "{variable} stands twice");
    }
    assert_eq!(known, told);
}

/// Where choices are made, and on which type.
const BUILDERS: [(&str, &str); 27] = [
    ("src/danger.rs", "DangerousProviderBuilder"),
    ("src/http_client.rs", "HttpClient"),
    ("src/http_client/ready.rs", "HttpClient"),
    ("src/provider/builder.rs", "ProviderBuilder"),
    ("src/provider/client/credentials.rs", "Client"),
    ("src/verify/builder.rs", "VerifierBuilder"),
    ("src/revocations/builder.rs", "RevocationsBuilder"),
    ("src/verify/introspection/mod.rs", "Introspection"),
    ("src/verify/issuer_source.rs", "IssuerSourceBuilder"),
    ("src/login/builder.rs", "LoginBuilder"),
    ("src/login/set.rs", "LoginSet"),
    ("src/login/hosts/layer.rs", "LoginHosts"),
    ("src/login/hosts/site.rs", "LoginSite"),
    ("src/login/hosts/source.rs", "SiteSourceBuilder"),
    ("src/login/store/postgres/mod.rs", "PostgresStore"),
    ("src/login/store/redis/mod.rs", "RedisStore"),
    ("src/login/store/sqlite/mod.rs", "SqliteStore"),
    ("src/client_keys.rs", "ClientKeys"),
    ("src/bearer/layer.rs", "BearerLayer"),
    ("src/gate/same_origin.rs", "SameOrigin"),
    ("src/outbound/layer.rs", "OutboundLayer"),
    ("src/resource_metadata.rs", "ProtectedResource"),
    ("src/outbound/token_exchange.rs", "TokenExchange"),
    ("src/token/target.rs", "Target"),
    ("src/streams/layer.rs", "StreamExpiryLayer"),
    ("src/login/store/memory.rs", "MemoryStore"),
    ("src/require/layer.rs", "RequireLayer"),
];

/// Methods that choose nothing an operator could want to know of.
const NO_CHOICES: [&str; 3] = [
    "DangerousProviderBuilder::allow_http_on_loopback",
    "DangerousProviderBuilder::allow_sender_constrained",
    "ProviderBuilder::with_shared_clock",
];

#[test]
fn every_method_that_chooses_has_its_row() {
    let told: BTreeSet<_> = rows().into_iter().flat_map(|row| row.in_code).collect();
    for (path, builder) in BUILDERS {
        let source = fs::read_to_string(path).expect("the source");
        let chosen = source.lines().filter_map(|line| {
            let name = line.trim().strip_prefix("pub fn ")?;
            let name = name.split(['(', '<']).next()?;
            let chooses = [
                "with_", "without_", "add_", "allow_", "count_", "revoke_", "require_",
            ];
            let chooses = chooses.iter().any(|verb| name.starts_with(verb))
                || [
                    "pass_through",
                    "keep_authorization",
                    "reqwest_trusting",
                    "reqwest_with_certificate",
                    "on_sign_in",
                ]
                .contains(&name);
            chooses.then(|| format!("{builder}::{name}"))
        });
        let chosen: Vec<_> = chosen.collect();
        assert!(!chosen.is_empty(), "{path} has moved");
        for method in chosen {
            let is_told = told.contains(&method) || NO_CHOICES.contains(&&*method);
            assert!(is_told, "docs/settings.md does not tell of {method}");
        }
    }
    for method in told {
        let (owner, name) = method.split_once("::").expect("a method");
        let sources = BUILDERS.iter().filter(|(_, builder)| *builder == owner);
        let sources: String = sources
            .map(|(path, _)| fs::read_to_string(path).expect("the source"))
            .collect();
        let is_there = sources.is_empty() || sources.contains(&format!("fn {name}"));
        assert!(is_there || name == "danger", "there is no {method}");
    }
}

fn with(name: &str, value: &str) -> Result<LoginSettings, tower_oidc::ConfigError> {
    let base = [
        ("OPENID_ISSUER", "https://id.example.com"),
        ("OPENID_CLIENT_ID", "site"),
        ("DOMAIN_SERVER", "https://app.example.com"),
        (
            "OPENID_SESSION_SECRET",
            "a session secret of more than 32 characters",
        ),
    ];
    let mut pairs: Vec<_> = base
        .into_iter()
        .filter(|(known, _)| *known != name)
        .collect();
    pairs.push((name, value));
    if name.starts_with("REDIS_") && name != "REDIS_URL" {
        pairs.push(("REDIS_URL", "redis://127.0.0.1"));
    }
    if ["DATABASE_TABLE_PREFIX", "DATABASE_LISTEN_URL"].contains(&name) {
        pairs.push(("DATABASE_URL", "postgres://127.0.0.1"));
    }
    LoginSettings::from_pairs(pairs)
}

/// The next value beyond a bound.
fn beyond(bound: &str, by: i64) -> Option<String> {
    if let Ok(number) = bound.parse::<i64>() {
        let next = number + by;
        return (next >= 0).then(|| next.to_string());
    }
    let bound = humantime::parse_duration(bound).expect("a duration");
    let milliseconds = i64::try_from(bound.as_millis()).expect("not so long") + by;
    // A plain number is a number of milliseconds.
    (milliseconds >= 0).then(|| milliseconds.to_string())
}

// A store of Redis connects from a runtime.
#[tokio::test]
async fn defaults_are_accepted_and_bounds_are_those_of_the_code() {
    let mut bounded = 0;
    for row in rows() {
        let Some(name) = row.variables.first() else {
            continue;
        };
        if let Some((least, most)) = row.bounds.split_once(" to ") {
            bounded += 1;
            for good in [least, most] {
                assert!(
                    with(name, good).is_ok(),
                    "{name}={good}: {:?}",
                    with(name, good)
                );
            }
            for bad in [beyond(least, -1), beyond(most, 1)].into_iter().flatten() {
                let error = with(name, &bad).expect_err(&bad).to_string();
                assert!(error.contains(name), "{name}={bad}: {error}");
            }
        }
        let default = quoted(&row.default).into_iter().next();
        let is_value = row.default.starts_with('`')
            && !default
                .as_deref()
                .is_some_and(|text| text.starts_with("DOMAIN_"));
        if let Some(default) = default.filter(|_| is_value) {
            let told = with(name, &default);
            assert!(told.is_ok(), "{name}={default}: {told:?}");
        }
    }
    assert_eq!(bounded, 12, "bounds that are checked");
}
