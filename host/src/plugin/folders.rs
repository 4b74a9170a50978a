//! Where plugins lie that nobody names: beside the program, and in a folder of the user's own.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The folder beside the program.
pub fn beside() -> PathBuf {
    let program = env::current_exe().ok();
    program
        .and_then(|program| Some(program.parent()?.join("plugins")))
        .unwrap_or_else(|| "plugins".into())
}

/// The user's own folder: `$XDG_DATA_HOME/medfocus/plugins`, by default `~/.local/share/medfocus/plugins`. Nothing if
/// neither variable holds an absolute path.
pub fn of_user() -> Option<PathBuf> {
    Some(data()?.join("plugins"))
}

/// The folder of whatever the user has here, around [`of_user`].
pub fn data() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    Some(data?.join("medfocus"))
}

/// Where a plugin comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The folder beside the program.
    Beside,
    /// The user's own folder.
    Installed,
    /// A file or folder that the config or the command line names.
    Named,
}

impl Source {
    /// Where this plugin file comes from.
    pub fn of(file: &Path) -> Self {
        let folder = file.parent().and_then(|folder| folder.canonicalize().ok());
        let is = |other: &Path| folder.is_some() && folder == other.canonicalize().ok();
        if is(&beside()) {
            Self::Beside
        } else if of_user().is_some_and(|other| is(&other)) {
            Self::Installed
        } else {
            Self::Named
        }
    }

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Beside => "beside",
            Self::Installed => "installed",
            Self::Named => "named",
        }
    }

    /// Its name in a list for people.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Beside => "beside the program",
            Self::Installed => "installed",
            Self::Named => "named by config or --plugins",
        }
    }
}
