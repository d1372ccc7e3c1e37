//! The remotes of installs.

use super::Section::Network;
use super::{Finding, Tried};

/// What asking a remote came to.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The URL as it may be shown.
    pub url: String,
    /// The host that had to be resolved, and whether it was; `None`: the URL names none.
    pub host: Option<(String, Tried<()>)>,
    /// Whether it answered, with what git said and what to do where it did not; `None`: it was not asked.
    pub answer: Option<std::result::Result<(), (String, Option<String>)>>,
}

/// What is found about a remote.
pub fn judge(remote: &Remote, is_offline: bool) -> Finding {
    let means = "nothing new can be fetched; going back to a known-good release needs no network";
    match (&remote.host, &remote.answer) {
        (_, None) if is_offline => Finding::ok(Network, &remote.url, "not asked: --offline"),
        (_, None) => Finding::warning(Network, &remote.url, "not asked: git is not in order, see above").means(means),
        (Some((host, Err(why))), _) => {
            Finding::problem(Network, &remote.url, format!("the name {host} cannot be resolved: {why}"))
                .means(means)
                .mend(format!("look at the resolver: getent hosts {}; cat /etc/resolv.conf", crate::text::word(host)))
        }
        (_, Some(Err((why, mend)))) => {
            let finding = Finding::problem(Network, &remote.url, why.clone()).means(means);
            match mend {
                Some(mend) => finding.mend(mend.clone()),
                None => finding,
            }
        }
        (_, Some(Ok(()))) => Finding::ok(Network, &remote.url, "answers"),
    }
}

/// The host that a URL names; `None`: a path of this host.
pub fn host(url: &str) -> Option<String> {
    let authority = match url.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.split('/').next()?,
        None if url.starts_with('/') => return None,
        None => url.split_once(':')?.0,
    };
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn the_host_of_every_form_of_url() {
        for (url, expected) in [
            ("https://user:token@git.example.org:8443/a.git", Some("git.example.org")),
            ("ssh://git@[2001:db8::1]:22/a.git", Some("2001:db8::1")),
            ("git@git.example.org:a.git", Some("git.example.org")),
            ("file:///srv/git/a.git", None),
            ("/srv/git/a.git", None),
        ] {
            assert_eq!(host(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_remote_that_was_not_asked_says_so_and_one_that_fails_is_a_problem() {
        let remote = |host: Tried<()>, answer| Remote { url: "u".into(), host: Some(("h".into(), host)), answer };
        assert!(judge(&remote(Ok(()), None), true).what.contains("--offline"));
        assert_eq!(judge(&remote(Ok(()), Some(Ok(()))), false).level, Level::Ok);
        let refused = Some(Err(("refused".to_owned(), None)));
        assert_eq!(judge(&remote(Ok(()), refused.clone()), false).level, Level::Problem);
        assert!(judge(&remote(Err("no answer".into()), refused), false).mend.unwrap().contains("getent"));
        assert_eq!(judge(&remote(Ok(()), None), false).level, Level::Warning);
    }
}
