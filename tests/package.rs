//! What is published: the files of the package, the links of its pages, its features, and the Rust that it needs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What cargo prints.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

fn packaged() -> BTreeSet<String> {
    let list = cargo(&["package", "--list", "--allow-dirty"]);
    list.lines().map(|file| file.replace('\\', "/")).collect()
}

/// The pages of Markdown, below the root.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> = ["README", "CHANGELOG", "CONTRIBUTING", "SECURITY"]
        .map(|page| format!("{page}.md"))
        .into();
    for folder in ["docs", "src/manual"] {
        let files = fs::read_dir(root().join(folder)).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let names = names.filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "md")
        });
        pages.extend(names.map(|name| format!("{folder}/{name}")));
    }
    pages
}

/// The text outside of blocks of code.
fn prose(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

/// The targets of a page's links, written in place or below.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let in_place = prose.split("](").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        Some(target.to_owned())
    });
    let below = prose.lines().filter_map(|line| {
        let (_, target) = line.strip_prefix('[')?.split_once("]: ")?;
        Some(target.trim().to_owned())
    });
    in_place.chain(below).collect()
}

/// The fragment by which rustdoc and forges find a heading.
fn fragments(page: &str) -> BTreeSet<String> {
    let prose = prose(page);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let names = headings.map(|heading| {
        let name = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = name
            .chars()
            .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter })
            .collect()
    });
    names.collect()
}

/// The files of Markdown that are pages of the documentation too, by the module that includes each.
fn included() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (source, above) in [
        ("src/env/mod.rs", "env"),
        ("src/testing/mod.rs", "testing"),
        ("src/manual/mod.rs", "manual/"),
    ] {
        let text = text(source);
        let mut file = None;
        let folder = Path::new(source).parent().unwrap().to_str().unwrap();
        for line in text.lines() {
            if let Some((_, rest)) = line.split_once("include_str!(\"") {
                let (name, _) = rest.split_once('"').unwrap();
                file = Some(match name.strip_prefix("../../") {
                    Some(below_root) => below_root.to_owned(),
                    None => format!("{folder}/{name}"),
                });
            }
            let module = line.strip_prefix("pub mod ");
            let module = module.and_then(|rest| rest.split([' ', ';']).next());
            let module = match module {
                Some(module) if above.ends_with('/') => format!("{above}{module}"),
                _ if above.ends_with('/') => continue,
                _ => above.to_owned(),
            };
            if let Some(file) = file.take() {
                found.insert(module, file);
            }
        }
    }
    found
}

/// What is wrong with a link of `page`.
fn fault(page: &str, link: &str, packaged: &BTreeSet<String>) -> Option<&'static str> {
    let included = included();
    let (address, fragment) = link.split_once('#').unwrap_or((link, ""));
    let leads_nowhere =
        |file: &str| !fragment.is_empty() && !fragments(&text(file)).contains(fragment);
    let is_rustdoc = included.values().any(|file| file == page);
    if address.is_empty() {
        return leads_nowhere(page).then_some("no such heading");
    }
    if address.starts_with("crate::") {
        // rustdoc follows these, and denies those that lead nowhere.
        return (!page.starts_with("src/manual/")).then_some("only rustdoc knows it");
    }
    if let Some(module) = address.strip_prefix("https://docs.rs/tower-oidc/latest/tower_oidc/") {
        if module == "manual/index.html" {
            return leads_nowhere("src/manual/mod.rs").then_some("no such heading");
        }
        let file = module
            .strip_suffix("/index.html")
            .and_then(|module| included.get(module));
        return match file {
            None => Some("no such page"),
            Some(file) => leads_nowhere(file).then_some("no such heading"),
        };
    }
    if let Some(file) = address.strip_prefix("https://docs.rs/crate/tower-oidc/latest/source/") {
        return (!packaged.contains(file)).then_some("not in the package");
    }
    if address.starts_with("https://") {
        return None;
    }
    if page == "README.md" || is_rustdoc {
        return Some("relative, which leads nowhere on crates.io and docs.rs");
    }
    (!packaged.contains(address)).then_some("not in the package")
}

#[test]
fn each_link_of_the_pages_leads_somewhere() {
    let packaged = packaged();
    let mut found = 0;
    for page in pages() {
        for link in links(&text(&page)) {
            let fault = fault(&page, &link, &packaged);
            assert_eq!(fault, None, "{page} links to {link}");
            found += 1;
        }
    }
    assert!(found > 80, "{found}");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let packaged = packaged();
    let rustdoc = "https://docs.rs/tower-oidc/latest/tower_oidc";
    let source = "https://docs.rs/crate/tower-oidc/latest/source";
    for (page, link, is_good) in [
        ("README.md", "docs/settings.md", false),
        ("README.md", "#no-such-heading", false),
        ("README.md", "crate::Policy", false),
        ("README.md", "http://example.com", false),
        ("docs/settings.md", "operations.md", false),
        ("SECURITY.md", "tests/it/main.rs", false),
        ("SECURITY.md", "docs/settings.md", true),
        ("src/manual/api.md", "crate::Policy", true),
    ] {
        let fault = fault(page, link, &packaged);
        assert_eq!(fault.is_none(), is_good, "{page} {link}: {fault:?}");
    }
    for (link, is_good) in [
        (format!("{rustdoc}/env/index.html"), true),
        (format!("{rustdoc}/manual/nothing/index.html"), false),
        (
            format!("{rustdoc}/manual/replicas/index.html#nothing"),
            false,
        ),
        (
            format!("{rustdoc}/manual/replicas/index.html#what-replicas-share"),
            true,
        ),
        (format!("{source}/docs/rules.md"), true),
        (format!("{source}/tests/rules.rs"), false),
    ] {
        let fault = fault("README.md", &link, &packaged);
        assert_eq!(fault.is_none(), is_good, "{link}: {fault:?}");
    }
    assert_eq!(
        links("[a](b) `c`\n```\n[d](e)\n```\n\n[f]: g\n"),
        ["b", "g"]
    );
}

