//! Text that the page may break.

use maud::{Markup, html};

/// A name that may go on in the next line after each underscore.
pub fn breakable(name: &str) -> Markup {
    html! {
        @for (at, part) in name.split('_').enumerate() {
            @if at > 0 { "_" wbr; }
            (part)
        }
    }
}
