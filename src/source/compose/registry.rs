//! What a registry has: its HTTP API, version 2 (<https://distribution.github.io/distribution/spec/api/>).

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::host::fs::sha256;
use crate::host::{http, net};

/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(30);
/// The manifests that we understand to have a digest: of one image, or of one for each architecture.
const ACCEPT: &str = "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json, \
application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";

/// A repository in a registry.
pub struct Repository {
    /// The image as the manifest names it.
    name: String,
    host: String,
    path: String,
}

impl Repository {
    /// Where an image is: the first part of its name is a registry where it looks like a host (docker-pull(1)).
    pub fn of(image: &str) -> Repository {
        let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (host, path) = match image.split_once('/') {
            Some((host, path)) if is_host(host) => (host.to_owned(), path.to_owned()),
            Some(_) => ("registry-1.docker.io".into(), image.to_owned()),
            None => ("registry-1.docker.io".into(), format!("library/{image}")),
        };
        Repository { name: image.to_owned(), host, path }
    }

    /// Its tags.
    pub fn tags(&self) -> Result<Vec<String>> {
        let told: Value = serde_json::from_slice(&self.get("tags/list", "application/json", "its tags")?)
            .map_err(|error| self.fault("its tags").because(error))?;
        let tags = told["tags"].as_array().into_iter().flatten();
        Ok(tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect())
    }

    /// The digest of a tag: of the bytes that the registry gives, whatever its headers say.
    pub fn digest(&self, tag: &str) -> Result<String> {
        let manifest = self.get(&format!("manifests/{tag}"), ACCEPT, &format!("the tag {tag}"))?;
        Ok(format!("sha256:{}", sha256(&manifest)))
    }

    fn fault(&self, what: &str) -> Error {
        Error::failed(format!("the registry {} does not tell {what} of {}", self.host, self.name))
    }

    fn get(&self, what: &str, accept: &str, words: &str) -> Result<Vec<u8>> {
        // As Docker does: a registry on this host may do without TLS.
        let address = self.host.rsplit_once(':').map_or(self.host.as_str(), |(host, _)| host);
        let scheme = if net::is_loopback(address) { "http" } else { "https" };
        let url = format!("{scheme}://{}/v2/{}/{what}", self.host, self.path);
        let mut headers = vec![("Accept".to_owned(), accept.to_owned())];
        headers.extend(login(&self.host).map(|basic| ("Authorization".to_owned(), format!("Basic {basic}"))));
        let mut answer = self.ask(&url, &headers)?;
        if let (401, Some(challenge)) = (answer.status, answer.challenge.clone())
            && let Some(token) = token(&challenge, headers.get(1))
        {
            headers.truncate(1);
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
            answer = self.ask(&url, &headers)?;
        }
        match answer.status {
            200 if !answer.is_cut => Ok(answer.body),
            401 | 403 => Err(self
                .fault(words)
                .because(format!("it answers {}: this host may not ask", answer.status))
                .hint(format!("log in as root: docker login {}", self.host))),
            404 => Err(Error::failed(format!("the registry {} has not {words} of {}", self.host, self.name))
                .hint("correct [[source.compose.image]] in the manifest, or wait until it is published")),
            status => Err(self.fault(words).because(format!("it answers {status}"))),
        }
    }

    fn ask(&self, url: &str, headers: &[(String, String)]) -> Result<http::Response> {
        http::get(url, headers, REQUEST).map_err(|fault| {
            let why = match fault {
                http::Fault::Unusable(why) => why.to_owned(),
                http::Fault::Unreachable(why) => why,
            };
            Error::failed(format!("the registry {} does not answer", self.host)).because(why).hint(format!(
                "nothing was changed; look whether it runs: curl -I {}",
                url.split("/v2/").next().unwrap_or_default().to_owned() + "/v2/"
            ))
        })
    }
}

/// Name and password for a registry as `docker login` of root left them, in base64.
fn login(host: &str) -> Option<String> {
    let bytes = std::fs::read(Path::new("/root/.docker/config.json")).ok()?;
    let config: Value = serde_json::from_slice(&bytes).ok()?;
    let auths = config["auths"].as_object()?;
    let names = [host.to_owned(), format!("https://{host}"), format!("https://{host}/v2/")];
    // What Docker Hub is called there.
    let hub = (host == "registry-1.docker.io").then(|| "https://index.docker.io/v1/".to_owned());
    let found =
        names.into_iter().chain(hub).find_map(|name| auths.get(&name)?.get("auth")?.as_str().map(str::to_owned));
    found.filter(|auth| !auth.is_empty())
}

/// A token from where the registry sends us (<https://distribution.github.io/distribution/spec/auth/token/>).
fn token(challenge: &str, login: Option<&(String, String)>) -> Option<String> {
    let said = challenge.strip_prefix("Bearer ")?;
    let field = |name: &str| {
        let (_, rest) = said.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let realm = field("realm").filter(|realm| realm.starts_with("https://"))?;
    let (service, scope) = (field("service").unwrap_or_default(), field("scope").unwrap_or_default());
    let url = format!("{realm}?service={service}&scope={scope}");
    let headers: Vec<_> = login.cloned().into_iter().collect();
    let answer = http::get(&url, &headers, REQUEST).ok().filter(|answer| answer.status == 200)?;
    let told: Value = serde_json::from_slice(&answer.body).ok()?;
    told["token"].as_str().or(told["access_token"].as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_of_a_name_is_a_registry_where_it_looks_like_a_host() {
        let place = |image: &str| {
            let repository = Repository::of(image);
            (repository.host, repository.path)
        };
        let hub = "registry-1.docker.io".to_owned();
        assert_eq!(place("registry.example:5000/a/b"), ("registry.example:5000".into(), "a/b".into()));
        assert_eq!(place("localhost/app"), ("localhost".into(), "app".into()));
        assert_eq!(place("team/app"), (hub.clone(), "team/app".into()));
        assert_eq!(place("postgres"), (hub, "library/postgres".into()));
    }
}
