//! The parameters of every method that takes concepts out of an image.

/// [`params!`](medfocus_plugin_api::params) with a method's own parameters, then these.
macro_rules! params_with_interventions {
    ($(#[$about:meta])* pub struct $name:ident { $($own:tt)* }) => {
        medfocus_plugin_api::params! {
            $(#[$about])*
            pub struct $name {
                $($own)*
                /// Which tokens count as the answer.
                pub answer_span: medfocus_attribution::Span = "answer";
                /// Only these tokens of the answer, as `0..3`, counted from its first; all if empty.
                pub tokens: String = "";
                /// Which pixels of a concept are replaced.
                pub intervention: $crate::intervention::Intervention = "box";
                /// What they are replaced by.
                pub replacement: $crate::replacement::Replacement = "zero";
                /// What an editor is asked for; `{finding}` stands for the finding in question, or for `abnormality`.
                pub prompt: String = "No {finding}";
                /// Images a model call; changes speed and memory, not the result.
                pub batch: usize = 16, in 1..=4096;
            }
        }
    };
}

pub(crate) use params_with_interventions;
