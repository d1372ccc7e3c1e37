use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::error::Kind;

/// The comparison of files that a dotenv library reads, with answers to new keys.
fn compare(
    base: Option<&[u8]>,
    theirs: Option<&[u8]>,
    mine: &[u8],
    answers: &[(String, String)],
) -> Result<Comparison> {
    let set = |(key, value): &(String, String)| (key.clone(), Decision::Set(value.clone()));
    decide(base, theirs, mine, &answers.iter().map(set).collect())
}

fn decide(
    base: Option<&[u8]>,
    theirs: Option<&[u8]>,
    mine: &[u8],
    decisions: &BTreeMap<String, Decision>,
) -> Result<Comparison> {
    three_way(&ThreeWay { base, theirs, mine, dialect: Dialect::Dotenv, public: &[], decisions })
}

fn values(file: &[u8]) -> BTreeMap<String, String> {
    super::values(file, Dialect::Dotenv)
}

fn redacted_diff(mine: &[u8], merged: &[u8], colour: bool) -> String {
    super::redacted_diff(mine, merged, &[], colour)
}

fn keys(bytes: &[u8]) -> Keys {
    Keys::of(&File::lex(bytes), Dialect::Dotenv)
}

fn added(changes: &[KeyChange]) -> impl Iterator<Item = &str> {
    changes.iter().filter(|change| matches!(change.class, Class::Added { .. })).map(|change| change.key.as_str())
}

fn compared(base: &str, theirs: &str, mine: &str) -> Comparison {
    compare(Some(base.as_bytes()), Some(theirs.as_bytes()), mine.as_bytes(), &[]).expect("compares")
}

fn merged(base: Option<&str>, theirs: &str, mine: &str) -> String {
    let comparison = compare(base.map(str::as_bytes), Some(theirs.as_bytes()), mine.as_bytes(), &[]).expect("compares");
    String::from_utf8(comparison.merged).expect("UTF-8")
}

fn classes(comparison: &Comparison) -> Vec<(&str, Class)> {
    comparison.changes.iter().map(|change| (change.key.as_str(), change.class.clone())).collect()
}

fn with_answer(theirs: &str, mine: &str, key: &str, answer: &str) -> Result<Comparison> {
    compare(None, Some(theirs.as_bytes()), mine.as_bytes(), &[(key.to_owned(), answer.to_owned())])
}

#[test]
fn every_class_is_told_apart_in_upstreams_order_and_then_the_operators() {
    let base = "PORT=80\nLEVEL=info\nOLD_TOKEN=abcd\nGONE=1\nSAME=1\nTAKEN_OUT=1\n";
    let theirs = "# the port\nPORT=8080\nLEVEL=debug\nNEW=1\n# was OLD_TOKEN until 1.6\nACCESS_KEY=CHANGE_ME\nSAME=1\nTAKEN_OUT=1\n";
    let mine = "MINE=1\nPORT=80\nLEVEL=warn\nOLD_TOKEN=x\nGONE=1\nSAME=2\n";
    let comparison = compared(base, theirs, mine);
    assert_eq!(
        classes(&comparison),
        [
            ("PORT", Class::DefaultChanged { mine_was_default: true }),
            ("LEVEL", Class::DefaultChanged { mine_was_default: false }),
            ("NEW", Class::Added { placeholder: false }),
            ("ACCESS_KEY", Class::Added { placeholder: true }),
            ("MINE", Class::OnlyMine),
            ("OLD_TOKEN", Class::MaybeRenamed { to: "ACCESS_KEY".to_owned() }),
            ("GONE", Class::RemovedUpstream),
        ]
    );
    assert_eq!(comparison.changes[0].comment, ["the port"]);
    assert_eq!(placeholders(&comparison.changes), ["ACCESS_KEY"]);
}

