//! Filesystems on loop devices that a host mounts, and that can lose their power: shut down without a flush, mounted again
//! with what was durable.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::{Whence, lseek};

use crate::harness::Host;

/// Size of an image in bytes: more than the 100 MiB that a run wants to be free, and than the least that mkfs.xfs makes.
const SIZE: u64 = 320 << 20;
/// How long the kernel may take to let a device go.
const RELEASE: Duration = Duration::from_secs(20);

/// linux/loop.h
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// `_IOR('X', 125, __u32)`: XFS_IOC_GOINGDOWN and EXT4_IOC_SHUTDOWN.
const GOING_DOWN: libc::c_ulong = 0x8004_587D;
/// Neither data nor log is flushed.
const NO_LOG_FLUSH: u32 = 2;

static DISKS: AtomicU32 = AtomicU32::new(0);

/// A kind of filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
}

impl Kind {
    /// The filesystem, as mount(8) calls it, and the options that keep the kernel from writing anything unasked.
    pub fn words(self) -> [&'static str; 2] {
        match self {
            Kind::Ext4 => ["ext4", "noauto_da_alloc,commit=300"],
            Kind::Xfs => ["xfs", "nouuid"],
        }
    }
}

/// linux/loop.h, `struct loop_config` with its `struct loop_info64`.
#[repr(C)]
struct Configuration {
    file: u32,
    block_size: u32,
    places: [u64; 5],
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    names: [u8; 160],
    rest: [u64; 10],
}

/// A loop device, which the kernel takes apart when nobody has it open or mounted any more.
struct Loop {
    number: i32,
    _device: File,
}

impl Loop {
    fn over(image: &File) -> Loop {
        let control = File::options().read(true).write(true).open("/dev/loop-control").unwrap();
        let deadline = Instant::now() + RELEASE;
        loop {
            // SAFETY: the request takes no argument.
            let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
            assert!(number >= 0, "no loop device is free: {}", std::io::Error::last_os_error());
            let device = File::options().read(true).write(true).open(format!("/dev/loop{number}")).unwrap();
            let configuration = Configuration {
                file: image.as_raw_fd() as u32,
                block_size: 0,
                places: [0; 5],
                number: 0,
                encryption: [0; 2],
                flags: LO_FLAGS_AUTOCLEAR,
                names: [0; 160],
                rest: [0; 10],
            };
            // SAFETY: the structure is the kernel's, and lives through the call.
            if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &configuration) } == 0 {
                return Loop { number, _device: device };
            }
            // Another host was faster.
            let error = std::io::Error::last_os_error();
            assert!(error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline, "no loop device: {error}");
        }
    }
}

/// A disk in memory, with a filesystem on it.
pub struct Disk {
    kind: Kind,
    name: String,
    image: File,
    kept: File,
}

impl Disk {
    /// A new disk with an empty filesystem.
    pub fn format(kind: Kind) -> Disk {
        let name = format!("relift-disk-{}-{}", std::process::id(), DISKS.fetch_add(1, Ordering::Relaxed));
        let disk = Disk { kind, image: in_memory(&name), kept: in_memory("relift-kept"), name };
        let device = Loop::over(&disk.image);
        let node = format!("/dev/loop{}", device.number);
        let words: &[&str] = match kind {
            Kind::Ext4 => &["mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=8"],
            Kind::Xfs => &["mkfs.xfs", "-q", "-f"],
        };
        let out = Command::new(words[0]).args(&words[1..]).arg(node).output().unwrap();
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        disk
    }

    /// Mounts it in a host.
    pub fn mount(&self, host: &Host, at: &str) {
        // The device node of an earlier mount is another device's by now, or nobody's.
        let device = Loop::over(&self.image);
        let [kind, options] = self.kind.words();
        let number = device.number;
        host.must(&format!(
            "mkdir -p {at} && rm -f /dev/loop{number} && mknod /dev/loop{number} b 7 {number} && mount -t {kind} -o {options} /dev/loop{number} {at}"
        ));
    }

    /// Shuts the filesystem down: from here on nothing is read or written, and what was not durable is lost.
    pub fn cut(&self, host: &Host, at: &str) {
        let place = File::open(inside(host, at)).unwrap();
        // SAFETY: the request reads one number.
        let done = unsafe { libc::ioctl(place.as_raw_fd(), GOING_DOWN, &NO_LOG_FLUSH) };
        assert_eq!(done, 0, "{at} cannot be shut down: {}", std::io::Error::last_os_error());
    }

    /// Waits until nothing has it mounted, so that it is as a disk without power.
    #[track_caller]
    pub fn wait_until_released(&self) {
        let deadline = Instant::now() + RELEASE;
        while self.is_attached() {
            assert!(Instant::now() < deadline, "{} is still in use", self.name);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Keeps its content, which [`Disk::restore`] brings back. It must not be mounted.
    pub fn keep(&self) {
        copy(&self.image, &self.kept);
    }

    /// Brings the kept content back. It must not be mounted.
    pub fn restore(&self) {
        copy(&self.kept, &self.image);
    }

    fn is_attached(&self) -> bool {
        let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
        devices.into_iter().any(|device| {
            std::fs::read_to_string(device.path().join("loop/backing_file"))
                .is_ok_and(|file| file.starts_with(&format!("/memfd:{} ", self.name)))
        })
    }
}

/// A path of the host, as seen from here.
pub fn inside(host: &Host, path: &str) -> String {
    format!("/proc/{}/root{path}", host.twin().init())
}

fn in_memory(name: &str) -> File {
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: the name ends in a zero; the new descriptor is nobody else's.
    let file = unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0, "no memory for a disk: {}", std::io::Error::last_os_error());
        File::from_raw_fd(fd)
    };
    file.set_len(SIZE).unwrap();
    file
}

/// Copies what is not a hole, lseek(2).
fn copy(from: &File, to: &File) {
    to.set_len(0).unwrap();
    to.set_len(SIZE).unwrap();
    let mut at = 0;
    let mut bytes = vec![0; 1 << 20];
    while let Ok(start) = lseek(from, at, Whence::SeekData) {
        let end = lseek(from, start, Whence::SeekHole).unwrap();
        at = start;
        while at < end {
            let length = bytes.len().min((end - at) as usize);
            from.read_exact_at(&mut bytes[..length], at as u64).unwrap();
            to.write_all_at(&bytes[..length], at as u64).unwrap();
            at += length as i64;
        }
    }
}
