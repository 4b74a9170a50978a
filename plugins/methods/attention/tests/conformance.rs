//! The methods keep what the suite of their kind asks of every method.

use medfocus_method_attention::{CheferRollout, CheferRolloutParams};
use medfocus_plugin_api::testkit::conformance;

#[test]
fn chefer_rollout_conforms() {
    conformance::method::<CheferRollout>(CheferRolloutParams::default()).assert();
}