#[test]
fn a_first_upgrade_without_a_recorded_example_tells_only_what_is_added() {
    let comparison = compare(None, Some(b"A=1\nB=2\n# C=3\n"), b"A=9\nX=1\n", &[]).expect("compares");
    assert_eq!(classes(&comparison), [("B", Class::Added { placeholder: false })]);
    assert_eq!(comparison.merged, b"A=9\nB=2\nX=1\n");
}

#[test]
fn a_key_that_the_operator_commented_out_is_not_added() {
    let comparison = compared("", "A=1\nB=2\nC=3\n", "#A=1\n# export B='x'\nC\n");
    assert_eq!(comparison.changes, []);
    assert_eq!(comparison.merged, b"#A=1\n# export B='x'\nC\n");
    assert!(comparison.warnings.contains(&"A: new upstream, but commented out here: not added".to_owned()));
}

#[test]
fn optional_keys_of_the_example_are_never_added() {
    assert_eq!(merged(None, "A=1\n# SMTP_SERVER=x\n#SMTP_PORT=25\n", "A=1\n"), "A=1\n");
    // and the block above a new key does not bring them in
    let theirs = "A=1\n# Mail:\n# SMTP_SERVER=x\n# who gets it\n# MAIL=a@b\nMAIL=c@d\n";
    assert_eq!(merged(None, theirs, "A=1\n"), "A=1\n# who gets it\n# MAIL=a@b\nMAIL=c@d\n");
}

#[test]
fn a_key_that_was_taken_out_stays_out_unless_upstream_now_asks_for_a_value() {
    assert_eq!(compared("A=1\nB=1\n", "A=1\nB=2\n", "A=1\n").changes, []);
    let asked = compared("A=1\nB=value\n", "A=1\nB=CHANGE_ME\n", "A=1\n");
    assert_eq!(classes(&asked), [("B", Class::Added { placeholder: true })]);
    let emptied = compared("B=value\n", "B=\n", "");
    assert_eq!(placeholders(&emptied.changes), ["B"]);
}

#[test]
fn an_old_default_that_upstream_now_wants_replaced_is_warned_of() {
    let comparison = compared("ADMIN__admin=admin\n", "ADMIN__admin=<bcrypt hash>\n", "ADMIN__admin=admin\n");
    assert_eq!(classes(&comparison), [("ADMIN__admin", Class::DefaultChanged { mine_was_default: true })]);
    assert!(comparison.warnings[0].contains("upstream now asks for a value of your own"), "{:?}", comparison.warnings);
}

#[test]
fn a_new_key_beside_its_legacy_name_is_warned_of() {
    let theirs =
        "# Directory to store log files\n# Legacy alias still supported: LOG_DIRECTORY\nLOG_DIR=/var/log/app\n";
    for base in [None, Some("LOG_DIRECTORY=/var/log/app\n".as_bytes())] {
        let comparison = compare(base, Some(theirs.as_bytes()), b"LOG_DIRECTORY=/srv/log\n", &[]).expect("compares");
        assert!(
            comparison.warnings[0].starts_with("LOG_DIR: added") && comparison.warnings[0].contains("LOG_DIRECTORY")
        );
        assert!(!comparison.warnings[0].contains("/srv"));
    }
    let renamed = compared("LOG_DIRECTORY=/var/log/app\n", theirs, "LOG_DIRECTORY=/srv/log\n");
    assert_eq!(renamed.changes[1].class, Class::MaybeRenamed { to: "LOG_DIR".to_owned() });
}

#[test]
fn quoting_is_no_change_of_a_default() {
    assert_eq!(compared("A=1\nB='x y'\n", "A=\"1\"\nB=\"x y\" # now\n", "A=1\nB=x\n").changes, []);
}

#[test]
fn new_keys_go_where_upstream_has_them() {
    let theirs = "# one\nA=1\n\n# two\n# lines\nB=2\nC=3\n\nD=4\nE=5\n";
    let mine = "# mine\nE=9\nA=7\n\n# tail\n";
    assert_eq!(merged(None, theirs, mine), "# mine\nE=9\nA=7\n\n# two\n# lines\nB=2\nC=3\n\nD=4\n\n# tail\n",);
    // no key of theirs comes before it: at the end
    assert_eq!(merged(None, "N=1\nM=2\nA=1\n", "A=1\nZ=1\n"), "A=1\nZ=1\nN=1\nM=2\n");
}

