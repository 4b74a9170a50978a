//! The method keeps what the suite of its kind asks of every method.

use medfocus_method_tam::{Tam, TamParams};
use medfocus_plugin_api::testkit::conformance;

#[test]
fn tam_conforms() {
    conformance::method::<Tam>(TamParams::default()).assert();
}
