//! The manual lists every code that the doctor tells, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The source of the doctor, without its tests.
fn source() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor");
    let files = fs::read_dir(folder).unwrap();
    let texts = files.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    texts
        .map(|text| text.split("mod tests {").next().unwrap().to_owned())
        .collect()
}

/// The first texts of the constructors, and the codes of what is missing.
fn codes_in_source(source: &str) -> BTreeSet<&str> {
    let constructors = ["right(", "note(", "wrong(", "new("];
    let after = constructors
        .iter()
        .flat_map(|constructor| source.split(constructor).skip(1));
    let called = after.filter_map(|rest| {
        rest.split([',', ')'])
            .find_map(|part| part.trim().strip_prefix('"'))
    });
    let named = source.split('"').filter(|text| text.ends_with("_missing"));
    called
        .map(|text| text.trim_end_matches('"'))
        .chain(named)
        .filter(|text| is_code(text))
        .collect()
}

fn is_code(text: &str) -> bool {
    text.contains('_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[test]
fn each_code_stands_on_the_page_of_the_doctor_and_no_other() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/doctor.md");
    let page = fs::read_to_string(page).unwrap();
    let source = source();
    let codes = codes_in_source(&source);
    assert!(codes.len() > 80, "{}", codes.len());
    let lacking: Vec<_> = codes
        .iter()
        .filter(|code| !page.contains(&format!("`{code}`")))
        .collect();
    assert!(lacking.is_empty(), "src/manual/doctor.md lacks {lacking:?}");
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let first = row.split(" | ").next().unwrap();
        for code in first
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|text| is_code(text))
        {
            assert!(
                source.contains(&format!("\"{code}\"")),
                "there is no {code}"
            );
        }
    }
}
