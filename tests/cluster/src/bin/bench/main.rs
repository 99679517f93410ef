//! `make bench`: what the extension costs, against the fastest that PostgreSQL offers without it, on one server in one
//! run. The ways to be compared take turns, so that whatever else the machine does meets them alike; medians are shown.

mod aggregate;
mod citus;
mod flip;
mod insert;
mod load;
mod numbers;
mod options;
mod processor;
mod replicas;
mod report;

use std::process::ExitCode;

use operations_cluster::{Error, Server};

use options::{Options, PARTS};
use report::Report;

fn main() -> ExitCode {
    if std::env::args().skip(1).any(|argument| argument == "--help") {
        println!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    let options = match Options::from_arguments(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n\n{}", options::USAGE);
            return ExitCode::FAILURE;
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Error> {
    let server = Server::primary().with_extension().as_shipped().start()?;
    let mut report = Report::new(&server, options)?;
    type Part = fn(&Server, &Options, &mut Report) -> Result<(), Error>;
    let parts: [Part; PARTS.len()] = [load::run, insert::run, aggregate::run, flip::run, replicas::run, citus::run];
    for (name, part) in PARTS.iter().zip(parts) {
        if options.only.as_ref().is_none_or(|only| only == name) {
            part(&server, options, &mut report)?;
        }
    }
    print!("{report}");
    Ok(())
}
