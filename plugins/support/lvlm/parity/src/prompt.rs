//! Questions and answers as the reference tokenises them.

use medfocus_lvlm::network::{Family, Network};
use medfocus_plugin_api::AnswerSpan;

use crate::fixture::{Fixtures, ids};

pub fn ids_and_spans_are_those_of_the_reference<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        let backend = fixture.backend(1);
        let (prompter, question) = (backend.prompter(), fixture.question());
        let (_, _, height, width) = fixture.pixels(0).size4().unwrap();
        let image = backend.network().grid(height, width).tokens();
        assert_eq!(
            prompter.question(question, image).unwrap(),
            ids(&fixture.facts["prompt_ids"])
        );
        for index in 0..2 {
            let expected = fixture.answer(index);
            for (span, end) in [
                (AnswerSpan::Answer, expected.end),
                (AnswerSpan::Turn, expected.turn_end),
            ] {
                let found = prompter
                    .answered(question, &expected.text, span, image)
                    .unwrap();
                assert_eq!(found.ids, expected.ids);
                assert_eq!(found.answer, expected.start..end);
            }
        }
    }
}
