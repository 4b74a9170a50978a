//! What every family of vision-language models must show.
//!
//! A family's fixtures are small random checkpoints and what the reference computes with them. [`parity!`] makes a test of
//! each statement here for one family:
//!
//! ```ignore
//! const FIXTURES: Fixtures<Family> = Fixtures::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/fixtures/gemma3"), &["hub", "small"]);
//! medfocus_lvlm_parity::parity!(FIXTURES);
//! ```

pub mod answers;
pub mod fixture;
pub mod network;
pub mod pixels;
pub mod plugin;
pub mod prompt;
pub mod randomise;
pub mod relevance;
pub mod trace;

pub use fixture::{Fixture, Fixtures};

/// A test for each statement, of these fixtures.
#[macro_export]
macro_rules! parity {
    ($fixtures:expr) => {
        $crate::parity!(@tests $fixtures, network:
            the_image_features_match,
            every_layer_matches_fused_and_mapped,
            bf16_differs_by_roundings_alone,
            several_images_are_each_read_where_they_stand,
            a_batch_is_its_members,
            padding_on_the_right_changes_nothing_before_it,
            sequences_of_a_batch_must_align,
            training_reaches_every_parameter);
        $crate::parity!(@tests $fixtures, pixels:
            pixels_are_those_of_the_reference);
        $crate::parity!(@tests $fixtures, prompt:
            ids_and_spans_are_those_of_the_reference);
        $crate::parity!(@tests $fixtures, answers:
            generations_match_token_for_token,
            answers_side_by_side_are_those_alone,
            cached_equals_recomputed,
            generation_stops_when_told_and_at_nothing,
            scores_match_whatever_the_batch,
            what_is_remembered_changes_nothing,
            scoring_nothing_is_refused);
        $crate::parity!(@tests $fixtures, trace:
            hidden_states_and_features_match,
            attention_matches_by_head_and_in_the_mean,
            the_layout_says_where_image_and_answer_lie,
            every_objective_has_the_reference_value_and_gradient,
            gradients_match_wherever_the_graph_begins,
            a_path_gives_the_gradient_at_each_point,
            a_fine_path_accounts_for_the_whole_difference,
            the_last_state_has_no_gradient_at_the_image,
            nothing_is_recorded_below_the_lowest_gradient,
            pixels_are_rounded_before_anything_else_sees_them,
            a_trace_leaves_the_autograd_mode_as_it_was,
            what_does_not_exist_is_refused_by_name);
        $crate::parity!(@tests $fixtures, relevance:
            relevance_changes_no_value,
            features_are_the_images_part_of_all_tokens,
            nothing_is_lost_where_all_is_linear,
            relevance_is_blind_to_how_queries_and_keys_share_a_scale,
            logits_are_those_that_the_answer_is_scored_by,
            a_pass_hands_down_one_thing);
        $crate::parity!(@tests $fixtures, plugin:
            the_digest_names_weights_and_number_format,
            requests_are_answered,
            the_user_can_stop_it,
            settings_that_cannot_work_are_refused_in_one_sentence,
            weights_that_are_no_numbers_are_said_of_the_models_output);
        $crate::parity!(@tests $fixtures, randomise:
            only_the_top_layers_change,
            below_the_decoder_the_images_features_change,
            the_seed_decides_the_noise,
            the_digest_tells_the_models_apart,
            more_layers_than_there_are_is_refused);
    };
    (@tests $fixtures:expr, $module:ident: $($statement:ident),* $(,)?) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $statement() {
                    $crate::$module::$statement(&$fixtures);
                }
            )*
        }
    };
}
