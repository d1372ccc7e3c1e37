//! What gpgv says, and what it means: its exit status is 0 for a key that is revoked or expired.

use crate::trust::openpgp::judge;

const PRIMARY: &str = "0123456789ABCDEF0123456789ABCDEF01234567";
const SUBKEY: &str = "76543210FEDCBA9876543210FEDCBA9876543210";

fn valid(class: &str) -> String {
    format!("[GNUPG:] VALIDSIG {SUBKEY} 2026-11-21 1795271573 0 4 0 22 8 {class} {PRIMARY}\n")
}

fn status(lines: &[&str]) -> String {
    format!("[GNUPG:] NEWSIG\n{}\n{}", lines.join("\n"), valid("00"))
}

#[test]
fn a_good_signature_counts_by_the_whole_fingerprint_of_its_key_or_its_subkey() {
    let good = status(&["[GNUPG:] GOODSIG 76543210FEDCBA98 Release <r@x>"]);
    for listed in [PRIMARY, SUBKEY] {
        let signature = judge(&good, true, &[listed.to_owned()], false).unwrap();
        assert_eq!((signature.signer.as_str(), signature.key), ("Release <r@x>", format!("OpenPGP {listed}")));
    }
    for listed in ["76543210FEDCBA98", "", &PRIMARY[1..]] {
        let why = judge(&good, true, &[listed.to_owned()], false).unwrap_err();
        assert!(why.contains("which is not one of `fingerprints`"), "{why}");
    }
}

#[test]
fn nothing_but_a_good_signature_of_bytes_counts_however_gpgv_exits() {
    let listed = [PRIMARY.to_owned()];
    let good = "[GNUPG:] GOODSIG 76543210FEDCBA98 R";
    for (text, exited_well, why) in [
        (status(&["[GNUPG:] REVKEYSIG 76543210FEDCBA98 R"]), true, "is revoked"),
        (status(&[good, "[GNUPG:] REVKEYSIG 76543210FEDCBA98 R"]), true, "is revoked"),
        (status(&["[GNUPG:] EXPKEYSIG 76543210FEDCBA98 R"]), true, "has expired"),
        (status(&["[GNUPG:] EXPSIG 76543210FEDCBA98 R"]), true, "has expired"),
        (status(&["[GNUPG:] BADSIG 76543210FEDCBA98 R"]), true, "is of something else"),
        (status(&[good]), false, "cannot be verified"),
        (status(&[]), true, "cannot be verified"),
        (status(&[good, "[GNUPG:] NEWSIG"]), true, "two signatures"),
        (format!("{}{}", status(&[good]), valid("00")), true, "two signatures"),
        (format!("[GNUPG:] NEWSIG\n{good}\n{}", valid("01")), true, "of text and not of bytes"),
        (format!("[GNUPG:] NEWSIG\n{good}\n"), true, "cannot be verified"),
        (status(&[good]).replace("[GNUPG:] VALIDSIG", "VALIDSIG"), true, "cannot be verified"),
        (
            "[GNUPG:] ERRSIG 7654 22 8 00 1 9 ABCD\n[GNUPG:] NO_PUBKEY 7654\n".into(),
            false,
            "ABCD, which is not in the keyring",
        ),
        (String::new(), true, "cannot be verified"),
    ] {
        let said = judge(&text, exited_well, &listed, false).unwrap_err();
        assert!(said.contains(why), "{text}: {said}");
    }
}

#[test]
fn a_key_that_expired_since_its_signature_was_verified_takes_nothing_back() {
    let expired = status(&["[GNUPG:] EXPKEYSIG 76543210FEDCBA98 R"]);
    assert!(judge(&expired, true, &[PRIMARY.to_owned()], true).is_ok());
    let revoked = status(&["[GNUPG:] REVKEYSIG 76543210FEDCBA98 R"]);
    assert!(judge(&revoked, true, &[PRIMARY.to_owned()], true).is_err());
}
