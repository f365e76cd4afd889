//! The manual's pages name tests, files and settings: they exist.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages, each with its name and text.
fn pages() -> Vec<(String, String)> {
    let files = fs::read_dir(root().join("src/manual")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let pages: Vec<_> = files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    assert!(pages.len() > 10, "{}", pages.len());
    pages
}

/// What stands between backticks, outside of blocks of code.
fn quoted(page: &str) -> Vec<&str> {
    let text = page.split("```").step_by(2);
    text.flat_map(|text| text.split('`').skip(1).step_by(2))
        .collect()
}

/// Each function of the tests.
fn functions() -> BTreeSet<String> {
    fn read(folder: PathBuf, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "node_modules") {
                read(path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let names = text.split("fn ").skip(1);
                let names = names.filter_map(|rest| rest.split(['(', '<']).next());
                found.extend(names.map(str::to_owned));
            }
        }
    }
    let mut found = BTreeSet::new();
    for folder in ["tests", "src"] {
        read(root().join(folder), &mut found);
    }
    found
}

fn is_name_of_a_test(text: &str) -> bool {
    let of_a_name =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let is_metric = text.starts_with("tower_oidc_");
    !is_metric && text.matches('_').count() >= 4 && text.chars().all(of_a_name)
}

#[test]
fn each_test_that_a_page_names_exists() {
    let functions = functions();
    let mut found = 0;
    for (page, text) in pages() {
        for name in quoted(&text)
            .into_iter()
            .filter(|text| is_name_of_a_test(text))
        {
            assert!(functions.contains(name), "{page} names {name}");
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}

#[test]
fn each_file_that_a_page_names_exists() {
    for (page, text) in pages() {
        for name in quoted(&text) {
            if ["tests/", "docs/", "examples/", "src/"]
                .iter()
                .any(|start| name.starts_with(start))
            {
                assert!(root().join(name).exists(), "{page} names {name}");
            }
        }
    }
}

#[test]
fn each_setting_that_a_page_names_is_in_the_table() {
    let settings = fs::read_to_string(root().join("docs/settings.md")).unwrap();
    // Other applications' settings, on the page that compares them.
    let known = |name: &str| settings.contains(&format!("`{name}`"));
    let is_of_a_name = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    for (page, text) in pages() {
        for start in ["OPENID_", "REDIS_", "DOMAIN_", "DATABASE_"] {
            for (at, _) in text.match_indices(start) {
                if text[..at].ends_with(is_of_a_name) {
                    continue;
                }
                let rest = &text[at..];
                let end = rest
                    .find(|letter| !is_of_a_name(letter))
                    .unwrap_or(rest.len());
                assert!(known(&rest[..end]), "{page} names {}", &rest[..end]);
            }
        }
    }
}

#[test]
fn each_metric_that_a_page_names_is_counted() {
    let observe = fs::read_to_string(root().join("src/observe.rs")).unwrap();
    for (page, text) in pages() {
        for name in quoted(&text)
            .into_iter()
            .filter(|name| name.starts_with("tower_oidc_"))
        {
            let name = name.split('{').next().unwrap();
            assert!(
                observe.contains(&format!("\"{name}\"")),
                "{page} names {name}"
            );
        }
    }
}

/// The names that errors have in the log and on pages.
fn names_of_errors() -> String {
    let files = fs::read_dir(root().join("src/error")).unwrap();
    let texts = files.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    texts.collect()
}

#[test]
fn each_kind_and_code_in_the_tables_of_symptoms_exists() {
    let pages = pages();
    let (_, text) = pages.iter().find(|(name, _)| name == "symptoms").unwrap();
    let errors = names_of_errors();
    let mut found = 0;
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let (_, cells) = row.split_at(2);
        let (first, _) = cells.split_once(" |").unwrap();
        let names = quoted(first).into_iter();
        let names = names.filter(|name| !name.starts_with("tower_oidc_"));
        for name in names.filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        }) {
            assert!(errors.contains(&format!("name: \"{name}\"")), "{name}");
            found += 1;
        }
    }
    assert!(found > 15, "{found}");
}

#[test]
fn each_page_about_a_shape_of_service_says_what_can_go_wrong_in_few_lines() {
    for shape in [
        "api",
        "site",
        "gateway",
        "service_to_service",
        "grpc",
        "hyper",
        "mcp",
    ] {
        let (_, text) = pages().into_iter().find(|(name, _)| name == shape).unwrap();
        assert!(text.contains("# What can go wrong"), "{shape}");
        let blocks = text.split("```").skip(1).step_by(2);
        let mut blocks = blocks.filter(|block| !block.starts_with("toml\n"));
        let code = blocks.next().unwrap();
        assert!(
            code.lines().count() < 40,
            "{shape}: {}",
            code.lines().count()
        );
    }
}

#[test]
fn each_provider_says_how_far_it_was_tested() {
    let (_, text) = pages()
        .into_iter()
        .find(|(name, _)| name == "providers")
        .unwrap();
    let sections = text.split("\n# ").skip(1);
    let mut providers = 0;
    for section in sections.filter(|section| !section.starts_with("Another")) {
        let (_, tested) = section
            .split_once("\nTested: ")
            .unwrap_or_else(|| panic!("{section}"));
        let is_labelled = ["**Provider**", "**Shapes**", "**Documentation**"]
            .iter()
            .any(|label| tested.starts_with(label));
        assert!(is_labelled, "{tested}");
        providers += 1;
    }
    assert!(providers >= 14, "{providers}");
}
