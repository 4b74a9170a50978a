//! What is wrong with a TOML file, in words.

/// One figment error without the drawing that a TOML error holds.
pub(crate) fn words(error: &figment::Error) -> String {
    // Keys as the user writes them, without figment's profile; a text that was read already has no other name.
    let text = error.to_string().replace("\"default.", "\"");
    let text = text.replace(" in TOML source string", "");
    let words = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.contains('|'));
    Vec::from_iter(words).join(" ")
}
