//! Words for a shell.

use std::path::Path;

use medfocus_plugin_api::{Error, Result};

/// Words as a POSIX shell reads them back, whatever is in them.
pub fn words(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|text| word(text)).collect();
    quoted.join(" ")
}

fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A path that a scheduler reads as it stands, without patterns, blanks or ends of lines.
///
/// # Errors
///
/// It is none.
pub fn path(path: &Path) -> Result<&str> {
    let plain = |c: char| c.is_alphanumeric() || "-_./+=@~".contains(c);
    let text = path.to_str().filter(|text| text.chars().all(plain));
    text.ok_or_else(|| {
        Error::invalid(format!(
            "{path:?} has characters in its name that schedulers take for something else"
        ))
        .with_hint("choose another folder")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let all = [
            "plain-1/x.toml",
            "",
            "a b",
            "it's",
            "$(touch x); `y` \"z\" \\ \n*",
        ];
        let all = all.map(str::to_owned);
        let script = format!("printf '%s\\0' {}", words(&all));
        let out = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        let read: Vec<&[u8]> = out.stdout.split(|&b| b == 0).collect();
        assert_eq!(
            read[..all.len()],
            all.each_ref().map(|text| text.as_bytes())
        );
    }

    #[test]
    fn a_path_with_a_pattern_is_refused() {
        assert!(path(Path::new("/data/out-1/é")).is_ok());
        for bad in ["/a b", "/%A", "/a\n#SBATCH --x"] {
            assert!(path(Path::new(bad)).is_err(), "{bad}");
        }
    }
}