#[test]
fn the_operators_line_ends_and_missing_final_newline_are_kept() {
    assert_eq!(merged(None, "A=1\n# n\nN=1\n", "A=1\r\nB=2\r\n"), "A=1\r\n# n\r\nN=1\r\nB=2\r\n");
    assert_eq!(merged(None, "A=1\r\n# n\r\nN=1\r\n", "A=1\nB=2"), "A=1\n# n\nN=1\nB=2");
    assert_eq!(merged(None, "B=1\nN=1\n", "A=1\nB=2"), "A=1\nB=2\nN=1\n");
    assert_eq!(merged(None, "N=1", ""), "N=1\n");
    assert_eq!(merged(None, "\u{feff}N=1\n", "\u{feff}"), "\u{feff}N=1\n");
    assert_eq!(merged(None, "A=1\nN='x\ny'\n", "A=1\r\n"), "A=1\r\nN='x\r\ny'\r\n");
}

#[test]
fn nothing_is_inserted_where_a_reader_would_not_see_a_line_begin() {
    // systemd goes on after a backslash
    assert_eq!(merged(None, "A=1\nN=1\n", "A=x\\\ny\nB=1\n"), "A=x\\\ny\nN=1\nB=1\n");
    assert_eq!(merged(None, "A=1\nN=1\n", "B=1\nA=1\n# end \\"), "B=1\nA=1\nN=1\n# end \\");
    // dotenv libraries read from one apostrophe to the next
    assert_eq!(merged(None, "A=1\nN=1\n", "A=don't\nB=it's\nC=1\n"), "A=don't\nB=it's\nN=1\nC=1\n");
    // upstream's comments do not swallow the key below them
    assert_eq!(merged(None, "# C:\\dir\\\nN=1\n", ""), "# C:\\dir\\ \nN=1\n");
}

#[test]
fn a_default_that_would_reach_into_the_next_line_is_quoted_or_refused() {
    assert_eq!(merged(None, "N=don't\n", "A=1\n"), "A=1\nN=\"don't\"\n");
    for theirs in ["N=C:\\dir\\\n", "N=a\\\nb\n", "N=$5 don't\n"] {
        let error = compare(None, Some(theirs.as_bytes()), b"A=1\n", &[]).expect_err("refused");
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.what.contains("default of N") && error.hints[0].contains("N=..."), "{error:?}");
    }
    assert!(compare(None, Some(b"N=\xff\n"), b"", &[]).is_err());
}

#[test]
fn an_open_quote_is_an_error_that_names_the_line_and_no_value() {
    for (theirs, mine, expected) in [
        ("A=1\n", "X=1\nSECRET=\"hunter2\nB=1\n", "a quote in line 2 of the file is never closed"),
        ("A='hunter2\n", "", "a quote in line 1 of upstream's new example is never closed"),
    ] {
        let error = compare(None, Some(theirs.as_bytes()), mine.as_bytes(), &[]).expect_err("open");
        assert_eq!(error.what, expected);
        assert!(!format!("{error:?}").contains("hunter2"));
    }
    // where nothing is compared, it stops nothing
    assert!(compare(None, None, b"A=\"x", &[]).expect("no example").warnings[0].contains("never closed"));
    // and an old example that is broken does not stop an upgrade away from it
    let comparison = compare(Some(b"A='x"), Some(b"A=1\nB=1\n"), b"A=1\n", &[]).expect("compares");
    assert_eq!(classes(&comparison), [("B", Class::Added { placeholder: false })]);
}

