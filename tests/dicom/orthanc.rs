//! To a real archive and back: Orthanc (Debian's orthanc and orthanc-dicomweb), on this machine alone.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use dicom_dictionary_std::{tags, uids};
use dicom_object::{InMemDicomObject, from_reader, mem::InMemElement};
use medfocus_tests::{installed, run};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{film, ward::Ward};

const DICOMWEB: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";

/// A port that was free a moment ago.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An archive with nothing in it.
struct Orthanc {
    _folder: TempDir,
    _process: Running,
    web: u16,
    dicom: u16,
}

impl Orthanc {
    /// Starts it; nothing if it is not installed. It knows a receiver called MEDFOCUS at this port.
    fn start(receiver: u16) -> Option<Self> {
        let (Some(program), true) = (installed("Orthanc"), Path::new(DICOMWEB).exists()) else {
            eprintln!(
                "Orthanc (orthanc, orthanc-dicomweb) is not installed: nothing is tested with it"
            );
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let (web, dicom) = (port(), port());
        let config = json!({
            "Name": "test",
            "StorageDirectory": folder.path(),
            "IndexDirectory": folder.path(),
            "Plugins": [DICOMWEB],
            "HttpPort": web,
            "RemoteAccessAllowed": false,
            "AuthenticationEnabled": false,
            "DicomAet": "ORTHANC",
            "DicomCheckCalledAet": true,
            "DicomPort": dicom,
            "DicomModalities": {"medfocus": ["MEDFOCUS", "127.0.0.1", receiver]},
            "DicomWeb": {"Enable": true, "Root": "/dicom-web/"},
        });
        let file = folder.path().join("orthanc.json");
        fs::write(&file, config.to_string()).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(program)
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let orthanc = Self {
            _folder: folder,
            _process: Running(process),
            web,
            dicom,
        };
        let url = orthanc.url("/system");
        wait("Orthanc starts", || ureq::get(&url).call().ok());
        Some(orthanc)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.web)
    }

    fn post(&self, path: &str, body: &[u8]) -> Value {
        let mut answer = ureq::post(self.url(path)).send(body).unwrap();
        serde_json::from_slice(&answer.body_mut().read_to_vec().unwrap()).unwrap()
    }

    fn get(&self, path: &str, accept: &str) -> Vec<u8> {
        let request = ureq::get(self.url(path)).header("Accept", accept);
        let mut answer = request
            .call()
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let body = answer.body_mut().with_config().limit(1 << 28);
        body.read_to_vec().unwrap()
    }

    /// QIDO-RS.
    fn query(&self, path: &str) -> Vec<Value> {
        let found = self.get(&format!("/dicom-web{path}"), "application/dicom+json");
        serde_json::from_slice(&found).unwrap()
    }

    /// The instances of a class in a study.
    fn instances(&self, study: &str, class: &str) -> Vec<Value> {
        self.query(&format!("/studies/{study}/instances?SOPClassUID={class}"))
    }
}