#[test]
fn the_package_has_sources_pages_and_examples_alone() {
    let at_root = [
        ".cargo_vcs_info.json",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "Cargo.toml.orig",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "SECURITY.md",
    ];
    let packaged = packaged();
    for file in &packaged {
        let is_known = match file.split_once('/') {
            None => at_root.contains(&file.as_str()),
            Some(("src" | "examples", _)) => true,
            Some(("docs", page)) => {
                page.starts_with("observability/")
                    || Path::new(page).extension().is_some_and(|end| end == "md")
            }
            Some(_) => false,
        };
        assert!(is_known, "{file} is published");
    }
    for file in [
        "src/lib.rs",
        "docs/settings.md",
        "examples/web/app.css",
        "LICENSE-MIT",
    ] {
        assert!(packaged.contains(file), "{file} is not published");
    }
}

/// The packages of the manifest's dependencies with these features.
fn metadata(features: &str) -> Value {
    let host = Command::new("rustc").arg("-vV").output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let text = cargo(&[
        "metadata",
        "--locked",
        "--format-version=1",
        "--no-default-features",
        "--features",
        features,
        "--filter-platform",
        host.unwrap(),
    ]);
    serde_json::from_str(&text).unwrap()
}

/// The newest Rust that a package asks for among those that users of these features build.
fn newest_rust(features: &str) -> ((u32, u32), String) {
    let metadata = metadata(features);
    let by_id = |list: &Value| -> BTreeMap<String, Value> {
        let entries = list.as_array().unwrap().iter();
        let named = entries.map(|entry| (entry["id"].as_str().unwrap().to_owned(), entry.clone()));
        named.collect()
    };
    let (packages, nodes) = (
        by_id(&metadata["packages"]),
        by_id(&metadata["resolve"]["nodes"]),
    );
    let mut ahead = vec![metadata["resolve"]["root"].as_str().unwrap()];
    let mut built = BTreeSet::new();
    while let Some(id) = ahead.pop() {
        if built.insert(id) {
            let used = nodes[id]["deps"].as_array().unwrap().iter();
            let used = used.filter(|used| {
                let kinds = used["dep_kinds"].as_array().unwrap();
                kinds.iter().any(|kind| kind["kind"] != "dev")
            });
            ahead.extend(used.map(|used| used["pkg"].as_str().unwrap()));
        }
    }
    assert!(built.len() > 100, "{}", built.len());
    let versions = built.into_iter().filter_map(|id| {
        let package = &packages[id];
        let mut parts = package["rust_version"].as_str()?.split('.');
        let mut part = || parts.next().map_or(0, |part| part.parse().unwrap());
        Some(((part(), part()), package["name"].to_string()))
    });
    versions.max().unwrap()
}

/// The features, but for those that only add up others.
fn features() -> BTreeSet<String> {
    let metadata = metadata("");
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages
        .iter()
        .find(|package| package["name"] == "tower-oidc")
        .unwrap();
    let names = own["features"].as_object().unwrap().keys().cloned();
    let names = names.filter(|name| !["default", "full", "client"].contains(&name.as_str()));
    names.collect()
}

#[test]
fn no_dependency_needs_a_newer_rust_than_the_manifest_promises() {
    let features = features();
    let all_but = |left_out: &[&str]| {
        let kept = features.iter().map(String::as_str);
        let kept: Vec<_> = kept.filter(|name| !left_out.contains(name)).collect();
        kept.join(",")
    };
    let (newest, package) = newest_rust(&all_but(&["postgres", "sqlite"]));
    assert_eq!(newest, (1, 88), "{package}");
    // sqlx asks for it, and the README says so.
    let (newest, package) = newest_rust(&all_but(&[]));
    assert_eq!(newest, (1, 94), "{package}");
    assert!(text("README.md").contains("needs Rust 1.94"));
    assert!(text("Cargo.toml").contains("\nrust-version = \"1.88\"\n"));
}

#[test]
fn each_feature_is_in_the_tables_of_the_readme_and_the_documentation() {
    for (page, start) in [("README.md", "| `"), ("src/lib.rs", "//! | `")] {
        let page_text = text(page);
        for feature in features() {
            let is_told = page_text
                .lines()
                .any(|line| line.starts_with(&format!("{start}{feature}`")));
            assert!(is_told, "{page} does not tell of the feature {feature}");
        }
    }
}
