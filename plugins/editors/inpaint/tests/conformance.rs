//! The editor keeps what the suite of its kind asks.

use medfocus_editor_inpaint::Inpaint;
use medfocus_plugin_api::{
    NoParams,
    testkit::conformance::{self, Outside},
};

#[test]
fn the_editor_conforms() {
    conformance::editor::<Inpaint>(NoParams::default(), Outside::Kept).assert();
}
