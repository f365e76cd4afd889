//! What the pages tell readers to type exists: programs, features, scripts, settings, and the crates below which a program
//! compiles.
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

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|end| end == extension)
}

fn files(folder: &str, extension: &str) -> Vec<String> {
    let files = fs::read_dir(root().join(folder)).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|end| end == extension));
    let names = paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    names.map(|name| format!("{folder}/{name}")).collect()
}

/// The pages, and the first lines of the examples, each with its name and text.
fn pages() -> Vec<(String, String)> {
    let mut names = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    names.extend(files("src/manual", "md"));
    names.extend(files("docs", "md"));
    let pages = names.into_iter().map(|name| {
        let text = text(&name);
        (name, text)
    });
    let examples = files("examples", "rs").into_iter().map(|name| {
        let text = text(&name);
        let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
        let lines: Vec<_> = lines
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        (name, lines.join("\n"))
    });
    pages.chain(examples).collect()
}

/// The blocks of code, each with its kind.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```").skip(1).step_by(2);
    blocks
        .map(|block| block.split_once('\n').unwrap())
        .collect()
}

/// What a reader types: the lines of blocks, each whole, and what stands between backticks.
fn commands(page: &str) -> Vec<String> {
    let of_blocks = blocks(page).into_iter().filter(|(kind, _)| *kind == "sh");
    let of_blocks = of_blocks.flat_map(|(_, block)| {
        let whole = block.replace("\\\n", " ");
        whole.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let prose: String = page.split("```").step_by(2).collect();
    let quoted = prose.split('`').skip(1).step_by(2).map(str::to_owned);
    of_blocks.chain(quoted.collect::<Vec<_>>()).collect()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--format-version", "1", "--all-features"])
        .output()
        .unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// This package, among those of the metadata.
fn package(metadata: &Value) -> &Value {
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .find(|package| package["name"] == "tower-oidc")
        .unwrap()
}

/// All features that these turn on.
fn turned_on(package: &Value, features: &[&str]) -> BTreeSet<String> {
    let mut on = BTreeSet::new();
    let mut rest: Vec<_> = features.iter().map(|&feature| feature.to_owned()).collect();
    while let Some(feature) = rest.pop() {
        if !on.insert(feature.clone()) {
            continue;
        }
        if let Some(further) = package["features"][&feature].as_array() {
            rest.extend(further.iter().map(|name| name.as_str().unwrap().to_owned()));
        }
    }
    on
}

fn after<'a>(words: &[&'a str], option: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| *word == option)?;
    words.get(at + 1).copied()
}

#[test]
fn each_example_that_a_page_runs_exists_and_has_its_features() {
    let metadata = metadata();
    let package = package(&metadata);
    let targets = package["targets"].as_array().unwrap();
    let mut found = 0;
    for (page, text) in pages() {
        for command in commands(&text) {
            let words: Vec<_> = command.split_whitespace().collect();
            let example = after(&words, "--example").filter(|_| words.contains(&"cargo"));
            let Some(example) = example else {
                continue;
            };
            let is_it =
                |target: &&Value| target["name"] == example && target["kind"][0] == "example";
            let target = targets.iter().find(is_it);
            let target = target.unwrap_or_else(|| panic!("{page} runs {example}"));
            found += 1;
            if words.contains(&"--all-features") {
                continue;
            }
            let features = after(&words, "--features").unwrap_or_default();
            let named: Vec<_> = features.split(',').chain(["default"]).collect();
            let on = turned_on(package, &named);
            for needed in target["required-features"].as_array().into_iter().flatten() {
                let needed = needed.as_str().unwrap();
                assert!(on.contains(needed), "{page}: {example} needs {needed}");
            }
        }
    }
    assert!(found > 30, "{found}");
}

#[test]
fn each_script_and_test_that_a_page_runs_exists() {
    let metadata = metadata();
    let targets = package(&metadata)["targets"].as_array().unwrap();
    let mut found = 0;
    for (page, text) in pages() {
        for command in commands(&text) {
            let words: Vec<_> = command.split_whitespace().collect();
            // Settings stand before the program.
            let program = words.iter().find(|word| !word.contains('='));
            if let Some(script) = program.filter(|word| has_extension(word, "sh")) {
                assert!(root().join(script).exists(), "{page} runs {script}");
                found += 1;
            }
            if let Some(test) = after(&words, "--test").filter(|_| words.contains(&"cargo")) {
                let is_it = |target: &Value| target["name"] == test && target["kind"][0] == "test";
                assert!(targets.iter().any(is_it), "{page} runs {test}");
                found += 1;
            }
        }
    }
    assert!(found > 8, "{found}");
}

/// Settings of the programs of this repository that are none of the crate.
const OF_PROGRAMS: [&str; 9] = [
    "CALLS",
    "HOST",
    "PORT",
    "REDIS_URL",
    "RUST_LOG",
    "STORE",
    "TOKEN",
    "UPSTREAM_HEADERS",
    "UPSTREAM_URL",
];

