use std::collections::BTreeMap;

use proptest::prelude::*;

use super::settings::assignments;
use super::*;
use crate::error::Kind;

fn effective(unit: &str, local: Option<&str>) -> Settings {
    Settings::of(unit, &local.into_iter().collect::<Vec<_>>())
}

fn parsed(unit: &str) -> Vec<String> {
    assignments(unit).into_iter().map(|found| format!("{}.{}={}", found.section, found.key, found.value)).collect()
}

#[test]
fn a_unit_is_read_as_systemd_reads_it() {
    assert_eq!(
        parsed("A=1\n[Unit]\n# c\n; c\n A = 1 2 \nB=x # no comment\nnothing\n"),
        ["Unit.A=1 2", "Unit.B=x # no comment"]
    );
    assert_eq!(parsed("[S]\nA=1 \\\n  2\\\n# c\n ; c \\\n3\nB=4"), ["S.A=1    2 3", "S.B=4"]);
    assert_eq!(parsed("[S]\nA=1 \\\n\nB=2\\"), ["S.A=1", "S.B=2"]);
    assert_eq!(parsed("\u{feff}[S]\r\nA=1\rB=2\r\n[X-Z]\nC=3\n[S]\nX-D=4\n=5\n"), ["S.A=1", "S.B=2"]);
    assert_eq!(parsed("[S]\nA=C:\\\\\nB=2\n[broken\nC=3\n"), ["S.A=C:\\\\", "S.B=2"]);
}

#[test]
fn drop_ins_apply_in_order_and_an_empty_assignment_resets_what_it_shares_a_list_with() {
    let unit = "[Service]\nExecStart=/a\nEnvironment=A=1\nUser=x\n[Unit]\nAfter=a\nConditionPathExists=/a\n[Timer]\nOnBootSec=1\n";
    let drop_ins = [
        "[Service]\nExecStart=\nExecStart=/b\nEnvironment=B=2\nUser=y\nUser=\n",
        "[Unit]\nAfter=\nAfter=b a\nConditionHost=\nConditionUser=u\n[Timer]\nOnCalendar=\nOnCalendar=daily\n",
    ];
    let same = "[Service]\nExecStart=/b\nEnvironment=A=1\nEnvironment=B=2\n[Unit]\nAfter=b\nAfter=a\nConditionUser=u\n[Timer]\nOnCalendar=daily\n";
    assert_eq!(compare_with_drop_ins(unit, &drop_ins, same, &[]), []);
    assert_ne!(compare_with_drop_ins(unit, &[drop_ins[1], drop_ins[0]], unit, &[]), []);
}

