//! Who this host is.

use std::ffi::OsString;
use std::path::Path;

/// Its name, gethostname(2); empty where it has none.
pub fn name() -> OsString {
    nix::unistd::gethostname().unwrap_or_default()
}

/// Its id, machine-id(5); `None` where it has none yet. `root` is the host's.
pub fn machine_id(root: &Path) -> Option<[u8; 16]> {
    std::fs::read_to_string(root.join("etc/machine-id")).ok().and_then(|text| parsed(&text))
}

/// 32 hexadecimal digits, machine-id(5); `None` where it is empty, `uninitialized` or broken.
fn parsed(text: &str) -> Option<[u8; 16]> {
    let digits = text.trim().replace('-', "");
    let number = u128::from_str_radix(&digits, 16).ok()?;
    (digits.len() == 32 && number != 0).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_32_digits_and_nothing_else_is_one() {
        assert_eq!(parsed("000102030405060708090a0b0c0d0e0f\n"), Some(std::array::from_fn(|at| at as u8)));
        for none in
            ["", "uninitialized\n", "0\n", "00000000000000000000000000000000\n", "0123456789abcdef0123456789abcdeg"]
        {
            assert_eq!(parsed(none), None, "{none:?}");
        }
    }
}
