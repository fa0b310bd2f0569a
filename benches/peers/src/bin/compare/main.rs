//! Runs every contender through every workload, interleaved and several times, and prints the medians as Markdown.
//!
//! `cargo run --release --bin compare -- [--quick] [--repeat N] [TABLE...]`

mod connections;
mod contenders;
mod figures;
mod files;
mod http;
mod https;
mod measure;
mod pairs;
mod table;
mod websocket;

use std::process::ExitCode;

use connections::Subject;
use contenders::{Contender, Servers};
use figures::TABLES;

struct Options {
    quick: bool,
    /// How often each contender runs each workload.
    repeat: usize,
    tables: Vec<String>,
}

fn parse_options() -> Result<Options, String> {
    let mut options = Options { quick: false, repeat: 0, tables: Vec::new() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => options.quick = true,
            "--repeat" => {
                let number =
                    args.next().and_then(|text| text.parse().ok()).filter(|&number| number > 0);
                options.repeat = number.ok_or("--repeat takes a number")?;
            }
            name if all_names().any(|table| table == name) => options.tables.push(arg),
            _ => {
                let names: Vec<_> = all_names().collect();
                return Err(format!(
                    "{arg:?} is none of --quick, --repeat N, {}",
                    names.join(", ")
                ));
            }
        }
    }
    if options.repeat == 0 {
        options.repeat = if options.quick { 3 } else { 5 };
    }
    if options.tables.is_empty() {
        options.tables = all_names().map(str::to_owned).collect();
    }
    Ok(options)
}

fn all_names() -> impl Iterator<Item = &'static str> {
    let subjects = FAMILIES.iter().flat_map(|family| family.subjects);
    TABLES.iter().map(|table| table.name).chain(subjects.map(|subject| subject.name))
}

fn main() -> ExitCode {
    let options = match parse_options() {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("compare: {reason}");
            return ExitCode::from(2);
        }
    };
    match compare(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("compare: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> Result<(), String> {
    let is_asked_for = |name: &str| options.tables.iter().any(|asked| asked == name);
    let mut notes = Vec::new();
    if TABLES.iter().any(|table| is_asked_for(table.name)) {
        compare_loops(options, is_asked_for, &mut notes)?;
    }
    for family in FAMILIES {
        if family.subjects.iter().any(|subject| is_asked_for(subject.name)) {
            compare_servers(family, options, is_asked_for, &mut notes)?;
        }
    }
    for note in notes {
        println!("- {note}");
    }
    Ok(())
}

fn compare_loops(
    options: &Options,
    is_asked_for: impl Fn(&str) -> bool,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let contenders = contenders::build_all(notes)?;
    let mut rows = Vec::new();
    let mut grid = Vec::new();
    for table in TABLES.iter().filter(|table| is_asked_for(table.name)) {
        for job in (table.jobs)(options.quick) {
            let measured = measure::measure(&job, &contenders, options.repeat, notes)?;
            if table.is_grid { grid.extend(measured) } else { rows.extend(measured) }
        }
    }
    let names: Vec<&str> = contenders.iter().map(|contender: &Contender| contender.name).collect();
    if !rows.is_empty() {
        println!("{}", table::figures(&names, &[], &rows));
    }
    if !grid.is_empty() {
        println!("{}", table::grid(&names, &grid));
    }
    Ok(())
}

/// Servers that take the same load, and so share a table.
struct Family {
    subjects: &'static [Subject],
    build: fn(notes: &mut Vec<String>) -> Result<Servers, String>,
    /// Who is divided by whom.
    ratios: &'static [(&'static str, &'static str)],
}

const FAMILIES: &[Family] = &[
    Family {
        subjects: connections::SUBJECTS,
        build: contenders::build_servers,
        ratios: &[("libevent", "floor"), ("ours", "floor"), ("ours", "libevent")],
    },
    Family {
        subjects: http::SUBJECTS,
        build: contenders::build_http_servers,
        ratios: &[("hyper", "floor"), ("nginx", "floor"), ("ours", "floor"), ("ours", "hyper")],
    },
    Family {
        subjects: files::SUBJECTS,
        build: contenders::build_file_servers,
        ratios: &[("nginx", "floor"), ("ours", "floor"), ("ours", "nginx")],
    },
    Family {
        subjects: https::SUBJECTS,
        build: contenders::build_https_servers,
        ratios: &[("hyper", "floor"), ("ours", "floor"), ("ours", "hyper")],
    },
    Family {
        subjects: websocket::SUBJECTS,
        build: contenders::build_websocket_servers,
        ratios: &[("tungstenite-4k", "floor"), ("ours", "floor"), ("ours", "tungstenite-4k")],
    },
];

fn compare_servers(
    family: &Family,
    options: &Options,
    is_asked_for: impl Fn(&str) -> bool,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let servers = (family.build)(notes)?;
    let mut rows = Vec::new();
    for subject in family.subjects.iter().filter(|subject| is_asked_for(subject.name)) {
        for job in (subject.jobs)(options.quick) {
            rows.extend(pairs::measure(&job, &servers, options.repeat, notes)?);
        }
    }
    if !rows.is_empty() {
        let names: Vec<&str> = servers.contenders.iter().map(|contender| contender.name).collect();
        println!("{}", table::figures(&names, family.ratios, &rows));
    }
    Ok(())
}