/// Each line: section, body before, body after, what the change asks for.
const IMPACTS: &[(&str, &str, &str, Impact)] = {
    use Impact::*;
    &[
        ("Unit", "Description=a", "Description=b", Nothing),
        ("Unit", "", "Documentation=man:x(1)", Nothing),
        ("Unit", "# c", "; d\n\n", Nothing),
        ("Unit", "X-A=1", "X-A=2", Nothing),
        ("X-Own", "A=1", "A=2", Nothing),
        ("Unit", "After=a b", "After=b\nAfter=a", Nothing),
        ("Unit", "After=a", "After=a b", Reload),
        ("Unit", "Before=a", "", Reload),
        ("Unit", "Wants=a", "Wants=b", Reload),
        ("Unit", "", "OnFailure=mail@%n.service", Reload),
        ("Unit", "", "OnSuccess=a.service", Reload),
        ("Unit", "", "PartOf=a.target", Reload),
        ("Unit", "", "Upholds=a.service", Reload),
        ("Unit", "", "Conflicts=a.service", Reload),
        ("Unit", "Requires=a", "Requires=b", Restart),
        ("Unit", "", "BindsTo=a", Restart),
        ("Unit", "", "RequiresMountsFor=/data", Restart),
        ("Unit", "", "JoinsNamespaceOf=a.service", Restart),
        ("Unit", "ConditionPathExists=/a", "ConditionPathExists=/b", Reload),
        ("Unit", "", "AssertPathExists=/a", Reload),
        ("Unit", "", "StartLimitBurst=9", Reload),
        ("Unit", "StartLimitIntervalSec=1", "StartLimitIntervalSec=2", Reload),
        ("Unit", "", "RefuseManualStart=yes", Reload),
        ("Unit", "", "RefuseManualStart=no", Nothing),
        ("Unit", "", "JobTimeoutSec=5", Reload),
        ("Unit", "", "FailureAction=reboot", Reload),
        ("Unit", "", "SomethingNew=1", Restart),
        ("Install", "WantedBy=a.target", "WantedBy=b.target", Reenable),
        ("Install", "", "Alias=b.service", Reenable),
        ("Service", "ExecStart=/a  b \\\n  c", "ExecStart=/a b c", Nothing),
        ("Service", "ExecStart=/a 'b  c'", "ExecStart=/a 'b c'", Restart),
        ("Service", "User=a\nGroup=b", "Group=b\nUser=a", Nothing),
        ("Service", "User=a\nUser=b", "User=b", Nothing),
        ("Service", "ExecStart=/a", "ExecStart=/b", Restart),
        ("Service", "ExecStartPre=/a\nExecStartPre=/b", "ExecStartPre=/b\nExecStartPre=/a", Restart),
        ("Service", "ExecReload=/a", "ExecReload=/b", Restart),
        ("Service", "ExecStopPost=/a", "", Restart),
        ("Service", "Environment=A=1", "Environment=A=2", Restart),
        ("Service", "Environment=A=1\nEnvironment=", "", Nothing),
        ("Service", "", "EnvironmentFile=-/etc/x", Restart),
        ("Service", "User=a", "User=b", Restart),
        ("Service", "", "WorkingDirectory=/a", Restart),
        ("Service", "", "Type=simple", Nothing),
        ("Service", "", "Type=notify", Restart),
        ("Service", "", "NoNewPrivileges=yes", Restart),
        ("Service", "NoNewPrivileges=yes", "NoNewPrivileges=yes\nNoNewPrivileges=", Nothing),
        ("Service", "", "ProtectSystem=strict", Restart),
        ("Service", "", "ReadWritePaths=/a", Restart),
        ("Service", "", "SystemCallFilter=@system-service", Restart),
        ("Service", "LimitNOFILE=1", "LimitNOFILE=2", Restart),
        ("Service", "", "Nice=5", Restart),
        ("Service", "", "WatchdogSec=5", Restart),
        ("Service", "", "SyslogIdentifier=x", Restart),
        ("Service", "Restart=no", "Restart=always", Reload),
        ("Service", "", "Restart=no", Nothing),
        ("Service", "RestartSec=1", "RestartSec=2", Reload),
        ("Service", "", "RestartPreventExitStatus=3", Reload),
        ("Service", "", "SuccessExitStatus=143", Reload),
        ("Service", "", "TimeoutStopSec=5", Reload),
        ("Service", "", "KillMode=mixed", Reload),
        ("Service", "CPUWeight=1", "CPUWeight=2", Reload),
        ("Service", "", "MemoryMax=1G", Reload),
        ("Service", "", "StartupCPUWeight=9", Reload),
        ("Service", "", "TasksMax=9", Reload),
        ("Service", "", "IOReadBandwidthMax=/dev/sda 1M", Reload),
        ("Service", "", "ManagedOOMSwap=kill", Reload),
        ("Service", "", "Delegate=yes", Restart),
        ("Service", "", "Slice=x.slice", Restart),
        ("Timer", "OnCalendar=daily", "OnCalendar=weekly", Restart),
        ("Timer", "OnCalendar=daily", "OnCalendar=weekly\nOnBootSec=\nOnCalendar=daily", Nothing),
        ("Timer", "", "Persistent=yes", Restart),
        ("Timer", "", "RandomizedDelaySec=5min", Restart),
        ("Socket", "ListenStream=1", "ListenStream=2", Restart),
        ("Socket", "", "SocketMode=0600", Restart),
        ("Socket", "", "MaxConnections=9", Reload),
        ("Socket", "", "TriggerLimitBurst=9", Reload),
        ("Path", "PathExists=/a", "PathExistsGlob=/a", Restart),
        ("Path", "", "TriggerLimitBurst=9", Reload),
        ("Slice", "", "MemoryMax=1G", Reload),
        ("Mount", "Options=ro", "Options=rw", Remount),
    ]
};

#[test]
fn a_change_asks_for_no_more_than_it_needs() {
    assert!(IMPACTS.len() >= 60);
    for (section, before, after, expected) in IMPACTS {
        let unit = |body: &str| format!("[Unit]\nDescription=d\n[{section}]\n{body}\n");
        let changes = compare(&unit(before), &unit(after));
        assert_eq!(impact(&changes), *expected, "[{section}] {before:?} -> {after:?}: {changes:?}");
        assert_eq!(
            impact(&compare(&unit(after), &unit(before))),
            *expected,
            "back: [{section}] {before:?} <- {after:?}"
        );
    }
}

