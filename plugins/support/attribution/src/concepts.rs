//! Concepts of both sides taken together.

/// Pairs of concepts that are also tried together, each with its members' places in
/// [`CONCEPTS`](medfocus_plugin_api::CONCEPTS).
pub const COMPOSITES: [(&str, [usize; 2]); 4] = [
    ("bilateral lungs", [1, 2]),
    ("clavicles", [5, 6]),
    ("hilar structures", [7, 8]),
    ("costophrenic angles", [9, 10]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use medfocus_plugin_api::CONCEPTS;

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
