//! Fetching a pinned file of a package index: found as pip would find it, resumed after any
//! interruption, used only if its SHA-256 is right.

mod download;
mod http;
mod index;
mod pip;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use http::Http;
use index::Found;
use pip::Settings;

/// Fetches files into one folder.
pub struct Fetcher {
    folder: PathBuf,
    settings: Settings,
    http: Http,
}

impl Fetcher {
    /// A fetcher into `folder`, which is created.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("could not create {}", folder.display()))?;
        let settings = Settings::read();
        let http = Http::new(&settings)?;
        Ok(Self {
            folder: folder.to_owned(),
            settings,
            http,
        })
    }

    /// The verified file `file` of `project`: on disk already, in a folder pip is told to look in, or
    /// downloaded.
    pub fn fetch(&self, project: &str, file: &str, sha256: &str) -> Result<PathBuf> {
        let partial = self.folder.join(file);
        if download::is_complete(&partial, sha256)? {
            return Ok(partial);
        }
        match index::find(&self.http, &self.settings, project, file)? {
            Found::OnDisk(path) if download::is_complete(&path, sha256)? => Ok(path),
            Found::OnDisk(path) => {
                bail!("{} is not the file pinned by its SHA-256", path.display())
            }
            Found::Online(url) => {
                eprintln!("Fetching {file}...");
                download::download(&self.http, &url, &partial, sha256)?;
                Ok(partial)
            }
        }
    }
}
