//! Where an answer names something.

use medfocus_plugin_api::Token;

/// The tokens that hold any part of a phrase where they name it together, whatever the case. The phrase begins a word; what it may go
/// on with, as in a plural, does not count.
pub fn naming(tokens: &[Token], phrase: &str) -> Vec<usize> {
    let text: String = tokens.iter().map(|token| token.text.as_str()).collect();
    // These keep every byte in its place.
    let (text, phrase) = (text.to_ascii_lowercase(), phrase.to_ascii_lowercase());
    let begins_word = |&(at, _): &(usize, &str)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(char::is_alphanumeric)
    };
    let named = text.match_indices(&phrase).filter(begins_word);
    let named: Vec<_> = named.map(|(at, _)| at..at + phrase.len()).collect();
    let mut end = 0;
    let holds = |token: &Token| {
        let start = end;
        end += token.text.len();
        named
            .iter()
            .any(|name| name.start < end && start < name.end)
    };
    let held: Vec<bool> = tokens.iter().map(holds).collect();
    (0..held.len()).filter(|&at| held[at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tokens: &[&str], phrase: &str) -> Vec<usize> {
        let token = |text: &&str| Token {
            id: 0,
            text: (*text).to_owned(),
        };
        naming(&tokens.iter().map(token).collect::<Vec<_>>(), phrase)
    }

    #[test]
    fn every_token_of_every_mention_counts() {
        let answer = [
            "The",
            " left",
            " ple",
            "ural",
            " eff",
            "usion",
            "s",
            " is",
            " large;",
            " Pleural",
            " effusion",
            ":",
            " yes",
        ];
        assert_eq!(found(&answer, "pleural effusion"), [2, 3, 4, 5, 9, 10]);
        assert_eq!(found(&answer, "Effusion"), [4, 5, 10]);
        assert_eq!(found(&["effusion"], "effusion"), [0]);
    }

    #[test]
    fn what_is_not_named_has_no_tokens() {
        assert_eq!(found(&["Yes", "."], "pleural effusion"), [0usize; 0]);
        assert_eq!(found(&["The", " hyper", "edema"], "edema"), [0usize; 0]);
        assert_eq!(found(&["Ödem", " é edema"], "edema"), [1]);
        assert_eq!(found(&[], "edema"), [0usize; 0]);
    }
}
