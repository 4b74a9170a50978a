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
        .filter(|ability| !abilities.contains(ability))
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
