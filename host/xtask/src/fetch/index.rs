//! Finding a file in a package index: an index serves, for each project, a page of links to its files
//! (PEP 503).

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use super::http::{Http, without_credentials};
use super::pip::Settings;

/// Where a file is.
#[derive(Debug, PartialEq)]
pub enum Found {
    OnDisk(PathBuf),
    Online(String),
}

/// Looks for `file` of `project` in every place pip would, and stops at the first that has it: the
/// digest is pinned, so it does not matter which one serves it.
pub fn find(http: &Http, settings: &Settings, project: &str, file: &str) -> Result<Found> {
    let mut failures = Vec::new();
    for place in &settings.find_links {
        let place = place.strip_prefix("file://").unwrap_or(place);
        if place.contains("://") {
            match link_on_page(http, place, file) {
                Ok(found) => return Ok(found),
                Err(error) => failures.push(format!("{error:#}")),
            }
        } else {
            let path = Path::new(place).join(file);
            if path.is_file() {
                return Ok(Found::OnDisk(path));
            }
        }
    }
    for index in &settings.indexes {
        match link_on_page(
            http,
            &format!("{}/{project}/", index.trim_end_matches('/')),
            file,
        ) {
            Ok(found) => return Ok(found),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    if failures.is_empty() {
        bail!("pip is configured to use no index, and its find-links do not have it");
    }
    bail!("{}", failures.join("; "))
}

fn link_on_page(http: &Http, page: &str, file: &str) -> Result<Found> {
    let (html, base) = http.page(page)?;
    let link = link_to(&html, file)
        .ok_or_else(|| anyhow!("{} does not list it", without_credentials(page)))?;
    let url = with_credentials_of(page, &absolute(&base, &link));
    Ok(match url.strip_prefix("file://") {
        Some(path) => Found::OnDisk(path.into()),
        None => Found::Online(url),
    })
}

/// The target, without its fragment, of the first link whose path ends in `/file`.
fn link_to(html: &str, file: &str) -> Option<String> {
    html.split("href=").skip(1).find_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let target = rest[1..].split(quote).next()?.replace("&amp;", "&");
        let target = target.split('#').next()?;
        let path = target.split('?').next()?;
        let name = path.rsplit('/').next()?;
        // A `+` of a local version may be percent-encoded; our pins have none.
        (name == file).then(|| target.to_owned())
    })
}

/// `link` as seen from the page `base` (RFC 3986, as far as index pages use it).
fn absolute(base: &str, link: &str) -> String {
    if link.contains("://") {
        return link.to_owned();
    }
    let (scheme, rest) = base.split_once("://").unwrap_or(("https", base));
    if let Some(elsewhere) = link.strip_prefix("//") {
        return format!("{scheme}://{elsewhere}");
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // What precedes the link: nothing for one from the root, else the page's folder.
    let folder = if link.starts_with('/') {
        ""
    } else {
        path.rsplit_once('/').map_or("", |(folder, _)| folder)
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(link.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("{scheme}://{host}/{}", parts.join("/"))
}

/// An index that asks for credentials asks for them at its files too, as long as host and scheme are
/// its own.
fn with_credentials_of(page: &str, url: &str) -> String {
    let origin = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split('/').next()?;
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        Some((
            scheme.to_owned(),
            credentials.map(str::to_owned),
            host.to_owned(),
        ))
    };
    match (origin(page), origin(url)) {
        (Some((page_scheme, Some(credentials), page_host)), Some((scheme, None, host)))
            if page_scheme == scheme && page_host == host =>
        {
            url.replacen("://", &format!("://{credentials}@"), 1)
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<!DOCTYPE html><html><body>
        <a href="https://files/ab/x-1.0-py3-none-any.whl.metadata">x-1.0-py3-none-any.whl.metadata</a>
        <a href="https://files/ab/yx-1.0-py3-none-any.whl#sha256=00">other</a>
        <a data-requires-python="&gt;=3.10" href="https://files/ab/x-1.0-py3-none-any.whl?a=1&amp;b=2#sha256=01">x</a>
        <a href='../../files/x-2.0-py3-none-any.whl'>x</a></body></html>"#;

    #[test]
    fn the_link_is_the_one_to_exactly_the_file() {
        let link = link_to(PAGE, "x-1.0-py3-none-any.whl");
        assert_eq!(
            link.as_deref(),
            Some("https://files/ab/x-1.0-py3-none-any.whl?a=1&b=2")
        );
        assert_eq!(
            link_to(PAGE, "x-2.0-py3-none-any.whl").as_deref(),
            Some("../../files/x-2.0-py3-none-any.whl")
        );
        assert_eq!(link_to(PAGE, "x-3.0-py3-none-any.whl"), None);
        assert_eq!(link_to("<a href=", "x"), None);
    }

    #[test]
    fn links_are_resolved_against_their_page() {
        let page = "http://mirror:8080/mirror/simple/torch/?q=1";
        assert_eq!(absolute(page, "https://files/x.whl"), "https://files/x.whl");
        assert_eq!(absolute(page, "//files/x.whl"), "http://files/x.whl");
        assert_eq!(
            absolute(page, "/packages/x.whl"),
            "http://mirror:8080/packages/x.whl"
        );
        assert_eq!(
            absolute(page, "x.whl"),
            "http://mirror:8080/mirror/simple/torch/x.whl"
        );
        assert_eq!(
            absolute(page, "../../packages/x.whl"),
            "http://mirror:8080/mirror/packages/x.whl"
        );
        assert_eq!(absolute("http://mirror", "x.whl"), "http://mirror/x.whl");
    }

    #[test]
    fn credentials_go_to_their_own_host_only() {
        let page = "https://me:pw@mirror/simple/torch/";
        assert_eq!(
            with_credentials_of(page, "https://mirror/x.whl"),
            "https://me:pw@mirror/x.whl"
        );
        assert_eq!(
            with_credentials_of(page, "https://elsewhere/x.whl"),
            "https://elsewhere/x.whl"
        );
        assert_eq!(
            with_credentials_of(page, "http://mirror/x.whl"),
            "http://mirror/x.whl"
        );
        assert_eq!(
            with_credentials_of("https://mirror/simple/", "https://mirror/x.whl"),
            "https://mirror/x.whl"
        );
    }
}
