//! Samples as pictures: what was annotated, and what each method found.

use maud::{Markup, html};
use medfocus_plugin_api::Mode;

use super::words;
use crate::{
    experiment::{
        record::{MethodOutcome, MethodResult},
        results::Results,
    },
    report::{
        pictures::{Exhibit, Gallery},
        table::Table,
        text::{self, count, number},
    },
};

/// The gallery.
pub fn gallery(table: &Table, results: &Results, gallery: &Gallery<'_>) -> Markup {
    let weighed = gallery.exhibits.iter().any(weighed);
    html! {
        section #gallery {
            h2 { "Gallery" }
            p.reading { "The image as the model sees it, and on it what each method found." }
            p.keys {
                span { i.truth {} "annotated" }
                span { i.found {} "found, the strongest region brightest" }
                span { i.warm {} "heat, from little to much" }
            }
            @if weighed { p.reading { (words::READING) } }
            @for exhibit in &gallery.exhibits { (sample(table, results, exhibit)) }
            @if gallery.more { p.reading { "More pictures are in the folder " code { "gallery" } " of the results." } }
        }
    }
}

/// Whether any method says how much its concepts matter.
fn weighed(exhibit: &Exhibit<'_>) -> bool {
    let mut results = exhibit.results.iter();
    results.any(|(result, _)| words::weighed(result))
}

fn sample(table: &Table, results: &Results, exhibit: &Exhibit<'_>) -> Markup {
    let case = &exhibit.record.case;
    let subject = exhibit.subject;
    let mode: Mode = case.mode;
    html! {
        article.sample {
            h3 {
                (subject.finding)
                span.mode { (case.dataset) ", " (text::mode(mode)) ", " (case.model) ", sample " (case.index) }
            }
            dl.dialogue {
                dt { "Question" } dd { (subject.question) }
                dt { "Answer" } dd { (subject.answer) }
            }
            div.pictures {
                figure {
                    img src=(exhibit.image) width="448" height="448" decoding="async"
                        alt={ "Chest X-ray of sample " (case.index) " with "
                            (count(subject.truth.len() as u64, "annotated region")) };
                    figcaption { b { "annotated" } span { (count(subject.truth.len() as u64, "region")) } }
                }
                @for (result, picture) in &exhibit.results {
                    (shown(table, results, result, picture))
                }
            }
            @if weighed(exhibit) {
                div.answers {
                    @for (result, _) in &exhibit.results { (words::answer(result, &subject.answer)) }
                }
            }
        }
    }
}

fn shown(table: &Table, results: &Results, result: &MethodResult, picture: &str) -> Markup {
    let control = results
        .plan
        .method(&result.method)
        .is_some_and(|method| method.control);
    let iou = table
        .measures
        .first()
        .and_then(|measure| measure.of(result));
    let MethodOutcome::Scored {
        boxes,
        fallback,
        warnings,
        ..
    } = &result.outcome
    else {
        return html! {};
    };
    html! {
        figure.control[control] {
            img src=(picture) width="448" height="448" decoding="async"
                alt={ "The same image with what " (result.method) " found: " (count(boxes.len() as u64, "region")) };
            figcaption {
                b { (result.method) @if control { span.tag { "control" } } }
                @if let Some(iou) = iou { span { "IoU " (number(iou)) } }
                @if boxes.is_empty() { span.failed { "no evidence" } }
                @if *fallback { span.failed { "fell back to the whole image" } }
                @for warning in warnings { span.note { (warning) } }
            }
        }
    }
}
