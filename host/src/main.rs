//! The `medfocus` program.

fn main() -> std::process::ExitCode {
    medfocus::cli::main()
}