/// What becomes true within two minutes.
fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(120);
    while Instant::now() < end {
        if let Some(found) = found() {
            return found;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("not within two minutes: {what}");
}

fn value(dataset: &Value, tag: &str) -> String {
    dataset[tag]["Value"][0].as_str().unwrap().to_owned()
}

/// The values of a file without its head, which each program writes for itself.
fn content(file: &[u8]) -> InMemDicomObject {
    from_reader(file).unwrap().into_inner()
}

/// The one folder with results.
fn results(ward: &Ward) -> PathBuf {
    let mut found = fs::read_dir(ward.path("out/results")).unwrap();
    found.next().unwrap().unwrap().path()
}

/// Whether two elements hold the same, however long sequences are said to be: an archive may say that in its own way.
fn same(one: &InMemElement, other: &InMemElement) -> bool {
    match (one.items(), other.items()) {
        (Some(some), Some(others)) => {
            let pairs = some.iter().zip(others);
            some.len() == others.len()
                && pairs.into_iter().all(|(one, other)| {
                    one.iter().all(|element| {
                        let found = other.get(element.header().tag);
                        found.is_some_and(|found| same(element, found))
                    })
                })
        }
        _ => one.vr() == other.vr() && one.value().to_bytes().ok() == other.value().to_bytes().ok(),
    }
}

/// A film goes into the archive, from there to the program, and the results lie beside it.
#[test]
fn results_lie_beside_the_film_in_the_archive() {
    let listening = port();
    let Some(orthanc) = Orthanc::start(listening) else {
        return;
    };
    let ward = Ward::new();
    let mut command = ward.medfocus("watch", "medfocus");
    command.args(["--set", "dicom.identified=true", "--every", "0.2"]);
    command.args(["--listen", &format!("MEDFOCUS@127.0.0.1:{listening}")]);
    command.args([
        "--send",
        &format!("dicom://ORTHANC@127.0.0.1:{}", orthanc.dicom),
    ]);
    let process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut watching = Running(process);
    let mut said = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("listening"));

    assert_eq!(orthanc.post("/modalities/medfocus/echo", b"{}"), json!({}));
    let stored = orthanc.post("/instances", &fs::read(ward.film()).unwrap());
    let id = stored["ID"].as_str().unwrap().to_owned();
    orthanc.post("/modalities/medfocus/store", id.as_bytes());

    let series = format!("/studies/{}/series", film::STUDY);
    wait("the results are in the archive", || {
        (orthanc.query(&series).len() == 4).then_some(())
    });
    let ours = results(&ward);
    let mut captures = Vec::new();
    for (kind, class) in [
        ("sc", uids::SECONDARY_CAPTURE_IMAGE_STORAGE),
        ("sr", uids::COMPREHENSIVE_SR_STORAGE),
        ("gsps", uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE),
    ] {
        let found = orthanc.instances(film::STUDY, class);
        assert_eq!(found.len(), 1, "{kind}");
        let (series, instance) = (value(&found[0], "0020000E"), value(&found[0], "00080018"));
        let place = format!(
            "/dicom-web/studies/{}/series/{series}/instances/{instance}",
            film::STUDY
        );
        // WADO-RS: one part of a multipart answer is the file.
        let answer = orthanc.get(&place, "multipart/related; type=application/dicom");
        let at = answer.windows(4).position(|four| four == b"DICM").unwrap() - 128;
        let end = answer
            .windows(4)
            .rposition(|four| four == b"\r\n--")
            .unwrap();
        let file = fs::read(ours.join(format!("explanation.{kind}.dcm"))).unwrap();
        let there = content(&answer[at..end]);
        let here = content(&file);
        for element in here.iter() {
            let tag = element.header().tag;
            let other = there.get(tag);
            assert!(
                other.is_some_and(|other| same(element, other)),
                "{kind}: {element:?}, {other:?}"
            );
        }
        captures.push((place, here));
    }

    // What a browser is shown of the picture is the picture.
    let (place, capture) = &captures[0];
    let shown = orthanc.get(&format!("{place}/rendered"), "image/png");
    let shown = image::load_from_memory(&shown).unwrap().into_rgb8();
    let pixels = capture.get(tags::PIXEL_DATA).unwrap().to_bytes().unwrap();
    // An odd number of bytes is padded.
    assert!(shown.as_raw()[..] == pixels[..shown.len()]);

    // The copy that was sent here is gone, and the same film again changes nothing.
    wait("the program's own copy is removed", || {
        let left = fs::read_dir(ward.path("out/films")).unwrap().count();
        (left == 0).then_some(())
    });
    orthanc.post("/modalities/medfocus/store", id.as_bytes());
    wait("the program takes the film once more", || {
        let left = fs::read_dir(ward.path("out/films")).unwrap().count();
        (left == 0).then_some(())
    });
    assert_eq!(orthanc.query(&series).len(), 4);

    let interrupt = run(Command::new("kill").args(["-INT", &watching.0.id().to_string()]));
    assert_eq!(interrupt.code, 0, "{interrupt:?}");
    assert!(watching.0.wait().unwrap().success());
}

/// By STOW-RS, as nobody's.
#[test]
fn a_web_archive_takes_what_attribute_sends() {
    let Some(orthanc) = Orthanc::start(port()) else {
        return;
    };
    let ward = Ward::new();
    let studies = orthanc.url("/dicom-web/studies");
    let ran = ward.attribute(&ward.film(), "occlusion", &["--send", &studies]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(&format!("sent      {studies}")), "{ran:?}");
    let found = orthanc.query("/studies");
    assert_eq!(found.len(), 1);
    let study = value(&found[0], "0020000D");
    assert_ne!(study, film::STUDY);
    let patient = found[0]["00100010"]["Value"][0]["Alphabetic"]
        .as_str()
        .unwrap();
    assert!(patient.starts_with("MEDFOCUS^"), "{patient}");
    assert_eq!(orthanc.query(&format!("/studies/{study}/series")).len(), 3);

    // Sent once more it is the same: the archive holds no second copy.
    let again = ward.attribute(&ward.film(), "occlusion", &["--send", &studies]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(orthanc.query(&format!("/studies/{study}/series")).len(), 3);
    let gone = ward.attribute(
        &ward.film(),
        "occlusion",
        &["--send", &orthanc.url("/nowhere")],
    );
    assert_eq!(gone.code, 2, "{gone:?}");
    assert!(gone.err.contains("HTTP 404"), "{gone:?}");
}
