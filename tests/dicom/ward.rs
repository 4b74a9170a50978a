//! A phantom's film as DICOM, and what the program makes of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use dicom_dictionary_std::uids;
use medfocus_tests::{Ran, installed, medfocus, python_of, run, workspace};
use serde_json::Value;
use tempfile::TempDir;

use crate::film;

pub const QUESTION: &str = "Is there evidence of pleural effusion in the image?";

/// A phantom's film as DICOM, and where results about it go.
pub struct Ward {
    folder: TempDir,
}

impl Ward {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sample = medfocus();
        sample.args(["sample", "--dataset", "phantom", "--index", "1"]);
        sample.args(["--set", "dataset.width=400", "--set", "dataset.height=500"]);
        let drawn = run(sample.arg("--out").arg(folder.path()));
        assert_eq!(drawn.code, 0, "{drawn:?}");
        let ward = Self { folder };
        fs::write(
            ward.film(),
            ward.drawn().file(uids::EXPLICIT_VR_LITTLE_ENDIAN),
        )
        .unwrap();
        ward
    }

    /// The film in the making.
    pub fn drawn(&self) -> film::Film {
        let image = image::open(self.path("image.png")).unwrap().into_luma8();
        let (width, height) = image.dimensions();
        film::Film::new(height as u16, width as u16, image.as_raw())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn film(&self) -> PathBuf {
        self.path("film.dcm")
    }

    pub fn attribute(&self, image: &Path, method: &str, more: &[&str]) -> Ran {
        let mut command = self.medfocus("attribute", method);
        command.arg("--dicom").arg("--image").arg(image);
        run(command.args(more))
    }

    /// The program with this command, asked about a pleural effusion.
    pub fn medfocus(&self, command: &str, method: &str) -> Command {
        let mut program = medfocus();
        program.args([command, "--config", "configs/demo.toml"]);
        program.args(["--model", "phantom-gemma3", "--method", method]);
        program.args(["--question", QUESTION]);
        program.arg("--out").arg(self.path("out"));
        // The secret of pseudonyms belongs to the user.
        program.env("XDG_DATA_HOME", self.path("data"));
        program
    }

    pub fn record(&self) -> Value {
        let text = fs::read_to_string(self.path("out/attribution.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// What pydicom and highdicom read.
    pub fn read(&self) -> Value {
        let mut command = Command::new(python_of("dicom/requirements.txt"));
        command.arg(workspace().join("tests/dicom/read.py"));
        let ran = run(command.arg(self.path("out")));
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    /// What an independent checker of DICOM objects holds against them.
    pub fn judged(&self) {
        let Some(checker) = installed("dciodvfy") else {
            eprintln!(
                "dciodvfy (Debian's dicom3tools) is not installed: its judgement is left out"
            );
            return;
        };
        for kind in ["sc", "sr", "gsps"] {
            let file = self.path(&format!("out/explanation.{kind}.dcm"));
            let ran = run(Command::new(&checker).arg(file));
            assert!(!(ran.err + &ran.out).contains("Error"), "{kind}");
        }
    }
}
