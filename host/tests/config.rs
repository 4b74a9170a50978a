//! What a config says, and what stands where it says nothing.

use medfocus::config::Layers;

fn slots(settings: &[&str]) -> serde_json::Value {
    let settings = settings.iter().map(|text| (*text).to_owned());
    let layers = Layers::load(None, &Vec::from_iter(settings)).unwrap();
    serde_json::to_value(layers.config.slots).unwrap()
}

#[test]
fn the_pool_holds_phantoms_unless_something_else_is_named() {
    let phantoms = &slots(&[])["pool"];
    assert_eq!(phantoms["component"], "phantom");
    assert_eq!(
        phantoms["params"],
        serde_json::json!({"split": "train", "offset": 2_000_000, "len": 16, "presence": "never"})
    );
    assert_eq!(
        slots(&["slots.segmenter.component=medsam"])["pool"],
        *phantoms
    );

    let mine = &slots(&[
        "slots.pool.component=reference_pool",
        "slots.pool.params.path=mine",
    ])["pool"];
    assert_eq!(mine["component"], "reference_pool");
    assert_eq!(
        mine["params"],
        serde_json::json!({"path": "mine"}),
        "no parameter of the phantoms is left"
    );
    assert_eq!(
        slots(&["slots.pool.component=none"])["pool"]["component"],
        "none"
    );
}
