//! The page: whole in itself, safe to open, and there whatever the results are.

use medfocus_plugin_api::{Error, Mode};

use super::{
    Files,
    synthetic::{self, Made},
};
use crate::{
    experiment::{
        plan::Misfit,
        record::{MethodOutcome, Outcome},
    },
    output::OutDir,
    report::pictures::gallery,
};

/// The results with a piece of text in every place where models, datasets or plugins can put one.
fn hostile(text: &str) -> Made {
    let mut results = synthetic::results();
    results.plan.experiment.name = text.to_owned();
    results.plan.experiment.compare = Some(text.to_owned());
    for cell in &mut results.plan.cells {
        cell.dataset = text.to_owned();
        cell.misfits.push(Misfit {
            method: format!("misfit {text}"),
            reason: text.to_owned(),
        });
        rename(&mut cell.methods, text);
    }
    for method in &mut results.plan.methods {
        if method.name == "drift" {
            method.name = text.to_owned();
            method.method.component = text.to_owned();
            method.method.params.insert(text.to_owned(), text.into());
        }
    }
    results.plan.datasets[0].name = text.to_owned();
    results.plan.datasets[0].digest = text.to_owned();
    results.plan.models[1].backend.plugin.name = text.to_owned();
    for record in &mut results.records {
        record.case.dataset = text.to_owned();
        record.model_digest = text.to_owned();
        if let Some(subject) = &mut record.subject {
            subject.finding = text.to_owned();
            subject.question = text.to_owned();
            subject.answer = text.to_owned();
        }
        match &mut record.outcome {
            Outcome::Attributed { results } => {
                for result in results {
                    if result.method == "drift" {
                        result.method = text.to_owned();
                    }
                    match &mut result.outcome {
                        MethodOutcome::Scored { warnings, .. } => warnings.push(text.to_owned()),
                        MethodOutcome::Failed { error } => *error = Error::internal(text),
                    }
                }
            }
            Outcome::Failed { error } => *error = Error::internal(text),
            Outcome::Excluded { .. } => {}
        }
    }
    for record in &mut results.sanity {
        record.method = record.method.take().map(|_| text.to_owned());
    }
    results.tuned[0].method = text.to_owned();
    results
}

fn rename(methods: &mut [String], text: &str) {
    for method in methods {
        if method == "drift" {
            *method = text.to_owned();
        }
    }
}

#[test]
fn text_of_models_and_datasets_stays_text() {
    for text in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</style></title><script>",
        "a | b\n# c\n<script>",
    ] {
        let mut results = hostile(text);
        results.plan.cells.truncate(1);
        let folder = tempfile::tempdir().unwrap();
        synthetic::draw(&results, folder.path(), 1);
        let files = Files::written(&results, folder.path());
        assert!(files.html.contains("<figure"), "the gallery is there");
        assert!(!files.html.contains("<script"), "{text}");
        assert!(!files.html.contains("<img src=x"), "{text}");
        assert!(!files.html.contains("' onmouseover='alert(1)\""), "{text}");
        assert_eq!(files.html.matches("</style>").count(), 1, "{text}");
        assert_eq!(files.html.matches("</title>").count(), 1, "{text}");
        assert!(!files.markdown.contains("<script"), "{text}");
        assert!(!files.markdown.contains("<img"), "{text}");
    }
}

#[test]
fn a_line_stays_a_line_in_the_text_tables() {
    for text in [
        "a | b\n| c |\n",
        "\\| \\\\| `|`",
        "\r\n\n# title\n\u{2028}|",
    ] {
        let markdown = Files::of(&hostile(text)).markdown;
        let mut width = None;
        let mut tables = 0;
        for line in markdown.lines() {
            if !line.starts_with("| ") {
                width = None;
                continue;
            }
            let cells = line
                .replace("\\\\", "")
                .replace("\\|", "")
                .matches('|')
                .count();
            tables += usize::from(width.is_none());
            assert_eq!(cells, *width.get_or_insert(cells), "{line}");
        }
        // Of each section: three groups with their differences and language prior, and the findings; then checks, answers and parameters.
        assert_eq!(tables, 2 * 10 + 3, "{markdown}");
        assert_eq!(
            markdown
                .lines()
                .filter(|line| line.starts_with("# "))
                .count(),
            1
        );
    }
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let results = synthetic::results();
    let folder = tempfile::tempdir().unwrap();
    synthetic::draw(&results, folder.path(), 2);
    let html = Files::written(&results, folder.path()).html;
    for outside in [
        "http:", "https:", "<link", "<script", "<iframe", "@import", "url(",
    ] {
        assert!(!html.contains(outside), "{outside}");
    }
    let sources: Vec<&str> = html.split(" src=\"").skip(1).collect();
    // Two samples of four cells: the image and four or five methods.
    assert_eq!(sources.len(), 2 * (2 * 6 + 2 * 5));
    assert!(
        sources
            .iter()
            .all(|source| source.starts_with("data:image/jpeg;base64,"))
    );
    assert_eq!(html.matches(" alt=\"").count(), sources.len());
    assert!(html.contains("not a medical device"));
}

#[test]
fn pictures_that_are_missing_or_broken_are_left_out() {
    let results = synthetic::results();
    let folder = tempfile::tempdir().unwrap();
    assert!(
        !Files::written(&results, folder.path())
            .html
            .contains("id=\"gallery\"")
    );
    synthetic::draw(&results, folder.path(), 1);
    let place = folder
        .path()
        .join("gallery")
        .join(results.plan.cells[0].slug())
        .join("0");
    std::fs::remove_file(place.join("focus.png")).unwrap();
    OutDir::create(&place)
        .unwrap()
        .write("drift.png", |file| file.write_all(b"no picture"))
        .unwrap();
    let html = Files::written(&results, folder.path()).html;
    assert_eq!(html.matches("<img ").count(), 2 * 6 + 2 * 5 - 2);
}

#[test]
fn a_gallery_that_is_too_large_shows_the_first_of_each_cell() {
    let results = synthetic::results();
    let folder = tempfile::tempdir().unwrap();
    synthetic::draw(&results, folder.path(), 2);
    let shown = |limit: usize| {
        let gallery = gallery(&results.read(folder.path()), folder.path(), limit).unwrap();
        let cases = gallery.exhibits.iter().map(|exhibit| &exhibit.case);
        let cases: Vec<_> = cases
            .map(|case| (case.model.clone(), case.mode, case.index))
            .collect();
        (cases, gallery.more)
    };
    let (direct, reasoning) = (Mode::Direct, Mode::Reasoning);
    // Six pictures a sample with alpha, five with beta.
    let first = [
        ("alpha", direct, 0),
        ("alpha", direct, 1),
        ("alpha", reasoning, 0),
        ("beta", direct, 0),
        ("beta", reasoning, 0),
    ];
    let first = first.map(|(model, mode, index)| (model.to_owned(), mode, index));
    assert_eq!(shown(28), (first.to_vec(), true));
    assert_eq!(shown(43).0.len(), 7);
    assert!(shown(43).1);
    assert_eq!(shown(44).0.len(), 8);
    assert!(!shown(44).1);
}

#[test]
fn an_experiment_without_results_has_a_report() {
    let mut results = synthetic::results();
    results.records.clear();
    results.sanity.clear();
    results.tuned.clear();
    let files = Files::of(&results);
    assert!(files.html.contains("0 of 48 samples have been recorded"));
    assert!(files.html.contains("No method has been scored."));
    assert!(files.markdown.contains("24 not run yet"));
    results.plan.cells.clear();
    Files::of(&results);
}
