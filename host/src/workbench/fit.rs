//! What fits into a slot.

use medfocus_plugin_api::{
    Ability, Error, Result,
    manifest::{ComponentManifest, SlotManifest},
};

/// That a slot is empty.
pub(super) fn empty(user: &str, slot: &SlotManifest) -> Error {
    Error::missing(format!(
        "`{user}` needs {} in its slot `{}`, which is empty",
        slot.kind.with_article(),
        slot.name
    ))
    .with_hint(format!(
        "name one in the config under `slots.{}.component`",
        slot.name
    ))
}

/// Refuses a component that does not fit a slot.
pub(super) fn check(user: &str, slot: &SlotManifest, component: &ComponentManifest) -> Result<()> {
    let name = &component.name;
    if component.kind != slot.kind {
        return Err(Error::invalid(format!(
            "`{user}` needs {} in its slot `{}`; `{name}` is {}",
            slot.kind.with_article(),
            slot.name,
            component.kind.with_article()
        )));
    }
    check_abilities(user, slot, name, &component.abilities)
}

/// Refuses a model without what a slot asks of it.
pub(super) fn check_abilities(
    user: &str,
    slot: &SlotManifest,
    model: &str,
    abilities: &[Ability],
) -> Result<()> {
    let lacking: Vec<_> = slot
        .abilities
        .iter()
        .filter(|ability| **ability == Ability::Unknown || !abilities.contains(ability))
        .map(|ability: &Ability| ability.name())
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "`{user}` needs a model that can {}, which `{model}` cannot",
        lacking.join(" and ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_asks_for_no_model_has() {
        let slot = |abilities| {
            let slot = serde_json::json!({"name": "model", "kind": "model", "required": true, "abilities": abilities});
            serde_json::from_value::<SlotManifest>(slot).unwrap()
        };
        let model: Vec<Ability> = serde_json::from_str(r#"["score", "dream"]"#).unwrap();
        check_abilities("mine", &slot(["score"]), "theirs", &model).unwrap();
        let error = check_abilities("mine", &slot(["dream"]), "theirs", &model).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`mine` needs a model that can do what only a later version knows, which `theirs` cannot"
        );
    }
}
