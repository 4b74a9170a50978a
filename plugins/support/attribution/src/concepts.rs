//! The vocabulary: anatomical concepts under their names in Chest ImaGenome (Wu et al., NeurIPS 2021).

/// The concepts. Sides are the patient's: the left lung lies on the right of the image.
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

/// Pairs of concepts that are also tried together, each with its members' places in [`CONCEPTS`].
pub const COMPOSITES: [(&str, [usize; 2]); 4] = [
    ("bilateral lungs", [1, 2]),
    ("clavicles", [5, 6]),
    ("hilar structures", [7, 8]),
    ("costophrenic angles", [9, 10]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composite_is_both_sides_of_one_concept() {
        for (name, [left, right]) in COMPOSITES {
            let of = |side: &str, member: usize| CONCEPTS[member].strip_prefix(side).unwrap();
            let concept = of("left ", left);
            assert_eq!(concept, of("right ", right));
            assert!(name.contains(concept), "{name}");
        }
    }
}
