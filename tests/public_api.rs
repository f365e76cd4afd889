//! The public items, as `docs/public-api.txt` lists them: foreign types among them, and what a release may not lose in
//! silence. `.ci/public-api.sh` holds the list against the code.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn text(file: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).ok()
}

/// The items of other crates that a line names, by their paths. Those of the standard library count for none.
fn foreign(line: &str) -> Vec<&str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let paths = line.split(|letter| !is_part(letter));
    let paths = paths.filter(|path| {
        let Some((first, _)) = path.split_once("::") else {
            return false;
        };
        let is_crate = first.starts_with(|letter: char| letter.is_ascii_lowercase());
        is_crate && !["alloc", "core", "std", "tower_oidc"].contains(&first)
    });
    paths.collect()
}

/// Whether a path of the manifest, which may end with `*`, names this item.
fn allows(allowed: &str, path: &str) -> bool {
    match allowed.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == allowed || path.starts_with(&format!("{allowed}::")),
    }
}

/// The paths of the manifest: `package.metadata.cargo_check_external_types`.
fn allowed() -> Vec<String> {
    let manifest = text("Cargo.toml").unwrap();
    let (_, list) = manifest.split_once("allowed_external_types = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    let paths = list.split('"').skip(1).step_by(2);
    paths.map(str::to_owned).collect()
}

#[test]
fn foreign_types_in_public_items_are_those_of_the_manifest() {
    let items = text("docs/public-api.txt").unwrap();
    let allowed = allowed();
    let mut met = BTreeSet::new();
    for line in items.lines() {
        for path in foreign(line) {
            let by = allowed.iter().find(|allowed| allows(allowed, path));
            met.insert(by.unwrap_or_else(|| panic!("{path} is not allowed: {line}")));
        }
    }
    for allowed in &allowed {
        assert!(met.contains(allowed), "no public item names {allowed}");
    }
}

#[test]
fn a_foreign_type_is_found_wherever_it_stands_in_a_line() {
    for (line, found) in [
        (
            "pub fn tower_oidc::call(http::request::Request<B>) -> <S as tower_service::Service<B>>::Future",
            &["http::request::Request", "tower_service::Service"][..],
        ),
        (
            "pub fn tower_oidc::new(core::time::Duration, Self::Error, &str)",
            &[],
        ),
        (
            "impl<S> tower_layer::Layer<S> for tower_oidc::BearerLayer",
            &["tower_layer::Layer"],
        ),
        ("pub tower_oidc::Error::Io(url::Url)", &["url::Url"]),
    ] {
        assert_eq!(foreign(line), found);
    }
    assert!(allows("http::*", "http::request::Request"));
    assert!(!allows("http::*", "http_body::Body"));
    assert!(allows("sqlx_core::pool::Pool", "sqlx_core::pool::Pool"));
    assert!(!allows(
        "sqlx_core::pool::Pool",
        "sqlx_core::pool::PoolOptions"
    ));
}

/// The lines of the last release that are gone. A signature that changed counts, because its line is another one.
fn gone<'a>(released: &'a str, now: &str) -> Vec<&'a str> {
    let now: BTreeSet<_> = now.lines().collect();
    let released = released.lines();
    released.filter(|line| !now.contains(line)).collect()
}

/// Whether the first section of the changelog marks a change as breaking.
fn tells_of_a_break(changelog: &str) -> bool {
    let first = changelog.split("\n## ").nth(1).unwrap_or_default();
    first.contains("**breaking**")
}

#[test]
fn the_changelog_marks_what_public_items_lost_since_the_last_release() {
    let changelog = text("CHANGELOG.md").unwrap();
    let Some(released) = text("docs/public-api-released.txt") else {
        let sections = changelog.split("\n## ").skip(1);
        let released: Vec<_> = sections
            .filter(|section| !section.starts_with("Unreleased"))
            .collect();
        assert!(
            released.is_empty(),
            "there was a release: keep its docs/public-api.txt as docs/public-api-released.txt"
        );
        return;
    };
    let gone = gone(&released, &text("docs/public-api.txt").unwrap());
    assert!(
        gone.is_empty() || tells_of_a_break(&changelog),
        "the changelog marks nothing as **breaking**, and these are gone: {gone:#?}"
    );
}

#[test]
fn removed_and_changed_items_are_breaks_and_new_ones_are_not() {
    let released = "pub fn a::b()\npub fn a::c(u8)\n";
    assert!(gone(released, "pub fn a::b()\npub fn a::c(u8)\npub fn a::d()\n").is_empty());
    assert_eq!(gone(released, "pub fn a::c(u8)\n"), ["pub fn a::b()"]);
    assert_eq!(
        gone(released, "pub fn a::b()\npub fn a::c(u16)\n"),
        ["pub fn a::c(u8)"]
    );
    assert!(tells_of_a_break(
        "# C\n\n## Unreleased\n\n- a, **breaking**: b\n\n## 0.1.0\n"
    ));
    assert!(!tells_of_a_break(
        "# C\n\n## Unreleased\n\n- a: b\n\n## 0.1.0\n\n- a, **breaking**: b\n"
    ));
}
