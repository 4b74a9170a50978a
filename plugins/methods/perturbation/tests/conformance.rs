//! The methods keep what the suite of their kind asks of every method.

use medfocus_method_perturbation::{
    Eagle, EagleParams, Occlusion, OcclusionParams, Rise, RiseParams,
};
use medfocus_plugin_api::testkit::conformance;

#[test]
fn occlusion_conforms() {
    conformance::method::<Occlusion>(OcclusionParams::default()).assert();
}

#[test]
fn rise_conforms() {
    let params = RiseParams {
        count: 16,
        ..RiseParams::default()
    };
    conformance::method::<Rise>(params).assert();
}

#[test]
fn eagle_conforms() {
    let params = EagleParams {
        cells: 4,
        ..EagleParams::default()
    };
    conformance::method::<Eagle>(params).assert();
}