#[test]
fn a_change_tells_both_sides_and_no_secret() {
    let before = "[Service]\nUser=a\nEnvironment=A=hunter1\nEnvironment=B=hunter2\nSetCredential=x:hunter3\n";
    let after = "[Service]\nUser=b\nEnvironment=A=hunter1\nEnvironment=B=hunter4\n";
    let changes = compare(before, after);
    let told: Vec<_> =
        changes.iter().map(|change| (change.key.as_str(), change.before.join("|"), change.after.join("|"))).collect();
    assert_eq!(
        told,
        [
            ("Environment", "<set>|<set>".to_owned(), "<set>|<changed>".to_owned()),
            ("SetCredential", "<set>".to_owned(), String::new()),
            ("User", "a".to_owned(), "b".to_owned()),
        ]
    );
    assert!(!serde_json::to_string(&changes).expect("JSON").contains("hunter"));
}

const BASE: &str = "[Unit]\nDescription=app\nAfter=network.target\nRequires=db.service\n\n[Service]\nUser=app\nExecStart=/opt/app/run\n\
    Environment=PORT=80\nRestart=no\nNoNewPrivileges=yes\nLimitNOFILE=1024\nMemoryMax=1G\n\n[Install]\nWantedBy=multi-user.target\n";

fn edited(from: &str, to: &str) -> String {
    assert!(BASE.contains(from));
    BASE.replace(from, to)
}

fn local(base: &str, theirs: &str, mine: &str) -> Option<String> {
    let merge = merge(Some(base), theirs, mine).expect("merges");
    assert_eq!(merge.unit, theirs);
    merge.local.map(|text| text.split_once("\n\n").expect("a heading").1.to_owned())
}

#[test]
fn an_edit_of_the_operators_becomes_a_drop_in() {
    for (from, to, expected) in [
        ("User=app\n", "User=svc\n", "[Service]\nUser=svc\n"),
        ("User=app\n", "", "[Service]\nUser=\n"),
        ("Restart=no\n", "Restart=always\n", "[Service]\nRestart=always\n"),
        ("NoNewPrivileges=yes\n", "", "[Service]\nNoNewPrivileges=no\n"),
        ("MemoryMax=1G\n", "", "[Service]\nMemoryMax=\n"),
        ("Environment=PORT=80\n", "Environment=PORT=81\n", "[Service]\nEnvironment=\nEnvironment=PORT=81\n"),
        ("Environment=PORT=80\n", "Environment=PORT=80\nEnvironment=A=1\n", "[Service]\nEnvironment=A=1\n"),
        (
            "ExecStart=/opt/app/run\n",
            "ExecStart=/opt/app/run -v\n",
            "[Service]\nExecStart=\nExecStart=/opt/app/run -v\n",
        ),
        ("After=network.target\n", "After=network.target nfs.target\n", "[Unit]\nAfter=nfs.target\n"),
        ("MemoryMax=1G\n", "MemoryMax=1G\nCapabilityBoundingSet=\n", "[Service]\nCapabilityBoundingSet=\n"),
        ("WantedBy=multi-user.target", "WantedBy=app.target", "[Install]\nWantedBy=\nWantedBy=app.target\n"),
        ("[Install]", "[Service]\nSyslogIdentifier=a\\\\\n[Install]", "[Service]\nSyslogIdentifier=a\\\\\n"),
    ] {
        let upstream = edited("Description=app", "Description=app 2\nDocumentation=man:app(8)");
        assert_eq!(local(BASE, &upstream, &edited(from, to)).as_deref(), Some(expected), "{from} -> {to}");
    }
}

#[test]
fn without_an_edit_there_is_no_drop_in() {
    let theirs = edited("User=app", "User=new");
    assert_eq!(local(BASE, &theirs, BASE), None);
    assert_eq!(local(BASE, &theirs, &theirs), None);
    assert_eq!(local(BASE, &theirs, &format!("# a comment of mine\n{BASE}")), None);
    assert_eq!(local(BASE, BASE, &edited("Restart=no\n", "")), None);
}

#[test]
fn what_was_only_added_goes_with_what_upstream_did_to_the_list() {
    let mine = edited("Environment=PORT=80\n", "Environment=PORT=80\nEnvironment=A=1\n");
    let theirs = edited("Environment=PORT=80\n", "Environment=PORT=8080\nEnvironment=B=2\n");
    assert_eq!(local(BASE, &theirs, &mine).as_deref(), Some("[Service]\nEnvironment=A=1\n"));
    let theirs = edited("Environment=PORT=80\n", "Environment=PORT=80\nEnvironment=A=2\n");
    assert_eq!(merge(Some(BASE), &theirs, &mine).expect_err("both set A").kind, Kind::Refused);
}