#[test]
fn an_answer_is_written_so_that_all_readers_read_it_alike() {
    for (answer, line) in [
        ("abc-1.2/x:y@z%+,", "abc-1.2/x:y@z%+,"),
        ("a b #c", "'a b #c'"),
        ("$2b$12$x", "'$2b$12$x'"),
        ("", ""),
        ("é\"", "'é\"'"),
    ] {
        let comparison = with_answer("export N=CHANGE_ME # note\n", "A=1\n", "N", answer).expect("written");
        assert_eq!(String::from_utf8_lossy(&comparison.merged), format!("A=1\nexport N={line}\n"));
        assert_eq!(values(&comparison.merged)["N"], answer);
    }
    for answer in ["don't", "a\\", "a\nb", "a\rb", "a\0"] {
        let error = with_answer("N=CHANGE_ME\n", "", "N", answer).expect_err("refused");
        assert_eq!(error.kind, Kind::Usage);
        assert!(!error.what.contains(answer));
    }
    assert!(with_answer("N=1\n", "N=1\n", "N", "s3cret").expect("ignored").warnings[0].starts_with("N: answered"));
}

#[test]
fn traps_are_warned_of_by_line_and_never_with_a_value() {
    let mine = b"\xef\xbb\xbfA=s3cret1\r\nhunter22 hunter22\nA=s3cret2\nB=\xffs3cret3\0\nC=don't\nD=s3cret't\n";
    let comparison = compare(None, Some(b""), mine, &[]).expect("compares");
    for expected in [
        "line 1 starts with a byte order mark: systemd drops the first key",
        "some lines end in CRLF, the first of them line 1",
        "line 2 is not an assignment",
        "line 3 sets A again (first in line 1): some readers take the first, some the last",
        "line 4 is not UTF-8: systemd and dotenv libraries refuse the file",
        "line 4 holds a NUL byte",
    ] {
        assert!(
            comparison.warnings.iter().any(|warning| warning == expected),
            "{expected}: {:#?}",
            comparison.warnings
        );
    }
    assert!(!format!("{comparison:?}").contains("s3cret") && !format!("{comparison:?}").contains("hunter22"));
    assert_eq!(comparison.merged, mine);
}

#[test]
fn a_diff_tells_that_a_value_changed_and_not_what_it_is() {
    let mine = "# token is hunter2\nA=hunter22\nB=\nC=\"multi hunter2\nline\"\n# D=hunter2\nhunter2 hunter2\n";
    let after = "# token is hunter2\nA=hunter33\nB=\n# new, hunter22\nN=hunter44\nC=\"multi hunter2\nline\"\n# D=hunter2\nhunter2 hunter2\n";
    assert_eq!(
        redacted_diff(mine.as_bytes(), after.as_bytes(), false),
        "@@ -1,6 +1,8 @@\n # <comment>\n-A=<set, 8 to 31 chars>\n+A=<changed, 8 to 31 chars>\n B=<empty>\n+# new, <redacted>\n+N=<set, 8 to 31 chars>\n C=<set, 8 to 31 chars>\n # D=<set>\n <line>\n",
    );
    assert_eq!(redacted_diff(mine.as_bytes(), mine.as_bytes(), true), "");
    let coloured = redacted_diff(mine.as_bytes(), after.as_bytes(), true);
    assert!(coloured.contains("\x1b[32m+A=") && coloured.contains("\x1b[1m"), "{coloured:?}");
}

#[test]
fn a_redactor_is_told_every_form_of_a_secret_and_no_common_word() {
    let file = b"A=true\nB=8080\nC=hunter22\nURL=postgres://app:p4ssw0rd@db/x\nPEM=\"line one\nline two\"\nQ=\"a\\\"b c\"\n#OLD=oldsecret\nN=123456\nS=abc\n# was hunter33 then\n# mail\nMIIEvQIBADAN\n";
    let found = secrets(file);
    for secret in [
        "hunter22",
        "postgres://app:p4ssw0rd@db/x",
        "p4ssw0rd",
        "line one",
        "line two",
        "a\"b c",
        "a\\\"b c",
        "oldsecret",
        "123456",
        "was hunter33 then",
        "MIIEvQIBADAN",
    ] {
        assert!(found.iter().any(|value| value == secret), "{secret}: {found:?}");
    }
    for word in ["true", "8080", "abc", "", "mail"] {
        assert!(!found.iter().any(|value| value == word), "{word}");
    }
}

