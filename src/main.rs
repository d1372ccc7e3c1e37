//! The `relift` program.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(relift::cli::main())
}