#[test]
fn a_setting_that_both_changed_differently_stops_with_both_sides_and_without_secrets() {
    let error =
        merge(Some(BASE), &edited("User=app", "User=theirs"), &edited("User=app", "User=mine")).expect_err("conflict");
    assert_eq!(error.kind, Kind::Refused);
    assert_eq!(error.what, "the unit was changed here and upstream in different ways: [Service] User=");
    assert_eq!(error.causes, ["here: User=mine", "upstream: User=theirs"]);
    assert!(error.hints[0].contains("go back to: User=app"), "{:?}", error.hints);

    let with = |value: &str| edited("Environment=PORT=80", &format!("Environment=TOKEN={value}"));
    let error = merge(Some(BASE), &with("hunter2"), &with("hunter3")).expect_err("conflict");
    assert!(error.causes.contains(&"here: Environment=<changed>".to_owned()), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter"));

    let (theirs, mine) =
        (edited("Description=app", "Description=theirs"), edited("Description=app", "Description=mine"));
    assert_eq!(local(BASE, &theirs, &mine).as_deref(), Some("[Unit]\nDescription=mine\n"));

    let error = merge(Some(BASE), &edited("User=app", "User=theirs"), &edited("User=app\n", "")).expect_err("conflict");
    assert_eq!(error.causes[0], "here: (not set)");
}

#[test]
fn settling_a_conflict_as_the_hints_say_settles_it() {
    let theirs = edited("User=app", "User=theirs");
    assert_eq!(local(BASE, &theirs, BASE), None);
    assert_eq!(local(BASE, &theirs, &edited("User=app", "User=theirs")), None);
}

#[test]
fn what_no_drop_in_can_take_away_stops_and_is_named() {
    for (from, expected) in
        [("Requires=db.service\n", "[Unit] Requires=db.service"), ("LimitNOFILE=1024\n", "[Service] LimitNOFILE=1024")]
    {
        let error = merge(Some(BASE), BASE, &edited(from, "")).expect_err("inexpressible");
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.what.ends_with(expected), "{}", error.what);
        // upstream dropped it as well: nothing to do
        assert_eq!(local(BASE, &edited(from, ""), &edited(from, "")), None);
    }
}

#[test]
fn without_a_base_every_difference_is_the_operators_and_dependencies_are_upstreams() {
    let theirs = edited("After=network.target", "After=network.target new.target").replace("User=app", "User=new");
    let merge = merge(None, &theirs, BASE).expect("merges");
    assert!(merge.local.expect("edits").ends_with("[Service]\nUser=app\n"));
    assert_eq!(merge.notes, ["[Unit] After=network.target new.target is as upstream has it: no drop-in takes it away"]);
}

#[test]
fn a_second_drop_in_comes_after_the_first() {
    let first = "[Service]\nUser=a\nEnvironment=A=1 \\";
    let both = extended_local(first, "# more\n\n[Service]\nUser=b\n");
    assert_eq!(compare_with_drop_ins(BASE, &[&both], BASE, &["[Service]\nUser=b\nEnvironment=A=1\n"]), []);
}

#[test]
fn a_diff_shows_lines_and_hides_environment_values() {
    let before = "[Service]\nUser=a\x1b[31m\nEnvironment=A=hunter1 \\\n  B=hunter1\n#Environment=C=hunter1\nSetCredential=x:hunter1\n";
    let after = "[Service]\nUser=b\nEnvironment=A=hunter2 \\\n# hunter2\n  B=hunter2\n#Environment=C=hunter1\nSetCredential=x:hunter1\nEnvironment=D=hunter2\rEnvironment=hunter2\n";
    assert_eq!(
        diff(("a.service", "a.service"), before, after, false),
        "--- a.service\n+++ a.service\n@@ -1,5 +1,7 @@\n [Service]\n-User=a\\x1b[31m\n-Environment=<set>\n+User=b\n\
         +Environment=<changed>\n #Environment=<set>\n SetCredential=<set>\n+Environment=<changed>\n+Environment=<changed>\n"
    );
    assert!(diff(("a", "a"), before, after, true).contains("\x1b[32m+"));
    assert_eq!(diff(("a", "a"), before, before, false), "");
}

