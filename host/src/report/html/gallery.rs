//! Samples as pictures: what was annotated, and what each method found.

use maud::{Markup, html};
use medfocus_plugin_api::Mode;

use super::figure;
use crate::{
    causal::{gate::Role, record::Counterfactual},
    evidence,
    experiment::{
        record::{MethodOutcome, MethodResult},
        results::Results,
    },
    report::{
        pictures::{Exhibit, Gallery},
        table::Table,
        text::{count, number},
    },
};

/// The gallery.
pub fn gallery(table: &Table, results: &Results, gallery: &Gallery) -> Markup {
    let mut shown = gallery.exhibits.iter().flat_map(|exhibit| &exhibit.results);
    let weighed = shown.any(|(result, _)| figure::weighed(result).is_some());
    html! {
        section #gallery {
            h2 { "Gallery" }
            p.reading { "The image as the model sees it, and on it what each method found." }
            p.keys {
                span { i.truth {} "annotated" }
                span { i.found {} "found, the strongest region brightest" }
                span { i.warm {} "heat, from little to much" }
            }
            @if weighed { p.reading { (figure::READING) } }
            @for exhibit in &gallery.exhibits { (sample(table, results, exhibit)) }
            @if gallery.more { p.reading { "More pictures are in the folder " code { "gallery" } " of the results." } }
        }
    }
}

fn sample(table: &Table, results: &Results, exhibit: &Exhibit) -> Markup {
    let case = &exhibit.case;
    let subject = &exhibit.subject;
    let mode: Mode = case.mode;
    let (figures, others): (Vec<_>, Vec<_>) = exhibit
        .results
        .iter()
        .partition(|(result, _)| figure::weighed(result).is_some());
    html! {
        article.sample {
            h3 {
                (subject.finding)
                span.mode { (case.dataset) ", " (mode.name()) ", " (case.model) ", sample " (case.index) }
            }
            dl.dialogue {
                dt { "Question" } dd { (subject.question) }
                dt { "Answer" } dd { (subject.answer) }
            }
            @if !exhibit.edits.is_empty() {
                div.pictures {
                    @for (role, image, picture) in &exhibit.edits { (edited(*role, image, picture)) }
                }
            }
            @for (result, picture) in figures {
                (shown(table, results, result, picture, Some(&subject.answer)))
            }
            div.pictures {
                figure {
                    img src=(exhibit.image) width="448" height="448" decoding="async"
                        alt={ "Chest X-ray of sample " (case.index) " with "
                            (count(subject.truth.len() as u64, "annotated region")) };
                    figcaption { b { "annotated" } span { (count(subject.truth.len() as u64, "region")) } }
                }
                @for (result, picture) in others {
                    (shown(table, results, result, picture, None))
                }
            }
        }
    }
}

/// What the causal filter showed the model, and what that said.
fn edited(role: Role, image: &Counterfactual, picture: &str) -> Markup {
    html! {
        figure {
            img src=(picture) width="224" height="224" decoding="async"
                alt={ "The image edited: " (role.words()) };
            figcaption {
                b { (role.words()) }
                span { (image.edit.prompt) }
                @if let Some(yes) = image.reply.yes { span { "P(yes) " (number(yes)) } }
                span.said { (image.reply.answer) }
                @if !image.edit.verified { span.failed { "not edited as asked" } }
            }
        }
    }
}

/// A picture; beside it what the method says of the answer, if it weighs concepts.
fn shown(
    table: &Table,
    results: &Results,
    result: &MethodResult,
    picture: &str,
    answer: Option<&str>,
) -> Markup {
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
        evidence,
        ..
    } = &result.outcome
    else {
        return html! {};
    };
    let reliable = evidence::reliable(evidence);
    html! {
        figure.control[control].concepts[answer.is_some()] {
            img src=(picture) width="448" height="448" decoding="async"
                alt={ "The same image with what " (result.method) " found: " (count(boxes.len() as u64, "region")) };
            figcaption {
                b { (result.method) @if control { span.tag { "control" } } }
                @if let Some(iou) = iou { span { "IoU " (number(iou)) } }
                @if boxes.is_empty() { span.failed { "no evidence" } }
                @if *fallback && answer.is_none() { span.failed { "fell back to the whole image" } }
                @if !reliable { p.warning { "Not reliable" @for warning in warnings { span { (warning) } } } }
                @else { @for warning in warnings { span.note { (warning) } } }
                @if let Some(answer) = answer { div.said { (figure::said(result, answer)) } }
            }
        }
    }
}
