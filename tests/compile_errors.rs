//! Mistakes that users make, and what the compiler says about them: each program of `tests/compile_errors` is compiled, and
//! has to be refused in the words of its first lines, or accepted where they say so.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates that the programs use.
const CRATES: [&str; 10] = [
    "axum",
    "bytes",
    "http",
    "http_body_util",
    "hyper",
    "hyper_util",
    "reqwest",
    "tonic",
    "tower",
    "tower_oidc",
];

/// The features that this test was built with, so that everything is built already.
fn features() -> String {
    let features = [
        ("axum", cfg!(feature = "axum")),
        ("client", cfg!(feature = "client")),
        ("default", cfg!(feature = "default")),
        ("doctor", cfg!(feature = "doctor")),
        ("full", cfg!(feature = "full")),
        ("introspection", cfg!(feature = "introspection")),
        ("login", cfg!(feature = "login")),
        ("metrics", cfg!(feature = "metrics")),
        ("openidconnect", cfg!(feature = "openidconnect")),
        ("outbound", cfg!(feature = "outbound")),
        ("postgres", cfg!(feature = "postgres")),
        ("redis", cfg!(feature = "redis")),
        ("reqwest", cfg!(feature = "reqwest")),
        ("sqlite", cfg!(feature = "sqlite")),
        ("testing", cfg!(feature = "testing")),
        ("tonic", cfg!(feature = "tonic")),
    ];
    let on = features.iter().filter(|(_, is_on)| *is_on);
    let names: Vec<_> = on.map(|(name, _)| *name).collect();
    names.join(",")
}

/// The libraries that this test is linked with, by the name of the crate.
fn libraries() -> BTreeMap<String, PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["test", "--no-run", "--quiet", "--message-format", "json"])
        .args(["--test", "compile_errors", "--no-default-features"])
        .args(["--features", &features()]);
    let program = std::env::current_exe().unwrap();
    if program.iter().any(|part| part == "release") {
        command.arg("--release");
    }
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let direct = direct_dependencies();
    let mut found = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let name = message["target"]["name"].as_str().unwrap_or_default();
        let name = name.replace('-', "_");
        let package = message["package_id"].as_str().unwrap_or_default();
        if !CRATES.contains(&name.as_str()) || !direct.iter().any(|id| id == package) {
            continue;
        }
        let files = message["filenames"].as_array().into_iter().flatten();
        let files = files.filter_map(Value::as_str).map(PathBuf::from);
        for file in files.filter(|file| file.extension().is_some_and(|end| end == "rlib")) {
            found.insert(name.clone(), file);
        }
    }
    assert_eq!(found.len(), CRATES.len(), "{found:?}");
    found
}

/// The packages that this one names, and itself. Others of the same name may be deeper in the tree.
fn direct_dependencies() -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["metadata", "--format-version", "1", "--all-features"])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let root = &metadata["resolve"]["root"];
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| &node["id"] == root).unwrap();
    let dependencies = node["dependencies"].as_array().unwrap();
    let ids = dependencies.iter().chain([root]);
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// What the compiler says about a program. `None` if it has no complaint.
fn complaint(program: &Path, libraries: &BTreeMap<String, PathBuf>) -> Option<String> {
    let folder = libraries["tower_oidc"].parent().unwrap();
    // The library of the crate itself stands one folder above those that it needs.
    let folder = match folder.join("deps") {
        deps if deps.is_dir() => deps,
        _ => folder.to_owned(),
    };
    let mut dependencies = std::ffi::OsString::from("dependency=");
    dependencies.push(&folder);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(program.file_stem().unwrap());
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command
        .args(["--edition", "2024", "--crate-name", "program"])
        .args(["--emit", "metadata", "--cap-lints", "allow", "-o"])
        .arg(target.with_extension("rmeta"))
        .arg("-L")
        .arg(dependencies)
        .arg(program);
    for (name, library) in libraries {
        let mut named = std::ffi::OsString::from(format!("{name}="));
        named.push(library);
        command.arg("--extern").arg(named);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("E0463"), "a library is missing: {text}");
    (!output.status.success()).then_some(text)
}

/// The text in one line, because the compiler breaks lines as it likes.
fn in_one_line(text: &str) -> String {
    let words = text
        .split_whitespace()
        .filter(|word| *word != "=" && *word != "|");
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_the_compiler_says_about_common_mistakes_names_the_cure() {
    let libraries = libraries();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_errors");
    let (mut refused, mut faults) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let expected: Vec<_> = text
            .lines()
            .map_while(|line| line.strip_prefix("//! "))
            .collect();
        let said = complaint(&path, &libraries);
        if expected == ["compiles"] {
            faults.extend(said.map(|said| format!("{name} is refused\n{said}")));
            continue;
        }
        assert!(!expected.is_empty(), "{name} expects nothing");
        let said = said.unwrap_or_else(|| panic!("{name} compiles"));
        for part in expected {
            if !in_one_line(&said).contains(part) {
                faults.push(format!("{name} does not say: {part}\n{said}\n"));
            }
        }
        refused += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(refused >= 10, "{refused}");
}