/// Lines among which edits choose.
fn setting() -> impl Strategy<Value = (&'static str, String)> {
    let service = [
        "User=[ab]?",
        "Restart=(no|always|on-failure)",
        "NoNewPrivileges=(yes|no)",
        "MemoryMax=[12]?",
        "Environment=[A-C]=[12]",
        "Environment=",
        "ExecStart=/[ab]",
        "ExecStartPre=/[abc]",
        "ReadWritePaths=/[abc]( /d)?",
        "LimitNOFILE=[12]",
        "BindPaths=/[ab]",
        "BindReadOnlyPaths=/[ab]?",
        "CapabilityBoundingSet=~?(CAP_KILL|CAP_CHOWN)?",
        "Delegate=(no|cpu|pids)?",
        "Type=(simple|exec)",
        "SyslogIdentifier=[ab]\\\\\\\\",
        "Unknown=[ab]",
    ];
    let unit = [
        "After=[ab]\\.target( c\\.target)?",
        "Requires=[ab]\\.service",
        "ConditionPathExists=/[ab]",
        "ConditionUser=[ab]?",
        "Description=[ab]",
    ];
    let timer = ["OnCalendar=(daily|weekly|)", "OnBootSec=[12]", "Persistent=(yes|no)"];
    let install = ["WantedBy=[ab]\\.target", "Alias=[ab]\\.service"];
    let of = |section: &'static str, patterns: Vec<&'static str>| {
        prop::sample::select(patterns).prop_flat_map(move |pattern| pattern.prop_map(move |line| (section, line)))
    };
    prop_oneof![
        6 => of("Service", service.to_vec()), 2 => of("Unit", unit.to_vec()), 1 => of("Timer", timer.to_vec()), 1 => of("Install", install.to_vec()),
    ]
}

fn written(settings: &[(&str, String)]) -> String {
    settings.iter().map(|(section, line)| format!("[{section}]\n{line}\n")).collect()
}

/// A unit, and two edits of it.
fn three_sides() -> impl Strategy<Value = [String; 3]> {
    let edits = || prop::collection::vec((0..12usize, 0..3u8, setting()), 0..3);
    (prop::collection::vec(setting(), 1..10), edits(), edits()).prop_map(|(base, theirs, mine)| {
        let apply = |edits: Vec<(usize, u8, (&'static str, String))>| {
            let mut unit = base.clone();
            for (at, how, line) in edits {
                let at = at % unit.len().max(1);
                match how {
                    0 => unit.push(line),
                    1 if !unit.is_empty() => unit[at] = line,
                    _ if !unit.is_empty() => drop(unit.remove(at)),
                    _ => {}
                }
            }
            written(&unit)
        };
        [written(&base), apply(theirs), apply(mine)]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_is_in_effect_after_a_merge_is_what_each_side_meant([base, theirs, mine] in three_sides()) {
        let Ok(merge) = merge(Some(&base), &theirs, &mine) else { return Ok(()) };
        let [before, upstream, local] = [&base, &theirs, &mine].map(|unit| effective(unit, None));
        let result = effective(&merge.unit, merge.local.as_deref());
        let groups: BTreeMap<&(String, String), ()> = result.groups(&before).into_iter()
            .chain(upstream.groups(&local)).map(|group| (group, ())).collect();
        for group in groups.keys() {
            let [before, upstream, local, result] = [&before, &upstream, &local, &result].map(|side| side.values(group));
            if local == before {
                prop_assert_eq!(result, upstream, "{:?} untouched here", group);
            } else if upstream == before || upstream == local || group.1 == "Description" {
                prop_assert_eq!(result, local, "{:?} changed here", group);
            } else {
                // both changed it: nothing of either addition is lost, and nothing comes back that either removed
                for value in upstream.iter().chain(local.iter().filter(|value| !before.contains(value))) {
                    prop_assert!(result.contains(value), "{:?} lost {:?}", group, value);
                }
                prop_assert!(result.iter().all(|value| upstream.contains(value) || local.contains(value)));
            }
        }
        prop_assert_eq!(merge.unit, theirs);
    }

    #[test]
    fn where_upstream_changed_nothing_the_operators_unit_stays_in_effect([base, _, mine] in three_sides()) {
        match merge(Some(&base), &base, &mine) {
            Ok(merge) => prop_assert_eq!(effective(&merge.unit, merge.local.as_deref()), effective(&mine, None)),
            Err(error) => prop_assert!(error.what.contains("no drop-in can take away"), "{:?}", error),
        }
    }

    #[test]
    fn any_text_is_compared_without_a_panic(before in any::<String>(), after in "([\\[\\]=\\\\\n#; A-Z]|Environment=x){0,60}") {
        prop_assert_eq!(compare(&before, &before), []);
        prop_assert_eq!(compare(&after, &after), []);
        if let Ok(merge) = merge(Some(&before), &after, &after) {
            prop_assert_eq!(merge.local, None);
        }
        prop_assert!(diff(("x", "x"), &before, &after, true).len() < 100_000);
    }
}
