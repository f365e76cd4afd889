//! Every rule that is built is proven by a test: `docs/rules.md` held against the lines of ids above the
//! tests.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The longest name of a test.
const LONGEST_NAME: usize = 70;

#[derive(Debug, PartialEq, Eq)]
enum Status {
    Built,
    Planned,
    NotOffered,
}

/// A test, and the rules that the line above it names.
struct Test {
    file: String,
    name: String,
    ids: Vec<String>,
}

/// Two capitals, a hyphen and two digits, such as `BT-03`; or a decision or failure, such as `D7`.
fn is_id(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('-') {
        Some((area, number)) => {
            let is_area = area.len() == 2 && area.bytes().all(|byte| byte.is_ascii_uppercase());
            is_area && number.len() == 2 && is_number(number)
        }
        None => text.strip_prefix(['D', 'F']).is_some_and(is_number),
    }
}

/// The rules of the page, each once.
fn rules() -> BTreeMap<String, Status> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let text = fs::read_to_string(page).unwrap();
    let mut rules = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let Some(&id) = cells.get(1).filter(|cell| is_id(cell)) else {
            continue;
        };
        // Rules of standards have a level between id and status.
        let status = match cells[2] {
            "M" | "S" | "P" => cells[3],
            status => status,
        };
        let status = match status {
            "built" => Status::Built,
            "planned" => Status::Planned,
            "not offered" => Status::NotOffered,
            other => panic!("{id} has no status: {other}"),
        };
        assert!(
            rules.insert(id.to_owned(), status).is_none(),
            "{id} stands twice"
        );
    }
    rules
}

fn source_files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().unwrap() != "node_modules" {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        walk(&root.join(folder), &mut found);
    }
    found
}

/// The ids of a comment that consists of ids.
fn ids_of(line: &str) -> Option<Vec<String>> {
    let ids = line.trim().strip_prefix("// ")?.split(", ");
    let ids: Option<Vec<_>> = ids.map(|id| is_id(id).then(|| id.to_owned())).collect();
    ids
}

fn is_test(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("#[test]") || line.starts_with("#[tokio::test")
}

fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for path in source_files() {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if ids_of(line).is_some() {
                let is_above = lines.get(at + 1).is_some_and(|next| is_test(next));
                assert!(is_above, "{}: {line} stands above no test", path.display());
            }
            if !is_test(line) {
                continue;
            }
            let above = at.checked_sub(1).and_then(|above| ids_of(lines[above]));
            let signature = lines[at..].iter().find_map(|line| line.split_once("fn "));
            let (_, name) = signature.unwrap();
            tests.push(Test {
                file: path.display().to_string(),
                name: name.split('(').next().unwrap().to_owned(),
                ids: above.unwrap_or_default(),
            });
        }
    }
    tests
}

#[test]
fn every_built_rule_has_a_test() {
    let tests = tests();
    let proven = |id: &String| tests.iter().any(|test| test.ids.contains(id));
    let unproven: Vec<_> = rules()
        .into_iter()
        .filter(|(id, status)| *status == Status::Built && !proven(id))
        .map(|(id, _)| id)
        .collect();
    assert!(
        unproven.is_empty(),
        "no test names these rules, though docs/rules.md calls them built: {unproven:?}"
    );
}

#[test]
fn every_id_above_a_test_is_a_rule() {
    let rules = rules();
    for Test { file, name, ids } in tests() {
        for id in ids {
            assert!(
                rules.contains_key(&id),
                "{file}: {name}: docs/rules.md has no {id}"
            );
        }
    }
}

#[test]
fn names_of_tests_hold_no_ids_and_are_not_long() {
    for Test { file, name, .. } in tests() {
        let words: Vec<_> = name.split('_').map(str::to_ascii_uppercase).collect();
        let alone = words.iter().find(|word| is_id(word)).cloned();
        let pair = words
            .windows(2)
            .map(|pair| pair.join("-"))
            .find(|pair| is_id(pair));
        let id = alone.or(pair);
        assert!(
            id.is_none(),
            "{file}: {name}: {id:?} belongs into the line above"
        );
        let length = name.len();
        assert!(
            length <= LONGEST_NAME,
            "{file}: {name} has {length} characters"
        );
    }
}
