use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    #[command(subcommand, hide = true)]
    Internal(relift::cli::internal::Internal),
}

fn main() -> ExitCode {
    let Verb::Internal(verb) = Line::parse().verb;
    match relift::cli::internal::run(&verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            error.detail.iter().for_each(|line| eprintln!("  {line}"));
            ExitCode::from(error.kind.exit() as u8)
        }
    }
}
