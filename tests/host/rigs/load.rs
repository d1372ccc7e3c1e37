//! Requests that never stop while the service is upgraded again and again: none of them may be lost.
//!
//! Every request is a connection of its own to the manager's port, asks for its version and has to be answered with the release of
//! before or of after. The services are real ones: behind a socket unit, with `ExecReload=`, with a descriptor store.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::figures::{Ended, Figure, rounds};
use crate::harness::Host;

const SHIPPED: &str = "manager/production/sample-manager.service";
const MANIFEST: &str = "/etc/relift/app.toml";
/// How many clients ask at once.
const CLIENTS: usize = 4;
/// How long a request may take: longer than a restart, far less than for ever.
const BOUND: Duration = Duration::from_secs(10);
/// Upgrades while the requests go on.
const UPGRADES: usize = 4;

/// How a service hands over.
struct Way {
    name: &'static str,
    /// Changes its unit.
    unit: fn(String) -> String,
    behaviour: &'static str,
    restart: &'static str,
    socket: bool,
}

const WAYS: [Way; 3] = [
    Way {
        name: "socket activation, restarts",
        unit: |text| text.replace("[Service]\n", "[Service]\nType=notify\n"),
        behaviour: "hand-over",
        restart: "if-changed",
        socket: true,
    },
    Way {
        name: "`ExecReload=`, reloads",
        unit: |text| text.replace("[Service]\n", "[Service]\nType=notify\nExecReload=/bin/kill -HUP $MAINPID\n"),
        behaviour: "hand-over",
        restart: "reload",
        socket: false,
    },
    Way {
        name: "descriptor store, restarts",
        unit: |text| text.replace("[Service]\n", "[Service]\nType=notify\nFileDescriptorStoreMax=1\n"),
        behaviour: "hand-over\nstore-listener",
        restart: "if-changed",
        socket: false,
    },
];

/// A host whose manager hands over in one of the ways, at 1.0.1.
fn host(way: &Way) -> Host {
    let mut host = Host::with_sample();
    let manifest = host.read(MANIFEST);
    let (head, tail) = manifest.split_once("restart = \"if-changed\"").unwrap();
    let socket = "\n[[component.unit]]\nfile = \"production/sample-manager.socket\"\nscope = \"system\"\n";
    let socket = if way.socket { socket } else { "" };
    let manifest =
        format!("{head}restart = \"{}\"\n{socket}{tail}", way.restart).replace("soak       = \"1s\"", "soak = \"0s\"");
    host.write(MANIFEST, manifest, 0o644, "root");
    host.release(|release| {
        let release = release.next("1.0.1").edit(SHIPPED, way.unit).behaviour("manager", way.behaviour);
        match way.socket {
            true => release.file(
                "manager/production/sample-manager.socket",
                "[Socket]\nListenStream=127.0.0.1:18080\n[Install]\nWantedBy=sockets.target\n",
            ),
            false => release,
        }
    });
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.wait_for_answer("manager", "1.0.1", way.name);
    host
}

/// Asks from within the host's network until told to end, at least so often; what each request ended with.
fn clients(host: &Host, upgrades: impl FnOnce(), at_least: usize) -> Vec<Result<String, String>> {
    let namespace = format!("/proc/{}/ns/net", host.twin().init());
    let token = host.must("sed -n 's/^API_TOKEN=//p' /opt/app/manager/.env");
    let (is_over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let client = || {
            setns(File::open(&namespace).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            let mut answers = Vec::new();
            while !is_over.load(Ordering::Relaxed) || asked.load(Ordering::Relaxed) < at_least {
                asked.fetch_add(1, Ordering::Relaxed);
                answers.push(ask(&token));
            }
            answers
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        upgrades();
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// One request: the version that answered.
fn ask(token: &str) -> Result<String, String> {
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], 18080)), BOUND)?;
        stream.set_read_timeout(Some(BOUND))?;
        write!(
            stream,
            "GET /api/version HTTP/1.1\r\nHost: localhost\r\nX-API-Token: {token}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = asked().map_err(|error| error.to_string())?;
    let version = answer.split_once("\"version\":\"").and_then(|(_, rest)| rest.split_once('"'));
    match (answer.starts_with("HTTP/1.1 200 "), version) {
        (true, Some((version, _))) => Ok(version.to_owned()),
        _ => Err(format!("answered {:?}", answer.lines().next())),
    }
}

fn lose_nothing(way: &Way) {
    let mut host = host(way);
    let mut figure = Figure::new("load", "upgrades under load", way.name);
    let total = rounds(6_000, 102_000);
    for number in 0..UPGRADES {
        let (old, new) = (format!("1.{}.0", number), format!("1.{}.0", number + 1));
        let old = if number == 0 { "1.0.1".to_owned() } else { old };
        host.release(|release| release.next(&new));
        let process = host.must("systemctl show -P MainPID sample-manager.service");
        let socket = listener(&host);
        let upgrade = || {
            thread::sleep(Duration::from_millis(300));
            host.relift(&["upgrade", "app", "--yes"]).exits(0);
            thread::sleep(Duration::from_millis(300));
        };
        for answer in clients(&host, upgrade, total.div_ceil(UPGRADES)) {
            figure.count(match answer {
                Ok(version) if version == old => Ok(Ended::Old),
                Ok(version) if version == new => Ok(Ended::New),
                Ok(version) => Err(format!("{} -> {new}: {version} answered", old)),
                Err(lost) => Err(format!("{} -> {new}: {lost}", old)),
            });
        }
        let same = host.must("systemctl show -P MainPID sample-manager.service") == process;
        assert_eq!(same, way.restart == "reload", "{}: the process is of before: {same}", way.name);
        assert_eq!(listener(&host), socket, "{}: the listener is another one", way.name);
    }
    assert!(figure.times() >= total && figure.ended(Ended::Old) > 0 && figure.ended(Ended::New) > 0);
    figure.publish();
}

/// The inode of the socket that listens on the manager's port.
fn listener(host: &Host) -> String {
    let inode = host.must("ss -Hltne 'sport = :18080' | grep -o 'ino:[0-9]*'");
    assert_eq!(inode.lines().count(), 1, "{inode}");
    inode
}

#[test]
fn a_service_behind_a_socket_is_upgraded_without_a_lost_request() {
    lose_nothing(&WAYS[0]);
}

#[test]
fn a_service_that_reloads_is_upgraded_without_a_lost_request() {
    lose_nothing(&WAYS[1]);
}

#[test]
fn a_service_with_a_descriptor_store_is_upgraded_without_a_lost_request() {
    lose_nothing(&WAYS[2]);
}
