//! The platform that these tests upgrade: packages that are built on the host, and a repository of them.

use crate::harness::{Host, needs};

/// What the tests install is declared by the template, as it is.
const MANIFEST: &str = include_str!("../../../templates/manifests/packages.toml");

/// A host with app 1.0 of a repository of dpkg's, two engines that run, and the template as its manifest.
pub fn with_debs() -> Host {
    needs(&[("apt-ftparchive", "apt-utils"), ("dpkg-deb", "dpkg-dev")]);
    let host = Host::boot();
    host.must("rm -f /usr/sbin/policy-rc.d; useradd --system --create-home --shell /bin/sh app; mkdir -p /srv/deb");
    // What other packages of this machine declare is none of the tests'.
    host.must("mkdir -p /srv/off; mv /etc/apt/sources.list.d/* /srv/off/ 2>/dev/null; true");
    deb(&host, "app", "1.0-1", "", "");
    deb(&host, "other", "1.0-1", "", "");
    publish(&host);
    host.must("apt-get -q -y -o Dpkg::Use-Pty=0 update; apt-get -q -y -o Dpkg::Use-Pty=0 install app other");
    host.must("systemctl daemon-reload; systemctl enable --now engine@a engine.target; systemctl start engine@b; runuser -u app -- /usr/lib/app/appinit --edition core; runuser -u app -- /usr/lib/app/app-reconfigure");
    host.write("/etc/relift/app.toml", MANIFEST, 0o644, "root");
    host
}

/// The manifest with more keys under `[source.packages]`.
pub fn configure(host: &Host, keys: &str) {
    let now = host.read("/etc/relift/app.toml");
    let line = if now.lines().any(|line| line.starts_with("manager = ")) { "manager = \"dnf\"" } else { "" };
    let manifest = MANIFEST.replace("# manager = \"dnf\"", &format!("{line}\n{keys}\n#"));
    host.write("/etc/relift/app.toml", manifest, 0o644, "root");
}

/// The same with rpm and dnf.
pub fn with_rpms() -> Host {
    needs(&[("rpmbuild", "rpm"), ("dnf", "dnf"), ("createrepo_c", "createrepo-c"), ("cpio", "cpio")]);
    let host = Host::boot();
    host.must("rm -f /usr/sbin/policy-rc.d; useradd --system --create-home --shell /bin/sh app; mkdir -p /srv/rpm /etc/yum.repos.d");
    host.must("printf '[app-main]\\nname=app\\nbaseurl=file:///srv/rpm\\ngpgcheck=0\\nenabled=0\\n' > /etc/yum.repos.d/app-main.repo");
    ["base", "app", "other"].iter().for_each(|name| rpm(&host, name, "1.0", ""));
    host.must(
        "createrepo_c --quiet /srv/rpm; dnf -q -y --disablerepo='*' --enablerepo=app-main install base app other",
    );
    host.must("systemctl daemon-reload; systemctl enable --now engine@a engine.target; systemctl start engine@b; runuser -u app -- /usr/lib/app/appinit --edition core; runuser -u app -- /usr/lib/app/app-reconfigure");
    host.write("/etc/relift/app.toml", MANIFEST.replace("# manager", "manager"), 0o644, "root");
    host
}

/// Builds an .rpm of the same content. `requires`: lines of its header are whole, else what it needs.
pub fn rpm(host: &Host, name: &str, version: &str, requires: &str) {
    rpm_with(host, name, version, requires, "");
}

