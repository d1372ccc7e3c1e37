//! A network between hosts: a bridge in a namespace of its own, a cable to each host.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Host, needs};

/// A network, 10.77.0.0/24; nothing else is reached from it. It is gone when this value is.
pub struct Network {
    holder: Child,
    members: AtomicU32,
}

impl Network {
    pub fn new() -> Network {
        needs(&[("ip", "iproute2"), ("unshare", "util-linux")]);
        // It ends when its standard input does: with this process at the latest.
        let holder = Command::new("unshare").args(["--net", "--", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
        let network = Network { holder, members: AtomicU32::new(0) };
        network.wait_for_namespace();
        network.ip("link add br0 type bridge");
        network.ip("link set br0 up");
        network
    }

    /// Connects a host; its address. The cable stays when the host boots again.
    pub fn join(&self, host: &Host) -> String {
        let number = 1 + self.members.fetch_add(1, Ordering::Relaxed);
        let (address, holder) = (format!("10.77.0.{number}"), host.twin().supervisor());
        self.ip(&format!("link add port{number} type veth peer name eth0 netns {holder}"));
        self.ip(&format!("link set port{number} master br0 up"));
        ip(holder, &format!("addr add {address}/24 dev eth0"));
        ip(holder, "link set eth0 up");
        address
    }

    /// Pulls the cable of the host with this address.
    pub fn cut(&self, address: &str) {
        let number = address.rsplit('.').next().unwrap();
        self.ip(&format!("link set port{number} down"));
    }

    fn ip(&self, line: &str) {
        ip(self.holder.id(), line);
    }

    fn wait_for_namespace(&self) {
        let space = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while space(&self.holder.id().to_string()) == space("self") {
            assert!(Instant::now() < deadline, "no network namespace was made");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().unwrap();
    }
}

/// ip(8) in the network namespace of a process.
fn ip(pid: u32, line: &str) {
    let mut command = Command::new("nsenter");
    let out = command.arg(format!("--net=/proc/{pid}/ns/net")).arg("ip").args(line.split(' ')).output().unwrap();
    assert!(out.status.success(), "ip {line}: {}", String::from_utf8_lossy(&out.stderr));
}
