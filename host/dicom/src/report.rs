//! The result as a structured report (PS3.3 A.35.3) of template 1500: question and answer, each region with its coordinates
//! and score, each concept with its Delta.

use dicom_dictionary_std::{tags, uids};
use medfocus_plugin_api::Result;

use crate::{
    BANNER,
    codes::{self, Code},
    content::{self, Relation, below, container, identifier, number, words},
    elements::{Set, empty, item, sequence, text},
    explanation::{Algorithm, Explanation, Region, Weight},
    film::Film,
    modules::{self, Kind},
    object::{self, Moment, Object},
    uid,
};

const KIND: Kind = Kind {
    class: uids::COMPREHENSIVE_SR_STORAGE,
    modality: "SR",
    series: "9102",
};

/// Writes the report.
pub(crate) fn write(film: &Film, explanation: &Explanation<'_>, now: &Moment) -> Result<Object> {
    let mut set = modules::common(&KIND, film, explanation);
    for element in modules::moment(now) {
        set.put(element);
    }
    let film_only = sequence(tags::REFERENCED_SOP_SEQUENCE, vec![modules::instance(film)]);
    let series = [
        text(tags::SERIES_INSTANCE_UID, film.series.as_str()),
        film_only,
    ];
    for element in [
        empty(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE),
        empty(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE),
        text(tags::COMPLETION_FLAG, "COMPLETE"),
        text(tags::VERIFICATION_FLAG, "UNVERIFIED"),
        // Without it archives cannot open the report.
        item(
            tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE,
            [
                text(tags::STUDY_INSTANCE_UID, film.study.as_str()),
                item(tags::REFERENCED_SERIES_SEQUENCE, series),
            ],
        ),
    ] {
        set.put(element);
    }
    for element in root(film, explanation) {
        set.put(element);
    }
    object::finish("explanation.sr.dcm", set)
}

/// Template 1500.
fn root(film: &Film, explanation: &Explanation<'_>) -> Set {
    let english = content::code(
        Relation::Modifies,
        Code::dcm("121049", "Language of Content Item and Descendants"),
        Code {
            value: "en",
            scheme: "RFC5646",
            meaning: "English",
        },
        Vec::new(),
    );
    let procedure = content::code(
        Relation::Modifies,
        Code::dcm("121058", "Procedure reported"),
        Code::sct("399208008", "Plain X-ray of chest"),
        Vec::new(),
    );
    let mut children = vec![english];
    children.extend(observer(explanation));
    children.push(procedure);
    let groups = groups(film, explanation);
    if !groups.is_empty() {
        let measured = container(Code::dcm("126010", "Imaging Measurements"), None, groups);
        children.push(below(Relation::Contains, measured));
    }
    children.push(below(Relation::Contains, told(explanation)));
    let report = Code::dcm("126000", "Imaging Measurement Report");
    container(report, Some("1500"), children)
}

/// Template 1002: a device.
fn observer(explanation: &Explanation<'_>) -> Vec<Set> {
    vec![
        content::code(
            Relation::Context,
            Code::dcm("121005", "Observer Type"),
            Code::dcm("121007", "Device"),
            Vec::new(),
        ),
        identifier(
            Relation::Context,
            Code::dcm("121012", "Device Observer UID"),
            &modules::device(explanation),
        ),
        words(
            Relation::Context,
            Code::dcm("121013", "Device Observer Name"),
            "MedFocus",
        ),
        words(
            Relation::Context,
            Code::dcm("121014", "Device Observer Manufacturer"),
            "MedFocus",
        ),
        words(
            Relation::Context,
            Code::dcm("121015", "Device Observer Model Name"),
            explanation.version,
        ),
    ]
}

/// One for each region, one for each concept.
fn groups(film: &Film, explanation: &Explanation<'_>) -> Vec<Set> {
    let regions = explanation.regions.iter().enumerate();
    let regions = regions.map(|(at, found)| region(at + 1, found, film, explanation));
    let weights = explanation.weights.iter().enumerate();
    let weights = weights.map(|(at, weight)| concept(at + 1, weight, film, explanation));
    let groups = regions.chain(weights);
    groups
        .map(|group| below(Relation::Contains, group))
        .collect()
}