/// The same with more of the script that rpm runs afterwards.
pub fn rpm_with(host: &Host, name: &str, version: &str, requires: &str, more: &str) {
    let requires = match requires {
        "" => String::new(),
        line if line.contains(": ") => format!("{line}\n"),
        name => format!("Requires: {name}\n"),
    };
    let (files, post) = match name {
        "app" => (
            "%config(noreplace) /etc/app/*\n/usr/lib/app\n/usr/lib/systemd/system/*\n",
            "%post\nchown app: /etc/app /etc/app/app.env\nsystemctl daemon-reload\nsystemctl try-restart 'engine@*.service'\n{more}\n",
        ),
        // What rpm knows nothing of on a host of dpkg's.
        "base" => ("", ""),
        _ => ("/usr/share/*\n", ""),
    };
    let provides = if name == "base" { "Provides: /bin/sh\n" } else { "" };
    host.write(
        "/srv/body",
        format!("set -e; d=$1; mkdir -p $d/DEBIAN\n{}\nrm -r $d/DEBIAN\n", body(name, version, "")),
        0o755,
        "root",
    );
    let spec = format!(
        "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\nAutoReqProv: no\n{requires}{provides}\n%description\nx\n%install\nsh /srv/body %{{buildroot}}\n{post}%files\n{files}"
    );
    let spec = if name == "base" { spec.replace("sh /srv/body %{buildroot}", "true") } else { spec };
    let spec = spec.replace("{more}", more);
    host.write("/srv/one.spec", spec, 0o644, "root");
    host.must("rpmbuild -bb --quiet --define '_topdir /root/rpm' --define '_rpmdir /srv/rpm' /srv/one.spec");
}

/// Builds a package with everything that a platform has. `depends`: a line of its control file; `postinst`: more of that script.
pub fn deb(host: &Host, name: &str, version: &str, depends: &str, postinst: &str) {
    let depends = if depends.is_empty() { String::new() } else { format!("Depends: {depends}\\n") };
    let body = body(name, version, postinst);
    host.must(&format!(
        "set -e; umask 022; d=$(mktemp -d); mkdir -p $d/DEBIAN
         printf 'Package: {name}\\nVersion: {version}\\nArchitecture: all\\n{depends}Maintainer: x <x@example.org>\\nDescription: x\\n' > $d/DEBIAN/control
{body}
         chmod 755 $d; dpkg-deb -Znone --root-owner-group -b $d /srv/deb/{name}_{version}_all.deb >/dev/null; rm -r $d"
    ));
}

