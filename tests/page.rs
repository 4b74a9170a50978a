//! The page of `medfocus serve` in a real browser, from the image to the download.
//!
//! These tests need Chromium (`apt-get install chromium`) and say so where it is not installed. With `WRITE_DOCS=1` they write
//! the picture of `docs/serve.md`.

use std::{
    ffi::OsStr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use headless_chrome::{
    Browser, LaunchOptions, Tab,
    protocol::cdp::{Emulation, Page, types::Event},
};
use medfocus_tests::{Server, medfocus, run, workspace};
use serde_json::Value;

/// Whatever takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with one tab, and what it complained of.
struct Reader {
    tab: Arc<Tab>,
    complaints: Arc<Mutex<Vec<String>>>,
    _browser: Browser,
}

impl Reader {
    /// One of this window's size, if there is a browser here.
    fn new(width: u32, height: u32) -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
        let places = names
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let Some(path) = places.into_iter().find(|path| path.is_file()) else {
            eprintln!("NOT TESTED: there is no Chromium here; apt-get install chromium");
            return None;
        };
        let options = LaunchOptions {
            path: Some(path),
            // Containers and root cannot have it.
            sandbox: false,
            window_size: Some((width, height)),
            args: vec![OsStr::new("--disable-dev-shm-usage")],
            idle_browser_timeout: PATIENCE * 4,
            ..LaunchOptions::default()
        };
        let browser = Browser::new(options).expect("the browser starts");
        let tab = browser.new_tab().expect("it has tabs");
        tab.set_default_timeout(PATIENCE);
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let heard = complaints.clone();
        tab.enable_log().expect("it has a log");
        tab.add_event_listener(Arc::new(move |event: &Event| {
            if let Event::LogEntryAdded(entry) = event {
                let text = entry.params.entry.text.clone();
                heard.lock().unwrap().push(text);
            }
        }))
        .expect("it can be listened to");
        let reader = Self {
            tab,
            complaints,
            _browser: browser,
        };
        reader.resize(width, height);
        // Otherwise nothing has the focus that is not in front.
        let focused = Emulation::SetFocusEmulationEnabled { enabled: true };
        reader.tab.call_method(focused).expect("it has a focus");
        Some(reader)
    }

    fn resize(&self, width: u32, height: u32) {
        let metrics = Emulation::SetDeviceMetricsOverride {
            width,
            height,
            device_scale_factor: 1.0,
            mobile: false,
            scale: None,
            screen_width: None,
            screen_height: None,
            position_x: None,
            position_y: None,
            dont_set_visible_size: None,
            screen_orientation: None,
            viewport: None,
            display_feature: None,
            device_posture: None,
        };
        self.tab.call_method(metrics).expect("it can be resized");
    }

    fn open(&self, server: &Server, path: &str) {
        let address = format!("http://{}{path}", server.address);
        self.tab.navigate_to(&address).unwrap();
        self.tab.wait_until_navigated().unwrap();
    }

    /// What a script gives.
    fn eval(&self, script: &str) -> Value {
        let given = self.tab.evaluate(script, false).unwrap();
        given.value.unwrap_or(Value::Null)
    }

    /// Waits until a script gives true.
    fn until(&self, script: &str) {
        let start = Instant::now();
        while self.eval(script) != Value::Bool(true) {
            assert!(
                start.elapsed() < PATIENCE,
                "never {script}: {}",
                self.eval("document.body.innerText")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn click(&self, selector: &str) {
        self.tab
            .wait_for_element(selector)
            .unwrap()
            .click()
            .unwrap();
    }

    /// The window, smaller than it is.
    fn picture(&self) -> Vec<u8> {
        let format = Page::CaptureScreenshotFormatOption::Png;
        let clip = Page::Viewport {
            x: 0.0,
            y: 0.0,
            width: 1280.0,
            height: 800.0,
            scale: 0.7,
        };
        self.tab
            .capture_screenshot(format, None, Some(clip), true)
            .unwrap()
    }

    /// Nothing is wider than the window.
    fn fits(&self) {
        let script = "document.documentElement.scrollWidth <= window.innerWidth";
        assert_eq!(self.eval(script), true, "something is too wide");
    }

    fn is_content(&self) {
        assert_eq!(*self.complaints.lock().unwrap(), [""; 0]);
    }
}

const SEGMENTER: [&str; 4] = [
    "--set",
    "slots.segmenter.component=medsam",
    "--set",
    "slots.segmenter.params.path=configs/checkpoints/phantom-medsam",
];

#[test]
fn from_an_upload_to_the_download() {
    let Some(reader) = Reader::new(1280, 800) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let ran = run(medfocus()
        .args(["sample", "--index", "4", "--out"])
        .arg(folder.path()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let server = Server::start(&SEGMENTER);
    let start = Instant::now();
    reader.open(&server, "/");
    reader.until("document.querySelectorAll('#samples img').length === 8");
    assert_eq!(
        reader.eval("document.querySelector('#method').value"),
        "medfocus"
    );
    let image = folder.path().join("image.png");
    let input = reader.tab.wait_for_element("#file").unwrap();
    input.set_input_files(&[image.to_str().unwrap()]).unwrap();
    // The question has the focus as soon as the image is there.
    reader.until("document.activeElement.id === 'question' && document.querySelector('.stage.marked img').naturalWidth === 224");
    reader
        .tab
        .type_str("Is there evidence of consolidation in the image?")
        .unwrap();
    reader.tab.press_key("Enter").unwrap();
    reader.until("document.querySelector('#all') !== null");
    let answer = reader.eval("document.querySelector('.said').textContent");
    assert!(answer == "Yes" || answer == "No", "{answer}");
    let concepts = reader.eval("document.querySelectorAll('.concept').length");
    assert!(concepts.as_u64() > Some(5), "{concepts}");

    // The keyboard goes through the concepts, and each lights its place and its words.
    reader.eval("document.querySelector('.concept').focus()");
    reader.tab.press_key("ArrowDown").unwrap();
    let second = "document.querySelectorAll('.concept')[1]";
    assert_eq!(
        reader.eval(&format!("document.activeElement === {second}")),
        true
    );
    let lit = "[...document.querySelectorAll('.concepts .lit')].every(box => box.dataset.concept === '1')";
    assert_eq!(reader.eval(lit), true);
    assert_eq!(
        reader.eval("document.querySelectorAll('.concepts .lit').length > 0"),
        true
    );
    reader.tab.press_key("ArrowUp").unwrap();
    assert_eq!(
        reader.eval("document.querySelectorAll('.token.lit').length > 0"),
        true
    );
    // A word lights its concepts, and a place on the image its concept.
    reader
        .tab
        .wait_for_element(".token")
        .unwrap()
        .move_mouse_over()
        .unwrap();
    reader.until("document.querySelectorAll('.concept.lit').length > 0");
    assert!(
        reader
            .eval("document.querySelector('#detail').textContent")
            .as_str()
            .unwrap()
            .contains("log-probability")
    );
    // Layers can be taken away.
    let visible = "getComputedStyle(document.querySelector('.layer.concepts')).display";
    assert_eq!(reader.eval(visible), "block");
    reader.eval("[...document.querySelectorAll('#tools label')].find(label => label.textContent === 'Concepts').click()");
    assert_eq!(reader.eval(visible), "none");
    reader.eval("[...document.querySelectorAll('#tools label')].find(label => label.textContent === 'Side by side').click()");
    reader.until("document.querySelector('.stage.original').offsetWidth > 100");

    let allowed = Page::SetDownloadBehavior {
        behavior: Page::SetDownloadBehaviorBehaviorOption::Allow,
        download_path: Some(folder.path().display().to_string()),
    };
    reader.tab.call_method(allowed).unwrap();
    reader.click("#all");
    let zip = folder.path().join("medfocus.zip");
    while !zip.is_file() {
        assert!(start.elapsed() < PATIENCE, "no download");
        std::thread::sleep(Duration::from_millis(20));
    }
    let record: Value = {
        let mut zip = zip::ZipArchive::new(std::fs::File::open(&zip).unwrap()).unwrap();
        serde_json::from_reader(zip.by_name("attribution.json").unwrap()).unwrap()
    };
    assert_eq!(record["answer"], answer);
    assert!(start.elapsed() < PATIENCE, "it took {:?}", start.elapsed());
    reader.fits();
    reader.is_content();
}

#[test]
fn a_demo_image_on_windows_of_any_width() {
    let Some(reader) = Reader::new(1280, 800) else {
        return;
    };
    let server = Server::start(&SEGMENTER);
    reader.open(&server, "/");
    reader.fits();
    reader.click("#samples button:nth-child(4)");
    reader.until("document.querySelector('#question').value.startsWith('Is there evidence')");
    reader.click("#go");
    reader.until("document.querySelector('#all') !== null");
    reader.until("[...document.images].every(image => image.complete && image.naturalWidth > 0)");
    reader.eval("document.querySelector('.concept').focus()");
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(
            workspace().join("docs/pictures/serve.png"),
            reader.picture(),
        )
        .unwrap();
    }
    for width in [800, 400] {
        reader.resize(width, 900);
        reader.fits();
        assert_eq!(
            reader.eval("document.querySelector('.notice').offsetWidth > 100"),
            true
        );
    }
    reader.is_content();
}

#[test]
fn escape_cancels_and_what_is_wrong_is_said() {
    let Some(reader) = Reader::new(1000, 800) else {
        return;
    };
    let server = Server::start(&[]);
    reader.open(&server, "/");
    reader.until("document.querySelectorAll('#samples img').length === 8");
    reader.click("#question");
    reader.tab.type_str("Is there a nodule?").unwrap();
    reader.tab.press_key("Enter").unwrap();
    reader.until("document.querySelector('#error').textContent.includes('there is no image')");
    reader.click("#samples button");
    reader.until(
        "document.querySelector('.stage') !== null && document.querySelector('#error').hidden",
    );
    reader.eval("document.querySelector('#method').value = 'rise'; document.querySelector('#method').onchange()");
    reader.eval("document.querySelector('#param-count').value = 65536");
    reader.click("#go");
    reader.until("document.querySelector('#step').textContent.includes('rise')");
    reader.tab.press_key("Escape").unwrap();
    reader.until("document.querySelector('#reading').textContent === 'Cancelled.'");
    reader.eval("document.querySelector('#param-count').value = 0");
    reader.eval("document.querySelector('#ask').noValidate = true");
    reader.click("#go");
    reader.until("document.querySelector('#error').textContent.includes('`count` must lie in')");
}

#[test]
fn the_token_is_asked_for_once() {
    let Some(reader) = Reader::new(1000, 800) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "0123456789-correct-horse").unwrap();
    let server = Server::start(&["--token-file", file.to_str().unwrap()]);
    reader.open(&server, "/");
    reader.until("location.pathname === '/login'");
    reader
        .tab
        .wait_for_element("#token")
        .unwrap()
        .type_into("0123456789-correct-horse")
        .unwrap();
    reader.tab.press_key("Enter").unwrap();
    reader.until(
        "location.pathname === '/' && document.querySelectorAll('#samples img').length === 8",
    );
    reader.is_content();
}
