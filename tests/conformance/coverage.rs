//! Every module of the plans has a test or a reason: `modules.txt`, `docs/conformance.md` and the tests held together.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What begins the names of FAPI modules, which are too long for names of tests.
const FAPI: &str = "fapi2-security-profile-final-client-test-";

/// Files that are no plan.
const OTHERS: [&str; 5] = ["main", "browsing", "checks", "coverage", "site"];

/// What the reasons for having no test begin with.
const WITHOUT_TEST: [&str; 2] = ["not applicable: ", "planned: "];

/// The plans and modules of the suite, in two words a line.
fn modules() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("modules.txt").lines();
    lines
        .map(|line| line.split_once(' ').expect(line))
        .collect()
}

/// The test of a module, as `plan::name`.
fn test_of((plan, module): (&str, &str)) -> String {
    let name = module.strip_prefix(FAPI).unwrap_or(module);
    format!("{plan}::{}", name.replace('-', "_"))
}

/// The tests that there are.
fn tests() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let files = fs::read_dir(folder).unwrap();
    let sources = files.filter_map(|file| {
        let path: PathBuf = file.unwrap().path();
        let plan = path.file_stem()?.to_str()?.to_owned();
        let is_plan = path.extension()? == "rs" && !OTHERS.contains(&&*plan);
        is_plan.then(|| (plan, fs::read_to_string(&path).unwrap()))
    });
    let mut tests = BTreeSet::new();
    for (plan, source) in sources {
        for test in source.split("#[tokio::test]\n").skip(1) {
            let signature = test.strip_prefix("async fn ").expect(test);
            let (name, _) = signature.split_once('(').unwrap();
            assert!(tests.insert(format!("{plan}::{name}")));
        }
    }
    tests
}

/// The rows of the page: module, and test or reason.
fn rows() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let module = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        assert_eq!(cells.len(), 5, "{line}");
        assert!(!cells[2].is_empty(), "{line}");
        Some((module.to_owned(), cells[3].to_owned()))
    });
    rows.collect()
}

#[test]
fn every_module_has_a_test_or_a_reason() {
    let (modules, rows, tests) = (modules(), rows(), tests());
    let of_list: Vec<_> = modules.iter().map(|(_, module)| *module).collect();
    let of_page: Vec<_> = rows.iter().map(|(module, _)| module.as_str()).collect();
    assert_eq!(
        of_page, of_list,
        "the page lists the modules in their order"
    );
    let once: BTreeSet<_> = modules.iter().collect();
    assert_eq!(once.len(), modules.len(), "a module stands twice in a plan");
    let mut named = BTreeSet::new();
    for (module, (_, cell)) in modules.into_iter().zip(rows) {
        let test = test_of(module);
        let reason = WITHOUT_TEST.iter().find_map(|why| cell.strip_prefix(why));
        if let Some(reason) = reason {
            assert!(!reason.is_empty(), "{module:?}");
            assert!(!tests.contains(&test), "{test} is there, whatever {reason}");
        } else {
            assert_eq!(cell, format!("`{test}`"));
            assert!(tests.contains(&test), "{test} is missing");
            named.insert(test);
        }
    }
    assert_eq!(named, tests, "a test is of no module");
}

#[test]
fn the_page_counts_what_it_lists() {
    let page = include_str!("../../docs/conformance.md");
    let all = rows();
    let tested = all.iter().filter(|(_, cell)| cell.starts_with('`')).count();
    let told = format!("{tested} of {} have a test", all.len());
    assert!(page.contains(&told), "{told}");
}
