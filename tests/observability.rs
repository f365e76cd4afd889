//! The page of what can be seen from outside, the alert rules and the dashboard, held against the source.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The rows of the page's tables that begin with this heading cell, each as its cells.
fn rows(first: &str) -> Vec<Vec<String>> {
    let page = read("src/manual/observability.md");
    let mut found = Vec::new();
    let mut is_in = false;
    for line in page.lines() {
        let Some(inner) = line.strip_prefix("| ") else {
            is_in &= line.starts_with('|');
            continue;
        };
        let cells = inner.trim_end().trim_end_matches('|').split('|');
        let cells: Vec<_> = cells.map(|cell| cell.trim().to_owned()).collect();
        if is_in {
            found.push(cells);
        } else {
            is_in = cells[0] == first;
        }
    }
    assert!(!found.is_empty(), "no table of {first}");
    found
}

/// What stands between backticks.
fn quoted(cell: &str) -> BTreeSet<String> {
    let pieces = cell.split('`').skip(1).step_by(2);
    pieces.map(str::to_owned).collect()
}

/// The code of each file without comments and tests, by its path. The development provider is no part of a service.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_str().unwrap().to_owned();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs")
                && !name.ends_with("/tests.rs")
            {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("mod tests {").next().unwrap();
                let lines = code.lines();
                let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
                found.insert(name, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    found.retain(|name, _| !name.contains("/src/testing/"));
    found
}

/// What stands within the parentheses of each call of this macro, and what of the file is before it.
fn calls<'a>(code: &'a str, called: &str) -> Vec<(&'a str, &'a str)> {
    let places = code.match_indices(called);
    places
        .map(|(at, _)| {
            let inner = &code[at + called.len()..];
            let (mut depth, mut is_text, mut is_escaped) = (1, false, false);
            let end = inner.find(|letter| {
                match letter {
                    _ if is_escaped => is_escaped = false,
                    '\\' => is_escaped = true,
                    '"' => is_text = !is_text,
                    '(' if !is_text => depth += 1,
                    ')' if !is_text => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            (&inner[..end.unwrap()], &code[..at])
        })
        .collect()
}

/// The literals in a piece of code, as they are at run time.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some((_, text)) = rest.split_once('"') {
        let end = text
            .match_indices('"')
            .find(|(at, _)| !text[..*at].ends_with('\\'))
            .map_or(text.len(), |(at, _)| at);
        let mut lines = text[..end].split("\\\n");
        let mut whole = lines.next().unwrap().to_owned();
        for line in lines {
            whole.push_str(line.trim_start());
        }
        found.push(whole);
        rest = &text[(end + 1).min(text.len())..];
    }
    found
}

/// The names of the fields of a span or an event.
fn fields(arguments: &str) -> BTreeSet<String> {
    let (mut depth, mut is_text) = (0, false);
    let pieces = arguments.split(|letter| {
        match letter {
            '"' => is_text = !is_text,
            '(' | '[' if !is_text => depth += 1,
            ')' | ']' if !is_text => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0 && !is_text
    });
    let pieces = pieces.map(str::trim).filter(|piece| !piece.is_empty());
    let pieces = pieces.filter(|piece| !piece.starts_with('"') && !piece.starts_with("target:"));
    pieces
        .map(|piece| {
            let name = piece.split(" = ").next().unwrap();
            let name = name.trim_start_matches(['%', '?']);
            name.rsplit('.').next().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn the_table_of_metrics_is_that_of_the_source() {
    let source = read("src/observe.rs");
    let mut known = BTreeMap::new();
    for function in source.split("pub(crate) fn ").skip(1) {
        let body = function.split("\n}").next().unwrap();
        let literals = literals(body);
        let name = literals.iter().find(|text| text.starts_with("tower_oidc_"));
        let name = name.unwrap_or_else(|| panic!("no metric in {body}"));
        let kind = if body.contains("measure(") || body.contains("histogram!") {
            "histogram"
        } else if body.contains("gauge!") {
            "gauge"
        } else {
            "counter"
        };
        // What precedes a value, in each of the three ways to write it.
        let mut labels = BTreeSet::new();
        for (at, literal) in literals.iter().enumerate() {
            let as_pair = ["[", ", "]
                .iter()
                .any(|before| body.contains(&format!("{before}(\"{literal}\",")));
            let as_arrow = body.contains(&format!("\"{literal}\" =>"));
            let in_count = at == 1 && body.contains("count(");
            if !literal.starts_with("tower_oidc_") && (as_pair || as_arrow || in_count) {
                labels.insert(literal.clone());
            }
        }
        let entry: &mut (&str, BTreeSet<String>) =
            known.entry(name.clone()).or_insert((kind, BTreeSet::new()));
        entry.1.append(&mut labels);
        // A function that counts two.
        for other in literals.iter().filter(|text| *text != name) {
            if other.starts_with("tower_oidc_") {
                known.entry(other.clone()).or_default().0 = kind;
            }
        }
    }
    let table = rows("metric").into_iter().map(|cells| {
        let kinds = ["counter", "gauge", "histogram"].into_iter();
        let kind = kinds.rev().find(|kind| *kind == cells[1]).unwrap();
        (cells[0].replace('`', ""), (kind, quoted(&cells[2])))
    });
    let table: BTreeMap<_, _> = table.collect();
    assert!(known.len() > 15, "{known:?}");
    assert_eq!(table, known);
}

#[test]
fn the_table_of_spans_is_that_of_the_source() {
    let mut known = BTreeMap::new();
    for code in sources().values() {
        for (arguments, _) in calls(code, "tracing::info_span!(") {
            let name = literals(arguments).swap_remove(0);
            assert!(
                known.insert(name, fields(arguments)).is_none(),
                "one name, two spans"
            );
        }
        for other in ["_span!", "#[instrument", "tracing::instrument"] {
            let all = code.matches(other).count();
            let listed = if other == "_span!" {
                code.matches("tracing::info_span!(").count()
            } else {
                0
            };
            assert_eq!(all, listed, "a span of another form");
        }
    }
    let table = rows("span").into_iter();
    let table: BTreeMap<_, _> = table
        .map(|cells| (cells[0].replace('`', ""), quoted(&cells[1])))
        .collect();
    assert!(known.len() > 4, "{known:?}");
    assert_eq!(table, known);
}

#[test]
fn the_tables_of_the_audit_trail_are_those_of_the_source() {
    let code = &sources()
        .into_iter()
        .find(|(name, _)| name.ends_with("/login/audit.rs"))
        .unwrap()
        .1;
    let (event, _) = calls(code, "tracing::info!(")[0];
    let told: BTreeSet<_> = rows("field")
        .iter()
        .map(|row| row[0].replace('`', ""))
        .collect();
    assert_eq!(told, fields(event));
    // Each word of the trail that is written here stands in the table, and the reverse.
    let mut known = BTreeSet::new();
    let body = code.split("fn signed_in(self)").nth(1).unwrap();
    let body = body.split("fn tell(").next().unwrap();
    known.extend(literals(body));
    // A refresh is told by the words of its metric.
    for (name, code) in sources() {
        if name.contains("/login/sessions/") {
            let told = calls(&code, ".refreshed(").into_iter();
            known.extend(told.flat_map(|(word, _)| literals(word)));
        }
    }
    let rotation = read("src/login/sessions/rotation.rs");
    let failed = rotation.split("async fn failed(").nth(1).unwrap();
    let words = literals(failed.split("observe::refreshed").next().unwrap());
    known.extend(words.into_iter().filter(|word| !word.contains(' ')));
    let table = rows("event");
    let table: BTreeSet<_> = table
        .iter()
        .flat_map(|row| row.iter().flat_map(|cell| quoted(cell)))
        .filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase()))
        .filter(|word| word != "sign_in_refused")
        .collect();
    assert!(known.len() > 15, "{known:?}");
    assert_eq!(table, known);
}

/// A message of the log: its text, with its levels and the names of its fields.
type Messages = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>;

fn messages() -> Messages {
    let mut found = Messages::new();
    for (name, code) in sources() {
        if name.ends_with("/login/audit.rs") {
            continue;
        }
        for level in ["info", "warn", "error"] {
            for (arguments, before) in calls(&code, &format!("tracing::{level}!(")) {
                let text = literals(arguments).pop().unwrap();
                let texts = match text
                    .strip_prefix('{')
                    .and_then(|text| text.strip_suffix('}'))
                {
                    None => vec![text],
                    Some(variable) => texts_of(variable, &code, before),
                };
                for text in texts {
                    let message = found.entry(text).or_default();
                    message.0.insert(level.to_owned());
                    message.1.append(&mut fields(arguments));
                }
            }
        }
    }
    found
}

/// The texts that a message can be which is a variable: that of its constant, or each sentence of its function.
fn texts_of(variable: &str, code: &str, before: &str) -> Vec<String> {
    if let Some((_, after)) = code.split_once(&format!("const {variable}: &str =")) {
        return vec![literals(after).swap_remove(0)];
    }
    let function = before.rsplit("fn ").next().unwrap();
    let texts = literals(function).into_iter();
    let texts: Vec<_> = texts.filter(|text| text.contains(' ')).collect();
    assert!(!texts.is_empty(), "{variable}");
    texts
}

#[test]
fn the_tables_of_messages_are_those_of_the_source() {
    let messages = messages();
    assert!(messages.len() > 60, "{}", messages.len());
    let table = rows("message");
    let mut told = BTreeSet::new();
    for row in &table {
        let mut fitting = messages
            .iter()
            .filter(|(text, _)| text.starts_with(&row[0]));
        let (Some((text, (levels, fields))), None) = (fitting.next(), fitting.next()) else {
            panic!("no message, or several, begin so: {}", row[0]);
        };
        let in_row: BTreeSet<_> = row[1].split(", ").map(str::to_owned).collect();
        assert_eq!((&in_row, &quoted(&row[2])), (levels, fields), "{text}");
        assert!(told.insert(text), "twice in the table: {text}");
        assert!(row[3].len() > 2, "no meaning: {text}");
    }
    let missing: Vec<_> = messages
        .keys()
        .filter(|text| !told.contains(text))
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:#?}");
}

/// Each name of a metric in a text, with what stands in its braces.
fn used(text: &str) -> Vec<(String, String)> {
    let places = text.match_indices("tower_oidc_").map(|(at, _)| &text[at..]);
    places
        .map(|rest| {
            let is_of_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
            let end = rest
                .find(|letter| !is_of_name(letter))
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let braces = after
                .strip_prefix('{')
                .and_then(|inner| inner.split('}').next());
            (name.to_owned(), braces.unwrap_or_default().to_owned())
        })
        .collect()
}

#[test]
fn alerts_and_dashboard_use_metrics_as_they_are() {
    let metrics: BTreeMap<_, _> = rows("metric")
        .into_iter()
        .map(|cells| (cells[0].replace('`', ""), cells))
        .collect();
    let errors: String = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("docs/observability/dashboard.json")).unwrap();
    let mut expressions = vec![read("docs/observability/alerts.yaml")];
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().unwrap().iter();
        expressions.extend(targets.map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    let mut count = 0;
    for (name, braces) in expressions.iter().flat_map(|text| used(text)) {
        let base = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let is_histogram = |cells: &&Vec<String>| cells[1] == "histogram";
        let cells = match base {
            Some(base) => metrics.get(base).filter(is_histogram),
            None => metrics.get(&name).filter(|cells| !is_histogram(cells)),
        };
        let cells = cells.unwrap_or_else(|| panic!("no such metric: {name}"));
        count += 1;
        for pair in braces.split(", ").filter(|pair| !pair.is_empty()) {
            let (label, values) = pair.split_once(['=', '!']).unwrap();
            if label == "job" {
                continue;
            }
            assert!(quoted(&cells[2]).contains(label), "{name} has no {label}");
            let values = values.trim_start_matches(['=', '~']).trim_matches('"');
            for value in values.split('|') {
                let is_word = quoted(&cells[3]).contains(value);
                let is_kind = errors.contains(&format!("name: \"{value}\""));
                let is_of_errors = cells[3].contains("kind") && is_kind;
                assert!(is_word || is_of_errors, "{name} is never {value}");
            }
        }
    }
    assert!(count > 25, "{count}");
}

#[test]
fn each_alert_has_a_threshold_and_a_test_and_says_what_to_do() {
    let alerts = read("docs/observability/alerts.yaml");
    let tests = read("docs/observability/alerts_test.yaml");
    let rules: Vec<_> = alerts.split("- alert: ").skip(1).collect();
    assert!(rules.len() > 5, "{}", rules.len());
    for rule in rules {
        for part in ["expr:", " > ", "severity:", "summary:", "description:"] {
            assert!(rule.contains(part), "no {part} in {rule}");
        }
        let name = rule.lines().next().unwrap();
        let fires = format!("alertname: {name}\n        exp_alerts:\n");
        let is_silent = format!("alertname: {name}, exp_alerts: []");
        for shown in [fires, is_silent] {
            assert!(tests.contains(&shown), "no test shows {shown}");
        }
    }
}