#[test]
fn each_setting_before_a_command_is_known() {
    let settings = text("docs/settings.md");
    let mut found = 0;
    for (page, text) in pages() {
        for command in commands(&text) {
            let words = command.split_whitespace();
            for name in words.map_while(|word| Some(word.split_once('=')?.0)) {
                let of_a_name = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
                let is_name = |name: &str| !name.is_empty() && name.bytes().all(of_a_name);
                if !is_name(name) {
                    continue;
                }
                let is_known =
                    settings.contains(&format!("`{name}`")) || OF_PROGRAMS.contains(&name);
                assert!(is_known, "{page} sets {name}");
                found += 1;
            }
        }
    }
    assert!(found > 20, "{found}");
}

#[test]
fn the_development_provider_has_the_client_and_the_port_that_pages_name() {
    let embedded = text("examples/support/embedded.rs");
    let constant = |name: &str| {
        let (_, rest) = embedded
            .split_once(&format!("const {name}: &str = \""))
            .unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let provider = text("examples/provider.rs");
    let (_, rest) = provider.split_once("support::port(\"").unwrap();
    let issuer = format!("http://127.0.0.1:{}", rest.split_once('"').unwrap().0);
    let known = [
        ("OPENID_ISSUER=", issuer.clone()),
        ("OPENID_CLIENT_ID=", constant("CLIENT_ID")),
        ("OPENID_CLIENT_SECRET=", constant("CLIENT_SECRET")),
        ("OPENID_AUDIENCE=", constant("AUDIENCE")),
        ("client_id=", constant("CLIENT_ID")),
        ("client_secret=", constant("CLIENT_SECRET")),
        ("audience=", constant("AUDIENCE")),
    ];
    let mut found = 0;
    for (page, text) in pages() {
        let commands = commands(&text);
        for command in commands.iter().filter(|command| command.contains(&issuer)) {
            for word in command.split_whitespace() {
                for (name, value) in &known {
                    if let Some(written) = word.strip_prefix(name) {
                        assert_eq!(written, value, "{page}: {command}");
                        found += 1;
                    }
                }
            }
        }
    }
    assert!(found >= 10, "{found}");
}

/// The crates that a program names, as in `Cargo.toml`.
fn used(program: &str, known: &BTreeSet<String>) -> BTreeSet<String> {
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut used = BTreeSet::new();
    for (at, _) in program.match_indices("::") {
        let before = &program[..at];
        let start = before
            .rfind(|letter| !is_of_a_name(letter))
            .map_or(0, |at| at + 1);
        // A part of a path is no crate.
        if before[..start].ends_with("::") {
            continue;
        }
        let name = before[start..].replace('_', "-");
        if known.contains(&name) {
            used.insert(name);
        }
    }
    used
}

#[test]
fn each_program_of_a_page_stands_below_the_crates_that_it_uses() {
    let metadata = metadata();
    let packages: BTreeMap<_, _> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["name"].as_str().unwrap(), package))
        .collect();
    let own = package(&metadata);
    let dependencies = own["dependencies"].as_array().unwrap();
    let mut known: BTreeSet<_> = dependencies
        .iter()
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect();
    known.insert("tower-oidc".to_owned());
    let shapes = [
        "api",
        "site",
        "gateway",
        "service_to_service",
        "grpc",
        "hyper",
        "mcp",
    ];
    let mut with_programs: Vec<_> = shapes
        .iter()
        .map(|name| format!("src/manual/{name}.md"))
        .collect();
    with_programs.push("README.md".to_owned());
    for page in with_programs {
        let text = text(&page);
        let mut crates = BTreeMap::new();
        let mut programs = 0;
        for (kind, block) in blocks(&text) {
            if kind == "toml" {
                let lines = block.lines().filter_map(|line| line.split_once(" = "));
                crates = lines
                    .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
                    .collect();
            }
            let is_program = block.contains("fn main()") && block.contains("tower_oidc");
            if !is_program || !["", "rust", "no_run"].contains(&kind) {
                continue;
            }
            programs += 1;
            for name in used(block, &known) {
                assert!(crates.contains_key(&name), "{page}: a program uses {name}");
            }
            for (name, rest) in &crates {
                let dependency = packages.get(name.as_str());
                let dependency = dependency.unwrap_or_else(|| panic!("{page} names {name}"));
                let version = rest.split('"').nth(1).unwrap();
                let whole = dependency["version"].as_str().unwrap();
                assert!(
                    whole.starts_with(&format!("{version}.")),
                    "{page}: {name} is {whole}"
                );
                let features = rest.split_once("features = [").map_or("", |(_, rest)| rest);
                for feature in features.split('"').skip(1).step_by(2) {
                    assert!(
                        !dependency["features"][feature].is_null(),
                        "{page}: {name} has no {feature}"
                    );
                }
            }
        }
        assert!(programs > 0, "{page}");
    }
}