/// Template 1410: a region of the film and its score.
fn region(rank: usize, region: &Region<'_>, film: &Film, explanation: &Explanation<'_>) -> Set {
    let mut children = tracking(&format!("Region {rank}"), film, explanation);
    children.push(found(codes::EVIDENCE));
    children.extend(algorithm(&explanation.method));
    let site = region.label.and_then(codes::site);
    children.extend(site.map(place));
    children.push(content::rectangle(
        Code::dcm("111030", "Image Region"),
        region.edges,
        film,
    ));
    let score = if explanation.weights.is_empty() {
        codes::SCORE
    } else {
        codes::DELTA
    };
    children.push(number(score, region.score, Vec::new()));
    if let (Some(label), None) = (region.label, site) {
        children.push(words(Relation::Contains, codes::LABEL, label));
    }
    container(GROUP, Some("1410"), children)
}

/// Template 1501: what the answer loses without a concept.
fn concept(rank: usize, weight: &Weight<'_>, film: &Film, explanation: &Explanation<'_>) -> Set {
    let mut children = tracking(&format!("Concept {rank}"), film, explanation);
    children.push(found(codes::CONCEPT));
    children.extend(algorithm(&explanation.method));
    let site = codes::site(weight.concept);
    children.extend(site.map(place));
    children.push(number(codes::DELTA, weight.delta, Vec::new()));
    children.push(words(Relation::Contains, codes::LABEL, weight.concept));
    container(GROUP, Some("1501"), children)
}

const GROUP: Code = Code::dcm("125007", "Measurement Group");

/// Template 1502: a name for people and one for machines.
fn tracking(name: &str, film: &Film, explanation: &Explanation<'_>) -> Vec<Set> {
    let about = [
        film.instance.as_str(),
        explanation.question,
        explanation.answer,
        explanation.method.name,
        explanation.model.name,
        name,
    ];
    let unique = uid::of("tracking", about.join("\0").as_bytes());
    vec![
        words(
            Relation::Context,
            Code::dcm("112039", "Tracking Identifier"),
            name,
        ),
        identifier(
            Relation::Context,
            Code::dcm("112040", "Tracking Unique Identifier"),
            &unique,
        ),
    ]
}

fn found(what: Code) -> Set {
    let finding = Code::dcm("121071", "Finding");
    content::code(Relation::Contains, finding, what, Vec::new())
}

/// Template 4019.
fn algorithm(algorithm: &Algorithm<'_>) -> Vec<Set> {
    let mut items = vec![
        words(
            Relation::Modifies,
            Code::dcm("111001", "Algorithm Name"),
            algorithm.name,
        ),
        words(
            Relation::Modifies,
            Code::dcm("111003", "Algorithm Version"),
            algorithm.version,
        ),
    ];
    if !algorithm.parameters.is_empty() {
        items.push(words(
            Relation::Modifies,
            Code::dcm("111002", "Algorithm Parameters"),
            algorithm.parameters,
        ));
    }
    items
}

fn place(site: codes::Site) -> Set {
    let side = site.side.map(|side| {
        let laterality = Code::sct("272741003", "Laterality");
        content::code(Relation::Modifies, laterality, side, Vec::new())
    });
    content::code(
        Relation::Modifies,
        Code::sct("363698007", "Finding Site"),
        site.structure,
        side.into_iter().collect(),
    )
}

/// What was asked, answered and is to be known.
fn told(explanation: &Explanation<'_>) -> Set {
    let text = |concept, value: &str| words(Relation::Contains, concept, value);
    let answer = if explanation.given {
        codes::GIVEN
    } else {
        codes::ANSWER
    };
    let mut children = vec![
        text(codes::NOTICE, BANNER),
        text(codes::QUESTION, explanation.question),
        text(answer, explanation.answer),
    ];
    if let Some(finding) = explanation.finding {
        children.push(match codes::finding(finding) {
            Some(code) => content::code(Relation::Contains, codes::ASKED, code, Vec::new()),
            None => text(codes::ASKED, finding),
        });
    }
    let warnings = explanation.warnings.iter();
    children.extend(warnings.map(|warning| text(codes::WARNING, warning)));
    for by in [&explanation.model, &explanation.method] {
        children.push(text(codes::MADE_BY, &modules::described(by)));
    }
    let heading = Code {
        value: "C0034375",
        scheme: "UMLS",
        meaning: "Qualitative Evaluations",
    };
    container(heading, None, children)
}
