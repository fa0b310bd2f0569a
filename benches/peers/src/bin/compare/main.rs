//! Runs every contender through every workload, interleaved and several times, and prints the medians as Markdown.
//!
//! `cargo run --release --bin compare -- [--quick] [--repeat N] [TABLE...]`

mod contenders;
mod figures;
mod measure;
mod table;

use std::process::ExitCode;

use contenders::Contender;
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
            name if TABLES.iter().any(|table| table.name == name) => options.tables.push(arg),
            _ => {
                let names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
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
        options.tables = TABLES.iter().map(|table| table.name.to_owned()).collect();
    }
    Ok(options)
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
    let (contenders, mut notes) = contenders::build_all()?;
    let mut rows = Vec::new();
    let mut grid = Vec::new();
    for table in TABLES.iter().filter(|table| options.tables.iter().any(|name| name == table.name))
    {
        for job in (table.jobs)(options.quick) {
            let measured = measure::measure(&job, &contenders, options.repeat, &mut notes)?;
            if table.is_grid { grid.extend(measured) } else { rows.extend(measured) }
        }
    }
    let names: Vec<&str> = contenders.iter().map(|contender: &Contender| contender.name).collect();
    if !rows.is_empty() {
        println!("{}", table::figures(&names, &rows));
    }
    if !grid.is_empty() {
        println!("{}", table::grid(&names, &grid));
    }
    for note in notes {
        println!("- {note}");
    }
    Ok(())
}
