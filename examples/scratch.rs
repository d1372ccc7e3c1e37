use relift::sample::*;
use relift::twin::*;
use std::io::Write;
fn main() {
    let relift = std::env::args().nth(1).unwrap();
    let twin = Twin::boot(Spec::new("scratch", Target::Full, &relift)).unwrap();
    let mut site = Site::new("app");
    let first = site.first("1.0.0");
    site = site.configure(&first);
    let run = |argv: &[&str], input: Vec<u8>| {
        let mut c = twin.attached(argv);
        c.stdin(std::process::Stdio::piped());
        let mut ch = c.spawn().unwrap();
        ch.stdin.take().unwrap().write_all(&input).unwrap();
        assert!(ch.wait().unwrap().success());
    };
    run(&["relift", "internal", "sample-publish"], serde_json::to_vec(&(&site, &first)).unwrap());
    run(&["relift", "internal", "sample-install"], serde_json::to_vec(&site).unwrap());
    let next = first
        .next("1.1.0")
        .note("manager", "Greets in the operator's language.")
        .note("runner", "Faster starts.")
        .env_key("manager", "GREETING", "hello", "What it says.")
        .env_key("manager", "ADMIN", "CHANGE_ME", "The admin's hash.")
        .unit_line("manager", "Service", "TimeoutStopSec=20");
    let next = if std::env::args().nth(2).is_some() {
        next.edit("manager/.env.example", |t| t.replace("ADMIN=CHANGE_ME", "ADMIN=root"))
    } else {
        next
    };
    run(&["relift", "internal", "sample-publish"], serde_json::to_vec(&(&site, &next)).unwrap());
    println!("{}", twin.init());
    std::thread::sleep(std::time::Duration::from_secs(3600));
}