#[test]
fn pasted_key_material_is_never_shown_as_a_key() {
    let mine = b"PEM=-----BEGIN\nMIIEvQIBADANBgkqhkiG9w0BAQ\nabcDEF0123456789xyz==\n";
    let comparison = compare(Some(b"PEM=\n"), Some(b"PEM=\nN=1\n"), mine, &[]).expect("compares");
    let shown = format!("{comparison:?}") + &redacted_diff(mine, &comparison.merged, false);
    assert!(!shown.contains("MIIE") && !shown.contains("abcDEF"), "{shown}");
}

fn decided(base: &str, theirs: &str, mine: &str, decisions: &[(&str, Decision)]) -> Comparison {
    let decisions = decisions.iter().map(|(key, decision)| ((*key).to_owned(), decision.clone())).collect();
    decide(Some(base.as_bytes()), Some(theirs.as_bytes()), mine.as_bytes(), &decisions).expect("compares")
}

fn text(comparison: &Comparison) -> String {
    String::from_utf8(comparison.merged.clone()).expect("UTF-8")
}

#[test]
fn a_key_is_left_out_taken_or_set_as_was_decided_and_nothing_else_changes() {
    let (base, theirs, mine) = ("PORT=80\n", "PORT=8080\n# x\nNEW=changeme\n", "# mine\nPORT=80 # here\nZ=1");
    let with = |key: &str, decision: Decision| decided(base, theirs, mine, &[(key, decision)]);
    assert_eq!(text(&with("NEW", Decision::LeaveOut)), mine);
    assert_eq!(text(&with("NEW", Decision::TakeDefault)), "# mine\nPORT=80 # here\n# x\nNEW=changeme\nZ=1");
    let left = [("NEW", Decision::LeaveOut), ("PORT", Decision::TakeDefault)];
    let taken = decided(base, theirs, mine, &left);
    assert_eq!(text(&taken), "# mine\nPORT=8080 # here\nZ=1");
    assert_eq!(taken.changes[0].decided, Some(Decided::TookDefault));
    assert_eq!(placeholders(&taken.changes), Vec::<&str>::new());
    let edited = decided(base, theirs, mine, &[("NEW", Decision::LeaveOut), ("PORT", Decision::Set("a b".into()))]);
    assert_eq!(text(&edited), "# mine\nPORT='a b' # here\nZ=1");
    let kept = decided(base, theirs, mine, &[("NEW", Decision::LeaveOut), ("PORT", Decision::KeepMine)]);
    assert_eq!(text(&kept), mine);
    assert!(!format!("{edited:?}").contains("a b"));
}

#[test]
fn every_line_of_a_key_that_stands_twice_gets_the_value_and_a_quoted_one_goes_whole() {
    let twice = decided("P=80\n", "P=81\n", "P=80\r\nQ=1\r\nexport P=80\r\n", &[("P", Decision::TakeDefault)]);
    assert_eq!(text(&twice), "P=81\r\nQ=1\r\nexport P=81\r\n");
    let quoted = decided("P=\"a # b\"\n", "P=c\n", "P=\"a # b\" # d\n", &[("P", Decision::TakeDefault)]);
    assert_eq!(text(&quoted), "P=c\n");
}

