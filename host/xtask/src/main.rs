//! The developer's entry point: `cargo xtask <command>` takes a fresh clone to a built, tested and
//! demonstrated MedFocus, and needs only a Rust toolchain, a C++ compiler and a package index.

mod bench;
mod build;
mod demo;
mod fetch;
mod fixtures;
mod libtorch;
mod lint;
mod longer;
mod rules;
mod sanitise;
mod setup;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Set up, build, test and demonstrate MedFocus"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install libtorch into .libtorch, or check the one that LIBTORCH names
    Setup(setup::Args),
    /// Build everything, and collect the plugins beside the `medfocus` executable
    Build,
    /// Set up, build, then attribute one answer about a sample image
    Demo,
    /// Set up, build, then run every test of the workspace
    Test,
    /// Run the benchmarks
    Bench(bench::Args),
    /// Recompute the test fixtures with the Python reference implementations
    Fixtures(fixtures::Args),
    /// Kill a run and its plugins many times, and see that nothing is lost
    Kills(longer::Kills),
    /// Give damaged files to whatever reads them, for as long as you like
    Fuzz(longer::Fuzz),
    /// Run the waist's tests under the address sanitiser
    Sanitise,
    /// Check formatting, clippy, documentation, dependency rules and licences
    Lint(lint::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = Workspace::open().and_then(|workspace| match cli.command {
        Command::Setup(args) => setup::run(&workspace, &args),
        Command::Build => build::run(&workspace).map(drop),
        Command::Demo => demo::run(&workspace),
        Command::Test => test::run(&workspace),
        Command::Bench(args) => bench::run(&workspace, &args),
        Command::Fixtures(args) => fixtures::run(&workspace, &args),
        Command::Kills(args) => longer::kills(&workspace, &args),
        Command::Fuzz(args) => longer::fuzz(&workspace, &args),
        Command::Sanitise => sanitise::run(&workspace),
        Command::Lint(args) => lint::run(&workspace, &args),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}
