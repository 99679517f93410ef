//! Measures what the extension costs.

use std::os::unix::process::CommandExt;

use clap::Args;
use operations_lab::Error;
use operations_lab::tools::Toolbox;

/// Measures what the extension costs, and prints tables.
#[derive(Args)]
pub struct Bench {
    /// Options of the benchmark: --help lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    options: Vec<String>,
}

impl Bench {
    /// Becomes the benchmark; returns only if that fails.
    pub fn run(&self) -> Result<u8, Error> {
        let tools = Toolbox::open()?;
        tools.end_servers()?;
        tools.install_extension()?;
        let mut cargo = tools.command("cargo");
        cargo.args(["run", "--locked", "--release", "-p", "operations_cluster", "--bin", "bench", "--"]);
        let source = cargo.args(&self.options).exec();
        Err(Error::Io { what: "run cargo".to_owned(), source })
    }
}