#[test]
fn a_rename_is_suggested_and_applied_only_when_it_was_decided() {
    for comment in
        ["formerly OLD_NAME", "was OLD_NAME", "replaces OLD_NAME", "legacy: OLD_NAME", "Legacy alias: OLD_NAME."]
    {
        let theirs = format!("# {comment}\nSMTP_SERVER=CHANGE_ME\n");
        let (base, mine) = ("OLD_NAME=x\n", "OLD_NAME='s3cret x' # note\n");
        let plain = compared(base, &theirs, mine);
        assert_eq!(plain.changes[1].class, Class::MaybeRenamed { to: "SMTP_SERVER".into() }, "{comment}");
        assert!(plain.changes[1].is_question() && plain.changes[0].is_question());
        let carried = decided(base, &theirs, mine, &[("SMTP_SERVER", Decision::CarryOver("OLD_NAME".into()))]);
        assert_eq!(text(&carried), format!("{mine}# {comment}\nSMTP_SERVER='s3cret x' # note\n"));
        assert_eq!([carried.changes[0].decided, carried.changes[1].decided], [Some(Decided::CarriedOver); 2]);
    }
}

#[test]
fn a_key_that_upstream_begins_to_document_is_told_with_its_comment_and_not_added() {
    let theirs = "A=1\n\n# Who sends mail\n# SMTP_SERVER=localhost\n#  use A=1\n# OLD=1\n# MINE=1\n";
    let comparison = compared("A=1\n#OLD=1\n", theirs, "A=1\n#MINE=2\n");
    assert_eq!(classes(&comparison), [("SMTP_SERVER", Class::NewOptional)]);
    assert_eq!(comparison.changes[0].comment, ["Who sends mail"]);
    assert_eq!(comparison.merged, b"A=1\n#MINE=2\n");
    assert!(!comparison.changes[0].is_question());
}

#[test]
fn of_a_value_only_its_length_class_is_told_unless_its_key_is_public() {
    let theirs = "LOG=debug\nTOKEN=CHANGE_ME\nURL=http://localhost\n";
    let (base, mine) =
        ("LOG=info\nTOKEN=x\nURL=y\n", "LOG=info\nTOKEN=0123456789\nURL=0123456789012345678901234567890123\n");
    let public = ["LOG".to_owned()];
    let none = BTreeMap::new();
    let sides = ThreeWay {
        base: Some(base.as_bytes()),
        theirs: Some(theirs.as_bytes()),
        mine: mine.as_bytes(),
        dialect: Dialect::Dotenv,
        public: &public,
        decisions: &none,
    };
    let told: Vec<_> =
        three_way(&sides).expect("compares").changes.into_iter().map(|change| (change.mine, change.theirs)).collect();
    assert_eq!(
        told,
        [
            (Some(Shape::Shown("info".into())), Some(Shape::Shown("debug".into()))),
            (Some(Shape::Medium), Some(Shape::Placeholder)),
            (Some(Shape::Long), Some(Shape::Medium)),
        ]
    );
    let diff = super::redacted_diff(b"LOG=info\nT=s3cret\n", b"LOG=debug\nT=s3cret2\n", &public, false);
    assert_eq!(diff, "@@ -1,2 +1,2 @@\n-LOG=info\n-T=<set, under 8 chars>\n+LOG=debug\n+T=<changed, under 8 chars>\n");
}

#[test]
fn a_file_is_compared_as_its_reader_reads_it() {
    let none = BTreeMap::new();
    let class = |dialect| {
        let sides = ThreeWay {
            base: Some(b"A=x # old\n"),
            theirs: Some(b"A=y\n"),
            mine: b"A=x\n",
            dialect,
            public: &[],
            decisions: &none,
        };
        three_way(&sides).expect("compares").changes[0].class.clone()
    };
    // To systemd, the comment is a part of the value.
    assert_eq!(class(Dialect::Systemd), Class::DefaultChanged { mine_was_default: false });
    assert_eq!(class(Dialect::Dotenv), Class::DefaultChanged { mine_was_default: true });
    assert_eq!(super::values(b"A=x # c\n", Dialect::Systemd)["A"], "x # c");
    assert_eq!(super::values(b"A=x # c\nB='${A}'\n", Dialect::Compose)["B"], "x");
    assert_eq!(super::values(b"export A=x\n", Dialect::Systemd)["A"], "x", "the program may read it by itself");
}

