//! Phrases for anatomical concepts.

use medfocus_attribution::COMPOSITES;
use medfocus_plugin_api::CONCEPTS;

/// The concepts that a phrase names: one, both of a pair, or none.
///
/// Case and punctuation do not matter, nor do the words "the", "both" and "bilateral".
///
/// ```
/// use medfocus_vision_atlas::members;
/// assert_eq!(members("The left lung."), ["left lung"]);
/// assert_eq!(members("both lungs"), ["left lung", "right lung"]);
/// assert!(members("left lung base").is_empty());
/// ```
pub fn members(phrase: &str) -> Vec<&'static str> {
    let lower = phrase.to_lowercase();
    let words: Vec<_> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !["", "the", "both", "bilateral"].contains(word))
        .collect();
    let name = words.join(" ");
    let pair = COMPOSITES
        .iter()
        .find(|(pair, _)| pair.trim_start_matches("bilateral ") == name);
    match pair {
        Some((_, both)) => both.map(|member| CONCEPTS[member]).to_vec(),
        None => Vec::from_iter(CONCEPTS.into_iter().find(|concept| *concept == name)),
    }
}
