//! `make bench`: what we take beside what a peer or the bare work takes, measured in the same run.
//!
//! Nothing here asserts a time: machines are noisy. The table shows ratios and their targets; a floor that
//! cannot be measured is named as missing.

mod apply;
mod cluster;
mod floor;
mod generate;
mod kubernetes;
mod local;
mod measure;
mod overlay;
mod rows;
mod server;
mod shop;

use measure::Row;

/// Measures the lines of one row.
type Measure = fn() -> Vec<Row>;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match wanted.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // The services of the measured clusters are this program too.
        ["--serve"] => server::serve(),
        ["--probe", port] => {
            std::process::exit(i32::from(!port.parse().is_ok_and(server::answers)));
        }
        _ => {}
    }
    let rows: [(&str, Measure); 8] = [
        ("start", rows::start),
        ("read", rows::read),
        ("diff", rows::diff),
        ("docker", local::docker),
        ("process", local::process),
        ("deploy", kubernetes::deploy),
        ("overlay", overlay::overlay),
        ("shop", shop::shop),
    ];
    let known: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("there is no row `{unknown}`: {}", known.join(", "));
        std::process::exit(2);
    }
    let mut table = Vec::new();
    for (name, measure) in rows {
        if wanted.is_empty() || wanted.iter().any(|row| row == name) {
            eprintln!("measuring {name}");
            table.extend(measure());
        }
    }
    println!("{}", measure::table(&table));
}