/// A shell script that fills the directory $d.
fn body(name: &str, version: &str, postinst: &str) -> String {
    let (upstream, key) = (version.split('-').next().unwrap(), format!("KEY_{}", version.replace(['.', '-'], "_")));
    match name {
        "app" => format!(
            r#"mkdir -p $d/usr/lib/app $d/etc/app $d/usr/lib/systemd/system
printf '#!/bin/sh\n{first}\nmkdir -p /run/engine\necho {upstream} > /run/engine/$1\necho started {upstream}\n[ ! -x /usr/lib/app/sleeper ] || exec /usr/lib/app/sleeper infinity\nexec sleep infinity\n' > $d/usr/lib/app/engine
[ ! -e /srv/sleeper ] || cp /srv/sleeper $d/usr/lib/app/sleeper
[ ! -e /srv/more ] || . /srv/more
printf '#!/bin/sh\necho "{upstream} $*" > /etc/app/edition\n' > $d/usr/lib/app/appinit
printf '#!/bin/sh\necho {upstream} > /etc/app/configured\n' > $d/usr/lib/app/app-reconfigure
printf '#!/bin/sh\ngrep -qx {upstream} /run/engine/a\n' > $d/usr/lib/app/healthy
chmod 755 $d/usr/lib/app/*
printf '[Unit]\nDescription=engine %%i of {upstream}\nPartOf=engine.target\n[Service]\nExecStart=/usr/lib/app/engine %%i\n[Install]\nWantedBy=engine.target\n' > $d/usr/lib/systemd/system/engine@.service
printf '[Unit]\nDescription=engines\n[Install]\nWantedBy=multi-user.target\n' > $d/usr/lib/systemd/system/engine.target
printf '# of {upstream}\nWORKERS=2\n{key}=1\n' > $d/etc/app/app.env
printf 'color = blue\nsize = 3\nshape = round\nport = 80\nversion = {upstream}\n' > $d/etc/app/app.conf
printf 'greeting of {upstream}\n' > $d/etc/app/motd
printf '/etc/app/app.env\n/etc/app/app.conf\n/etc/app/motd\n' > $d/DEBIAN/conffiles
printf '#!/bin/sh\nset -e\nchown app: /etc/app /etc/app/app.env\nif [ "$1" = configure ]; then systemctl daemon-reload; [ -n "$NO_RESTART" ] || systemctl try-restart "engine@*.service"; {postinst} fi\n' > $d/DEBIAN/postinst
chmod 755 $d/DEBIAN/postinst"#,
            first = if upstream == "1.3" { "exit 1" } else { "" },
            postinst = if postinst.is_empty() { String::new() } else { format!("{postinst};") },
        ),
        _ => format!("mkdir -p $d/usr/share/{name}; echo {version} > $d/usr/share/{name}/version"),
    }
}

/// An OpenPGP key that signs: /srv/keys/NAME.asc is the public one.
pub fn key(host: &Host, name: &str) {
    host.must(&format!("mkdir -p -m 700 /srv/gpg /srv/keys; export GNUPGHOME=/srv/gpg; gpg -q --batch --passphrase '' --quick-gen-key {name}@example.org rsa2048 sign never 2>/dev/null; gpg -q --armor --export {name}@example.org > /srv/keys/{name}.asc; chmod 755 /srv/keys"));
}

/// Signs the repository in /srv/deb.
pub fn sign_debs(host: &Host, key: &str) {
    host.must(&format!(
        "cd /srv/deb; GNUPGHOME=/srv/gpg gpg -q --batch --yes -u {key}@example.org --clearsign -o InRelease Release"
    ));
}

/// Signs a package in /srv/rpm, in place of who did before.
pub fn sign_rpm(host: &Host, key: &str, package: &str) {
    host.must(&format!("rpm --define '__gpg /usr/bin/gpg' --define '_gpg_path /srv/gpg' --define '_gpg_name {key}@example.org' --resign /srv/rpm/noarch/{package}.noarch.rpm >/dev/null 2>&1"));
}

/// The packages in /srv/deb as the repository `app-main`, and those of `other` as another one.
pub fn publish(host: &Host) {
    host.must(
        "set -e; cd /srv/deb; apt-ftparchive packages . > Packages; apt-ftparchive -o APT::FTPArchive::Release::Origin=App release . > /srv/Release; mv /srv/Release .
         echo 'deb [trusted=yes] file:/srv/deb ./' > /etc/apt/sources.list.d/app-main.list",
    );
}

/// Version and state of every package of ours, and of what else a run must not move.
pub fn packages(host: &Host) -> String {
    host.must("dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n' app appdep other 2>/dev/null; apt-mark showauto app appdep other 2>/dev/null; true")
}

/// Who asked for what: packages that came because others need them.
pub fn automatic_rpms(host: &Host) -> String {
    host.must("dnf -q -C --disablerepo='*' repoquery --installed --qf '%{name}' | sort > /run/all; dnf -q -C --disablerepo='*' repoquery --userinstalled --qf '%{name}' | sort | comm -23 /run/all -")
}

/// The same as [`state`] on a host of rpm's.
pub fn state_of_rpms(host: &Host) -> String {
    format!("{}\n{}\n{}", host.must("rpm -qa | sort"), automatic_rpms(host), host.must(&files_and_units()))
}

/// Everything that is exactly old or exactly new: packages, files, configuration, units and what runs.
pub fn state(host: &Host) -> String {
    host.must(&format!(
        "dpkg-query -W -f '${{Package}} ${{Version}} ${{db:Status-Abbrev}}\\n' | md5sum; dpkg-query -W -f '${{Package}} ${{Version}} ${{db:Status-Abbrev}}\\n' app appdep other 2>/dev/null || true
         apt-mark showauto app appdep other 2>/dev/null; dpkg --audit
{}",
        files_and_units()
    ))
}

fn files_and_units() -> String {
    "find /etc/app /usr/lib/app /usr/share/appdep /usr/lib/systemd/system/engine* -type f 2>/dev/null | sort > /run/files; xargs stat -c '%n %a %U' < /run/files; xargs md5sum < /run/files
     for u in engine@a engine@b; do systemctl show -p ActiveState -p UnitFileState -p Description -p NeedDaemonReload $u; done; cat /run/engine/a /run/engine/b".to_owned()
}
