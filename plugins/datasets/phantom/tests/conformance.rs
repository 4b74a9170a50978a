//! The dataset keeps what the suite of its kind asks.

use medfocus_dataset_phantom::{PhantomParams, PhantomReader};
use medfocus_plugin_api::testkit::conformance;

#[test]
fn the_dataset_conforms() {
    conformance::dataset::<PhantomReader>(PhantomParams::default()).assert();
}
