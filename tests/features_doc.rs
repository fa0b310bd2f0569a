//! What docs/features.md says is proven is proven by a test that exists.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The names in backticks that are paths of nothing but small letters: tests.
fn quoted(text: &str) -> Vec<&str> {
    let is_name = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|code| code.contains("::") && code.split("::").all(is_name))
        .collect()
}

/// Why there is no test of this name (`BINARY::TEST` or `BINARY::MODULE::TEST`), if there is none.
fn complaint(name: &str) -> Option<String> {
    let parts: Vec<_> = name.split("::").collect();
    let binary = root().join("tests").join(format!("{}.rs", parts[0]));
    let Some(text) = read(&binary) else { return Some(format!("{name}: no such binary")) };
    let (path, source): (PathBuf, _) = match parts[1..] {
        [_] => (binary, Some(text)),
        [module, _] => {
            let has = |line: &str| {
                line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == module)
            };
            if !text.lines().filter(|line| !line.trim().starts_with("//")).any(has) {
                return Some(format!("{name}: the binary has no such module"));
            }
            let path = root().join("tests/cases").join(format!("{module}.rs"));
            (path.clone(), read(&path))
        }
        _ => return Some(format!("{name}: neither BINARY::TEST nor BINARY::MODULE::TEST")),
    };
    let Some(source) = source else { return Some(format!("{name}: no file {}", path.display())) };
    let test = parts[parts.len() - 1];
    let exists = if parts.len() == 2 && has_no_harness(parts[0]) {
        // It runs what stands in its list, and nothing else.
        source.contains(&format!("\nfn {test}(")) && listed(&source).any(|case| case == test)
    } else {
        // Written out, or the first argument of a macro that makes tests.
        let forms = [format!("\nfn {test}() {{"), format!("!({test}, ")];
        forms.iter().any(|form| source.contains(form))
    };
    (!exists).then(|| format!("{name}: no such test in {}", path.display()))
}

/// Whether a binary calls its cases itself.
fn has_no_harness(binary: &str) -> bool {
    let manifest = read(&root().join("Cargo.toml")).unwrap();
    manifest.contains(&format!("[[test]]\nname = \"{binary}\"\nharness = false\n"))
}

/// The names in the lists of cases, `cases![…]`.
fn listed(source: &str) -> impl Iterator<Item = &str> {
    let lists = source.split("cases![").skip(1).filter_map(|rest| rest.split(']').next());
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

#[test]
fn every_test_that_the_table_of_features_names_exists() {
    let text = read(&root().join("docs/features.md")).unwrap();
    let names = quoted(&text);
    assert!(names.len() > 50, "only {} names found: has their notation changed?", names.len());
    let complaints: Vec<_> = names.iter().filter_map(|name| complaint(name)).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_row_that_says_yes_names_a_test() {
    let text = read(&root().join("docs/features.md")).unwrap();
    let silent: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with('|') && line.contains("**yes"))
        .filter(|line| quoted(line).is_empty())
        .collect();
    assert!(silent.is_empty(), "\n{}", silent.join("\n"));
}

#[test]
fn a_name_without_a_test_is_found_out() {
    let right = "features_doc::a_name_without_a_test_is_found_out";
    assert_eq!(complaint(right), None);
    for wrong in ["nowhere::x", "features_doc::x", "io::nowhere::x", "io::io_edge::x"] {
        assert!(complaint(wrong).is_some(), "{wrong}");
    }
}

#[test]
fn a_case_of_a_binary_without_a_harness_must_be_in_its_list() {
    assert!(has_no_harness("faults_probe") && !has_no_harness("features_doc"));
    let source = "main(cases![\n    one,\n    two,\n]);\nfn one() {}\nfn three() {}";
    assert_eq!(listed(source).filter(|case| !case.is_empty()).collect::<Vec<_>>(), ["one", "two"]);
}
