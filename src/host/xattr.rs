//! Extended attributes of an open file, xattr(7); POSIX ACLs are among them.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsRawFd;

use super::fs::{hex, unhex};

/// The attributes that a replacement keeps: name and value in hex, sorted. Filesystems without any have none.
pub fn list(file: &File) -> Vec<(String, String)> {
    let names = read(|buffer, size| {
        // SAFETY: the kernel writes at most `size` bytes to a buffer of that size.
        unsafe { libc::flistxattr(file.as_raw_fd(), buffer.cast(), size) }
    });
    let mut attributes: Vec<_> = names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let text = String::from_utf8(name.to_vec()).ok()?;
            Some((text, hex(&value(file, &CString::new(name).ok()?))))
        })
        .collect();
    attributes.sort();
    attributes
}

/// Gives a new file the attributes that another had. An ACL that it inherited from its directory, acl(5), goes where the
/// other had none.
pub fn apply(file: &File, attributes: &[(String, String)]) -> std::io::Result<()> {
    let is_wanted = |name: &String| attributes.iter().any(|(wanted, _)| wanted == name);
    for (name, _) in list(file) {
        if name.starts_with("system.posix_acl_") && !is_wanted(&name) {
            let name = CString::new(name)?;
            // SAFETY: the name ends with NUL.
            if unsafe { libc::fremovexattr(file.as_raw_fd(), name.as_ptr()) } != 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
    }
    for (name, value) in attributes {
        let name = CString::new(name.as_str())?;
        let value = unhex(value).unwrap_or_default();
        // SAFETY: the name ends with NUL and the value is as long as is said.
        let set = unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
        if set != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

fn value(file: &File, name: &CStr) -> Vec<u8> {
    read(|buffer, size| {
        // SAFETY: as in `list`.
        unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), buffer.cast(), size) }
    })
}

fn read(call: impl Fn(*mut u8, usize) -> isize) -> Vec<u8> {
    let mut buffer = vec![0; 64 << 10];
    let length = call(buffer.as_mut_ptr(), buffer.len());
    buffer.truncate(length.max(0) as usize);
    buffer
}
