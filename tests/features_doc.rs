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

/// Why there is no test of this name (`BINARY::TEST`, `BINARY::MODULE::TEST`, that with the folder of the module
/// before it, or `lib::` and the path of a unit test), if there is none.
fn complaint(name: &str) -> Option<String> {
    let parts: Vec<_> = name.split("::").collect();
    let (test, path) = (parts[parts.len() - 1], &parts[1..parts.len() - 1]);
    if parts[0] == "lib" {
        return unit_test(name, path, test);
    }
    let tests = root().join("tests");
    let files = [format!("{}.rs", parts[0]), format!("{}/main.rs", parts[0])];
    let binary = files.iter().map(|file| tests.join(file)).find(|file| file.exists());
    let Some(binary) = binary else { return Some(format!("{name}: no such binary")) };
    let Some(text) = read(&binary) else { return Some(format!("{name}: no such binary")) };
    // The modules of a binary that is a folder are in it; those of a file stand where it says.
    let folder = if binary.ends_with("main.rs") { parts[0] } else { "cases" };
    let (path, source): (PathBuf, _) = match *path {
        [] => (binary, Some(text)),
        [module] | [_, module] => {
            let has = |line: &str| {
                line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == module)
            };
            if !text.lines().filter(|line| !line.trim().starts_with("//")).any(has) {
                return Some(format!("{name}: the binary has no such module"));
            }
            let folder = if path.len() == 2 { path[0] } else { folder };
            let path = place_of(&text, module).unwrap_or_else(|| format!("{folder}/{module}.rs"));
            let path = root().join("tests").join(path);
            (path.clone(), read(&path))
        }
        _ => return Some(format!("{name}: more modules than there are")),
    };
    let Some(source) = source else { return Some(format!("{name}: no file {}", path.display())) };
    let exists = if parts.len() == 2 && has_no_harness(parts[0]) {
        // It runs what stands in its list, and nothing else.
        source.contains(&format!("\nfn {test}(")) && listed(&source).any(|case| case == test)
    } else {
        is_written(&source, test)
    };
    (!exists).then(|| format!("{name}: no such test in {}", path.display()))
}

/// The same for a unit test, whose module is at the end of the file it tests, or in a file of its own.
fn unit_test(name: &str, modules: &[&str], test: &str) -> Option<String> {
    let Some((&"tests", file)) = modules.split_last() else {
        return Some(format!("{name}: not in a module of tests"));
    };
    let src = root().join("src");
    let paths = [modules.join("/"), file.join("/"), file.join("/") + "/mod"];
    let mut sources = paths.iter().filter_map(|path| read(&src.join(path.clone() + ".rs")));
    let exists = sources.any(|source| is_written(&source, test));
    (!exists).then(|| format!("{name}: no such unit test"))
}

/// Written out, once or for each backend, the first argument of a macro that makes tests, or a line of such a
/// macro's list.
fn is_written(source: &str, test: &str) -> bool {
    let forms =
        [format!("fn {test}() {{"), format!("fn {test}(backend) {{"), format!("!({test}, ")];
    let is_case = |line: &str| line.strip_prefix(test) == Some(",");
    let is_listed = source.lines().any(|line| is_case(line.trim_start()))
        || listed(source).any(|case| case == test);
    forms.iter().any(|form| source.contains(form))
        || source.contains(&format!("\nfn {test}(")) && is_listed
}

/// Where a module is, if its declaration says so.
fn place_of(text: &str, module: &str) -> Option<String> {
    let (before, _) = text.split_once(&format!("\nmod {module};"))?;
    let path = before.lines().last()?.strip_prefix("#[path = \"")?.strip_suffix("\"]")?;
    Some(path.to_owned())
}

/// Whether a binary calls its cases itself.
fn has_no_harness(binary: &str) -> bool {
    let manifest = read(&root().join("Cargo.toml")).unwrap();
    manifest.contains(&format!("[[test]]\nname = \"{binary}\"\nharness = false\n"))
}

/// The names in the lists of cases, `cases![…]` or `cases!(… […])`.
fn listed(source: &str) -> impl Iterator<Item = &str> {
    let lists = source.split("cases!").skip(1).filter_map(|rest| rest.split(']').next());
    let lists = lists.filter_map(|list| list.split_once('[').map(|(_, list)| list));
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
    assert_eq!(complaint("lib::net::dial::tests::a_hint_goes_before_the_resolver"), None);
    assert_eq!(complaint("lib::net::rate::tests::extreme_numbers_saturate"), None);
    let wrong_units =
        ["lib::net::dial::tests::shared", "lib::net::rate::tests::x", "lib::net::dial"];
    let wrong = ["nowhere::x", "features_doc::x", "io::nowhere::x", "io::io_edge::x"];
    for wrong in wrong.into_iter().chain(wrong_units) {
        assert!(complaint(wrong).is_some(), "{wrong}");
    }
}

#[test]
fn a_case_of_a_binary_without_a_harness_must_be_in_its_list() {
    assert!(has_no_harness("faults_probe") && !has_no_harness("features_doc"));
    let source = "main(cases![\n    one,\n    two,\n]);\nfn one() {}\nfn three() {}";
    assert_eq!(listed(source).filter(|case| !case.is_empty()).collect::<Vec<_>>(), ["one", "two"]);
    let source = "cases!(every [\n    one,\n]);\ncases!(tcp [two]);\nfn one(w: &World) {}\nfn three(w: &World) {}";
    assert!(
        is_written(source, "one") && !is_written(source, "two") && !is_written(source, "three")
    );
    let text = "mod suite;\n\n#[path = \"cases/x_one.rs\"]\nmod one;\nmod two;\n";
    assert_eq!(place_of(text, "one").as_deref(), Some("cases/x_one.rs"));
    assert_eq!(place_of(text, "two"), None);
}
