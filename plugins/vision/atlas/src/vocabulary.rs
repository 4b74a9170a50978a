//! The anatomical concepts, under their names in Chest ImaGenome (Wu et al., NeurIPS 2021), and phrases for them.

/// The concepts. Sides are the patient's.
pub const CONCEPTS: [&str; 11] = [
    "cardiac silhouette",
    "left lung",
    "right lung",
    "mediastinum",
    "upper mediastinum",
    "left clavicle",
    "right clavicle",
    "left hilar structures",
    "right hilar structures",
    "left costophrenic angle",
    "right costophrenic angle",
];

/// Names of pairs.
const PAIRS: [(&str, [&str; 2]); 4] = [
    ("lungs", ["left lung", "right lung"]),
    ("clavicles", ["left clavicle", "right clavicle"]),
    (
        "hilar structures",
        ["left hilar structures", "right hilar structures"],
    ),
    (
        "costophrenic angles",
        ["left costophrenic angle", "right costophrenic angle"],
    ),
];

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
    let pair = PAIRS.iter().find(|(pair, _)| *pair == name);
    match pair {
        Some((_, both)) => both.to_vec(),
        None => Vec::from_iter(CONCEPTS.into_iter().find(|concept| *concept == name)),
    }
}