#[test]
fn a_change_as_older_versions_recorded_it_is_still_read() {
    let old = r#"{"key": "A", "class": {"added": {"placeholder": true}}, "comment": []}"#;
    let change: KeyChange = serde_json::from_str(old).expect("reads");
    assert_eq!((change.asks, change.decided, change.mine, change.theirs), (false, None, None, None));
    let plan = r#"{"file": "m/.env", "changes": [], "rewritten": false, "after": ""}"#;
    let plan: crate::plan::EnvPlan = serde_json::from_str(plan).expect("reads");
    assert_eq!((plan.dialect, plan.public.len()), (Dialect::Dotenv, 0));
}

#[test]
fn a_value_that_refers_to_a_new_key_is_told() {
    let comparison = compared("", "A=1\nHOST=h\n", "A=1\nURL=http://${HOST}/\n");
    assert!(
        comparison.warnings.iter().any(|warning| warning.starts_with("URL refers to a key that changes")),
        "{:?} {:?}",
        comparison.warnings,
        text(&comparison)
    );
}

/// Lines of a file that an operator may have, well formed or not.
fn mine_line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(export )?[A-F]{1,2}=[a-z0-9]{0,8}",
        2 => "[A-F]=\"[a-z '#]{0,6}\n?[a-z]{0,3}\"( # [a-z]{3})?",
        2 => "[A-F]='[a-z\" \\\\]{0,6}\n?[a-z]{0,3}'",
        2 => "#[ ]?[A-F]?=?[a-z' \\\\]{0,8}",
        1 => "[A-F]=[a-z'\"\\\\]{1,5}",
        1 => "[A-Fa-f =:'\\\\]{0,8}",
        1 => Just(String::new()),
    ]
}

fn their_line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(export )?[A-J]{1,2}=[a-z0-9]{0,8}",
        1 => "[A-J]=\"[a-z '#]{0,6}\n?[a-z]{0,3}\"( # [a-z]{3})?",
        1 => "[A-J]='[a-z\" ]{0,6}'",
        2 => "# [a-zA-J= '\\\\]{0,8}",
        1 => Just(String::new()),
    ]
}

