//! What the resource limits that this program inherited leave it, setrlimit(2): too little is told before anything is begun,
//! since a stack or an address space that ends in the middle of a run ends the program with it.

use nix::sys::resource::{Resource, getrlimit, rlim_t};

use crate::error::Error;

/// The least that a run was seen to need, with a margin.
const LEAST: [Limit; 4] = [
    Limit { resource: Resource::RLIMIT_AS, what: "address space", least: 256 << 20, unit: Unit::Bytes, option: 'v' },
    Limit { resource: Resource::RLIMIT_STACK, what: "stack", least: 1 << 20, unit: Unit::Bytes, option: 's' },
    Limit { resource: Resource::RLIMIT_FSIZE, what: "size of a file", least: 64 << 20, unit: Unit::Bytes, option: 'f' },
    Limit { resource: Resource::RLIMIT_NOFILE, what: "open files", least: 64, unit: Unit::Number, option: 'n' },
];

struct Limit {
    resource: Resource,
    what: &'static str,
    least: rlim_t,
    unit: Unit,
    option: char,
}

#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Number,
}

impl Unit {
    fn words(self, value: rlim_t) -> String {
        match self {
            Unit::Number => value.to_string(),
            Unit::Bytes if value >= 1 << 20 => format!("{} MiB", value >> 20),
            Unit::Bytes if value >= 1 << 10 => format!("{} KiB", value >> 10),
            Unit::Bytes => format!("{value} bytes"),
        }
    }
}

/// The error of limits that leave too little; `None` where they leave enough.
pub fn too_little() -> Option<Error> {
    judge(|resource| getrlimit(resource).map_or(rlim_t::MAX, |(soft, _)| soft))
}

fn judge(current: impl Fn(Resource) -> rlim_t) -> Option<Error> {
    let low = LEAST.iter().filter(|limit| current(limit.resource) < limit.least);
    let mut low = low.map(|limit| {
        let words = format!(
            "{}: at most {}, and at least {} are needed",
            limit.what,
            limit.unit.words(current(limit.resource)),
            limit.unit.words(limit.least)
        );
        (words, limit.option)
    });
    let (first, option) = low.next()?;
    let error = Error::failed("the resource limits of this process leave too little to work with").because(first);
    let error = error.hint(format!("ulimit -{option} unlimited, or the Limit...= of the unit that starts it"));
    Some(low.fold(error, |error, (words, _)| error.because(words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(resource: Resource, value: rlim_t) -> Option<Error> {
        judge(|asked| if asked == resource { value } else { rlim_t::MAX })
    }

    #[test]
    fn a_limit_that_leaves_too_little_is_named_with_what_is_needed() {
        assert!(judge(|_| rlim_t::MAX).is_none());
        let error = told(Resource::RLIMIT_AS, 100 << 20).unwrap();
        assert_eq!(error.causes, ["address space: at most 100 MiB, and at least 256 MiB are needed"]);
        assert!(error.hints[0].starts_with("ulimit -v "));
        assert_eq!(
            told(Resource::RLIMIT_FSIZE, 512).unwrap().causes,
            ["size of a file: at most 512 bytes, and at least 64 MiB are needed"]
        );
        assert!(told(Resource::RLIMIT_NOFILE, 64).is_none());
        assert_eq!(
            told(Resource::RLIMIT_NOFILE, 20).unwrap().causes,
            ["open files: at most 20, and at least 64 are needed"]
        );
        assert!(told(Resource::RLIMIT_NPROC, 1).is_none());
        assert_eq!(judge(|_| 1).unwrap().causes.len(), LEAST.len());
    }
}
