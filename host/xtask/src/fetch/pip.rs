//! What pip is configured to do, from its environment variables and its files.

use std::env;
use std::process::{Command, Stdio};

const PYPI: &str = "https://pypi.org/simple";

/// The settings that decide where files come from.
#[derive(Debug, Default, PartialEq)]
pub struct Settings {
    /// Package indexes, in the order they are asked.
    pub indexes: Vec<String>,
    /// Folders, or pages of links, asked before the indexes.
    pub find_links: Vec<String>,
    /// A bundle of certificates to trust instead of the usual ones.
    pub cert: Option<String>,
    pub proxy: Option<String>,
}

impl Settings {
    /// Reads the environment, then pip's files. Without pip there are no such files to read.
    pub fn read() -> Self {
        let output = Command::new("python3")
            .args(["-m", "pip", "config", "list"])
            .stderr(Stdio::null())
            .output();
        let listing = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        Self::from(&|name| env::var(name).ok(), &listing.unwrap_or_default())
    }

    /// `listing` is the output of `pip config list`: lines such as `global.index-url='https://...'`.
    fn from(variable: &dyn Fn(&str) -> Option<String>, listing: &str) -> Self {
        let value = |key: &str| {
            let name = format!("PIP_{}", key.to_uppercase().replace('-', "_"));
            // A section named after the command wins over the global one.
            variable(&name)
                .or_else(|| listed(listing, &format!("install.{key}")))
                .or_else(|| listed(listing, &format!("global.{key}")))
                .filter(|value| !value.trim().is_empty())
        };
        let values = |key: &str| -> Vec<String> {
            value(key)
                .iter()
                .flat_map(|value| value.split_whitespace())
                .map(str::to_owned)
                .collect()
        };
        let no_index = value("no-index").is_some_and(|value| {
            matches!(value.to_lowercase().as_str(), "1" | "true" | "yes" | "on")
        });
        let mut indexes = vec![value("index-url").unwrap_or_else(|| PYPI.to_owned())];
        indexes.extend(values("extra-index-url"));
        if no_index {
            indexes.clear();
        }
        Self {
            indexes,
            find_links: values("find-links"),
            cert: value("cert"),
            proxy: value("proxy"),
        }
    }
}

/// The value of `key` in a listing, whose values are Python string literals.
fn listed(listing: &str, key: &str) -> Option<String> {
    let literal = listing
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?
        .trim();
    let quote = literal.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = literal.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(
        inner
            .replace("\\n", "\n")
            .replace("\\'", "'")
            .replace("\\\\", "\\"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)], listing: &str) -> Settings {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Settings::from(&variable, listing)
    }

    #[test]
    fn unconfigured_pip_means_pypi() {
        assert_eq!(
            settings(&[], ""),
            Settings {
                indexes: vec![PYPI.into()],
                ..Settings::default()
            }
        );
    }

    #[test]
    fn environment_wins_over_the_command_section_and_that_over_global() {
        let listing = "global.index-url='https://global/simple'\ninstall.index-url='https://install/simple'\n";
        assert_eq!(settings(&[], listing).indexes, ["https://install/simple"]);
        let environment = [("PIP_INDEX_URL", "https://env/simple")];
        assert_eq!(
            settings(&environment, listing).indexes,
            ["https://env/simple"]
        );
    }

    #[test]
    fn lists_span_lines_and_no_index_leaves_only_find_links() {
        let listing = "global.extra-index-url='\\nhttps://a/simple\\nhttps://b/simple'\nglobal.find-links='/wheels /more'\n";
        let found = settings(&[], listing);
        assert_eq!(
            found.indexes,
            [PYPI, "https://a/simple", "https://b/simple"]
        );
        assert_eq!(found.find_links, ["/wheels", "/more"]);

        let found = settings(&[("PIP_NO_INDEX", "1")], listing);
        assert!(found.indexes.is_empty());
        assert_eq!(found.find_links, ["/wheels", "/more"]);
    }

    #[test]
    fn certificates_and_proxy_are_read_and_empty_values_ignored() {
        let found = settings(
            &[("PIP_CERT", ""), ("PIP_PROXY", "http://proxy:3128")],
            "global.cert='/ca.pem'\n",
        );
        assert_eq!(found.cert, None);
        assert_eq!(found.proxy.as_deref(), Some("http://proxy:3128"));
    }
}
