//! What a config says, and what stands where it says nothing.

use medfocus::config::Layers;

fn slots(settings: &[&str]) -> serde_json::Value {
    let settings = settings.iter().map(|text| (*text).to_owned());
    let layers = Layers::load(None, &Vec::from_iter(settings)).unwrap();
    serde_json::to_value(layers.config.slots).unwrap()
}

#[test]
fn a_number_may_have_an_exponent() {
    let settings = ["a=1e-6", "b=2.5E3", "c=\"1e-6\"", "d=inf", "e=e5", "f=7"].map(str::to_owned);
    let method = Layers::load(None, &settings).unwrap().config.method;
    let expected = serde_json::json!(
        {"a": 1e-6, "b": 2500.0, "c": "1e-6", "d": "inf", "e": "e5", "f": 7}
    );
    assert_eq!(serde_json::to_value(method).unwrap(), expected);
}

#[test]
fn a_slot_that_is_filled_names_its_component() {
    let error = Layers::load(None, &["slots.segmenter.params.path=x".to_owned()]);
    assert_eq!(
        error.err().unwrap().to_string(),
        "config: missing field `component` for key \"slots.segmenter\" in `--set slots.segmenter.params.path=x`"
    );
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
