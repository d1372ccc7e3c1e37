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
    host.must("systemctl daemon-reload; systemctl enable --now engine@a engine.target; systemctl start engine@b");
    host.write("/etc/relift/app.toml", MANIFEST, 0o644, "root");
    host
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
    host.must("systemctl daemon-reload; systemctl enable --now engine@a engine.target; systemctl start engine@b");
    host.write("/etc/relift/app.toml", MANIFEST.replace("# manager", "manager"), 0o644, "root");
    host
}

/// Builds an .rpm of the same content.
pub fn rpm(host: &Host, name: &str, version: &str, requires: &str) {
    let requires = if requires.is_empty() { String::new() } else { format!("Requires: {requires}\n") };
    let (files, post) = match name {
        "app" => (
            "%config(noreplace) /etc/app/*\n/usr/lib/app\n/usr/lib/systemd/system/*\n",
            "%post\nchown app: /etc/app /etc/app/app.env\nsystemctl daemon-reload\nsystemctl try-restart 'engine@*.service'\n",
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
printf '#!/bin/sh\n{first}\nmkdir -p /run/engine\necho {upstream} > /run/engine/$1\necho started {upstream}\nexec sleep infinity\n' > $d/usr/lib/app/engine
printf '#!/bin/sh\necho "{upstream} $*" > /etc/app/edition\n' > $d/usr/lib/app/appinit
printf '#!/bin/sh\necho {upstream} > /etc/app/configured\n' > $d/usr/lib/app/app-reconfigure
printf '#!/bin/sh\ngrep -qx {upstream} /run/engine/a\n' > $d/usr/lib/app/healthy
chmod 755 $d/usr/lib/app/*
printf '[Unit]\nDescription=engine %%i of {upstream}\nPartOf=engine.target\n[Service]\nExecStart=/usr/lib/app/engine %%i\n[Install]\nWantedBy=engine.target\n' > $d/usr/lib/systemd/system/engine@.service
printf '[Unit]\nDescription=engines\n[Install]\nWantedBy=multi-user.target\n' > $d/usr/lib/systemd/system/engine.target
printf '# of {upstream}\nWORKERS=2\n{key}=1\n' > $d/etc/app/app.env
printf 'color = blue\nversion = {upstream}\n' > $d/etc/app/app.conf
printf 'greeting of {upstream}\n' > $d/etc/app/motd
printf '/etc/app/app.env\n/etc/app/app.conf\n/etc/app/motd\n' > $d/DEBIAN/conffiles
printf '#!/bin/sh\nset -e\nchown app: /etc/app /etc/app/app.env\nif [ "$1" = configure ]; then systemctl daemon-reload; systemctl try-restart "engine@*.service"; {postinst} fi\n' > $d/DEBIAN/postinst
chmod 755 $d/DEBIAN/postinst"#,
            first = if upstream == "1.3" { "exit 1" } else { "" },
            postinst = if postinst.is_empty() { String::new() } else { format!("{postinst};") },
        ),
        _ => format!("mkdir -p $d/usr/share/{name}; echo {version} > $d/usr/share/{name}/version"),
    }
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

/// Everything that is exactly old or exactly new: packages, files, configuration, units and what runs.
pub fn state(host: &Host) -> String {
    host.must(
        "dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n' | md5sum; dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n' app appdep other 2>/dev/null || true
         apt-mark showauto app appdep other 2>/dev/null; dpkg --audit
         find /etc/app /usr/lib/app /usr/share/appdep /usr/lib/systemd/system/engine* -type f 2>/dev/null | sort | xargs stat -c '%n %a %U' ; find /etc/app /usr/lib/app /usr/share/appdep /usr/lib/systemd/system/engine* -type f 2>/dev/null | sort | xargs md5sum
         for u in engine@a engine@b; do systemctl show -p ActiveState -p UnitFileState -p Description -p NeedDaemonReload $u; done; cat /run/engine/a /run/engine/b",
    )
}