fn file_of(line: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (prop::collection::vec(line, 0..12), any::<bool>(), prop::sample::select(vec!["\n", "\r\n"])).prop_map(
        |(lines, ends, line_end)| {
            let text = lines.join("\n") + if ends { "\n" } else { "" };
            text.replace('\n', line_end)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_line_of_the_operators_is_never_dropped(theirs in file_of(their_line()), mine in file_of(mine_line())) {
        let (theirs_file, mine_file) = (File::lex(theirs.as_bytes()), File::lex(mine.as_bytes()));
        let Ok(comparison) = compare(None, Some(theirs.as_bytes()), mine.as_bytes(), &[]) else { return Ok(()) };
        let keys: BTreeSet<&str> = added(&comparison.changes).collect();
        let insertions = merge::insertions(&theirs_file, &mine_file, &keys, &BTreeMap::new()).expect("as before");
        // what is left after taking the insertions out of the merged bytes, by their place there
        let mut rest = comparison.merged.clone();
        for (at, text) in &insertions {
            prop_assert_eq!(&rest[*at..*at + text.len()], text.as_slice());
            rest.drain(*at..*at + text.len());
        }
        prop_assert_eq!(rest, mine.as_bytes());
    }

    #[test]
    fn merging_twice_is_merging_once(theirs in file_of(their_line()), mine in file_of(mine_line())) {
        let Ok(once) = compare(None, Some(theirs.as_bytes()), mine.as_bytes(), &[]) else { return Ok(()) };
        let twice = compare(None, Some(theirs.as_bytes()), &once.merged, &[]).expect("the merged file is as good");
        prop_assert_eq!(twice.changes, Vec::new());
        prop_assert_eq!(String::from_utf8_lossy(&twice.merged), String::from_utf8_lossy(&once.merged));
    }

    #[test]
    fn old_keys_keep_their_values_and_new_ones_have_upstreams(theirs in file_of(their_line()), mine in file_of(mine_line())) {
        let Ok(comparison) = compare(None, Some(theirs.as_bytes()), mine.as_bytes(), &[]) else { return Ok(()) };
        let (before, after) = (values(mine.as_bytes()), values(&comparison.merged));
        let live = |bytes: &[u8]| keys(bytes).live;
        for (key, value) in live(mine.as_bytes()) {
            prop_assert!(live(&comparison.merged).contains(&(key, value)));
        }
        // with an apostrophe left open, dotenvy refuses the old file, and what it makes of the new one does not count
        if dotenvy::from_read_iter(mine.as_bytes()).any(|line| line.is_err()) {
            return Ok(());
        }
        for (key, value) in &before {
            prop_assert_eq!(after.get(key), Some(value), "{} of {:?}", key, String::from_utf8_lossy(&comparison.merged));
        }
        let offered = keys(theirs.as_bytes());
        for key in added(&comparison.changes) {
            prop_assert!(!before.contains_key(key));
            let unix = |value: Option<&str>| value.map(|value| value.replace("\r\n", "\n"));
            prop_assert_eq!(unix(after.get(key).map(String::as_str)), unix(offered.value(key)), "{:?}", comparison.merged);
        }
    }

    #[test]
    fn no_value_leaves_the_file(
        values_of in prop::collection::vec("[0-9]{2}[a-z0-9]{6,12}( [a-z]{4})?(\n[a-z]{5})?", 1..6),
        theirs in file_of(their_line()),
    ) {
        let line = |(index, value): (usize, &String)| match index % 3 {
            0 => format!("K{index}=\"{value}\"\n"),
            1 => format!("# K{index}='{}'\n# {}\n", value.replace('\n', " "), value.replace('\n', " ")),
            _ => format!("K{index}='{value}'\n{}\n", value.replace('\n', " ")),
        };
        let mine: String = values_of.iter().enumerate().map(line).collect();
        let changed = mine.replace("K0=\"", "K0=\"9");
        let Ok(comparison) = compare(Some(b"K9=1\n"), Some(theirs.as_bytes()), mine.as_bytes(), &[]) else { return Ok(()) };
        let shown = [
            format!("{comparison:?}"),
            serde_json::to_string(&comparison.changes).expect("JSON"),
            redacted_diff(mine.as_bytes(), &comparison.merged, false),
            redacted_diff(mine.as_bytes(), changed.as_bytes(), true),
        ].join("\n");
        for piece in values_of.iter().flat_map(|value| value.split(['\n', ' '])).filter(|piece| piece.len() >= 6) {
            prop_assert!(!shown.contains(piece), "{} in {}", piece, shown);
        }
    }

    #[test]
    fn any_bytes_are_compared_without_a_panic(
        theirs in prop::collection::vec(any::<u8>(), 0..80), mine in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(comparison) = compare(Some(&mine), Some(&theirs), &mine, &[]) {
            prop_assert!(comparison.merged.len() >= mine.len());
        }
        prop_assert!(redacted_diff(&mine, &theirs, true).len() < 100_000);
        prop_assert!(secrets(&mine).iter().all(|secret| secret.chars().count() >= 4));
    }
}

#[test]
fn a_comment_that_is_not_utf_8_is_kept_and_nothing_of_the_old_value_is() {
    let decisions = BTreeMap::from([("A".to_owned(), Decision::TakeDefault)]);
    let (mine, theirs, base) = (&b"A=old-value # caf\xe9 \xff\xfe\n"[..], &b"A=new\n"[..], &b"A=old-value\n"[..]);
    let sides = ThreeWay {
        base: Some(base),
        theirs: Some(theirs),
        mine,
        dialect: Dialect::Dotenv,
        public: &[],
        decisions: &decisions,
    };
    assert_eq!(three_way(&sides).unwrap().merged, b"A=new # caf\xe9 \xff\xfe\n");
}
