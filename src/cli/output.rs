//! The only renderer.

use std::io::Write;

/// Prints data on standard output. A reader that went away (`| head`) is no error.
pub fn data(text: &str) {
    let mut stdout = anstream::stdout().lock();
    if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}
