//! `medfocus watch`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use medfocus_dicom::archive::{Archive, Peer, Speaking, receive::Receiver};
use medfocus_imaging::decode::{self, MAX_BYTES};
use medfocus_plugin_api::{Error, ErrorKind, Result, file};

use super::{
    explaining::{self, Asked, Explainer},
    terminal,
};
use crate::{
    audit::Audit,
    output::{OutDir, failed},
    plugin::Session,
    watch::{Inbox, Ledger, State},
    workbench::Workbench,
};

#[derive(Args)]
pub struct Watch {
    #[command(flatten)]
    asked: Asked,
    /// Folder whose films are explained as they come; it is only read
    #[arg(long, value_name = "DIR", required_unless_present = "listen")]
    folder: Option<PathBuf>,
    /// Take films (C-STORE) that are sent to this title and address
    #[arg(long, value_name = "TITLE@HOST:PORT", conflicts_with = "folder")]
    listen: Option<String>,
    /// Folder for the results, the journal, and films that were sent here until they are explained
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Send the results to dicom://TITLE@HOST:PORT or https://HOST/dicom-web/studies
    #[arg(long, value_name = "ADDRESS")]
    send: Option<String>,
    /// Seconds between two looks at the folder
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    every: f64,
    /// End when everything that is there is done
    #[arg(long, conflicts_with = "listen")]
    once: bool,
    /// Try films again that failed
    #[arg(long)]
    retry_failed: bool,
}

/// How long an archive is left alone that did not take something.
const PAUSE: Duration = Duration::from_secs(30);

impl Watch {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        // What needs no model is checked before one is loaded.
        self.asked.check(bench)?;
        let settings = &bench.layers.config.dicom;
        let identity = settings.identity()?;
        let speaking = settings.speaking()?;
        let archive = self.send.as_deref().map(Archive::parse).transpose()?;
        let every = Duration::try_from_secs_f64(self.every)
            .map_err(|_| Error::invalid(format!("`--every {}` is no time", self.every)))?;
        let out = OutDir::create(&self.out)?;
        let folder = match &self.folder {
            Some(folder) => apart(folder, &self.out)?,
            None => out.within(&["films"])?.path().to_owned(),
        };
        let mut round = Round {
            ledger: Ledger::open(&self.out.join("journal.jsonl"), self.retry_failed)?,
            inbox: Inbox::new(&folder),
            out: &out,
            audit: &bench.audit,
            archive: archive.as_ref().map(|archive| (archive, &speaking)),
            received: self.listen.is_some(),
            pause: None,
            trouble: false,
        };
        let receiver = self.listen.as_deref().map(|listen| {
            let at = Peer::parse(listen)?;
            Ok::<_, Error>((Receiver::open(&at, MAX_BYTES, speaking.patience)?, at))
        });
        let receiver = receiver.transpose()?;
        terminal::attend(&bench.session);
        let explainer = self.asked.load(bench, Some(identity))?;

        let session = &bench.session;
        thread::scope(|scope| {
            if let Some((receiver, at)) = &receiver {
                println!("  listening {} as {}", receiver.address()?, at.title);
                let films = OutDir::create(&folder)?;
                scope.spawn(move || {
                    receiver.serve(|| session.cancelled(), |film| keep(&films, &film))
                });
            } else {
                println!("  watching  {}", folder.display());
            }
            let done = round.go(&explainer, every, self.once, session);
            // Whatever ended the round ends the receiver.
            session.cancel();
            done
        })?;
        Ok(ExitCode::from(u8::from(self.once && round.trouble)))
    }
}

/// The folder to be watched, in which no results are written: they would be films.
fn apart(folder: &Path, out: &Path) -> Result<PathBuf> {
    let absolute = |path: &Path| {
        path.canonicalize()
            .map_err(|error| failed("read", path, &error))
    };
    if absolute(out)?.starts_with(absolute(folder)?) {
        return Err(Error::invalid(format!(
            "the results in {} would lie in the folder that is watched",
            out.display()
        ))
        .with_hint("choose another `--out`"));
    }
    Ok(folder.to_owned())
}

/// A film that was sent here becomes a file, whole or not at all; its name says nothing of its header.
fn keep(films: &OutDir, film: &[u8]) -> Result<()> {
    let name = format!("{}.dcm", blake3::hash(film).to_hex());
    films.write(&name, |file| file.write_all(film))?;
    Ok(())
}

/// What goes round until it is stopped.
struct Round<'a> {
    inbox: Inbox,
    ledger: Ledger,
    out: &'a OutDir,
    audit: &'a Audit,
    archive: Option<(&'a Archive, &'a Speaking)>,
    /// Whether the films in the inbox are this program's own copies.
    received: bool,
    /// Until when the archive is left alone.
    pause: Option<Instant>,
    /// Whether a film failed or an archive did not take something.
    trouble: bool,
}

