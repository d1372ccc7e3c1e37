//! What `init` makes of installs that are no checkouts. The manifests are read as relift reads them.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Sketch, sketch};
use crate::manifest::{self, Install, Source};

fn put(root: &Path, file: &str, text: &str) {
    let file = root.join(file);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

fn found(path: &Path) -> Sketch {
    sketch(path, &[]).unwrap().unwrap_or_else(|| panic!("{} is nothing known", path.display()))
}

#[track_caller]
fn install(sketch: &Sketch) -> Install {
    let text = sketch.draft(&sketch.name);
    manifest::parse(&sketch.name, Path::new("draft.toml"), &text)
        .unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(false)))
}

const COMPOSE: &str = "services:\n  web:\n    image: registry.example:5000/app/web:v1.4.0\n    healthcheck:\n      test: [CMD, true]\n    \
                       environment: [TOKEN=s3cr3t-canary]\n  worker:\n    image: registry.example:5000/app/web:v1.4.0\n  cache:\n    image: redis\n  \
                       db:\n    image: ${DB_IMAGE}\n  tool:\n    build: .\n    profiles: [tools]\nvolumes:\n  data: {}\n";

fn project() -> tempfile::TempDir {
    let root = tempfile::Builder::new().prefix("App.").tempdir().unwrap();
    put(root.path(), "docker-compose.yml", COMPOSE);
    put(root.path(), "docker-compose.override.yml", "services:\n  cache:\n    image: redis:7.2\n");
    put(root.path(), ".env", "DB_IMAGE=s3cr3t-canary\n");
    root
}

#[test]
fn a_compose_project_is_declared_with_its_files_its_images_and_its_services() {
    let root = project();
    let sketch = found(root.path());
    let install = install(&sketch);
    let Source::Compose(source) = &install.source else { panic!("{:?}", install.source) };
    let files: Vec<&str> = source.files.iter().map(|file| file.as_str()).collect();
    assert_eq!(files, ["docker-compose.yml", "docker-compose.override.yml"]);
    assert_eq!(source.env_file.as_ref().map(|file| file.as_str()), Some(".env"));
    let images: Vec<(&str, Vec<&str>)> = source
        .images
        .iter()
        .map(|image| (image.name.as_str(), image.services.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(images, [("redis", vec!["cache"]), ("registry.example:5000/app/web", vec!["web", "worker"])]);
    let text = sketch.draft("app");
    for words in [
        "tag = \"7.2\"",
        "tags = \"v{version}\"",
        "worker has no health check",
        "# container = \"tool\"",
        "`${DB_IMAGE}`",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn no_value_of_an_environment_gets_into_a_manifest_of_compose() {
    let text = found(project().path()).draft("app");
    assert!(!text.contains("s3cr3t-canary"), "{text}");
}

#[test]
fn the_name_of_a_compose_project_is_what_compose_makes_of_it() {
    let root = tempfile::tempdir().unwrap();
    let name = |directory: &str, text: &str| {
        put(root.path(), &format!("{directory}/compose.yaml"), text);
        found(&root.path().join(directory)).name
    };
    assert_eq!(name("My.App", "services: { web: { image: a } }"), "myapp");
    assert_eq!(name("-shop_2", "services: { web: { image: a } }"), "shop_2");
    assert_eq!(name("x", "name: shop\nservices: { web: { image: a } }"), "shop");
}

#[test]
fn a_compose_file_that_is_none_is_said() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "compose.yaml", "services: [\n");
    let error = sketch(root.path(), &[]).unwrap_err();
    assert!(error.to_string().contains("is no Compose file"), "{error}");
    put(root.path(), "compose.yaml", "services: { web: { build: . } }");
    let error = sketch(root.path(), &[]).unwrap_err();
    assert!(error.to_string().contains("no service has an image"), "{error}");
}

#[test]
fn a_directory_of_releases_is_declared_with_its_layout_and_what_it_shares() {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().canonicalize().unwrap().join("app");
    put(&root, "releases/1.2.0/VERSION", "1.2.0\n");
    put(&root, "releases/1.2.0/.env.example", "PORT=1\n");
    put(&root, "releases/1.2.0/units/systemd-logind.service", "[Service]\nExecStart=/bin/true\n");
    put(&root, "releases/1.2.0/units/relift-nowhere.service", "[Service]\nExecStart=/bin/true\n");
    put(&root, "shared/data/x", "");
    symlink("../../shared/data", root.join("releases/1.2.0/data")).unwrap();
    symlink("../../shared/.env", root.join("releases/1.2.0/.env")).unwrap();
    symlink("releases/1.2.0", root.join("current")).unwrap();
    for path in [root.clone(), root.join("current"), root.join("releases/1.2.0/units")] {
        let sketch = found(&path);
        let install = install(&sketch);
        assert!(matches!(install.source, Source::Archive(_)));
        assert_eq!(install.root, root, "from {}", path.display());
        assert_eq!(install.layout, manifest::Layout::Releases);
        assert_eq!(install.shared.iter().map(|path| path.as_str()).collect::<Vec<_>>(), ["data"]);
        let component = &install.components[0];
        assert_eq!(component.version.as_ref().map(|version| version.file.as_str()), Some("VERSION"));
        assert_eq!(component.env[0].file.as_str(), ".env");
        assert_eq!(component.units.len(), 1, "{:?}", component.units);
        assert!(sketch.draft("app").contains("could not be known"));
    }
}

#[test]
fn a_file_of_a_package_stands_for_the_package_with_its_units() {
    let cron = found(Path::new("/usr/sbin/cron"));
    assert_eq!(cron.name, "cron");
    let text = cron.draft("cron");
    assert!(
        text.contains("packages = [\"cron\"]") && text.contains("/etc/default/cron is a conffile of cron"),
        "{text}"
    );
    let install = install(&cron);
    assert!(matches!(install.source, Source::Packages(_)));
    assert_eq!(install.components[0].units.len(), 1, "{text}");
}

#[test]
fn a_package_that_is_not_installed_is_said() {
    for name in ["relift-nowhere", "-x", "ba*"] {
        let error = sketch(Path::new("/"), &[name.to_owned()]).unwrap_err();
        assert!(error.to_string().contains("no package"), "{error}");
    }
}