impl Round<'_> {
    fn go(
        &mut self,
        explainer: &Explainer<'_>,
        every: Duration,
        once: bool,
        session: &Session,
    ) -> Result<()> {
        while !session.cancelled() {
            for film in self.inbox.look()? {
                match self.film(&film, explainer) {
                    Err(error) if error.kind == ErrorKind::Cancelled => return Ok(()),
                    done => done?,
                }
            }
            self.send()?;
            if once && !self.inbox.expects() {
                return Ok(());
            }
            rest(every, session);
        }
        Ok(())
    }

    /// Explains a film, unless that was done. What is wrong with the film is recorded; an error is one of the disk or the audit log.
    fn film(&mut self, path: &Path, explainer: &Explainer<'_>) -> Result<()> {
        let Some((digest, bytes)) = self.open(path)? else {
            return Ok(());
        };
        if self.ledger.state(&digest).is_none() {
            match self.explain(path, &bytes, &digest, explainer) {
                Ok(()) => {}
                Err(Wrong::Film(error)) if error.kind == ErrorKind::Cancelled => return Err(error),
                Err(Wrong::Film(error)) => {
                    self.audit.holds()?;
                    self.failed(path, &digest, &error)?;
                }
                Err(Wrong::Disk(error)) => return Err(error),
            }
        }
        let explained = !matches!(self.ledger.state(&digest), Some(State::Failed(_)));
        if self.received && explained {
            fs::remove_file(path).map_err(|error| failed("remove", path, &error))?;
        }
        Ok(())
    }

    /// The digest and the bytes of a film; nothing if it cannot be read, which is recorded, or is gone.
    fn open(&mut self, path: &Path) -> Result<Option<(String, Vec<u8>)>> {
        let read = file::open(path)
            .map_err(|error| Error::missing(format!("it cannot be read: {error}")))
            .and_then(|film| {
                decode::bytes(film).map_err(|error| Error::invalid(error.to_string()))
            });
        match read {
            Ok(bytes) => Ok(Some((blake3::hash(&bytes).to_hex().to_string(), bytes))),
            Err(_) if !path.exists() => Ok(None),
            Err(error) => {
                let name = blake3::hash(path.as_os_str().as_encoded_bytes());
                self.failed(path, name.to_hex().as_str(), &error)?;
                Ok(None)
            }
        }
    }

    fn explain(
        &mut self,
        path: &Path,
        bytes: &[u8],
        digest: &str,
        explainer: &Explainer<'_>,
    ) -> Result<(), Wrong> {
        let source = explainer.source(bytes).map_err(Wrong::Film)?;
        let answer = explainer.ask(&source).map_err(Wrong::Film)?;
        let place = self.out.within(&["results", digest]).map_err(Wrong::Disk)?;
        let explained = answer.write(&place).map_err(Wrong::Disk)?;
        self.ledger
            .keep(digest, State::Explained)
            .map_err(Wrong::Disk)?;
        println!(
            "  explained {}: {}, {}",
            path.display(),
            explained.record.answer.trim(),
            place.path().display()
        );
        Ok(())
    }

    fn failed(&mut self, path: &Path, digest: &str, error: &Error) -> Result<()> {
        self.trouble = true;
        if self.ledger.state(digest).is_none() {
            eprintln!("medfocus: {}: {error}", path.display());
            self.ledger.keep(digest, State::Failed(error.to_string()))?;
        }
        Ok(())
    }

    /// Sends what is explained and not yet sent.
    fn send(&mut self) -> Result<()> {
        let Some((archive, speaking)) = self.archive else {
            return Ok(());
        };
        if self.pause.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        for film in self.ledger.with(&State::Explained) {
            let place = self.out.within(&["results", &film])?;
            let files = explaining::objects(place.path())?;
            let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
            if let Err(error) = archive.send(&files, speaking) {
                eprintln!("medfocus: {error}");
                self.trouble = true;
                self.pause = Some(Instant::now() + PAUSE);
                return Ok(());
            }
            self.ledger.keep(&film, State::Sent)?;
            println!("  sent      {} to {archive}", place.path().display());
        }
        Ok(())
    }
}

/// What was wrong.
enum Wrong {
    Film(Error),
    Disk(Error),
}

/// Sleeps, unless the user wants to stop.
fn rest(time: Duration, session: &Session) {
    let end = Instant::now() + time;
    while Instant::now() < end && !session.cancelled() {
        thread::sleep(Duration::from_millis(50).min(time));
    }
}
